"""Settlements, and the funds that they fill, inside a transaction: a part of `LedgerStore` on MongoDB."""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING

from services.revenue.domain.agreements import Pair
from services.revenue.domain.books import BookKey, BookTotals
from services.revenue.domain.funds import Fund
from services.revenue.domain.settlements import Account, Order, Settlement
from services.revenue.store.batches import IN_STATEMENT
from services.revenue.store.documents import (
    book_key_of,
    book_totals_of,
    fund_of,
    order_document,
    order_of,
    settlement_document,
    settlement_of,
)
from services.revenue.store.payments import MongoPayments


class MongoSettlements(MongoPayments):
    """One transaction's view; made anew for each attempt."""

    async def earliest_open_month(self, pair: Pair, before: str) -> str | None:
        document = await self._db["books"].find_one(
            {"pair": pair.key, "settled": False, "month": {"$lt": before}, **IN_STATEMENT},
            sort=[("month", ASCENDING)],
            session=self._session,
        )
        return document["month"] if document else None

    async def settlement_of(self, pair: Pair, month: str) -> str | None:
        of_month = {"employer_id": pair.employer_id, "community_id": pair.community_id, "month": month}
        ordered = await self._db["orders"].find_one(of_month, session=self._session)
        document = ordered or await self._db["settlements"].find_one(
            {"pair": pair.key, "month": month, "stands": True}, session=self._session
        )
        return document["_id"] if document else None

    async def open_books(self, pair: Pair, month: str) -> dict[BookKey, BookTotals]:
        wanted = {"pair": pair.key, "settled": False, "month": month, **IN_STATEMENT}
        return {
            book_key_of(d): book_totals_of(d)
            for d in await self._db["books"].find(wanted, session=self._session).to_list(None)
        }

    async def add_order(self, order: Order) -> None:
        await self._db["orders"].insert_one(order_document(order), session=self._session)
        pair = order.pair
        await self._db["accounts"].update_one(
            {"_id": pair.key},
            {
                "$set": {"closing": order.month},
                "$setOnInsert": {
                    "city": order.city,
                    "employer_id": pair.employer_id,
                    "community_id": pair.community_id,
                    "settled_through": None,
                    "carry_fen_e4": 0,
                },
            },
            upsert=True,
            session=self._session,
        )

    async def order(self, settlement_id: str) -> Order | None:
        document = await self._db["orders"].find_one({"_id": settlement_id}, session=self._session)
        return order_of(document) if document else None

    async def add_settlement(self, settlement: Settlement) -> None:
        await self._db["orders"].delete_one({"_id": settlement.settlement_id}, session=self._session)
        await self._db["settlements"].insert_one(settlement_document(settlement), session=self._session)
        await self._move(settlement, Account(settlement.month, settlement.carry_out_fen_e4), settled=True)

    async def settlement(self, settlement_id: str) -> Settlement | None:
        document = await self._db["settlements"].find_one({"_id": settlement_id}, session=self._session)
        return settlement_of(document) if document else None

    async def settlement_before(self, pair: Pair, month: str) -> Settlement | None:
        document = await self._db["settlements"].find_one(
            {"pair": pair.key, "month": {"$lt": month}, "stands": True},
            sort=[("month", DESCENDING)],
            session=self._session,
        )
        return settlement_of(document) if document else None

    async def reopen(self, settlement: Settlement, account: Account, reason: str) -> None:
        await self._db["settlements"].update_one(
            {"_id": settlement.settlement_id},
            {"$set": {"stands": False, "reversed_at": settlement.reversed_at, "reason": reason}},
            session=self._session,
        )
        await self._move(settlement, account, settled=False)

    async def _move(self, settlement: Settlement, account: Account, *, settled: bool) -> None:
        """The pair's account and the month's books, after a settlement or its reversal."""
        pair = settlement.pair
        await self._db["accounts"].replace_one(
            {"_id": pair.key},
            {
                "city": settlement.city,
                "employer_id": pair.employer_id,
                "community_id": pair.community_id,
                "settled_through": account.settled_through,
                "carry_fen_e4": account.carry_fen_e4,
                "closing": None,
            },
            upsert=True,
            session=self._session,
        )
        await self._db["books"].update_many(
            {"pair": pair.key, "month": settlement.month, **IN_STATEMENT},
            {"$set": {"settled": settled}},
            session=self._session,
        )

    async def fund(self, community_id: str) -> Fund | None:
        document = await self._db["funds"].find_one({"_id": community_id}, session=self._session)
        return fund_of(document) if document else None

    async def save_fund(self, fund: Fund) -> None:
        await self._db["funds"].replace_one(
            {"_id": fund.community_id},
            {
                "city": fund.city,
                "income_fen": fund.income_fen,
                "spent_fen": fund.spent_fen,
                "granted_fen": fund.granted_fen,
            },
            upsert=True,
            session=self._session,
        )
