"""Reconciliation: what was published, what stands of it, what was posted, settled and paid, held against each other.

`Audit` proves that the ledger agrees with itself; here it is held against the world outside it. Shift by shift, in
order of their ids, so memory grows with pairs and months, not with shifts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, get_args

from services.revenue.domain.accrual import Shift, Standing, standing_of
from services.revenue.domain.agreements import Agreement, Pair, Timeline
from services.revenue.domain.ledger import Entry, Link
from services.revenue.domain.payouts import Payout
from services.revenue.domain.settlements import Settlement
from shared.kernel.money import E4, accrue_e4

Kind = Literal[
    "shift-not-taken",
    "revision-not-taken",
    "shift-not-published",
    "shift-differs",
    "accrual-missing",
    "accrual-wrong",
    "accrued-twice",
    "line-without-shift",
    "suspense-wrong",
    "settled-twice",
    "not-in-settlement",
    "settlement-differs",
    "payout-without-settlement",
    "payout-not-posted",
    "payout-without-order",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

DIFFERENCES_MAX = 1_000
"""Differences that are listed, of all cities; all are counted. Who has more of them needs the count, not the list."""


class Difference(NamedTuple):
    """Something that one side has otherwise than the other.

    Attributes:
        where: the shift; of `settlement-differs` the settlement, of the last three kinds the payout.
        detail: both sides, in words and numbers.
    """

    kind: Kind
    city: str
    where: str
    detail: str


class Published(NamedTuple):
    """A `shift-completed` as it stands on the topic.

    Attributes:
        is_consumed: whether revenue had passed it before the ledger was looked at; if not, it may still be on its way.
    """

    shift: Shift
    is_consumed: bool


@dataclass
class Held:
    """All that there is of one shift.

    Attributes:
        standing: what is kept of it beside its lines; `None` where its one line says it all.
        lines: its entries, in any order.
    """

    shift_id: str
    published: list[Published] = field(default_factory=list)
    standing: Standing | None = None
    waiting: Shift | None = None
    lines: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Money:
    """What a city has beside its shifts, all at the moment at which the shifts are looked at.

    Attributes:
        transfers: entries of settlements, their reversals, and payouts, in ledger order.
    """

    agreements: Sequence[Agreement]
    settlements: Sequence[Settlement]
    payouts: Sequence[Payout]
    transfers: Sequence[Link]


@dataclass
class Report:
    """What was compared, and what differs."""

    counts: Counter[Kind] = field(default_factory=Counter)
    listed: list[Difference] = field(default_factory=list)
    shifts: int = 0
    lines: int = 0
    under_way: int = 0

    @property
    def differences(self) -> int:
        """All of them, listed or not."""
        return self.counts.total()

    def add(self, found: Iterable[Difference]) -> None:
        """Count, and list while there is room."""
        for difference in found:
            self.counts[difference.kind] += 1
            if len(self.listed) < DIFFERENCES_MAX:
                self.listed.append(difference)


class _Sum:
    """Lines of one settlement."""

    __slots__ = ("base_fen", "entries", "sum_fen_e4")

    def __init__(self) -> None:
        self.entries = self.base_fen = self.sum_fen_e4 = 0


class Reconciliation:
    """One city, in one pass: `take` each shift, then `finish`.

    Args:
        is_topic_read: whether `Held.published` tells of everything that was published.
    """

    def __init__(self, city: str, money: Money, report: Report, *, is_topic_read: bool) -> None:
        self._city = city
        self._money = money
        self._report = report
        self._is_topic_read = is_topic_read
        self._agreements = {one.agreement_id: one for one in money.agreements}
        versions: defaultdict[Pair, list[Agreement]] = defaultdict(list)
        for agreement in money.agreements:
            versions[agreement.pair].append(agreement)
        self._timelines = {pair: Timeline(signed) for pair, signed in versions.items()}
        reversed_ids = {link.entry.cause for link in money.transfers if link.entry.kind == "settlement-reversal"}
        self._closed: defaultdict[tuple[Pair, str], list[Link]] = defaultdict(list)
        for link in money.transfers:
            if link.entry.kind == "settlement" and link.entry.cause not in reversed_ids:
                self._closed[link.entry.pair, link.entry.month].append(link)
        self._sums: defaultdict[str, _Sum] = defaultdict(_Sum)

    def take(self, held: Held) -> None:
        """Compare one shift; each shift once."""
        self._report.shifts += 1
        self._report.lines += len(held.lines)
        if held.standing is None and len(held.lines) == 1:
            held.standing = standing_of(held.lines[0].entry)
        self._report.add(self._of_shift(held))

    def finish(self) -> None:
        """Compare settlements with their lines, and payouts with settlements and their entries."""
        self._report.add(self._of_settlements())
        self._report.add(self._of_payouts())

    def _of_shift(self, held: Held) -> Iterator[Difference]:
        yield from self._of_settled(held)
        told = self._told(held) if self._is_topic_read else None
        if self._is_topic_read:
            yield from self._of_topic(held, told)
        standing = held.standing
        if standing is None:
            if held.lines:
                yield self._differs("line-without-shift", held, f"{len(held.lines)} lines, and no shift that was taken")
            if held.waiting is not None:
                yield self._differs("suspense-wrong", held, "waits, and no shift was taken")
            return
        kept = "waits" if standing.suspended else "does not wait"
        listed = held.waiting.revision if held.waiting is not None else None
        if listed != (standing.revision if standing.suspended else None):
            yield self._differs("suspense-wrong", held, f"{kept} at revision {standing.revision}; listed: {listed}")
        held_back: Counter[int] = Counter()
        for link in held.lines:
            if link.entry.rebate is not None and link.entry.kind in ("suspense", "suspense-reversal"):
                held_back[link.entry.rebate.revision] += 1 if link.entry.kind == "suspense" else -1
        posted = [revision for revision, count in held_back.items() if count]
        if posted != ([standing.revision] if standing.suspended else []):
            yield self._differs("suspense-wrong", held, f"{kept} at revision {standing.revision}; posted: {posted}")
        yield from self._of_lines(held, standing, told)

    def _told(self, held: Held) -> Shift | None:
        """The publication that what stands was made of."""
        standing = held.standing
        same = [p.shift for p in held.published if standing is not None and p.shift.revision == standing.revision]
        return next((shift for shift in same if standing is not None and shift.event_id == standing.event_id), None)

    def _of_topic(self, held: Held, told: Shift | None) -> Iterator[Difference]:
        standing = held.standing
        due = max((one.shift.revision for one in held.published if one.is_consumed), default=0)
        newest = max((one.shift.revision for one in held.published), default=0)
        known = standing.revision if standing is not None else 0
        if newest > max(due, known):
            self._report.under_way += 1
        if due > known:
            if standing is None:
                yield self._differs("shift-not-taken", held, f"revision {due} was published and consumed, none stands")
            else:
                yield self._differs("revision-not-taken", held, f"revision {due} was published, {known} stands")
        if standing is not None and told is None:
            if any(one.shift.revision == known for one in held.published):
                yield self._differs("shift-differs", held, f"revision {known} stands by another event")
            else:
                yield self._differs("shift-not-published", held, f"revision {known} stands, it is not on the topic")

    def _of_lines(self, held: Held, standing: Standing, told: Shift | None) -> Iterator[Difference]:
        entries = [link.entry for link in held.lines if link.entry.kind in ("accrual", "reversal")]
        open_bases: Counter[int] = Counter()
        kinds: defaultdict[int, set[str]] = defaultdict(set)
        for entry in entries:
            if entry.rebate is not None:
                open_bases[entry.rebate.revision] += entry.rebate.base_fen
                kinds[entry.rebate.revision].add(entry.kind)
        # By its kinds, too: a base of zero has its lines like any other.
        open_revisions = sorted(revision for revision, base in open_bases.items() if base or len(kinds[revision]) == 1)
        if len(open_revisions) > 1:
            yield self._differs("accrued-twice", held, f"revisions {open_revisions} are accrued and not reversed")
            return
        accrued = standing.accrued
        if accrued is None or standing.suspended:
            if open_revisions:
                yield self._differs("accrual-wrong", held, f"nothing is owed, {sum(open_bases.values())} fen is posted")
            elif told is not None and not standing.suspended and self._owed(told) != 0:
                yield self._differs("accrual-missing", held, f"revision {told.revision} is neither accrued nor waits")
            return
        if not open_revisions:
            yield self._differs("accrual-missing", held, f"base of {accrued.base_fen} fen stands, no line is open")
            return
        about = {
            (e.pair, e.rebate.worked_day, e.rebate.agreement_id)
            for e in entries
            if e.rebate is not None and e.rebate.revision == open_revisions[0]
        }
        posted = sum(open_bases.values())
        expected = accrued.base_fen if told is None else self._owed(told)
        if (
            open_revisions != [standing.revision]
            or about != {accrued[:3]}
            or not posted == accrued.base_fen == expected
        ):
            yield self._differs(
                "accrual-wrong",
                held,
                f"base of {posted} fen posted on revision {open_revisions[0]}; {accrued.base_fen} stands on "
                f"{standing.revision}, {'waits' if expected is None else expected} by what was published",
            )
        else:
            mine = [e for e in entries if e.rebate is not None and e.rebate.revision == standing.revision]
            yield from self._of_amount(held, mine, accrued.agreement_id, posted)

    def _of_amount(self, held: Held, mine: Sequence[Entry], agreement_id: str, base_fen: int) -> Iterator[Difference]:
        """Under a flat rate a shift's own lines say what it comes to; under tiers only the whole month does, which
        `Audit` recounts."""
        agreement = self._agreements.get(agreement_id)
        if agreement is None or agreement.tiers:
            return
        amount, wanted = sum(entry.amount_fen_e4 for entry in mine), accrue_e4(base_fen, agreement.rate_bp)
        if amount != wanted:
            yield self._differs("accrual-wrong", held, f"amount of {amount} fen/10000 posted, expected {wanted}")

    def _owed(self, told: Shift) -> int | None:
        """The base that a published shift is accrued with; `None` if no agreement covers its day, so that it waits."""
        pair = told.pair
        if pair is None or (told.wage_fen == 0 and told.output_fen == 0):
            return 0
        timeline = self._timelines.get(pair)
        agreement = timeline.on(told.day, self._city) if timeline is not None else None
        return agreement.base_of(told.wage_fen, told.output_fen) if agreement is not None else None

    def _of_settled(self, held: Held) -> Iterator[Difference]:
        """Each line in the one settlement of its month, or in a month that is open."""
        for link in held.lines:
            entry = link.entry
            if entry.kind not in ("accrual", "reversal"):
                continue
            closings = self._closed.get((entry.pair, entry.month), ())
            if len(closings) > 1:
                both = ", ".join(closing.entry.cause for closing in closings)
                yield self._differs("settled-twice", held, f"line {entry.entry_id} is in {both}")
            elif closings and link.seq > closings[0].seq:
                detail = f"line {entry.entry_id} came into {entry.month} after {closings[0].entry.cause}"
                yield self._differs("not-in-settlement", held, detail)
            for closing in closings:
                if entry.rebate is not None and link.seq < closing.seq:
                    total = self._sums[closing.entry.cause]
                    total.entries += 1
                    total.base_fen += entry.rebate.base_fen
                    total.sum_fen_e4 += entry.amount_fen_e4

    def _of_settlements(self) -> Iterator[Difference]:
        for made in self._money.settlements:
            if made.reversed_at is not None:
                continue
            total = self._sums.get(made.settlement_id, _Sum())
            lines = (total.entries, total.base_fen, total.sum_fen_e4)
            if lines != (made.entries, made.base_fen, made.sum_fen_e4):
                detail = f"lines, base and sum are {lines}, settled {made.entries, made.base_fen, made.sum_fen_e4}"
                yield Difference("settlement-differs", self._city, made.settlement_id, detail)

    def _of_payouts(self) -> Iterator[Difference]:
        yield from self._of_orders()
        posted = {
            link.entry.cause: link.entry.amount_fen_e4 for link in self._money.transfers if link.entry.kind == "payout"
        }
        paid = {one.payout_id: one.amount_fen * E4 for one in self._money.payouts if one.state == "paid"}
        for payout_id in sorted(paid.keys() | posted.keys()):
            if payout_id not in paid:
                yield Difference("payout-without-order", self._city, payout_id, "posted, and not paid by any order")
            elif posted.get(payout_id) != paid[payout_id]:
                detail = f"{paid[payout_id]} fen/10000 paid, {posted.get(payout_id, 0)} posted"
                yield Difference("payout-not-posted", self._city, payout_id, detail)

    def _of_orders(self) -> Iterator[Difference]:
        """No order may pass what was settled by then and not ordered before.

        A settlement that is reversed later, or corrected below zero, lowers what is ordered next; that is no
        difference (decision 0022), so each order is held against its own moment.
        """
        steps: list[tuple[datetime, int, int, str]] = []
        for made in self._money.settlements:
            steps.append((made.settled_at, 0, made.amount_fen, made.pair.key))
            if made.reversed_at is not None:
                steps.append((made.reversed_at, 0, -made.amount_fen, made.pair.key))
        owed: Counter[str] = Counter()
        orders = [one for one in self._money.payouts if one.state != "failed"]
        for number, payout in enumerate(orders):
            steps.append((payout.ordered_at, 1 + number, -payout.amount_fen, payout.pair.key))
        for _, number, amount_fen, pair in sorted(steps):
            owed[pair] += amount_fen
            if number and owed[pair] < 0:
                detail = f"{-amount_fen} fen ordered, {owed[pair] - amount_fen} was settled and not ordered"
                yield Difference("payout-without-settlement", self._city, orders[number - 1].payout_id, detail)

    def _differs(self, kind: Kind, held: Held, detail: str) -> Difference:
        return Difference(kind, self._city, held.shift_id, detail)
