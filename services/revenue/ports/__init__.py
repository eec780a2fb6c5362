"""What the use cases need of a store. Two implementations: MongoDB (`store`), and memory (the unit tests)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, Protocol

from services.revenue.domain.accrual import Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.audit import Kept
from services.revenue.domain.books import BookKey, BookTotals, Numbered
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.grants import Grant
from services.revenue.domain.ledger import Block, Entry, Head, Link
from services.revenue.domain.reconciliation import Money
from services.revenue.domain.settlements import Account, Line, Order, Settlement
from services.revenue.ports.payments import PaymentReads, PaymentStore
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.errors import Fault


@dataclass(frozen=True, slots=True)
class Party:
    """An employer or a community, as the registry told of it."""

    role: Literal["employer", "community"]
    party_id: str
    city: str
    version: int


class Signature(NamedTuple):
    """Who signed for a party, an office and never a person, and on which day."""

    office: str
    signed_on: date


@dataclass(frozen=True, slots=True)
class Signatories:
    """The three that signed."""

    federation: Signature
    employer: Signature
    community: Signature

    def by_party(self) -> dict[str, Signature]:
        """The three, by what they are."""
        return {"federation": self.federation, "employer": self.employer, "community": self.community}

    def faults(self, today: date) -> list[Fault]:
        """What is wrong with the days of the signatures; empty if nothing is."""
        return [
            Fault(f"signed_on.{party}", f"a day not after today, {today}")
            for party, signature in self.by_party().items()
            if signature.signed_on > today
        ]


class LedgerStore(PaymentStore, Protocol):
    """The store inside one transaction.

    `lock` comes before whatever must stay true until the commit: it takes the chains of the cities. Two writers of one
    city therefore conflict, and the later one runs again.
    """

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        """The ends of the chains, taken for writing."""
        ...

    async def append(self, links: Sequence[Link], blocks: Collection[Block]) -> None:
        """Add entries to their chains that are not about shifts."""
        ...

    async def append_lines(
        self, lines: Mapping[str, Mapping[BookKey, Sequence[Numbered]]], blocks: Collection[Block]
    ) -> None:
        """Add entries that are about shifts, by city and book, after `add_to_books` has counted them."""
        ...

    async def untold(self, city: str, limit: int) -> Sequence[Link]:
        """The first entries of a city, by number, that `mark_told` has not passed, taken for writing."""
        ...

    async def mark_told(self, city: str, seq: int) -> None:
        """Note that the events of all entries up to a number are in the outbox."""
        ...

    async def publish(self, events: Sequence[Event], at: datetime) -> list[Envelope]:
        """Put events into the outbox."""
        ...

    async def note_parties(self, parties: Collection[Party]) -> None:
        """Remember who there is; an older version of a party changes nothing."""
        ...

    async def city_of(self, role: Literal["employer", "community"], party_id: str) -> str | None: ...

    async def agreements(self, pairs: Collection[Pair]) -> Mapping[Pair, Sequence[Agreement]]:
        """All versions of each pair, by version; pairs without any are absent."""
        ...

    async def add_agreement(self, agreement: Agreement, signatories: Signatories, signed_at: datetime) -> None: ...

    async def accounts(self, pairs: Collection[Pair]) -> Mapping[Pair, Account]:
        """Where pairs stand; pairs that never settled are absent."""
        ...

    async def standing(self, shift_ids: Collection[str]) -> dict[str, Standing]: ...

    async def bases(self, pairs: Collection[Pair], worked_months: Collection[str]) -> dict[BookKey, int]:
        """Sum of bases, fen, of each book of these pairs that is not settled or was worked in one of these months."""
        ...

    async def last_day_accrued(self, agreement_id: str) -> date | None:
        """The latest day worked of all that was ever accrued under an agreement."""
        ...

    async def save_shifts(self, standing: Mapping[str, Standing], suspense: Mapping[str, Shift | None]) -> None:
        """What stands of shifts now, other than their one line says (`standing_of`), and which of them wait (`None`:
        waits no longer)."""
        ...

    async def add_to_books(self, totals: Mapping[str, Mapping[BookKey, BookTotals]]) -> None:
        """Raise running totals, by city."""
        ...

    async def waiting(self, pair: Pair, city: str, first: date, last: date, after: str, limit: int) -> Sequence[Shift]:
        """Shifts in suspense of a pair, worked on these days, by id, with an id above `after`."""
        ...

    async def postpone_release(self, agreement: Agreement) -> None:
        """Note that more shifts wait for this agreement than one transaction takes."""
        ...

    async def release_done(self, agreement_id: str) -> None: ...

    async def earliest_open_month(self, pair: Pair, before: str) -> str | None:
        """The first month before another that holds entries and is not settled."""
        ...

    async def settlement_of(self, pair: Pair, month: str) -> str | None:
        """Id of the settlement of a month, ordered or entered, that was not reversed."""
        ...

    async def open_books(self, pair: Pair, month: str) -> dict[BookKey, BookTotals]:
        """Totals of a month that is not settled."""
        ...

    async def count_waiting(self, pair: Pair, month: str) -> int:
        """Shifts in suspense of a pair, worked in this month or before."""
        ...

    async def add_order(self, order: Order) -> None:
        """Close a month: its pair's account says that it is being settled."""
        ...

    async def order(self, settlement_id: str) -> Order | None:
        """A settlement that was ordered and is not entered yet."""
        ...

    async def add_settlement(self, settlement: Settlement) -> None:
        """Store it: its order is carried out, the pair's account moves on, the month's books are settled."""
        ...

    async def settlement(self, settlement_id: str) -> Settlement | None: ...

    async def settlement_before(self, pair: Pair, month: str) -> Settlement | None:
        """The last settlement of an earlier month that was not reversed."""
        ...

    async def reopen(self, settlement: Settlement, account: Account, reason: str) -> None:
        """Store a settlement as reversed; the month's books are open, and the pair stands where it stood before."""
        ...

    async def fund(self, community_id: str) -> Fund | None:
        """A fund that ever had income or spending."""
        ...

    async def save_fund(self, fund: Fund) -> None: ...

    async def request(self, spending_id: str) -> SpendingRequest | None: ...

    async def request_with(self, receipt_hash: str) -> str | None:
        """Id of the request that has a receipt."""
        ...

    async def add_request(self, request: SpendingRequest, receipt: Receipt) -> None:
        """Store both.

        Raises:
            ReceiptUsed: another request of the same moment has the receipt.
        """
        ...

    async def save_request(self, request: SpendingRequest) -> None:
        """Store a request that was declined."""
        ...

    async def add_spending(self, spending: Spending) -> None:
        """Store it; its request is approved."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a settlement stands that was ordered.

    Attributes:
        read: lines read so far.
        failure: why it stopped; it is not tried again before somebody has looked.
    """

    order: Order
    read: int
    failure: str | None


