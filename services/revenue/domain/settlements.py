"""Settlement: one month of one pair, summed once, rounded once, closed; and the statement that proves it.

The statement's canonical form is CSV: UTF-8, lines end in `\n`, nothing is quoted (no value holds a comma). First the
header, then one `line` record for each entry of the month in ledger order, then one record for each total. So it can be
hashed while it streams, and a stranger can recompute it with a calculator:

    amount_fen_e4 = base_fen × rate_bp                          (each line; a base that crosses tiers has one for each)
    sum_fen_e4    = Σ amount_fen_e4
    sum_fen_e4 + carry_in_fen_e4 = amount_fen × 10 000 + carry_out_fen_e4,   -5 000 <= carry_out_fen_e4 <= 5 000
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import Entry, entry_id_of, settlement_postings
from shared.kernel.money import E4, settle_e4

COLUMNS = (
    "record",
    "entry_id",
    "shift_id",
    "revision",
    "worked_day",
    "kind",
    "agreement_id",
    "agreement_version",
    "before_fen",
    "base_fen",
    "rate_bp",
    "amount_fen_e4",
    "value",
)
"""Columns of the canonical CSV. `record` is `line`, or the name of what stands in `value`. `before_fen` is empty unless
the agreement has tiers: then the base of the month worked that the line takes up at."""

HEADER = ",".join(COLUMNS) + "\n"


class Account(NamedTuple):
    """Where a pair stands between settlements.

    Attributes:
        settled_through: last settled month; it and every month before it are closed. `None`: none yet.
        carry_fen_e4: remainder of the last settlement, taken into the next.
        closing: month that is being settled; closed like those before it.
    """

    settled_through: str | None = None
    carry_fen_e4: int = 0
    closing: str | None = None

    @property
    def closed_through(self) -> str | None:
        """The last month that takes nothing any more."""
        return self.closing or self.settled_through


@dataclass(frozen=True, slots=True)
class Settlement:
    """A closed month of a pair. `amount_fen` may be negative after corrections of earlier months: then the community
    gives back, and its fund may fall below zero, by that alone."""

    settlement_id: str
    city: str
    pair: Pair
    month: str
    entries: int
    base_fen: int
    sum_fen_e4: int
    carry_in_fen_e4: int
    amount_fen: int
    carry_out_fen_e4: int
    statement_hash: str
    settled_at: datetime
    reversed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A month that is closed and waits for its settlement; the lines are what stood when it was closed.

    Attributes:
        entries: lines of the statement to come.
    """

    settlement_id: str
    city: str
    pair: Pair
    month: str
    entries: int
    ordered_at: datetime


Line = tuple[str, int, int]
"""A line of a statement as text, its `base_fen` and its `amount_fen_e4`."""


def line_of(entry: Entry) -> str:
    """One accrual or reversal as a line of the canonical CSV.

    Raises:
        ValueError: another kind of entry.
    """
    rebate = entry.rebate
    if rebate is None:
        raise ValueError(f"{entry.entry_id} is no rebate")
    before = "" if rebate.before_fen is None else rebate.before_fen
    return (
        f"line,{entry.entry_id},{rebate.shift_id},{rebate.revision},{rebate.worked_day.isoformat()},{entry.kind},"
        f"{rebate.agreement_id},{rebate.agreement_version},{before},{rebate.base_fen},{rebate.rate_bp},"
        f"{entry.amount_fen_e4},\n"
    )


def total_lines(settlement: Settlement) -> Iterator[str]:
    """The totals of a statement, each as a line of the canonical CSV."""
    for name, value in (
        ("settlement_id", settlement.settlement_id),
        ("city", settlement.city),
        ("employer_id", settlement.pair.employer_id),
        ("community_id", settlement.pair.community_id),
        ("month", settlement.month),
        ("entries", settlement.entries),
        ("base_fen", settlement.base_fen),
        ("sum_fen_e4", settlement.sum_fen_e4),
        ("carry_in_fen_e4", settlement.carry_in_fen_e4),
        ("amount_fen", settlement.amount_fen),
        ("carry_out_fen_e4", settlement.carry_out_fen_e4),
    ):
        yield f"{name}{',' * (len(COLUMNS) - 1)}{value}\n"


@dataclass
class Tally:
    """A month as its entries go by, in ledger order: totals, and the hash of the lines so far."""

    entries: int = 0
    base_fen: int = 0
    sum_fen_e4: int = 0
    _lines: hashlib._Hash = field(default_factory=lambda: hashlib.sha256(HEADER.encode()))

    def add(self, entry: Entry) -> None:
        """Count one accrual or reversal."""
        self.count(line_of(entry), entry.rebate.base_fen if entry.rebate else 0, entry.amount_fen_e4)

    def count(self, line: str, base_fen: int, amount_fen_e4: int) -> None:
        """Count one line of the statement."""
        self.entries += 1
        self.base_fen += base_fen
        self.sum_fen_e4 += amount_fen_e4
        self._lines.update(line.encode())

    def settle(
        self, settlement_id: str, city: str, pair: Pair, month: str, carry_in_fen_e4: int, now: datetime
    ) -> Settlement:
        """Close the month: round the sum with the carried remainder once, half to even."""
        amount_fen, carry_out = settle_e4(self.sum_fen_e4 + carry_in_fen_e4)
        settlement = Settlement(
            settlement_id=settlement_id,
            city=city,
            pair=pair,
            month=month,
            entries=self.entries,
            base_fen=self.base_fen,
            sum_fen_e4=self.sum_fen_e4,
            carry_in_fen_e4=carry_in_fen_e4,
            amount_fen=amount_fen,
            carry_out_fen_e4=carry_out,
            statement_hash="",
            settled_at=now,
        )
        digest = self._lines.copy()
        for line in total_lines(settlement):
            digest.update(line.encode())
        return replace(settlement, statement_hash=digest.hexdigest())


def settlement_entry(settlement: Settlement) -> Entry:
    """The ledger entry that moves the rounded amount into the fund and vouches for the statement.

    Posted also for an amount of zero: the chain then still holds the statement's hash.
    """
    return Entry(
        entry_id=entry_id_of("settlement", settlement.settlement_id),
        city=settlement.city,
        kind="settlement",
        posted_at=settlement.settled_at,
        month=settlement.month,
        employer_id=settlement.pair.employer_id,
        community_id=settlement.pair.community_id,
        amount_fen_e4=settlement.amount_fen * E4,
        cause=settlement.settlement_id,
        legs=settlement_postings(settlement.pair, settlement.amount_fen),
        document_hash=settlement.statement_hash,
    )


def reversal_entry(settlement: Settlement, now: datetime) -> Entry:
    """The ledger entry that undoes a settlement, once: its id is the settlement's alone."""
    return Entry(
        entry_id=entry_id_of("settlement-reversal", settlement.settlement_id),
        city=settlement.city,
        kind="settlement-reversal",
        posted_at=now,
        month=settlement.month,
        employer_id=settlement.pair.employer_id,
        community_id=settlement.pair.community_id,
        amount_fen_e4=-settlement.amount_fen * E4,
        cause=settlement.settlement_id,
        legs=settlement_postings(settlement.pair, -settlement.amount_fen),
        document_hash=settlement.statement_hash,
    )
