"""What the use cases need of a store. Two implementations: MongoDB (`store`), and memory (the unit tests)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from services.revenue.domain.accrual import BookKey, BookTotals, Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.audit import Kept
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.ledger import Entry, Head, Link
from services.revenue.domain.settlements import Account, Settlement
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event


@dataclass(frozen=True, slots=True)
class Party:
    """An employer or a community, as the registry told of it."""

    role: Literal["employer", "community"]
    party_id: str
    city: str
    version: int


@dataclass(frozen=True, slots=True)
class Signatories:
    """The offices that signed: names of organisations, never of persons."""

    federation: str
    employer: str
    community: str


class LedgerStore(Protocol):
    """The store inside one transaction.

    `lock` comes before whatever must stay true until the commit: it takes the chains of the cities. Two writers of one
    city therefore conflict, and the later one runs again.
    """

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        """The ends of the chains, taken for writing."""
        ...

    async def append(self, links: Sequence[Link], heads: Collection[Head]) -> None:
        """Add entries to their chains."""
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

    async def open_bases(self, pairs: Collection[Pair]) -> dict[BookKey, int]:
        """Sum of bases of each book that is not settled, fen."""
        ...

    async def save_shifts(self, standing: Mapping[str, Standing], suspense: Mapping[str, Shift | None]) -> None:
        """What stands of shifts now, and which of them wait (`None`: waits no longer)."""
        ...

    async def add_to_books(self, city: str, totals: Mapping[BookKey, BookTotals]) -> None:
        """Raise running totals."""
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
        """Id of the settlement of a month."""
        ...

    def rebates(self, pair: Pair, month: str) -> AsyncIterator[Entry]:
        """Accruals and reversals posted into a month, in ledger order."""
        ...

    async def add_settlement(self, settlement: Settlement) -> None:
        """Store it and close its month: the pair's account moves on, its book is settled."""
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

    async def add_spending(self, spending: Spending) -> None:
        """Store it; its request is approved."""
        ...


class LedgerSnapshot(Protocol):
    """The whole ledger at one moment, for verification."""

    async def cities(self) -> Sequence[str]: ...

    async def kept(self, city: str) -> Kept: ...

    def chain(self, city: str) -> AsyncIterator[Link]:
        """All links of a city by number."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """An agreement as a reader sees it."""

    agreement: Agreement
    signatories: Signatories
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """Something that came into a fund or left it."""

    seq: int
    source: Settlement | Spending


class LedgerReads(Protocol):
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
        """Not approved, by id."""
        ...

    async def receipt(self, receipt_hash: str) -> Receipt | None: ...

    async def spent_by_category(self, community_id: str) -> Mapping[str, int]:
        """Sum of a fund's spendings on each category, fen."""
        ...

    async def office_of(self, community_id: str) -> str | None:
        """The office that signed the newest agreement for a community: its public name."""
        ...

    async def pending_releases(self) -> list[Agreement]:
        """Agreements for which more shifts wait than one transaction took."""
        ...

    async def suspense_size(self) -> int:
        """About how many shifts wait."""
        ...
