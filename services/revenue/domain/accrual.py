"""From shifts to entries: per shift the latest revision counts, once, whatever came twice, late or out of order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from services.revenue.domain.agreements import Agreement, Pair, Slice, Timeline
from services.revenue.domain.ledger import Entry, Rebate, entry_id_of, rebate_postings
from services.revenue.domain.months import next_month
from shared.kernel.clock import month_of
from shared.kernel.money import FEN_MAX, accrue_e4


class BookKey(NamedTuple):
    """What running totals are kept of: one month of one pair, by the month worked and the agreement.

    Attributes:
        month: that the entries are posted into; what a settlement sums.
        worked_month: earlier than `month` where a shift was told or corrected late.
    """

    pair: Pair
    month: str
    worked_month: str
    agreement_id: str


Volume = tuple[str, str]
"""An agreement and a month worked: what marginal tiers count the base of."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What the ledger needs to know of one revision of a shift.

    Attributes:
        day: civil day on which it started; decides the agreement and the month worked.
        output_fen: value of the accepted output to the employer (`base_fen` of the event).
        event_id: the event that told of it.
    """

    shift_id: str
    revision: int
    city: str
    employer_id: str
    community_id: str | None
    day: date
    wage_fen: int
    output_fen: int
    event_id: str

    @property
    def pair(self) -> Pair | None:
        """Absent where no community lent a room: then nothing is owed."""
        return Pair(self.employer_id, self.community_id) if self.community_id else None

    @property
    def digest(self) -> str:
        """Tells whether two events of the same revision say the same (16 hex digits; a guard, not a signature)."""
        facts = (self.city, self.employer_id, self.community_id, self.day, self.wage_fen, self.output_fen)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


class Accrued(NamedTuple):
    """What was accrued on a revision of a shift, to be reversed by the next one."""

    pair: Pair
    worked_day: date
    agreement_id: str
    base_fen: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a shift: its latest applied revision and that revision's effect.

    Attributes:
        accrued: `None` if nothing was owed, or not yet.
        suspended: waits for an agreement that covers its day.
    """

    revision: int
    digest: str
    city: str
    accrued: Accrued | None = None
    suspended: bool = False


