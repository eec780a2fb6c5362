"""Shifts: what was worked, and what it pays. Money in whole fen; nothing is ever taken from her pay."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from services.registry.domain.placements import Placement
from services.registry.domain.posts import Pay
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.money import FEN_MAX, hourly_wage_fen

Verdict = Literal["attended", "left-early", "no-show"]

SHIFT_MAX = timedelta(hours=24)
"""Longest shift; whatever is longer is two shifts or a mistyped date."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Piece work of a shift; only accepted pieces are paid."""

    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Worked:
    """What a report says of a shift.

    Attributes:
        output_fen: value of her accepted output to the employer, if reported: the base of rebates by output.
    """

    started_at: datetime
    ended_at: datetime
    verdict: Verdict
    pieces: Pieces | None
    output_fen: int | None


@dataclass(frozen=True, slots=True)
class Shift:
    """The latest revision of a shift; the events keep the earlier ones.

    Attributes:
        month: civil month of the start, `YYYY-MM`.
        minutes: worked; 0 for a no-show.
        base_fen: what a rebate by output is computed from; her pay where no output was reported.
    """

    id: str
    revision: int
    placement_id: str
    post_id: str
    seeker_id: str
    employer_id: str
    community_id: str | None
    city: str
    month: str
    started_at: datetime
    ended_at: datetime
    minutes: int
    pieces: Pieces | None
    wage_fen: int
    base_fen: int
    verdict: Verdict


def time_faults(worked: Worked, now: datetime) -> list[Fault]:
    """A shift ends after it starts, within 24 hours, and is over."""
    if not timedelta(0) < worked.ended_at - worked.started_at <= SHIFT_MAX:
        return [Fault("ended_at", "a moment after `started_at`, at most 24 hours later")]
    return [] if worked.ended_at <= now else [Fault("ended_at", "a moment that is not in the future")]


def before_faults(started_at: datetime, starts_on: date) -> list[Fault]:
    """No shift on a civil day before the placement starts."""
    return [] if civil_day(started_at) >= starts_on else [Fault("started_at", "a day on which the placement had begun")]


def after_faults(started_at: datetime, ends_on: date | None) -> list[Fault]:
    """No shift on a civil day after the placement's last."""
    if ends_on is None or civil_day(started_at) <= ends_on:
        return []
    return [Fault("started_at", "a day on which the placement had not ended")]


def pieces_faults(worked: Worked, pay: Pay) -> list[Fault]:
    """Pieces stand where they are paid: a worked shift on piece pay."""
    if worked.verdict == "no-show":
        return [Fault("pieces", "to be left out for a no-show")] if worked.pieces else []
    if pay.per == "piece":
        return [] if worked.pieces else [Fault("pieces", "to be given for piece pay")]
    return [Fault("pieces", "to be left out for hourly pay")] if worked.pieces else []


def output_faults(worked: Worked) -> list[Fault]:
    """Who did not come made nothing."""
    if worked.verdict == "no-show" and worked.output_fen:
        return [Fault("output_fen", "to be left out for a no-show")]
    return []


def minutes_worked(worked: Worked) -> int:
    """Whole minutes; a begun one counts, so that rounding never takes from her."""
    if worked.verdict == "no-show":
        return 0
    return -((worked.started_at - worked.ended_at) // timedelta(minutes=1))


def wage_fen(worked: Worked, pay: Pay) -> int:
    """Her pay for a shift, in fen: minutes at the hourly rate (rounded up), or accepted pieces at the piece rate."""
    if worked.verdict == "no-show":
        return 0
    if pay.per == "hour":
        return hourly_wage_fen(minutes_worked(worked), pay.fen)
    return worked.pieces.accepted * pay.fen if worked.pieces else 0


def wage_faults(worked: Worked, pay: Pay) -> list[Fault]:
    """No amount above the largest that an event may carry."""
    if wage_fen(worked, pay) <= FEN_MAX:
        return []
    field = "pieces.accepted" if pay.per == "piece" else "ended_at"
    return [Fault(field, f"a wage of at most {FEN_MAX} fen")]


def revise(shift_id: str, revision: int, placement: Placement, worked: Worked, month: str) -> Shift:
    """A revision of a shift, computed from what was reported and the terms of its placement."""
    wage = wage_fen(worked, placement.pay)
    return Shift(
        id=shift_id,
        revision=revision,
        placement_id=placement.id,
        post_id=placement.post_id,
        seeker_id=placement.seeker_id,
        employer_id=placement.employer_id,
        community_id=placement.community_id,
        city=placement.city,
        month=month,
        started_at=worked.started_at,
        ended_at=worked.ended_at,
        minutes=minutes_worked(worked),
        pieces=worked.pieces,
        wage_fen=wage,
        base_fen=wage if worked.output_fen is None else worked.output_fen,
        verdict=worked.verdict,
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """When a shift took place; all that the overlap rule needs."""

    shift_id: str
    placement_id: str
    started_at: datetime
    ended_at: datetime


class Timeline:
    """The shifts of one placement in order of time; no two of them share a moment (touching ends do not).

    As they are apart from each other, a new one can only meet its two neighbours: a bulk of 1,000 stays linear.
    """

    def __init__(self, stretches: Iterable[Stretch] = ()) -> None:
        self._spans = sorted((stretch.started_at, stretch.ended_at) for stretch in stretches)

    def is_free(self, started_at: datetime, ended_at: datetime) -> bool:
        """Whether a stretch of time meets none of the shifts."""
        place = bisect_left(self._spans, (started_at, ended_at))
        before = place == 0 or self._spans[place - 1][1] <= started_at
        return before and (place == len(self._spans) or ended_at <= self._spans[place][0])

    def add(self, started_at: datetime, ended_at: datetime) -> None:
        """Put in a stretch that is free."""
        insort(self._spans, (started_at, ended_at))
