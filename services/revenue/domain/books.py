"""Running totals beside the ledger: what settlements sum, and what tiers count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import Entry
from shared.kernel.clock import month_of


class BookKey(NamedTuple):
    """What running totals are kept of: one month of one pair, by the month worked and the agreement.

    Attributes:
        month: that the entries are posted into; what a settlement sums, except in suspense.
        worked_month: earlier than `month` where a shift was told or corrected late.
        agreement_id: empty for what is in suspense.
    """

    pair: Pair
    month: str
    worked_month: str
    agreement_id: str


Numbered = tuple[int, Entry]
"""What a `Link` is, without its name: half as dear to make, and there is one for every shift."""

Volume = tuple[str, str]
"""An agreement and a month worked: what marginal tiers count the base of."""


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

    @classmethod
    def of(cls, lines: Sequence[Numbered]) -> BookTotals:
        """Totals of entries that are about shifts."""
        entries = [entry for _, entry in lines]
        rebates = [entry.rebate for entry in entries if entry.rebate is not None]
        return cls(
            len(entries),
            sum([rebate.base_fen for rebate in rebates]),
            sum([entry.amount_fen_e4 for entry in entries]),
            max([rebate.worked_day for rebate in rebates], default=date.min),
        )

    def add(self, entry: Entry) -> None:
        """Count one entry that is about a shift."""
        self.entries += 1
        self.sum_fen_e4 += entry.amount_fen_e4
        rebate = entry.rebate
        if rebate is not None:
            self.base_fen += rebate.base_fen
            if rebate.worked_day > self.last_day:
                self.last_day = rebate.worked_day


def book_of(entry: Entry) -> BookKey:
    """The book that an accrual, a suspense or its reversal is counted in.

    Raises:
        ValueError: another kind of entry.
    """
    rebate = entry.rebate
    if rebate is None or entry.employer_id is None:
        raise ValueError(f"{entry.entry_id} is no rebate")
    return _key(entry.employer_id, entry.community_id, entry.month, rebate.worked_day, rebate.agreement_id)


@lru_cache(maxsize=10_000)
def _key(employer_id: str, community_id: str, month: str, worked_day: date, agreement_id: str) -> BookKey:
    """One for all entries of a pair and a day, of which there are many."""
    return BookKey(Pair(employer_id, community_id), month, month_of(worked_day), agreement_id)


def by_book(entries: Sequence[Entry], first: int) -> dict[BookKey, list[Numbered]]:
    """Entries that are about shifts by their books, in order.

    Args:
        first: number of the first of them.
    """
    books: defaultdict[BookKey, list[Numbered]] = defaultdict(list)
    for seq, entry in enumerate(entries, first):
        books[book_of(entry)].append((seq, entry))
    return books
