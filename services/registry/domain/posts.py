"""Posts: what each kind needs, and what it pays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.registry.domain.people import PostKind
from services.registry.domain.places import Facility
from shared.kernel.errors import Fault
from shared.kernel.geo import Place
from shared.kernel.week import minutes_of

ClosingReason = Literal["filled", "expired", "withdrawn"]

ON_SITE: frozenset[PostKind] = frozenset({"elastic", "team"})
"""Kinds that are worked at a place and at set hours; `mobile` is taken home, `new-form` has its own time and place
(FACTS.md, Who gets what, N, Y)."""


@dataclass(frozen=True, slots=True)
class Pay:
    """What a post pays: fen an hour, or fen an accepted piece.

    Attributes:
        expected_hourly_fen: equal to `fen` for hourly pay, else usual pieces an hour × `fen`.
    """

    per: Literal["hour", "piece"]
    fen: int
    expected_hourly_fen: int


@dataclass(frozen=True, slots=True)
class Post:
    """A mama post (妈妈岗).

    Attributes:
        lock: rises with each write, also those without an event (a seat taken), so that the last seat has one winner.
        community_id: the station's, if the post is at one.
        location: absent at home or online.
        hours: week mask; 0 where the post has no set hours.
        min_minutes: weekly overlap with her free hours that is asked.
        seats_taken: seats held by active placements.
    """

    id: str
    version: int
    lock: int
    employer_id: str
    city: str
    area: str
    station_id: str | None
    community_id: str | None
    kind: PostKind
    trade: str
    location: Place | None
    hours: int
    min_minutes: int
    skills_required: tuple[str, ...]
    skills_desired: tuple[str, ...]
    pay: Pay
    seats: int
    seats_taken: int
    facilities: tuple[Facility, ...]
    urgent: bool
    opened_at: datetime
    closes_at: datetime | None
    closed: ClosingReason | None = None
    closed_at: datetime | None = None

    def open_at(self, now: datetime) -> bool:
        """Not closed, and not past its closing time."""
        return self.closed is None and (self.closes_at is None or now < self.closes_at)


def kind_faults(kind: PostKind, *, placed: bool, hours: int) -> list[Fault]:
    """What a kind needs.

    Args:
        placed: whether there is a location or a station.
    """
    faults: list[Fault] = []
    if kind in ON_SITE and not placed:
        faults.append(Fault("location", f"a location or a station, as `{kind}` is worked at a place"))
    if kind in ON_SITE and not hours:
        faults.append(Fault("hours", f"at least one half hour, as `{kind}` has set hours"))
    return faults


def min_minutes_faults(min_minutes: int, hours: int) -> list[Fault]:
    """No more overlap can be asked than the post has hours."""
    most = minutes_of(hours)
    return [] if min_minutes <= most else [Fault("min_minutes", f"at most {most}, the minutes of `hours`")]


def pay_of(per: Literal["hour", "piece"], fen: int, expected_hourly_fen: int | None) -> tuple[Pay, list[Fault]]:
    """The pay with its hourly expectation, by which posts are compared."""
    if per == "hour":
        wrong = expected_hourly_fen not in (None, fen)
        faults = [Fault("pay.expected_hourly_fen", "to be left out or equal to `fen` for hourly pay")] if wrong else []
        return Pay(per, fen, fen), faults
    faults = [] if expected_hourly_fen is not None else [Fault("pay.expected_hourly_fen", "to be given for piece pay")]
    return Pay(per, fen, expected_hourly_fen or 0), faults


def closing_faults(closes_at: datetime | None, now: datetime) -> list[Fault]:
    """A post does not open when it is already over."""
    return [] if closes_at is None or closes_at > now else [Fault("closes_at", "a moment in the future")]
