"""Verification: read a city's ledger again from its first entry and find whatever is not as it must be.

Streaming: memory grows with pairs and months that are open, not with entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from services.revenue.domain.accrual import BookKey, BookTotals
from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import CATEGORIES, Fund
from services.revenue.domain.ledger import (
    Entry,
    Head,
    Link,
    entry_id_of,
    hash_of,
    rebate_postings,
    settlement_postings,
    spending_postings,
)
from services.revenue.domain.settlements import Account, Settlement, Tally
from shared.kernel.clock import month_of
from shared.kernel.money import E4, accrue_e4

K = TypeVar("K")
V = TypeVar("V")

FINDINGS_MAX = 100
"""Findings that a report lists; one broken link makes no further noise, so more means that all is broken."""


class Finding(NamedTuple):
    """Something that is not as it must be.

    Attributes:
        rule: closed code.
        where: the entry, settlement, book or account concerned.
    """

    rule: str
    where: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the service keeps beside the ledger and derives from it."""

    head: Head
    books: Mapping[BookKey, BookTotals]
    accounts: Mapping[Pair, Account]
    funds: Mapping[str, Fund]
    settlements: Mapping[str, Settlement]


@dataclass
class Audit:
    """One pass over a city's chain.

    Attributes:
        balances: balance of every account, derived from the postings; debit positive.
    """

    city: str
    kept: Kept
    findings: list[Finding] = field(default_factory=list)
    entries: int = 0
    balances: dict[str, int] = field(default_factory=dict)
    debits_fen_e4: int = 0
    credits_fen_e4: int = 0
    _head: Head = field(init=False)
    _books: dict[BookKey, BookTotals] = field(default_factory=dict)
    _open: dict[BookKey, Tally] = field(default_factory=dict)
    _accounts: dict[Pair, Account] = field(default_factory=dict)
    _funds: dict[str, Fund] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._head = Head(self.city)

    @property
    def imbalance_fen_e4(self) -> int:
        """Debits minus credits; zero unless the ledger is broken."""
        return self.debits_fen_e4 - self.credits_fen_e4

    def read(self, link: Link) -> None:
        """The next entry of the chain."""
        entry = link.entry
        self._check_link(link)
        self._check_postings(entry)
        self.entries += 1
        self._head = Head(self.city, link.seq, link.hash)
        if entry.kind in ("accrual", "reversal"):
            self._read_rebate(entry)
        elif entry.kind == "settlement":
            self._read_settlement(entry)
        else:
            self._read_spending(entry)

    def finish(self) -> list[Finding]:
        """Compare what was derived with what is kept, after the last entry."""
        if self._head != self.kept.head:
            self._find("head-not-last-entry", self.city)
        self._compare("book-total-wrong", self._books, self.kept.books, BookTotals())
        self._compare("account-wrong", self._accounts, self.kept.accounts, Account())
        for community_id in self._funds.keys() | self.kept.funds.keys():
            none = Fund(community_id, self.city)
            if self._funds.get(community_id, none) != self.kept.funds.get(community_id, none):
                self._find("fund-wrong", community_id)
        for missing in self.kept.settlements.keys() - self._settled:
            self._find("settlement-not-in-ledger", missing)
        if self.imbalance_fen_e4 or sum(self.balances.values()):
            self._find("debits-not-credits", self.city)
        return self.findings

    def _check_link(self, link: Link) -> None:
        if link.seq != self._head.seq + 1:
            self._find("number-not-next", link.entry.entry_id)
        if link.prev_hash != self._head.hash:
            self._find("chain-broken", link.entry.entry_id)
        if link.entry.city != self.city or link.hash != hash_of(link.seq, link.prev_hash, link.entry):
            self._find("hash-wrong", link.entry.entry_id)

    def _check_postings(self, entry: Entry) -> None:
        for account, amount in entry.postings:
            self.balances[account] = self.balances.get(account, 0) + amount
            if amount > 0:
                self.debits_fen_e4 += amount
            else:
                self.credits_fen_e4 -= amount
        if sum(posting.amount_fen_e4 for posting in entry.postings):
            self._find("entry-unbalanced", entry.entry_id)

    def _read_rebate(self, entry: Entry) -> None:
        rebate = entry.rebate
        if rebate is None or entry.employer_id is None:
            self._find("rebate-without-shift", entry.entry_id)
            return
        sign = 1 if entry.kind == "accrual" else -1
        closed = self._accounts.get(entry.pair, Account()).settled_through
        if entry.entry_id != entry_id_of(entry.kind, rebate.shift_id, rebate.revision):
            self._find("id-not-of-cause", entry.entry_id)
        if entry.amount_fen_e4 != accrue_e4(rebate.base_fen, rebate.rate_bp) or rebate.base_fen * sign <= 0:
            self._find("amount-wrong", entry.entry_id)
        if entry.postings != rebate_postings(entry.pair, entry.amount_fen_e4):
            self._find("accounts-wrong", entry.entry_id)
        if entry.month < month_of(rebate.worked_day) or (closed is not None and entry.month <= closed):
            self._find("month-was-closed", entry.entry_id)
        key = (entry.pair, entry.month)
        self._books.setdefault(key, BookTotals()).add(entry)
        self._open.setdefault(key, Tally()).add(entry)

    def _read_settlement(self, entry: Entry) -> None:
        if entry.employer_id is None:
            self._find("settlement-without-pair", entry.entry_id)
            return
        pair = entry.pair
        tally = self._open.pop((pair, entry.month), None) or Tally()
        carry_in = self._accounts.get(pair, Account()).carry_fen_e4
        made = tally.settle(entry.cause, self.city, pair, entry.month, carry_in, entry.posted_at)
        self._settled.add(entry.cause)
        if entry.entry_id != entry_id_of("settlement", entry.cause):
            self._find("id-not-of-cause", entry.entry_id)
        if entry.amount_fen_e4 != made.amount_fen * E4 or entry.postings != settlement_postings(pair, made.amount_fen):
            self._find("settlement-amount-wrong", entry.cause)
        if entry.document_hash != made.statement_hash:
            self._find("statement-hash-wrong", entry.cause)
        if self.kept.settlements.get(entry.cause) != made:
            self._find("settlement-wrong", entry.cause)
        self._accounts[pair] = Account(entry.month, made.carry_out_fen_e4)
        old = self._fund(entry.community_id)
        self._funds[entry.community_id] = Fund(
            old.community_id, old.city, old.income_fen + made.amount_fen, old.spent_fen
        )

    def _read_spending(self, entry: Entry) -> None:
        amount_fen, rest = divmod(entry.amount_fen_e4, E4)
        legs = [spending_postings(entry.community_id, category, amount_fen) for category in CATEGORIES]
        if rest or amount_fen <= 0 or entry.postings not in legs:
            self._find("accounts-wrong", entry.entry_id)
        old = self._fund(entry.community_id)
        if old.balance_fen < amount_fen:
            self._find("spent-over-balance", entry.entry_id)
        if entry.entry_id != entry_id_of("spending", entry.cause):
            self._find("id-not-of-cause", entry.entry_id)
        self._funds[entry.community_id] = Fund(old.community_id, old.city, old.income_fen, old.spent_fen + amount_fen)

    def _fund(self, community_id: str) -> Fund:
        return self._funds.get(community_id, Fund(community_id, self.city))

    def _compare(self, rule: str, derived: Mapping[K, V], kept: Mapping[K, V], none: V) -> None:
        for key in derived.keys() | kept.keys():
            if derived.get(key, none) != kept.get(key, none):
                self._find(rule, str(key))

    def _find(self, rule: str, where: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(rule, where))
