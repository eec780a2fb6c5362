"""The dated policy: how much each part of a score weighs, and its limits. Data: a change is a new row, not a rule."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from shared.kernel.errors import Fault
from shared.kernel.ids import PREFIXES


class Weights(NamedTuple):
    """Weight of each part of a score, in percent. The order of the fields is the order of parts everywhere."""

    time_fit: int
    distance: int
    skills: int
    pay: int
    facilities: int
    reliability: int
    waiting: int


PARTS = Weights._fields
"""Names of the parts. Age, marital state, number of children and ethnicity are never among them (DESIGN.md §5)."""

WEIGHT_SUM = 100
PART_MAX = 1000
SCORE_MAX = WEIGHT_SUM * PART_MAX
"""Every policy gives scores 0..100,000, so that scores of two policies can be read on one scale."""


COMMUTE_MAX_M = 100_000
COMMUTE_LEAST_M = 1_000
"""A city may shorten every commute, to a kilometre at least: homes are published on a grid of half a kilometre."""

WAITING_FULL_WEEKS = 26
"""Half a year: whoever waited longer gains nothing more, so that a dormant registration does not crowd out others."""

WAITING_MOST_WEEKS = 520
"""Ten years, longer than anybody is eligible; a larger number could only be a slip of the pen."""


POLICIES_MAX = 120
"""Versions of one city's policy: a change every month for ten years. An event holds them all in about 30 kB."""

CHANGE_AHEAD_DAYS = 3 * 366
"""How far ahead a policy can be adopted: longer than any plan of the programme, so a wrong century is noticed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that a city sets for every pair.

    Attributes:
        commute_max_m: farthest commute that counts, whatever a woman would accept; metres.
        waiting_full_weeks: weeks after which waiting gains nothing more.

    Raises:
        ValueError: a bound is outside its range.
    """

    commute_max_m: int = COMMUTE_MAX_M
    waiting_full_weeks: int = WAITING_FULL_WEEKS

    def __post_init__(self) -> None:
        if not COMMUTE_LEAST_M <= self.commute_max_m <= COMMUTE_MAX_M:
            raise ValueError(f"commute_max_m: expected {COMMUTE_LEAST_M} to {COMMUTE_MAX_M}")
        if not 1 <= self.waiting_full_weeks <= WAITING_MOST_WEEKS:
            raise ValueError(f"waiting_full_weeks: expected 1 to {WAITING_MOST_WEEKS}")


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights and limits that a city ranks by from a day on.

    Attributes:
        city: division code, or `*` for every city without its own.
        version: rises with every change of the city's policy.
        valid_from: first civil day.

    Raises:
        ValueError: a weight is negative or the weights do not sum to 100.
    """

    city: str
    version: int
    valid_from: date
    weights: Weights
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if min(self.weights) < 0 or sum(self.weights) != WEIGHT_SUM:
            raise ValueError(f"weights: expected seven numbers >= 0 that sum to {WEIGHT_SUM}")


EVERY_CITY = "*"

POLICIES: tuple[Policy, ...] = (
    Policy(
        city=EVERY_CITY,
        version=1,
        valid_from=date(2000, 1, 1),
        weights=Weights(time_fit=30, distance=20, skills=15, pay=10, facilities=10, reliability=10, waiting=5),
    ),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """All policies that a city has adopted, oldest first.

    They are one entity, whose version is the number of policies: its newest version says all that there is to know,
    so neither the order in which versions arrive nor the compaction of their topic can lose a dated one.
    """

    policies: tuple[Policy, ...]


def policy_id_of(city: str) -> str:
    """The id of a city's schedule of policies. It follows from the city, which is public, so there is one a city."""
    return f"{PREFIXES['policy']}-{hashlib.sha256(city.encode()).hexdigest()[:32]}"


def policy_faults(
    known: Sequence[Policy], valid_from: date, weights: Weights, limits: tuple[int, int], today: date
) -> list[Fault]:
    """What keeps a city from adopting a policy after those it has; empty where nothing does.

    A policy begins today at the earliest, since rankings that were served stay as they were explained, and after every
    one that was adopted before, so that the latest version is always the one that holds in the end.

    Args:
        limits: `commute_max_m`, `waiting_full_weeks`.
    """
    faults = []
    if min(weights) < 0 or sum(weights) != WEIGHT_SUM:
        faults.append(Fault("weights", f"seven numbers >= 0 that sum to {WEIGHT_SUM}"))
    ranges = (("commute_max_m", COMMUTE_LEAST_M, COMMUTE_MAX_M), ("waiting_full_weeks", 1, WAITING_MOST_WEEKS))
    for (name, least, most), value in zip(ranges, limits, strict=True):
        if not least <= value <= most:
            faults.append(Fault(f"limits.{name}", f"{least} to {most}"))
    latest = max((policy.valid_from for policy in known), default=None)
    if latest is not None and latest >= max(valid_from, today):
        faults.append(Fault("valid_from", f"a day after {latest.isoformat()}, from which the latest policy holds"))
    elif valid_from < today:
        faults.append(Fault("valid_from", f"{today.isoformat()} or later"))
    elif (valid_from - today).days > CHANGE_AHEAD_DAYS:
        faults.append(Fault("valid_from", f"at most {CHANGE_AHEAD_DAYS} days ahead"))
    return faults


def policy_on(city: str, day: date, policies: tuple[Policy, ...] = POLICIES) -> Policy:
    """The policy of a city on a day: its own before the common one, and of those the latest that has begun.

    Raises:
        LookupError: no policy has begun on that day.
    """
    begun = [policy for policy in policies if policy.city in (city, EVERY_CITY) and policy.valid_from <= day]
    if not begun:
        raise LookupError(f"no policy is valid on {day.isoformat()}")
    return max(begun, key=lambda policy: (policy.city == city, policy.valid_from, policy.version))
