"""Agreements: who gives back how much of what, and from when until when. Signed, dated, never edited."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

from shared.kernel.errors import Fault
from shared.kernel.money import FEN_MAX, RATE_BP_MAX, RATE_BP_MIN

Base = Literal["wages", "output"]
"""What the rate is taken of: the pay of a shift, or the value of its output to the employer."""

FIRST_DAY = date(2000, 1, 1)
LAST_DAY = date(2099, 12, 31)
"""Days that an agreement may name: the months of the contracts are those of this century."""


TIERS_MAX = 10
"""Tiers of one agreement: more could not be read on a page, and each one that a shift crosses is a line of its own."""


class Tier(NamedTuple):
    """A marginal rate.

    Attributes:
        from_fen: the part of a month's base above this amount has this rate.
    """

    from_fen: int
    rate_bp: int


class Slice(NamedTuple):
    """A part of a base that has one rate.

    Attributes:
        before_fen: the month's base before this part came; `None` where the rate does not depend on it.
        base_fen: signed, as the base that was cut.
    """

    before_fen: int | None
    base_fen: int
    rate_bp: int


class Pair(NamedTuple):
    """The two sides of a rebate. Everything that is settled is settled per pair."""

    employer_id: str
    community_id: str

    @property
    def key(self) -> str:
        """One text for the pair; ids hold no colon."""
        return f"{self.employer_id}:{self.community_id}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """One signed version of what a pair agreed on.

    Attributes:
        version: ordinal within the pair, from 1; each version is a document of its own with its own id.
        rate_bp: of a month's base, or of its first part where there are tiers.
        valid_until: last valid day; `None` until further notice, which a later version may give (`Timeline`).
        tiers: by `from_fen`, ascending; empty: the rate is flat.
    """

    agreement_id: str
    version: int
    city: str
    pair: Pair
    base: Base
    rate_bp: int
    valid_from: date
    valid_until: date | None
    tiers: tuple[Tier, ...] = ()

    def base_of(self, wage_fen: int, output_fen: int) -> int:
        """The amount that the rate is taken of, in fen."""
        return wage_fen if self.base == "wages" else output_fen

    def slices(self, before_fen: int, base_fen: int) -> list[Slice]:
        """Cut what comes to a month's base into parts of one rate each, in the order in which they come.

        The sum of `base_fen × rate_bp` over all that ever came depends on the sum of the bases alone, not on the order
        (decision 0020), since each part takes up where the last one ended.

        Args:
            before_fen: what this agreement's base of the month amounts to so far, not below 0.
            base_fen: what comes to it; negative: what leaves it, from the top; of nothing, one part.
        """
        if not self.tiers:
            return [Slice(None, base_fen, self.rate_bp)]
        after_fen = before_fen + base_fen
        low, high = min(before_fen, after_fen), max(before_fen, after_fen)
        starts = (0, *(tier.from_fen for tier in self.tiers))
        rates = (self.rate_bp, *(tier.rate_bp for tier in self.tiers))
        if base_fen == 0:
            return [Slice(before_fen, 0, rates[bisect_right(starts, before_fen) - 1])]
        parts = [
            (max(low, start), min(high, end), rate)
            for start, end, rate in zip(starts, (*starts[1:], high), rates, strict=True)
            if max(low, start) < min(high, end)
        ]
        if base_fen < 0:
            return [Slice(end, start - end, rate) for start, end, rate in reversed(parts)]
        return [Slice(start, end - start, rate) for start, end, rate in parts]


class Timeline:
    """The versions of a pair one after the other: without gap, and without a day that two cover.

    A version without a last day ends on the day before the next one begins; it is not edited for that.
    """

    def __init__(self, versions: Sequence[Agreement]) -> None:
        ordered = sorted(versions, key=lambda version: version.valid_from)
        ends = [*(version.valid_from - timedelta(days=1) for version in ordered[1:]), date.max][: len(ordered)]
        self._spans = [
            (version, min(version.valid_until or date.max, end)) for version, end in zip(ordered, ends, strict=True)
        ]

    def on(self, day: date, city: str) -> Agreement | None:
        """The version that covers a day; at most one does. One of another city covers nothing."""
        for version, end in self._spans:
            if version.valid_from <= day <= end:
                return version if version.city == city else None
        return None

    def ended_by(self, valid_from: date) -> Agreement | None:
        """The version without a last day that one from this day on would end."""
        if not self._spans:
            return None
        last, end = self._spans[-1]
        return last if end == date.max and last.valid_from < valid_from else None

    def misfit(self, valid_from: date, valid_until: date | None) -> Misfit | None:
        """Why a version with these days cannot stand beside the others; `None` if it can."""
        if not self._spans:
            return None
        until = valid_until or date.max
        if self.ended_by(valid_from) is not None:
            return None
        for version, end in self._spans:
            if version.valid_from <= until and valid_from <= end:
                return Misfit("overlap", version, version.valid_from, end)
        first, (last, end) = self._spans[0][0], self._spans[-1]
        # What follows does not meet further notice: such a version would have been ended, or overlapped.
        if valid_from > end and valid_from - end > timedelta(days=1):
            return Misfit("gap", last, end + timedelta(days=1), valid_from - timedelta(days=1))
        if until < first.valid_from and first.valid_from - until > timedelta(days=1):
            return Misfit("gap", first, until + timedelta(days=1), first.valid_from - timedelta(days=1))
        return None


class Misfit(NamedTuple):
    """Days that two versions would share, or that none would cover.

    Attributes:
        version: the standing one next to which it happens.
        first: of an overlap, the first day of the standing version; of a gap, its first day.
        last: the same for the last day; `date.max` is further notice.
    """

    kind: Literal["overlap", "gap"]
    version: Agreement
    first: date
    last: date

    @property
    def days(self) -> str:
        """`2026-01-01 to 2026-12-31`, for messages."""
        return f"{self.first} to {'further notice' if self.last == date.max else self.last}"


def faults_of_terms(rate_bp: int, tiers: Sequence[Tier], valid_from: date, valid_until: date | None) -> list[Fault]:
    """What is wrong with the terms of an agreement; empty if nothing is."""
    faults = [*_faults_of_rates(rate_bp, tiers)]
    if not FIRST_DAY <= valid_from <= LAST_DAY:
        faults.append(Fault("valid_from", f"a day from {FIRST_DAY} to {LAST_DAY}"))
    if valid_until is not None and not valid_from <= valid_until <= LAST_DAY:
        faults.append(Fault("valid_until", f"a day on or after valid_from and until {LAST_DAY}"))
    return faults


def _faults_of_rates(rate_bp: int, tiers: Sequence[Tier]) -> Iterator[Fault]:
    allowed = f"{RATE_BP_MIN}..{RATE_BP_MAX} basis points (5 % to 15 %)"
    if not RATE_BP_MIN <= rate_bp <= RATE_BP_MAX:
        yield Fault("rate_bp", allowed)
    if len(tiers) > TIERS_MAX:
        yield Fault("tiers", f"at most {TIERS_MAX}")
        return
    below = 0
    for number, tier in enumerate(tiers):
        if not below < tier.from_fen <= FEN_MAX:
            yield Fault(f"tiers.{number}.from_fen", f"above the tier before it ({below} fen) and at most {FEN_MAX} fen")
        if not RATE_BP_MIN <= tier.rate_bp <= RATE_BP_MAX:
            yield Fault(f"tiers.{number}.rate_bp", allowed)
        below = max(below, tier.from_fen)
