"""What readers ask: `LedgerReads` on MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import get_args

from pymongo import ASCENDING, DESCENDING

from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.books import BookKey, BookTotals
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.grants import Grant
from services.revenue.domain.ledger import Block, Entry, Link, RebateKind, entry_id_of
from services.revenue.domain.settlements import Settlement
from services.revenue.ports import Movement, Progress, Signed
from services.revenue.store.batches import IN_STATEMENT, READ_BATCH, month_lines
from services.revenue.store.documents import (
    agreement_of,
    book_key_of,
    book_totals_of,
    fund_of,
    order_of,
    request_of,
    settlement_of,
    shift_of,
    signed_of,
    spending_of,
)
from services.revenue.store.indexes import FUND_KINDS
from services.revenue.store.lines import SEQ_MAX, Books, block_of, place_of, seq_of, until
from services.revenue.store.payments import MongoPaymentReads, grant_of
from shared.runtime.mongo import Document


class MongoReads(MongoPaymentReads):
    """Reads outside transactions; each sees what is committed when it runs."""

    async def agreements(
        self, employer_id: str | None, community_id: str | None, after: str, limit: int
    ) -> list[Signed]:
        wanted = _given(employer_id=employer_id, community_id=community_id)
        return [signed_of(document) for document in await self._after_id("agreements", wanted, after, limit)]

    async def settlements(
        self, month: str | None, employer_id: str | None, community_id: str | None, after: str, limit: int
    ) -> list[Settlement]:
        wanted = _given(month=month, employer_id=employer_id, community_id=community_id)
        return [settlement_of(document) for document in await self._after_id("settlements", wanted, after, limit)]

    async def settlement(self, settlement_id: str) -> Settlement | None:
        document = await self._db["settlements"].find_one({"_id": settlement_id})
        return settlement_of(document) if document else None

    async def latest_agreement(self, pair: Pair) -> Signed | None:
        document = await self._db["agreements"].find_one({"pair": pair.key}, sort=[("version", DESCENDING)])
        return signed_of(document) if document else None

    async def progress(self, settlement_id: str) -> Progress | None:
        document = await self._db["orders"].find_one({"_id": settlement_id})
        return Progress(order_of(document), document["read"], document.get("failure")) if document else None

    async def books_worked(self, pair: Pair, worked_month: str) -> dict[BookKey, BookTotals]:
        wanted = {"pair": pair.key, "worked_month": worked_month, **IN_STATEMENT}
        return {book_key_of(d): book_totals_of(d) for d in await self._db["books"].find(wanted).to_list(None)}

    async def statement_lines(self, settlement: Settlement) -> AsyncIterator[Entry]:
        # Lines that came after it was reversed belong to the settlement that took its place.
        end = await self._db["entries"].find_one({"_id": entry_id_of("settlement", settlement.settlement_id)})
        if end is None:
            return
        async for link in month_lines(self._db, settlement.pair, settlement.month, end["n"]):
            yield link.entry

    async def links(
        self, city: str | None, rebates_only: bool, after: tuple[str, int] | None, limit: int
    ) -> list[Link]:
        # A line without a kind is an accrual.
        wanted: Document = {"b": {"$exists": True}, "k": {"$in": [None, *get_args(RebateKind)]}} if rebates_only else {}
        places: Document = {}
        if city is not None:
            places |= until(city, SEQ_MAX)
        if after is not None:
            places["$gt"] = max(place_of(*after), places.get("$gt", 0))
        if places:
            wanted["n"] = places
        cursor = self._db["entries"].find(wanted).sort("n", ASCENDING)
        return await Books(self._db).links(await cursor.limit(limit).to_list(limit))

    async def blocks(self, city: str, after: int, limit: int) -> list[Block]:
        wanted = {"_id": {"$gt": place_of(city, after), "$lte": place_of(city, SEQ_MAX)}}
        cursor = self._db["blocks"].find(wanted).sort("_id", ASCENDING)
        return [block_of(document) for document in await cursor.limit(limit).to_list(limit)]

    async def cities_to_tell(self) -> list[str]:
        told = {document["_id"]: document["seq"] async for document in self._db["told"].find()}
        heads = self._db["heads"].find().sort("_id", ASCENDING)
        return [document["_id"] async for document in heads if document["seq"] > told.get(document["_id"], 0)]

    async def suspended(self, city: str | None, community_id: str | None, after: str, limit: int) -> list[Shift]:
        wanted = _given(city=city, community_id=community_id)
        return [shift_of(document) for document in await self._after_id("suspense", wanted, after, limit)]

    async def city_of_community(self, community_id: str) -> str | None:
        document = await self._db["parties"].find_one({"_id": community_id, "role": "community"})
        return document["city"] if document else None

    async def fund(self, community_id: str) -> Fund | None:
        document = await self._db["funds"].find_one({"_id": community_id})
        return fund_of(document) if document else None

    async def movements(self, community_id: str, after: int, limit: int) -> list[Movement]:
        newest = await self._db["entries"].find_one(
            {"community_id": community_id, "kind": {"$in": FUND_KINDS}}, {"n": 1}
        )
        if newest is None:
            return []
        after_place = newest["n"] - seq_of(newest["n"]) + after
        found = await self._movements({"community_id": community_id, "n": {"$gt": after_place}}, ASCENDING, limit)
        return sorted(found, key=lambda movement: movement.seq)

    async def latest_movements(self, community_id: str, limit: int) -> list[Movement]:
        found = await self._movements({"community_id": community_id}, DESCENDING, limit)
        return sorted(found, key=lambda movement: -movement.seq)

    async def _movements(self, wanted: Document, order: int, limit: int) -> list[Movement]:
        wanted = {**wanted, "kind": {"$in": FUND_KINDS}}
        cursor = self._db["entries"].find(wanted, {"n": 1, "cause": 1, "kind": 1}).sort("n", order).limit(limit)
        entries = await cursor.to_list(limit)
        causes = {"_id": {"$in": [entry["cause"] for entry in entries]}}
        sources: dict[str, Settlement | Spending | Grant] = {
            document["_id"]: settlement_of(document)
            for document in await self._db["settlements"].find(causes).to_list(limit)
        }
        for document in await self._db["spendings"].find(causes).to_list(limit):
            sources[document["_id"]] = spending_of(document)
        for document in await self._db["grants"].find(causes).to_list(limit):
            sources[document["_id"]] = grant_of(document)
        return [
            Movement(seq_of(entry["n"]), sources[entry["cause"]], entry["kind"] == "settlement-reversal")
            for entry in entries
        ]

    async def requests(self, community_id: str | None, after: str, limit: int) -> list[SpendingRequest]:
        wanted: Document = {**_given(community_id=community_id), "is_approved": False, "declined": None}
        return [request_of(document) for document in await self._after_id("spendings", wanted, after, limit)]

    async def receipt(self, receipt_hash: str) -> Receipt | None:
        document = await self._db["receipts"].find_one({"_id": receipt_hash})
        return Receipt(document["content"]) if document else None

    async def spent_by_category(self, community_id: str) -> Mapping[str, int]:
        pipeline: list[Document] = [
            {"$match": {"community_id": community_id, "is_approved": True}},
            {"$group": {"_id": "$category", "amount_fen": {"$sum": "$amount_fen"}}},
        ]
        found = await self._db["spendings"].aggregate(pipeline).to_list(None)
        return {document["_id"]: document["amount_fen"] for document in found}

    async def office_of(self, community_id: str) -> str | None:
        newest = await self._db["agreements"].find_one({"community_id": community_id}, sort=[("signed_at", DESCENDING)])
        return signed_of(newest).signatories.community.office if newest else None

    async def pending_releases(self) -> list[Agreement]:
        documents = await self._db["agreements"].find({"release_pending": True}).to_list(READ_BATCH)
        return [agreement_of(document) for document in documents]

    async def suspense_size(self) -> int:
        return await self._db["suspense"].estimated_document_count()

    async def _after_id(self, collection: str, wanted: Document, after: str, limit: int) -> list[Document]:
        cursor = self._db[collection].find({**wanted, "_id": {"$gt": after}}).sort("_id", ASCENDING)
        return await cursor.limit(limit).to_list(limit)


def _given(**filters: str | None) -> Document:
    return {name: value for name, value in filters.items() if value is not None}
