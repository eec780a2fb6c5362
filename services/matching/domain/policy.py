"""The dated policy: how much each part of a score weighs. Data, so that a change is a new row, never a new rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple


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


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights that a city ranks by from a day on.

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


def policy_on(city: str, day: date, policies: tuple[Policy, ...] = POLICIES) -> Policy:
    """The policy of a city on a day: its own before the common one, and of those the latest that has begun.

    Raises:
        LookupError: no policy has begun on that day.
    """
    begun = [policy for policy in policies if policy.city in (city, EVERY_CITY) and policy.valid_from <= day]
    if not begun:
        raise LookupError(f"no policy is valid on {day.isoformat()}")
    return max(begun, key=lambda policy: (policy.city == city, policy.valid_from, policy.version))
