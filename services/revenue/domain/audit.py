"""Verification: read a city's ledger again from its first entry and find whatever is not as it must be.

Streaming: memory grows with pairs and months (about 1 kB each), not with entries.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from services.revenue.domain.accrual import SUSPENSE_RATE_BP
from services.revenue.domain.agreements import TIERS_MAX, Agreement, Pair, Slice, Timeline
from services.revenue.domain.books import BookKey, BookTotals, Volume, book_of
from services.revenue.domain.funds import CATEGORIES, Fund
from services.revenue.domain.ledger import (
    Block,
    Entry,
    EntryKind,
    Head,
    Link,
    Rebate,
    canonical,
    entry_id_of,
    grant_postings,
    hash_of,
    payout_postings,
    settlement_postings,
    spending_postings,
    subsidy_postings,
)
from services.revenue.domain.settlements import Account, Settlement, Tally, reversal_entry
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
    """What the service keeps beside the ledger and derives from it.

    Attributes:
        told: number up to which the entries have their events.
    """

    head: Head
    books: Mapping[BookKey, BookTotals]
    accounts: Mapping[Pair, Account]
    funds: Mapping[str, Fund]
    settlements: Mapping[str, Settlement]
    agreements: Sequence[Agreement]
    told: int


@dataclass
class Audit:
    """One pass over a city's entries, and its blocks: `close` each one after its last entry was read.

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
    _seq: int = 0
    _unsealed: list[str] = field(default_factory=list)
    _books: defaultdict[BookKey, BookTotals] = field(default_factory=lambda: defaultdict(BookTotals))
    _tallies: defaultdict[tuple[Pair, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    _accounts: dict[Pair, list[Account]] = field(default_factory=dict)
    _funds: dict[str, Fund] = field(default_factory=dict)
    _settled: dict[str, Settlement] = field(default_factory=dict)
    _volumes: Counter[Volume] = field(default_factory=Counter)
    _agreements: dict[str, Agreement] = field(init=False)
    _timelines: dict[Pair, Timeline] = field(init=False)

    def __post_init__(self) -> None:
        self._head = Head(self.city)
        self._agreements = {one.agreement_id: one for one in self.kept.agreements}
        pairs = {one.pair for one in self.kept.agreements}
        self._timelines = {pair: Timeline([one for one in self.kept.agreements if one.pair == pair]) for pair in pairs}

    @property
    def imbalance_fen_e4(self) -> int:
        """Debits minus credits; zero unless the ledger is broken."""
        return self.debits_fen_e4 - self.credits_fen_e4

    def read(self, link: Link) -> None:
        """The next entry."""
        entry = link.entry
        if link.seq != self._seq + 1:
            self._find("number-not-next", entry.entry_id)
        if entry.city != self.city:
            self._find("city-wrong", entry.entry_id)
        self._seq = link.seq
        self._unsealed.append(canonical(link.seq, entry))
        self._check_postings(entry)
        self.entries += 1
        if entry.kind in ("accrual", "reversal"):
            self._read_rebate(entry)
        elif entry.kind in ("suspense", "suspense-reversal"):
            self._read_suspense(entry)
        elif entry.kind == "settlement":
            self._read_settlement(entry)
        elif entry.kind == "settlement-reversal":
            self._read_settlement_reversal(entry)
        elif entry.kind == "payout":
            self._read_payout(entry)
        elif entry.kind in ("grant", "subsidy"):
            self._read_grant(entry)
        else:
            self._read_spending(entry)

    def close(self, block: Block) -> None:
        """The next block; all its entries were read, and none of the one after."""
        where = f"{self.city}:{block.first}-{block.last}"
        if block.prev_hash != self._head.hash or block.first != self._head.seq + 1:
            self._find("chain-broken", where)
        if block.last != self._seq or block.hash != hash_of(block.prev_hash, self._unsealed):
            self._find("hash-wrong", where)
        self._head = block.end
        self._unsealed.clear()

    def read_events(self, entry_ids: Sequence[str], told: Collection[str]) -> None:
        """Compare accruals and reversals with the events that tell of them: each has exactly one."""
        found = Counter(told)
        for entry_id in entry_ids:
            if found[entry_id] != 1:
                self._find("event-missing" if not found[entry_id] else "event-twice", entry_id)

    def finish(self) -> list[Finding]:
        """Compare what was derived with what is kept, after the last entry."""
        if self._head != self.kept.head or self._seq != self._head.seq:
            self._find("head-not-last-entry", self.city)
        self._compare("book-total-wrong", self._books, self.kept.books, BookTotals())
        accounts = {pair: account._replace(closing=None) for pair, account in self.kept.accounts.items()}
        self._compare("account-wrong", {pair: self._account(pair) for pair in self._accounts}, accounts, Account())
        for community_id in self._funds.keys() | self.kept.funds.keys():
            none = Fund(community_id, self.city)
            if self._funds.get(community_id, none) != self.kept.funds.get(community_id, none):
                self._find("fund-wrong", community_id)
        for missing in self.kept.settlements.keys() - self._settled.keys():
            self._find("settlement-not-in-ledger", missing)
        for settlement_id, made in self._settled.items():
            if self.kept.settlements.get(settlement_id) != made:
                self._find("settlement-wrong", settlement_id)
        if self.imbalance_fen_e4 or sum(self.balances.values()):
            self._find("debits-not-credits", self.city)
        return self.findings

    def _check_postings(self, entry: Entry) -> None:
        balance = 0
        for account, amount in entry.postings:
            balance += amount
            self.balances[account] = self.balances.get(account, 0) + amount
            if amount > 0:
                self.debits_fen_e4 += amount
            else:
                self.credits_fen_e4 -= amount
        if balance:
            self._find("entry-unbalanced", entry.entry_id)

    def _read_rebate(self, entry: Entry) -> None:
        rebate = entry.rebate
        if rebate is None or entry.employer_id is None:
            self._find("rebate-without-shift", entry.entry_id)
            return
        sign = 1 if entry.kind == "accrual" else -1
        book = book_of(entry)
        closed = self._account(book.pair).settled_through
        if entry.entry_id not in _ids_of(entry.kind, rebate):
            self._find("id-not-of-cause", entry.entry_id)
        self._check_terms(entry, rebate, book)
        if entry.amount_fen_e4 != accrue_e4(rebate.base_fen, rebate.rate_bp) or rebate.base_fen * sign < 0:
            self._find("amount-wrong", entry.entry_id)
        if entry.legs:
            self._find("accounts-wrong", entry.entry_id)
        if book.month < book.worked_month or (closed is not None and entry.month <= closed):
            self._find("month-was-closed", entry.entry_id)
        self._books[book].add(entry)
        self._tallies[book.pair, book.month].add(entry)

    def _read_suspense(self, entry: Entry) -> None:
        """No agreement says anything of it, and no settlement sums it; its totals must come to what is kept."""
        rebate = entry.rebate
        if rebate is None or entry.employer_id is None:
            self._find("rebate-without-shift", entry.entry_id)
            return
        if entry.entry_id != entry_id_of(entry.kind, rebate.shift_id, rebate.revision):
            self._find("id-not-of-cause", entry.entry_id)
        sign = 1 if entry.kind == "suspense" else -1
        if entry.amount_fen_e4 != accrue_e4(rebate.base_fen, SUSPENSE_RATE_BP) or rebate.base_fen * sign < 0:
            self._find("amount-wrong", entry.entry_id)
        if entry.legs:
            self._find("accounts-wrong", entry.entry_id)
        if (rebate.agreement_id, entry.month) != ("", month_of(rebate.worked_day)):
            self._find("agreement-unknown", entry.entry_id)
        self._books[book_of(entry)].add(entry)

    def _check_terms(self, entry: Entry, rebate: Rebate, book: BookKey) -> None:
        """The line is what its agreement says of its base, where the month worked had come to."""
        agreement = self._agreements.get(rebate.agreement_id)
        volume = (book.agreement_id, book.worked_month)
        part = Slice(rebate.before_fen, rebate.base_fen, rebate.rate_bp)
        if agreement is None or (agreement.pair, agreement.version) != (book.pair, rebate.agreement_version):
            self._find("agreement-unknown", entry.entry_id)
        elif agreement.slices(self._volumes[volume], rebate.base_fen) != [part]:
            self._find("rate-wrong", entry.entry_id)
        elif entry.kind == "accrual" and self._timelines[book.pair].on(rebate.worked_day, self.city) != agreement:
            self._find("agreement-not-of-day", entry.entry_id)
        self._volumes[volume] += rebate.base_fen

    def _read_settlement(self, entry: Entry) -> None:
        if entry.employer_id is None:
            self._find("settlement-without-pair", entry.entry_id)
            return
        pair = entry.pair
        # Kept, for a settlement that is reversed and made anew.
        tally = self._tallies[pair, entry.month]
        account = self._account(pair)
        carry_in = account.carry_fen_e4
        if account.settled_through is not None and entry.month <= account.settled_through:
            self._find("month-settled-twice", entry.entry_id)
        made = tally.settle(entry.cause, self.city, pair, entry.month, carry_in, entry.posted_at)
        self._settled[entry.cause] = made
        if entry.entry_id != entry_id_of("settlement", entry.cause):
            self._find("id-not-of-cause", entry.entry_id)
        if entry.amount_fen_e4 != made.amount_fen * E4 or entry.postings != settlement_postings(pair, made.amount_fen):
            self._find("settlement-amount-wrong", entry.cause)
        if entry.document_hash != made.statement_hash:
            self._find("statement-hash-wrong", entry.cause)
        self._accounts.setdefault(pair, []).append(Account(entry.month, made.carry_out_fen_e4))
        self._earn(entry.community_id, made.amount_fen)

    def _read_settlement_reversal(self, entry: Entry) -> None:
        made = self._settled.get(entry.cause)
        if made is None or made.reversed_at is not None or self._account(made.pair).settled_through != made.month:
            self._find("reversed-without-settlement", entry.entry_id)
            return
        if entry != reversal_entry(made, entry.posted_at):
            self._find("settlement-amount-wrong", entry.cause)
        self._settled[entry.cause] = replace(made, reversed_at=entry.posted_at)
        self._accounts[made.pair].pop()
        self._earn(entry.community_id, -made.amount_fen)

    def _earn(self, community_id: str, amount_fen: int) -> None:
        old = self._fund(community_id)
        self._funds[community_id] = replace(old, income_fen=old.income_fen + amount_fen)

    def _account(self, pair: Pair) -> Account:
        """Where a pair stands; settlements that were reversed count no more."""
        accounts = self._accounts.get(pair)
        return accounts[-1] if accounts else Account()

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
        self._funds[entry.community_id] = replace(old, spent_fen=old.spent_fen + amount_fen)

    def _read_payout(self, entry: Entry) -> None:
        amount_fen, rest = divmod(entry.amount_fen_e4, E4)
        if entry.employer_id is None or rest or amount_fen <= 0:
            self._find("payout-amount-wrong", entry.entry_id)
        elif entry.postings != payout_postings(entry.pair, amount_fen):
            self._find("accounts-wrong", entry.entry_id)
        if entry.entry_id != entry_id_of("payout", entry.cause):
            self._find("id-not-of-cause", entry.entry_id)

    def _read_grant(self, entry: Entry) -> None:
        amount_fen, rest = divmod(entry.amount_fen_e4, E4)
        given, employer_id, community_id = entry.postings[0].account, entry.employer_id, entry.community_id
        source_id = given.removeprefix("funding-source:")
        if employer_id is None or entry.kind == "grant":
            legs = grant_postings(source_id, community_id, amount_fen)
            old = self._fund(community_id)
            self._funds[community_id] = replace(old, granted_fen=old.granted_fen + amount_fen)
        else:
            legs = subsidy_postings(source_id, employer_id, community_id, amount_fen)
        if rest or amount_fen <= 0 or entry.postings != legs:
            self._find("accounts-wrong", entry.entry_id)
        if entry.entry_id != entry_id_of(entry.kind, entry.cause):
            self._find("id-not-of-cause", entry.entry_id)

    def _fund(self, community_id: str) -> Fund:
        return self._funds.get(community_id, Fund(community_id, self.city))

    def _compare(self, rule: str, derived: Mapping[K, V], kept: Mapping[K, V], none: V) -> None:
        for key in derived.keys() | kept.keys():
            if derived.get(key, none) != kept.get(key, none):
                self._find(rule, str(key))

    def _find(self, rule: str, where: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(rule, where))


def _ids_of(kind: EntryKind, rebate: Rebate) -> Iterator[str]:
    """The ids that a line of this revision may have: that of an undivided base first."""
    return (entry_id_of(kind, rebate.shift_id, rebate.revision, part) for part in range(TIERS_MAX + 1))