class Orders(Protocol):
    """Ordered settlements, outside of transactions."""

    async def pending(self) -> list[Order]:
        """Those that nobody carries out at this moment and that have not failed, oldest first."""
        ...

    async def claim(self, settlement_id: str) -> bool:
        """Take one for some seconds, unless another instance has it."""
        ...

    async def report(self, settlement_id: str, read: int) -> None:
        """Tell how many lines were read, and keep the order for some seconds more."""
        ...

    async def fail(self, settlement_id: str, why: str) -> None: ...

    def lines(self, order: Order) -> AsyncIterator[Line]:
        """The lines of a closed month, in ledger order."""
        ...


class LedgerSnapshot(Protocol):
    """The whole ledger at one moment, for verification and reconciliation."""

    async def cities(self) -> Sequence[str]: ...

    async def kept(self, city: str) -> Kept: ...

    def chain(self, city: str) -> AsyncIterator[Link]:
        """All entries of a city by number."""
        ...

    def blocks(self, city: str) -> AsyncIterator[Block]:
        """All blocks of a city in order."""
        ...

    async def told(self, entry_ids: Sequence[str]) -> Sequence[str]:
        """The entry of each `rebate-accrued` event that tells of one of these."""
        ...

    async def money(self, city: str) -> Money:
        """Agreements, settlements and payouts, and the entries of the last two."""
        ...

    def standings(self, city: str) -> AsyncIterator[tuple[str, Standing]]:
        """What stands of each shift that has more than one line, or none, by shift."""
        ...

    def suspended(self, city: str) -> AsyncIterator[tuple[str, Shift]]:
        """Shifts that wait for an agreement, by shift."""
        ...

    async def shift_lines(self, city: str) -> Sequence[AsyncIterator[tuple[str, Link]]]:
        """Entries about shifts in runs, each by shift; a shift may have lines in several."""
        ...