@dataclass
class Desk:
    """The working state of accrual for one transaction: what was known, and what is to be written.

    Shifts are taken one after the other, so the entries do not depend on how the events were cut into batches.

    Attributes:
        agreements: all versions of each pair that a shift names, or that something stands under.
        closed_through: last closed month of each pair that has one; it and all before it take nothing any more.
        base_fen: sum of bases of each book that is open or counts for tiers.
        standing: what stands of the shifts named, changed as they are taken.
        entries: to be posted, in order.
        changed: shifts whose standing changed.
        suspense: shifts that wait for an agreement now; `None`: waits no longer.
    """

    now: datetime
    agreements: Mapping[Pair, Sequence[Agreement]]
    closed_through: Mapping[Pair, str]
    base_fen: Mapping[BookKey, int]
    standing: dict[str, Standing]
    entries: list[Entry] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    suspense: dict[str, Shift | None] = field(default_factory=dict)
    _months: Counter[tuple[Pair, str]] = field(init=False)
    _volumes: Counter[Volume] = field(init=False)
    _timelines: dict[Pair, Timeline] = field(init=False)
    _by_id: dict[str, Agreement] = field(init=False)

    def __post_init__(self) -> None:
        self._months, self._volumes = Counter(), Counter()
        for key, base in self.base_fen.items():
            self._months[key.pair, key.month] += base
            self._volumes[key.agreement_id, key.worked_month] += base
        self._timelines = {pair: Timeline(versions) for pair, versions in self.agreements.items()}
        self._by_id = {one.agreement_id: one for versions in self.agreements.values() for one in versions}

    def take(self, shift: Shift) -> str | None:
        """Take one revision of a shift: reverse what stood, post what it is worth, or keep it waiting.

        Returns:
            Why it cannot be used, or `None`. A revision that is known or superseded has no effect and is no fault.
        """
        known = self.standing.get(shift.shift_id)
        if known is not None:
            if known.city != shift.city:
                return "city: expected the city of the shift's earlier revision"
            if known.revision > shift.revision:
                return None
            if known.revision == shift.revision:
                return None if known.digest == shift.digest else "revision: already applied with another content"
        return self._replace(known, shift)

    def release(self, shift: Shift) -> bool:
        """Post a shift that waited, now that an agreement may cover its day.

        Returns:
            Whether it waits no longer. It stays where it is if the month's sum would pass `FEN_MAX`.
        """
        known = self.standing[shift.shift_id]
        if not known.suspended or known.revision != shift.revision:
            raise ValueError(f"{shift.shift_id} does not wait at revision {shift.revision}")
        return self._replace(known, shift) is None and self.suspense.get(shift.shift_id) is None

    def _replace(self, known: Standing | None, shift: Shift) -> str | None:
        posted: list[Entry] = []
        volumes: Counter[Volume] = Counter()
        if known is not None and known.accrued is not None:
            posted += self._entries("reversal", shift, known.revision, known.accrued, volumes)
        accrued, waits = self._worth(shift)
        if accrued is not None:
            posted += self._entries("accrual", shift, shift.revision, accrued, volumes)
        months: Counter[tuple[Pair, str]] = Counter()
        for entry in posted:
            months[entry.pair, entry.month] += entry.rebate.base_fen if entry.rebate else 0
        sums = [self._months[key] + base for key, base in months.items()]
        if any(abs(total) > FEN_MAX for total in sums):
            return f"base_fen: expected a month's sum within {FEN_MAX} fen"
        _add(self._months, months)
        _add(self._volumes, volumes)
        self.entries += posted
        self.standing[shift.shift_id] = Standing(shift.revision, shift.digest, shift.city, accrued, waits)
        self.changed.add(shift.shift_id)
        if waits:
            self.suspense[shift.shift_id] = shift
        elif known is not None and known.suspended:
            self.suspense[shift.shift_id] = None
        return None

    def _worth(self, shift: Shift) -> tuple[Accrued | None, bool]:
        """What is owed for a shift, and whether it must wait for an agreement instead.

        Nothing is owed without a community, nor for a base of zero (a shift that was not worked).
        """
        pair = shift.pair
        if pair is None or (shift.wage_fen == 0 and shift.output_fen == 0):
            return None, False
        timeline = self._timelines.get(pair)
        agreement = timeline.on(shift.day, shift.city) if timeline is not None else None
        if agreement is None:
            return None, True
        base_fen = agreement.base_of(shift.wage_fen, shift.output_fen)
        return (Accrued(pair, shift.day, agreement.agreement_id, base_fen) if base_fen else None), False

    def _entries(
        self, kind: Literal["accrual", "reversal"], by: Shift, revision: int, what: Accrued, volumes: Counter[Volume]
    ) -> list[Entry]:
        """The entries of an accrual, or of its reversal: one, or under tiers one for each rate.

        Args:
            by: the shift whose event is the cause.
            revision: that is accrued or reversed.
            volumes: what this event has added so far to what tiers count; raised.
        """
        agreement = self._by_id[what.agreement_id]
        worked_month = month_of(what.worked_day)
        volume = (what.agreement_id, worked_month)
        base_fen = what.base_fen if kind == "accrual" else -what.base_fen
        parts = agreement.slices(self._volumes[volume] + volumes[volume], base_fen)
        volumes[volume] += base_fen
        month = self._open_month(what.pair, worked_month)
        return [
            self._entry(kind, by, revision, number, what, agreement, part, month) for number, part in enumerate(parts)
        ]

    def _entry(
        self,
        kind: Literal["accrual", "reversal"],
        by: Shift,
        revision: int,
        number: int,
        what: Accrued,
        agreement: Agreement,
        part: Slice,
        month: str,
    ) -> Entry:
        amount = accrue_e4(part.base_fen, part.rate_bp)
        return Entry(
            entry_id=entry_id_of(kind, by.shift_id, revision, number),
            city=by.city,
            kind=kind,
            posted_at=self.now,
            month=month,
            employer_id=what.pair.employer_id,
            community_id=what.pair.community_id,
            amount_fen_e4=amount,
            cause=by.event_id,
            postings=rebate_postings(what.pair, amount),
            rebate=Rebate(
                shift_id=by.shift_id,
                revision=revision,
                worked_day=what.worked_day,
                agreement_id=agreement.agreement_id,
                agreement_version=agreement.version,
                base_fen=part.base_fen,
                rate_bp=part.rate_bp,
                before_fen=part.before_fen,
            ),
        )

    def _open_month(self, pair: Pair, worked: str) -> str:
        """The month worked, or the first one after the last that was closed."""
        closed = self.closed_through.get(pair)
        return worked if closed is None or worked > closed else next_month(closed)


def _add(sums: Counter[Any], more: Counter[Any]) -> None:
    """In place, and unlike `Counter.__iadd__` also for what is negative."""
    for key, count in more.items():
        sums[key] += count


@dataclass
class BookTotals:
    """Running totals of one book; kept beside the ledger and always equal to what the entries sum to.

    Attributes:
        last_day: latest day worked that ever stood in it.
    """

    entries: int = 0
    base_fen: int = 0
    sum_fen_e4: int = 0
    last_day: date = date.min

    def add(self, entry: Entry) -> None:
        """Count one accrual or reversal."""
        self.entries += 1
        self.sum_fen_e4 += entry.amount_fen_e4
        if entry.rebate is not None:
            self.base_fen += entry.rebate.base_fen
            self.last_day = max(self.last_day, entry.rebate.worked_day)


def book_of(entry: Entry) -> BookKey:
    """The book that an accrual or a reversal is counted in.

    Raises:
        ValueError: another kind of entry.
    """
    if entry.rebate is None:
        raise ValueError(f"{entry.entry_id} is no rebate")
    return BookKey(entry.pair, entry.month, month_of(entry.rebate.worked_day), entry.rebate.agreement_id)


def book_totals(entries: Sequence[Entry]) -> dict[BookKey, BookTotals]:
    """Totals of accruals and reversals by book."""
    totals: dict[BookKey, BookTotals] = {}
    for entry in entries:
        totals.setdefault(book_of(entry), BookTotals()).add(entry)
    return totals
