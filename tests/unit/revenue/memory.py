"""A store in memory with the same promises as the real one, one writer at a time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from services.revenue.domain.accrual import BookKey, BookTotals, Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.audit import Kept
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.ledger import Entry, Head, Link
from services.revenue.domain.settlements import Account, Settlement
from services.revenue.ports import Party, Signatories
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event


@dataclass
class MemoryLedger:
    """`LedgerStore` and `LedgerSnapshot` in dictionaries."""

    heads: dict[str, Head] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    parties: dict[tuple[str, str], Party] = field(default_factory=dict)
    versions: dict[Pair, list[Agreement]] = field(default_factory=dict)
    kept_accounts: dict[Pair, Account] = field(default_factory=dict)
    shifts: dict[str, Standing] = field(default_factory=dict)
    suspense: dict[str, Shift] = field(default_factory=dict)
    books: dict[BookKey, BookTotals] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    funds: dict[str, Fund] = field(default_factory=dict)
    requests: dict[str, SpendingRequest] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    spendings: list[Spending] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    _event_ids: itertools.count[int] = field(default_factory=itertools.count)

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        return {city: self.heads.get(city, Head(city)) for city in cities}

    async def append(self, links: Sequence[Link], heads: Collection[Head]) -> None:
        for link in links:
            if link.entry.entry_id in self.ids:
                raise AssertionError(f"posted twice: {link.entry}")
            self.ids.add(link.entry.entry_id)
            self.links.append(link)
        for head in heads:
            self.heads[head.city] = head

    async def publish(self, events: Sequence[Event], at: datetime) -> list[Envelope]:
        self.events += events
        return [Envelope(f"evt-{next(self._event_ids):032x}", at, event) for event in events]

    async def note_parties(self, parties: Collection[Party]) -> None:
        for party in parties:
            key = (party.role, party.party_id)
            if key not in self.parties or self.parties[key].version < party.version:
                self.parties[key] = party

    async def city_of(self, role: Literal["employer", "community"], party_id: str) -> str | None:
        party = self.parties.get((role, party_id))
        return party.city if party else None

    async def agreements(self, pairs: Collection[Pair]) -> Mapping[Pair, Sequence[Agreement]]:
        return {pair: self.versions[pair] for pair in pairs if pair in self.versions}

    async def add_agreement(self, agreement: Agreement, signatories: Signatories, signed_at: datetime) -> None:
        self.versions.setdefault(agreement.pair, []).append(agreement)

    async def accounts(self, pairs: Collection[Pair]) -> Mapping[Pair, Account]:
        return {pair: self.kept_accounts[pair] for pair in pairs if pair in self.kept_accounts}

    async def standing(self, shift_ids: Collection[str]) -> dict[str, Standing]:
        return {shift_id: self.shifts[shift_id] for shift_id in shift_ids if shift_id in self.shifts}

    async def open_bases(self, pairs: Collection[Pair]) -> dict[BookKey, int]:
        return {key: totals.base_fen for key, totals in self.books.items() if key[0] in pairs}

    async def save_shifts(self, standing: Mapping[str, Standing], suspense: Mapping[str, Shift | None]) -> None:
        self.shifts.update(standing)
        for shift_id, shift in suspense.items():
            if shift is None:
                self.suspense.pop(shift_id, None)
            else:
                self.suspense[shift_id] = shift

    async def add_to_books(self, city: str, totals: Mapping[BookKey, BookTotals]) -> None:
        for key, more in totals.items():
            book = self.books.setdefault(key, BookTotals())
            book.entries += more.entries
            book.base_fen += more.base_fen
            book.sum_fen_e4 += more.sum_fen_e4

    async def waiting(self, pair: Pair, city: str, first: date, last: date, after: str, limit: int) -> Sequence[Shift]:
        found = [
            shift
            for shift_id, shift in sorted(self.suspense.items())
            if shift.pair == pair and shift.city == city and first <= shift.day <= last and shift_id > after
        ]
        return found[:limit]

    async def postpone_release(self, agreement: Agreement) -> None:
        self.pending.add(agreement.agreement_id)

    async def release_done(self, agreement_id: str) -> None:
        self.pending.discard(agreement_id)

    async def earliest_open_month(self, pair: Pair, before: str) -> str | None:
        closed = self.kept_accounts.get(pair, Account()).settled_through or ""
        return min((month for at, month in self.books if at == pair and closed < month < before), default=None)

    async def settlement_of(self, pair: Pair, month: str) -> str | None:
        return next((s.settlement_id for s in self.settlements.values() if (s.pair, s.month) == (pair, month)), None)

    async def rebates(self, pair: Pair, month: str) -> AsyncIterator[Entry]:
        for link in self.links:
            entry = link.entry
            if entry.kind in ("accrual", "reversal") and entry.pair == pair and entry.month == month:
                yield entry

    async def add_settlement(self, settlement: Settlement) -> None:
        self.settlements[settlement.settlement_id] = settlement
        self.kept_accounts[settlement.pair] = Account(settlement.month, settlement.carry_out_fen_e4)

    async def fund(self, community_id: str) -> Fund | None:
        return self.funds.get(community_id)

    async def save_fund(self, fund: Fund) -> None:
        self.funds[fund.community_id] = fund

    async def request(self, spending_id: str) -> SpendingRequest | None:
        return self.requests.get(spending_id)

    async def request_with(self, receipt_hash: str) -> str | None:
        return next((one.spending_id for one in self.requests.values() if one.receipt_hash == receipt_hash), None)

    async def add_request(self, request: SpendingRequest, receipt: Receipt) -> None:
        self.requests[request.spending_id] = request
        self.receipts[receipt.receipt_hash] = receipt

    async def add_spending(self, spending: Spending) -> None:
        self.requests[spending.request.spending_id] = spending.request
        self.spendings.append(spending)

    async def cities(self) -> Sequence[str]:
        return sorted(self.heads)

    async def kept(self, city: str) -> Kept:
        return Kept(
            head=self.heads.get(city, Head(city)),
            books=copy.deepcopy(self.books),
            accounts=dict(self.kept_accounts),
            funds=dict(self.funds),
            settlements=dict(self.settlements),
        )

    async def chain(self, city: str) -> AsyncIterator[Link]:
        for link in self.links:
            if link.entry.city == city:
                yield link
