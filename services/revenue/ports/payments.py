"""What payouts and grants need of a store: parts of `LedgerStore` and `LedgerReads`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.revenue.domain.agreements import Pair
from services.revenue.domain.grants import Grant, Source
from services.revenue.domain.payouts import Batch, Payout


class PaymentStore(Protocol):
    """What payouts and grants need, inside a transaction."""

    async def outstanding(self, city: str) -> Mapping[Pair, int]:
        """What each pair of a city was settled and not ordered, fen; ordered and failed is not ordered."""
        ...

    async def add_batch(self, batch: Batch, payouts: Sequence[Payout]) -> None: ...

    async def payouts(self, payout_ids: Collection[str]) -> Mapping[str, Payout]:
        """By id; those that do not exist are absent."""
        ...

    async def save_payouts(self, payouts: Sequence[Payout]) -> None: ...

    async def source(self, source_id: str) -> Source | None: ...

    async def save_source(self, source: Source) -> None: ...

    async def add_grant(self, grant: Grant) -> None: ...


class PaymentReads(Protocol):
    """What readers ask of payouts and grants."""

    async def batches(self, city: str | None, after: str, limit: int) -> list[Batch]:
        """By id."""
        ...

    async def payouts_of(self, batch_id: str) -> list[Payout]:
        """Of one batch, by pair, as in its file."""
        ...

    async def sources(self, city: str | None, after: str, limit: int) -> list[Source]:
        """By id."""
        ...
