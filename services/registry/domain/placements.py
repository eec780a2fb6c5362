"""Placements: a seeker on a seat of a post, at her hours, on the terms of that day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

from services.registry.domain.posts import Pay
from shared.kernel.errors import Fault

EndReason = Literal["own-wish", "employer", "post-closed", "seeker-withdrawn"]

PLACEMENT_DAYS = 92
"""How far from today a placement may start or end: a quarter ahead is as far as employers plan, and paper records are
entered within the quarter that is being reported (FACTS.md, N: ledgers on paper and online)."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One seat held by one seeker.

    Attributes:
        lock: rises with each write, also those without an event (a shift of it), so that two concurrent shifts cannot
            both be right about the placement's times.
        hours: week mask; 0 where the post has no set hours.
        pay: the post's terms when the placement was made; a later change of the post does not change them.
        ends_on: last day of work, once ended; the day before `starts_on` if she never began.
        child_care_station_id: where a child of hers has a place meanwhile; on no topic and in no list.
        shuttle_id: on which shuttle she has a seat; on no topic and in no list.
    """

    id: str
    version: int
    lock: int
    post_id: str
    seeker_id: str
    employer_id: str
    community_id: str | None
    city: str
    hours: int
    starts_on: date
    pay: Pay
    made_at: datetime
    ends_on: date | None = None
    ended: EndReason | None = None
    ended_at: datetime | None = None
    child_care_station_id: str | None = None
    shuttle_id: str | None = None


def over(placement: Placement, ends_on: date, reason: EndReason, at: datetime) -> Placement:
    """The placement once it has ended: it holds nothing any more, and nothing tells what it held beside the seat."""
    return replace(
        placement,
        version=placement.version + 1,
        lock=placement.lock + 1,
        ends_on=ends_on,
        ended=reason,
        ended_at=at,
        child_care_station_id=None,
        shuttle_id=None,
    )


def start_faults(starts_on: date, today: date) -> list[Fault]:
    """Within a quarter of today."""
    if abs((starts_on - today).days) <= PLACEMENT_DAYS:
        return []
    return [Fault("starts_on", f"a day within {PLACEMENT_DAYS} days of today")]


def end_faults(placement: Placement, ends_on: date, today: date) -> list[Fault]:
    """Not before it began (the day before means: never began), not more than a quarter ahead."""
    if placement.starts_on - timedelta(days=1) <= ends_on <= today + timedelta(days=PLACEMENT_DAYS):
        return []
    return [Fault("ends_on", f"the day before `starts_on` or later, at most {PLACEMENT_DAYS} days from today")]


def within_faults(hours: int, post_hours: int) -> list[Fault]:
    """Her slots are a subset of the post's, where the post has hours (FACTS.md, N: in a `team` she picks her slots)."""
    if not post_hours:
        return []
    if not hours:
        return [Fault("hours", "at least one half hour of the post's hours")]
    return [Fault("hours", "only half hours of the post's hours")] if hours & ~post_hours else []


def overlaps(hours: int, starts_on: date, others: Iterable[Placement]) -> bool:
    """Whether a placement from `starts_on` on shares a half hour with one of hers that is still running then.

    One that ended runs until the day before `ends_on`: on the day of a hand-over she may start elsewhere.
    """
    return any(
        hours & other.hours and (other.ended is None or (other.ends_on is not None and other.ends_on > starts_on))
        for other in others
    )


def last_day_on_withdrawal(placement: Placement, today: date) -> date:
    """When a placement ends that is ended from outside: today, or the day before it would have begun."""
    return max(today, placement.starts_on - timedelta(days=1))
