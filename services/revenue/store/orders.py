"""Settlements that were ordered and are not entered yet: `Orders` on MongoDB.

A document of `orders` is an `Order` with `read` (lines read so far), `claimed_until` and, when it stopped, `failure`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from pymongo import ASCENDING

from services.revenue.domain.settlements import Line, Order, line_of
from services.revenue.store.batches import month_lines
from services.revenue.store.documents import order_of
from shared.kernel.clock import Clock
from shared.runtime.mongo import Database

CLAIM = timedelta(seconds=30)
"""How long an instance has an order without a report of progress; above the longest pause between two reports."""


class MongoOrders:
    """Orders, outside of transactions."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._orders = db["orders"]
        self._clock = clock

    async def pending(self) -> list[Order]:
        wanted = {"failure": None, "$or": [{"claimed_until": None}, {"claimed_until": {"$lte": self._clock()}}]}
        documents = await self._orders.find(wanted).sort("ordered_at", ASCENDING).to_list(None)
        return [order_of(document) for document in documents]

    async def claim(self, settlement_id: str) -> bool:
        now = self._clock()
        free = {"$or": [{"claimed_until": None}, {"claimed_until": {"$lte": now}}]}
        changed = await self._orders.update_one(
            {"_id": settlement_id, "failure": None, **free}, {"$set": {"claimed_until": now + CLAIM, "read": 0}}
        )
        return changed.modified_count == 1

    async def report(self, settlement_id: str, read: int) -> None:
        await self._orders.update_one(
            {"_id": settlement_id}, {"$set": {"read": read, "claimed_until": self._clock() + CLAIM}}
        )

    async def fail(self, settlement_id: str, why: str) -> None:
        await self._orders.update_one({"_id": settlement_id}, {"$set": {"failure": why}})

    async def lines(self, order: Order) -> AsyncIterator[Line]:
        async for _, entry in month_lines(self._db, order.pair, order.month):
            yield line_of(entry), entry.rebate.base_fen if entry.rebate else 0, entry.amount_fen_e4
