"""The whole ledger at one moment: `LedgerSnapshot` on MongoDB, while others go on writing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pymongo import ASCENDING

from services.revenue.domain.accrual import Shift, Standing
from services.revenue.domain.audit import Kept
from services.revenue.domain.ledger import Block, Head, Link
from services.revenue.domain.reconciliation import Money
from services.revenue.store.batches import batches
from services.revenue.store.documents import (
    account_of,
    agreement_of,
    book_key_of,
    book_totals_of,
    fund_of,
    pair_of,
    settlement_of,
    shift_of,
    standing_of,
)
from services.revenue.store.lines import Books, block_of, place_of, until
from services.revenue.store.payments import payout_of
from shared.contracts.revenue import RebateAccrued
from shared.runtime.mongo import Database, Document, Mongo, Session

RUN_ENTRIES = 300_000
"""Entries that the server sorts at once, some seconds of work: well within the time that a statement may take. A reader
holds a batch of each run."""


class MongoSnapshot:
    """What is kept beside the ledger, as of one moment; and the ledger up to that moment, which never changes.

    MongoDB keeps a moment for five minutes. The totals are read within seconds; the chain may take hours, and is
    therefore read without the session, up to the number that the totals stand for.
    """

    def __init__(self, db: Database, session: Session) -> None:
        self._db = db
        self._session = session
        self._books = Books(db)

    async def cities(self) -> Sequence[str]:
        return [document["_id"] async for document in self._read("heads", {}, "_id")]

    async def kept(self, city: str) -> Kept:
        of_city = {"city": city}
        head = [Head(city, d["seq"], d["hash"]) async for d in self._read("heads", {"_id": city}, "_id")]
        return Kept(
            head=head[0] if head else Head(city),
            books={book_key_of(d): book_totals_of(d) async for d in self._read("books", of_city, "_id")},
            accounts={pair_of(d): account_of(d) async for d in self._read("accounts", of_city, "_id")},
            funds={d["_id"]: fund_of(d) async for d in self._read("funds", of_city, "_id")},
            agreements=[agreement_of(d) async for d in self._read("agreements", of_city, "_id")],
            settlements={d["_id"]: settlement_of(d) async for d in self._read("settlements", of_city, "_id")},
            told=sum([d["seq"] async for d in self._read("told", {"_id": city}, "_id")]),
        )

    async def chain(self, city: str) -> AsyncIterator[Link]:
        wanted = {"n": until(city, await self._end(city))}
        async for documents in batches(self._db["entries"].find(wanted).sort("n", ASCENDING)):
            for link in await self._books.links(documents):
                yield link

    async def blocks(self, city: str) -> AsyncIterator[Block]:
        wanted = {"_id": until(city, await self._end(city))}
        async for documents in batches(self._db["blocks"].find(wanted).sort("_id", ASCENDING)):
            for document in documents:
                yield block_of(document)

    async def told(self, entry_ids: Sequence[str]) -> Sequence[str]:
        wanted = {"topic": RebateAccrued.topic, "entity_id": {"$in": list(entry_ids)}}
        # Answered from the index alone.
        cursor = self._db["events"].find(wanted, {"_id": 0, "entity_id": 1})
        return [document["entity_id"] for document in await cursor.to_list(None)]

    async def money(self, city: str) -> Money:
        of_city = {"city": city}
        places = until(city, await self._end(city))
        wanted = {"kind": {"$in": ["settlement", "settlement-reversal", "payout"]}, "n": places}
        transfers = await self._db["entries"].find(wanted).sort("n", ASCENDING).to_list(None)
        return Money(
            agreements=[agreement_of(d) async for d in self._read("agreements", of_city, "_id")],
            settlements=[settlement_of(d) async for d in self._read("settlements", of_city, "_id")],
            payouts=[payout_of(d) async for d in self._read("payouts", of_city, "_id")],
            transfers=await self._books.links(transfers),
        )

    async def standings(self, city: str) -> AsyncIterator[tuple[str, Standing]]:
        async for document in self._read("shifts", {"city": city}, "_id"):
            yield document["_id"], standing_of(document)

    async def suspended(self, city: str) -> AsyncIterator[tuple[str, Shift]]:
        async for document in self._read("suspense", {"city": city}, "_id"):
            yield document["_id"], shift_of(document)

    async def shift_lines(self, city: str) -> Sequence[AsyncIterator[tuple[str, Link]]]:
        end = await self._end(city)
        return [self._run(city, first, min(first + RUN_ENTRIES - 1, end)) for first in range(1, end + 1, RUN_ENTRIES)]

    async def _run(self, city: str, first: int, last: int) -> AsyncIterator[tuple[str, Link]]:
        # Sorted by the server, on its disk where it must: an index would cost every accrual.
        stages: list[Document] = [
            {"$match": {"n": {"$gte": place_of(city, first), "$lte": place_of(city, last)}, "b": {"$exists": True}}},
            {"$set": {"shift": {"$ifNull": ["$s", "$_id"]}}},
            {"$sort": {"shift": ASCENDING, "n": ASCENDING}},
        ]
        async for documents in batches(self._db["entries"].aggregate(stages, allowDiskUse=True)):
            for document, link in zip(documents, await self._books.links(documents), strict=True):
                yield document["shift"], link

    async def _end(self, city: str) -> int:
        """Number of the last entry of the moment; entries never change, so they can be read without the session."""
        head = await self._db["heads"].find_one({"_id": city}, session=self._session)
        return int(head["seq"]) if head else 0

    async def _read(self, collection: str, wanted: Document, order: str) -> AsyncIterator[Document]:
        cursor = self._db[collection].find(wanted, session=self._session).sort(order, ASCENDING)
        async for documents in batches(cursor):
            for document in documents:
                yield document


@asynccontextmanager
async def at_one_moment(mongo: Mongo) -> AsyncIterator[MongoSnapshot]:
    """A snapshot for the duration of the block."""
    async with mongo.at_one_moment() as session:
        yield MongoSnapshot(mongo.db, session)
