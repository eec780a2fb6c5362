"""A store in memory with the same promises as the real one, one writer at a time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from services.revenue.domain.accrual import Shift, Standing, standing_of
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.audit import Kept
from services.revenue.domain.books import BookKey, BookTotals, Numbered
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.ledger import Block, Head, Link
from services.revenue.domain.reconciliation import Money
from services.revenue.domain.settlements import Account, Line, Order, Settlement, line_of
from services.revenue.ports import Party, Signatories
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.revenue import RebateAccrued
from tests.unit.revenue.payments import MemoryPayments


@dataclass
class MemoryLedger(MemoryPayments):
    """`LedgerStore` and `LedgerSnapshot` in dictionaries."""

    heads: dict[str, Head] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    sealed: list[Block] = field(default_factory=list)
    told_through: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    parties: dict[tuple[str, str], Party] = field(default_factory=dict)
    versions: dict[Pair, list[Agreement]] = field(default_factory=dict)
    kept_accounts: dict[Pair, Account] = field(default_factory=dict)
    shifts: dict[str, Standing] = field(default_factory=dict)
    suspense: dict[str, Shift] = field(default_factory=dict)
    books: dict[BookKey, BookTotals] = field(default_factory=dict)
    settled_books: set[BookKey] = field(default_factory=set)
    orders: dict[str, Order] = field(default_factory=dict)
    funds: dict[str, Fund] = field(default_factory=dict)
    requests: dict[str, SpendingRequest] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    spendings: list[Spending] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    _event_ids: itertools.count[int] = field(default_factory=itertools.count)

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        return {city: self.heads.get(city, Head(city)) for city in cities}

    async def append(self, links: Sequence[Link], blocks: Collection[Block]) -> None:
        for link in links:
            if link.entry.entry_id in self.ids:
                raise AssertionError(f"posted twice: {link.entry}")
            self.ids.add(link.entry.entry_id)
            self.links.append(link)
        for block in blocks:
            self.sealed.append(block)
            self.heads[block.city] = block.end

    async def append_lines(
        self, lines: Mapping[str, Mapping[BookKey, Sequence[Numbered]]], blocks: Collection[Block]
    ) -> None:
        links = [Link(*one) for books in lines.values() for some in books.values() for one in some]
        await self.append(sorted(links, key=lambda link: link.seq), blocks)

    async def untold(self, city: str, limit: int) -> Sequence[Link]:
        after = self.told_through.get(city, 0)
        return [link for link in self.links if link.entry.city == city and link.seq > after][:limit]

    async def mark_told(self, city: str, seq: int) -> None:
        self.told_through[city] = seq

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
        lines = [link.entry for link in self.links if link.entry.rebate and link.entry.rebate.shift_id in shift_ids]
        first = {entry.rebate.shift_id: one for entry in lines if entry.rebate and (one := standing_of(entry))}
        return first | {shift_id: self.shifts[shift_id] for shift_id in shift_ids if shift_id in self.shifts}

    async def bases(self, pairs: Collection[Pair], worked_months: Collection[str]) -> dict[BookKey, int]:
        return {
            key: totals.base_fen
            for key, totals in self.books.items()
            if key.pair in pairs and (key not in self.settled_books or key.worked_month in worked_months)
        }

    async def last_day_accrued(self, agreement_id: str) -> date | None:
        return max((t.last_day for key, t in self.books.items() if key.agreement_id == agreement_id), default=None)

    async def save_shifts(self, standing: Mapping[str, Standing], suspense: Mapping[str, Shift | None]) -> None:
        self.shifts.update(standing)
        for shift_id, shift in suspense.items():
            if shift is None:
                self.suspense.pop(shift_id, None)
            else:
                self.suspense[shift_id] = shift

    async def add_to_books(self, totals: Mapping[str, Mapping[BookKey, BookTotals]]) -> None:
        for key, more in itertools.chain.from_iterable(books.items() for books in totals.values()):
            book = self.books.setdefault(key, BookTotals())
            book.entries += more.entries
            book.base_fen += more.base_fen
            book.sum_fen_e4 += more.sum_fen_e4
            book.last_day = max(book.last_day, more.last_day)

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
        books = (key for key in self.books if key.agreement_id and key not in self.settled_books)
        months = (key.month for key in books if key.pair == pair)
        return min((month for month in months if month < before), default=None)

    async def settlement_of(self, pair: Pair, month: str) -> str | None:
        entered = (
            s.settlement_id
            for s in self.settlements.values()
            if (s.pair, s.month, s.reversed_at) == (pair, month, None)
        )
        ordered = (order.settlement_id for order in self.orders.values() if (order.pair, order.month) == (pair, month))
        return next(itertools.chain(ordered, entered), None)

    async def open_books(self, pair: Pair, month: str) -> dict[BookKey, BookTotals]:
        return {
            key: copy.copy(totals)
            for key, totals in self.books.items()
            if (key.pair, key.month) == (pair, month) and key not in self.settled_books and key.agreement_id
        }

    async def count_waiting(self, pair: Pair, month: str) -> int:
        return sum(shift.pair == pair and f"{shift.day:%Y-%m}" <= month for shift in self.suspense.values())

    async def add_order(self, order: Order) -> None:
        account = self.kept_accounts.get(order.pair, Account())
        self.kept_accounts[order.pair] = account._replace(closing=order.month)
        self.orders[order.settlement_id] = order

    async def order(self, settlement_id: str) -> Order | None:
        return self.orders.get(settlement_id)

    async def add_settlement(self, settlement: Settlement) -> None:
        del self.orders[settlement.settlement_id]
        self.settlements[settlement.settlement_id] = settlement
        self.kept_accounts[settlement.pair] = Account(settlement.month, settlement.carry_out_fen_e4)
        self.settled_books |= await self._books_of(settlement)

    async def settlement(self, settlement_id: str) -> Settlement | None:
        return self.settlements.get(settlement_id)

    async def settlement_before(self, pair: Pair, month: str) -> Settlement | None:
        earlier = [s for s in self.settlements.values() if s.pair == pair and s.month < month and s.reversed_at is None]
        return max(earlier, key=lambda settlement: settlement.month, default=None)

    async def reopen(self, settlement: Settlement, account: Account, reason: str) -> None:
        self.settlements[settlement.settlement_id] = settlement
        self.kept_accounts[settlement.pair] = account
        self.settled_books -= await self._books_of(settlement)

    async def _books_of(self, settlement: Settlement) -> set[BookKey]:
        books = (key for key in self.books if key.agreement_id)
        return {key for key in books if (key.pair, key.month) == (settlement.pair, settlement.month)}

    async def lines(self, order: Order) -> AsyncIterator[Line]:
        """What `Orders.lines` gives."""
        for link in self.links:
            entry = link.entry
            if entry.rebate is None or not entry.rebate.agreement_id:
                continue
            if entry.pair == order.pair and entry.month == order.month:
                yield line_of(entry), entry.rebate.base_fen, entry.amount_fen_e4

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

    async def save_request(self, request: SpendingRequest) -> None:
        self.requests[request.spending_id] = request

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
            agreements=[version for versions in self.versions.values() for version in versions],
            told=self.told_through.get(city, 0),
        )

    async def told(self, entry_ids: Sequence[str]) -> Sequence[str]:
        return [e.entry_id for e in self.events if isinstance(e, RebateAccrued) and e.entry_id in set(entry_ids)]

    async def chain(self, city: str) -> AsyncIterator[Link]:
        for link in self.links:
            if link.entry.city == city:
                yield link

    async def blocks(self, city: str) -> AsyncIterator[Block]:
        for block in self.sealed:
            if block.city == city:
                yield block

    async def money(self, city: str) -> Money:
        kinds = ("settlement", "settlement-reversal", "payout")
        return Money(
            agreements=[version for versions in self.versions.values() for version in versions if version.city == city],
            settlements=[made for made in self.settlements.values() if made.city == city],
            payouts=[payout for payout in self.kept_payouts.values() if payout.city == city],
            transfers=[link for link in self.links if link.entry.city == city and link.entry.kind in kinds],
        )

    async def standings(self, city: str) -> AsyncIterator[tuple[str, Standing]]:
        for shift_id, standing in sorted(self.shifts.items()):
            if standing.city == city:
                yield shift_id, standing

    async def suspended(self, city: str) -> AsyncIterator[tuple[str, Shift]]:
        for shift_id, shift in sorted(self.suspense.items()):
            if shift.city == city:
                yield shift_id, shift

    async def shift_lines(self, city: str) -> Sequence[AsyncIterator[tuple[str, Link]]]:
        rebates = [
            (link.entry.rebate.shift_id, link) for link in self.links if link.entry.city == city and link.entry.rebate
        ]
        return [self._run(rebates[first : first + 2]) for first in range(0, len(rebates), 2)]

    async def _run(self, rebates: Sequence[tuple[str, Link]]) -> AsyncIterator[tuple[str, Link]]:
        for shift_id, link in sorted(rebates, key=lambda one: one[0]):
            yield shift_id, link
