"""Payouts and grants in memory: the part of the store that is about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from services.revenue.domain.agreements import Pair
from services.revenue.domain.grants import Grant, Source
from services.revenue.domain.payouts import Batch, Payout
from services.revenue.domain.settlements import Settlement


@dataclass
class MemoryPayments:
    """`PaymentStore` in dictionaries."""

    settlements: dict[str, Settlement] = field(default_factory=dict)
    kept_batches: dict[str, Batch] = field(default_factory=dict)
    kept_payouts: dict[str, Payout] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)

    async def outstanding(self, city: str) -> Mapping[Pair, int]:
        sums: Counter[Pair] = Counter()
        for settlement in self.settlements.values():
            if settlement.city == city and getattr(settlement, "reversed_at", None) is None:
                sums[settlement.pair] += settlement.amount_fen
        for payout in self.kept_payouts.values():
            if payout.city == city and payout.state != "failed":
                sums[payout.pair] -= payout.amount_fen
        return sums

    async def add_batch(self, batch: Batch, payouts: Sequence[Payout]) -> None:
        self.kept_batches[batch.batch_id] = batch
        self.kept_payouts.update({payout.payout_id: payout for payout in payouts})

    async def payouts(self, payout_ids: Collection[str]) -> Mapping[str, Payout]:
        return {one: self.kept_payouts[one] for one in payout_ids if one in self.kept_payouts}

    async def save_payouts(self, payouts: Sequence[Payout]) -> None:
        self.kept_payouts.update({payout.payout_id: payout for payout in payouts})

    async def source(self, source_id: str) -> Source | None:
        return self.sources.get(source_id)

    async def save_source(self, source: Source) -> None:
        self.sources[source.source_id] = source

    async def add_grant(self, grant: Grant) -> None:
        self.grants.append(grant)
