"""From shifts to entries: per shift the latest revision counts, once, whatever came twice, late or out of order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from services.revenue.domain.agreements import Agreement, Pair, agreement_on
from services.revenue.domain.ledger import Entry, Rebate, entry_id_of, rebate_postings
from services.revenue.domain.months import next_month
from shared.kernel.clock import month_of
from shared.kernel.money import FEN_MAX, accrue_e4

BookKey = tuple[Pair, str]
"""One month of one pair: what a settlement will sum."""


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


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a shift: its latest applied revision and that revision's effect.

    Attributes:
        accrual: the entry that stands, to be reversed by the next revision; `None` if nothing was owed, or not yet.
        suspended: waits for an agreement that covers its day.
    """

    revision: int
    digest: str
    city: str
    accrual: Entry | None = None
    suspended: bool = False


@dataclass
class Desk:
    """The working state of accrual for one transaction: what was known, and what is to be written.

    Shifts are taken one after the other, so the entries do not depend on how the events were cut into batches.

    Attributes:
        agreements: all versions of each pair that a shift names.
        settled_through: last settled month of each pair that has one; it and all before it are closed.
        base_fen: sum of bases of each book, to keep a month within what an event can tell (`FEN_MAX`).
        standing: what stands of the shifts named, changed as they are taken.
        entries: to be posted, in order.
        changed: shifts whose standing changed.
        suspense: shifts that wait for an agreement now; `None`: waits no longer.
    """

    now: datetime
    agreements: Mapping[Pair, Sequence[Agreement]]
    settled_through: Mapping[Pair, str]
    base_fen: dict[BookKey, int]
    standing: dict[str, Standing]
    entries: list[Entry] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    suspense: dict[str, Shift | None] = field(default_factory=dict)

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
        if known is not None and known.accrual is not None:
            posted.append(self._reversal(known.accrual, shift))
        accrual, waits = self._worth(shift)
        if accrual is not None:
            posted.append(accrual)
        if not self._fits(posted):
            return f"base_fen: expected a month's sum within {FEN_MAX} fen"
        self.entries += posted
        self.standing[shift.shift_id] = Standing(shift.revision, shift.digest, shift.city, accrual, waits)
        self.changed.add(shift.shift_id)
        if waits:
            self.suspense[shift.shift_id] = shift
        elif known is not None and known.suspended:
            self.suspense[shift.shift_id] = None
        return None

    def _worth(self, shift: Shift) -> tuple[Entry | None, bool]:
        """The accrual of a shift, and whether it must wait for an agreement instead.

        Nothing is owed without a community, nor for a base of zero (a shift that was not worked): no entry.
        """
        pair = shift.pair
        if pair is None or (shift.wage_fen == 0 and shift.output_fen == 0):
            return None, False
        agreement = agreement_on(shift.day, shift.city, self.agreements.get(pair, ()))
        if agreement is None:
            return None, True
        base_fen = agreement.base_of(shift.wage_fen, shift.output_fen)
        if base_fen == 0:
            return None, False
        amount = accrue_e4(base_fen, agreement.rate_bp)
        return Entry(
            entry_id=entry_id_of("accrual", shift.shift_id, shift.revision),
            city=shift.city,
            kind="accrual",
            posted_at=self.now,
            month=self._open_month(pair, month_of(shift.day)),
            employer_id=pair.employer_id,
            community_id=pair.community_id,
            amount_fen_e4=amount,
            cause=shift.event_id,
            postings=rebate_postings(pair, amount),
            rebate=Rebate(
                shift_id=shift.shift_id,
                revision=shift.revision,
                worked_day=shift.day,
                agreement_id=agreement.agreement_id,
                agreement_version=agreement.version,
                base_fen=base_fen,
                rate_bp=agreement.rate_bp,
            ),
        ), False

    def _reversal(self, accrual: Entry, by: Shift) -> Entry:
        """The entry that undoes an accrual; it names the revision that it undoes and the event that asks for it."""
        was = accrual.rebate
        if was is None:
            raise ValueError(f"{accrual.entry_id} is no accrual")
        return Entry(
            entry_id=entry_id_of("reversal", was.shift_id, was.revision),
            city=accrual.city,
            kind="reversal",
            posted_at=self.now,
            month=self._open_month(accrual.pair, month_of(was.worked_day)),
            employer_id=accrual.employer_id,
            community_id=accrual.community_id,
            amount_fen_e4=-accrual.amount_fen_e4,
            cause=by.event_id,
            postings=rebate_postings(accrual.pair, -accrual.amount_fen_e4),
            rebate=Rebate(
                shift_id=was.shift_id,
                revision=was.revision,
                worked_day=was.worked_day,
                agreement_id=was.agreement_id,
                agreement_version=was.agreement_version,
                base_fen=-was.base_fen,
                rate_bp=was.rate_bp,
            ),
        )

    def _open_month(self, pair: Pair, worked: str) -> str:
        """The month worked, or the first one after the last that was settled."""
        closed = self.settled_through.get(pair)
        return worked if closed is None or worked > closed else next_month(closed)

    def _fits(self, entries: Sequence[Entry]) -> bool:
        """Add entries to the sums of their books, unless one would pass the limit."""
        sums: dict[BookKey, int] = {}
        for entry in entries:
            key = (entry.pair, entry.month)
            base = entry.rebate.base_fen if entry.rebate else 0
            sums[key] = sums.get(key, self.base_fen.get(key, 0)) + base
        if any(abs(total) > FEN_MAX for total in sums.values()):
            return False
        self.base_fen.update(sums)
        return True


@dataclass
class BookTotals:
    """Running totals of one book; kept beside the ledger and always equal to what the entries sum to."""

    entries: int = 0
    base_fen: int = 0
    sum_fen_e4: int = 0

    def add(self, entry: Entry) -> None:
        """Count one accrual or reversal."""
        self.entries += 1
        self.base_fen += entry.rebate.base_fen if entry.rebate else 0
        self.sum_fen_e4 += entry.amount_fen_e4


def book_totals(entries: Sequence[Entry]) -> dict[BookKey, BookTotals]:
    """Totals of accruals and reversals by book."""
    totals: dict[BookKey, BookTotals] = {}
    for entry in entries:
        totals.setdefault((entry.pair, entry.month), BookTotals()).add(entry)
    return totals