AtOneMoment = Callable[[], AbstractAsyncContextManager[LedgerSnapshot]]
"""Gives the ledger as it is when it is called; a database keeps that for some minutes."""


@dataclass(frozen=True, slots=True)
class Signed:
    """An agreement as a reader sees it."""

    agreement: Agreement
    signatories: Signatories
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """Something that came into a fund or left it.

    Attributes:
        is_reversal: of the settlement.
    """

    seq: int
    source: Settlement | Spending | Grant
    is_reversal: bool = False


class LedgerReads(PaymentReads, Protocol):
    """What readers ask, outside transactions. Lists come in the order of the key that `after` names."""

    async def agreements(
        self, employer_id: str | None, community_id: str | None, after: str, limit: int
    ) -> list[Signed]:
        """By id."""
        ...

    async def settlements(
        self, month: str | None, employer_id: str | None, community_id: str | None, after: str, limit: int
    ) -> list[Settlement]:
        """By id."""
        ...

    async def settlement(self, settlement_id: str) -> Settlement | None: ...

    async def latest_agreement(self, pair: Pair) -> Signed | None:
        """The newest version of a pair."""
        ...

    async def progress(self, settlement_id: str) -> Progress | None:
        """An order that is not carried out yet."""
        ...

    async def books_worked(self, pair: Pair, worked_month: str) -> dict[BookKey, BookTotals]:
        """Totals of what was worked in a month, whichever month it was posted into."""
        ...

    def statement_lines(self, settlement: Settlement) -> AsyncIterator[Entry]:
        """Entries of a statement, in ledger order."""
        ...

    async def links(
        self, city: str | None, rebates_only: bool, after: tuple[str, int] | None, limit: int
    ) -> list[Link]:
        """By city and number."""
        ...

    async def suspended(self, city: str | None, community_id: str | None, after: str, limit: int) -> list[Shift]:
        """By shift."""
        ...

    async def city_of_community(self, community_id: str) -> str | None: ...

    async def fund(self, community_id: str) -> Fund | None: ...

    async def movements(self, community_id: str, after: int, limit: int) -> list[Movement]:
        """By number in the city's ledger."""
        ...

    async def latest_movements(self, community_id: str, limit: int) -> list[Movement]:
        """The last ones, newest first."""
        ...

    async def requests(self, community_id: str | None, after: str, limit: int) -> list[SpendingRequest]:
        """Neither approved nor declined, by id."""
        ...

    async def receipt(self, receipt_hash: str) -> Receipt | None: ...

    async def spent_by_category(self, community_id: str) -> Mapping[str, int]:
        """Sum of a fund's spendings on each category, fen."""
        ...

    async def office_of(self, community_id: str) -> str | None:
        """The office that signed the newest agreement for a community: its public name."""
        ...

    async def cities_to_tell(self) -> list[str]:
        """Cities that have entries whose events are not yet in the outbox."""
        ...

    async def blocks(self, city: str, after: int, limit: int) -> list[Block]:
        """By number; those whose first entry has a number above `after`."""
        ...

    async def pending_releases(self) -> list[Agreement]:
        """Agreements for which more shifts wait than one transaction took."""
        ...

    async def suspense_size(self) -> int:
        """About how many shifts wait."""
        ...
