"""From shifts to entries: per shift the latest revision counts, once, whatever came twice, late or out of order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from services.revenue.domain.agreements import Agreement, Pair, Slice, Timeline
from services.revenue.domain.books import BookKey, Volume
from services.revenue.domain.ledger import (
    Entry,
    Rebate,
    RebateKind,
    SuspenseKind,
    entry_id_of,
)
from services.revenue.domain.months import next_month
from shared.kernel.clock import month_of
from shared.kernel.money import FEN_MAX, RATE_BP_MIN, accrue_e4

SUSPENSE_RATE_BP = RATE_BP_MIN
"""Rate of what waits for an agreement, taken of its wages: the least that its agreement may ask, until it says more."""

_month = lru_cache(maxsize=4096)(month_of)


@dataclass(slots=True)
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


class Accrued(NamedTuple):
    """What was posted on a revision of a shift, to be reversed by the next one.

    Attributes:
        agreement_id: empty if it is in suspense.
    """

    pair: Pair
    worked_day: date
    agreement_id: str
    base_fen: int


@dataclass(slots=True)
class Standing:
    """What stands of a shift: its latest applied revision and that revision's effect.

    Attributes:
        event_id: that told of the revision.
        accrued: `None` if nothing was owed.
    """

    revision: int
    event_id: str
    city: str
    accrued: Accrued | None = None

    @property
    def suspended(self) -> bool:
        """Whether it waits for an agreement that covers its day."""
        return self.accrued is not None and not self.accrued.agreement_id


def standing_of(entry: Entry) -> Standing | None:
    """What stands of a shift of which this is the only line, if it is a plain one; `None` for any other line.

    So what stands need not be written down beside such a line, which nearly every shift has.

    Raises:
        ValueError: an entry without a shift.
    """
    rebate = entry.rebate
    if rebate is None:
        raise ValueError(f"{entry.entry_id} is about no shift")
    if not entry.is_plain:
        return None
    accrued = Accrued(entry.pair, rebate.worked_day, rebate.agreement_id, rebate.base_fen)
    return Standing(1, entry.cause, entry.city, accrued)


@dataclass
class Desk:
    """The working state of accrual for one transaction: what was known, and what is to be written.

    Shifts are taken one after the other, so the entries do not depend on how the events were cut into batches.

    Attributes:
        agreements: all versions of each pair that a shift names, or that something stands under.
        closed_through: last closed month of each pair that has one; it and all before it take nothing any more.
        base_fen: sum of bases of each book that is open or counts for tiers.
        standing: what stands of the shifts named, changed as they are taken; of those that `_plain` holds the line of,
            nothing.
        entries: to be posted, in order.
        changed: shifts whose standing changed, other than to what their one line says (`standing_of`).
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
    _months: defaultdict[tuple[Pair, str], int] = field(default_factory=lambda: defaultdict(int))
    _volumes: defaultdict[Volume, int] = field(default_factory=lambda: defaultdict(int))
    _timelines: dict[tuple[str, str], Timeline] = field(init=False)
    _by_id: dict[str, Agreement] = field(init=False)
    _plain: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, base in self.base_fen.items():
            if key.agreement_id:
                self._months[key.pair, key.month] += base
                self._volumes[key.agreement_id, key.worked_month] += base
        self._timelines = {pair: Timeline(versions) for pair, versions in self.agreements.items()}
        self._by_id = {one.agreement_id: one for versions in self.agreements.values() for one in versions}

    def take(self, shift: Shift) -> str | None:
        """Take one revision of a shift: reverse what stood, post what it is worth, or keep it waiting.

        Returns:
            Why it cannot be used, or `None`. A revision that is known or superseded has no effect and is no fault.
        """
        known = self._known(shift.shift_id)
        if known is None and self._take_plain(shift):
            return None
        if known is not None:
            if known.city != shift.city:
                return "city: expected the city of the shift's earlier revision"
            if known.revision > shift.revision:
                return None
            if known.revision == shift.revision:
                is_same = known.suspended or known.accrued == self._worth(shift)
                return None if is_same else "revision: already applied with another content"
        return self._replace(known, shift)

    def _known(self, shift_id: str) -> Standing | None:
        known = self.standing.get(shift_id)
        if known is None and (line := self._plain.get(shift_id)) is not None:
            return standing_of(line)
        return known

    def release(self, shift: Shift) -> None:
        """Post a shift that waited, now that an agreement may cover its day.

        It stays where it is if none does, or if the month's sum would pass `FEN_MAX`.
        """
        known = self.standing[shift.shift_id]
        if not known.suspended or known.revision != shift.revision:
            raise ValueError(f"{shift.shift_id} does not wait at revision {shift.revision}")
        self._replace(known, shift)

    def _replace(self, known: Standing | None, shift: Shift) -> str | None:
        accrued = self._worth(shift)
        if known is not None and known.suspended and accrued == known.accrued and known.revision == shift.revision:
            return None  # still waits
        volumes: dict[Volume, int] = {}
        posted: list[Entry] = []
        if known is not None and known.accrued is not None:
            posted += self._entries(shift, known.revision, known.accrued, volumes, is_reversal=True)
        if accrued is not None:
            posted += self._entries(shift, shift.revision, accrued, volumes)
        months: dict[tuple[Pair, str], int] = {}
        for entry in posted:
            rebate = entry.rebate
            if rebate is not None and rebate.agreement_id:
                month = (entry.pair, entry.month)
                months[month] = months.get(month, self._months[month]) + rebate.base_fen
        if any(abs(total) > FEN_MAX for total in months.values()):
            return f"base_fen: expected a month's sum within {FEN_MAX} fen"
        self._months.update(months)
        for volume, base_fen in volumes.items():
            self._volumes[volume] += base_fen
        self.entries += posted
        standing = Standing(shift.revision, shift.event_id, shift.city, accrued)
        self.standing[shift.shift_id] = standing
        if known is not None or len(posted) != 1 or not posted[0].is_plain:
            self.changed.add(shift.shift_id)
        if standing.suspended:
            self.suspense[shift.shift_id] = shift
        elif known is not None and known.suspended:
            self.suspense[shift.shift_id] = None
        return None

    def _take_plain(self, shift: Shift) -> bool:
        """The short way of nearly every shift: the first revision, under a flat agreement. What `_replace` does.

        Returns:
            Whether it was taken; if not, nothing has changed.
        """
        community_id, day = shift.community_id, shift.day
        if community_id is None or shift.revision != 1:
            return False
        timeline = self._timelines.get((shift.employer_id, community_id))
        agreement = timeline.on(day, shift.city) if timeline is not None else None
        if agreement is None or agreement.tiers:
            return False
        base_fen = agreement.base_of(shift.wage_fen, shift.output_fen)
        month = (agreement.pair, self._open_month(agreement.pair, _month(day)))
        total = self._months[month] + base_fen
        if (shift.wage_fen == 0 and shift.output_fen == 0) or total > FEN_MAX:
            return False
        self._months[month] = total
        shift_id, rate_bp = shift.shift_id, agreement.rate_bp
        # By position: by name it takes twice as long, and there is one for every shift.
        entry = Entry(
            entry_id_of("accrual", shift_id, 1),
            shift.city,
            "accrual",
            self.now,
            month[1],
            shift.employer_id,
            community_id,
            accrue_e4(base_fen, rate_bp),
            shift.event_id,
            (),
            Rebate(shift_id, 1, day, agreement.agreement_id, agreement.version, base_fen, rate_bp, None),
        )
        self.entries.append(entry)
        self._plain[shift_id] = entry
        return True

    def _worth(self, shift: Shift) -> Accrued | None:
        """What is owed for a shift, or what is held in suspense until an agreement covers its day.

        Nothing is owed without a community, nor for a shift that was not worked. One that was, and has a base of zero,
        gets its line all the same: the agreement that it came under can no longer end before its day.
        """
        pair = shift.pair
        if pair is None or (shift.wage_fen == 0 and shift.output_fen == 0):
            return None
        agreement = self._agreement_on(pair, shift.day, shift.city)
        if agreement is None:
            return Accrued(pair, shift.day, "", shift.wage_fen)
        return Accrued(pair, shift.day, agreement.agreement_id, agreement.base_of(shift.wage_fen, shift.output_fen))

    def _agreement_on(self, pair: Pair, day: date, city: str) -> Agreement | None:
        timeline = self._timelines.get(pair)
        return timeline.on(day, city) if timeline is not None else None

    def _entries(
        self, by: Shift, revision: int, what: Accrued, volumes: dict[Volume, int], *, is_reversal: bool = False
    ) -> list[Entry]:
        """The entries of an accrual, or of its reversal: one, or under tiers one for each rate.

        Args:
            by: the shift whose event is the cause.
            revision: that is accrued or reversed.
            volumes: what this event has added so far to what tiers count; raised.
        """
        worked_month = _month(what.worked_day)
        base_fen = -what.base_fen if is_reversal else what.base_fen
        if not what.agreement_id:
            held = Slice(None, base_fen, SUSPENSE_RATE_BP)
            return [self._entry("suspense-reversal" if is_reversal else "suspense", by, revision, 0, what, 0, held)]
        agreement = self._by_id[what.agreement_id]
        volume = (what.agreement_id, worked_month)
        added = volumes.get(volume, 0)
        parts = agreement.slices(self._volumes[volume] + added, base_fen)
        volumes[volume] = added + base_fen
        kind: RebateKind = "reversal" if is_reversal else "accrual"
        return [
            self._entry(kind, by, revision, number, what, agreement.version, part) for number, part in enumerate(parts)
        ]

    def _entry(
        self,
        kind: RebateKind | SuspenseKind,
        by: Shift,
        revision: int,
        number: int,
        what: Accrued,
        version: int,
        part: Slice,
    ) -> Entry:
        pair, worked_month = what.pair, _month(what.worked_day)
        amount = accrue_e4(part.base_fen, part.rate_bp)
        return Entry(
            entry_id_of(kind, by.shift_id, revision, number),
            by.city,
            kind,
            self.now,
            self._open_month(pair, worked_month) if what.agreement_id else worked_month,
            pair.employer_id,
            pair.community_id,
            amount,
            by.event_id,
            (),
            Rebate(
                by.shift_id,
                revision,
                what.worked_day,
                what.agreement_id,
                version,
                part.base_fen,
                part.rate_bp,
                part.before_fen,
            ),
        )

    def _open_month(self, pair: Pair, worked: str) -> str:
        """The month worked, or the first one after the last that was closed."""
        closed = self.closed_through.get(pair)
        return worked if closed is None or worked > closed else next_month(closed)
