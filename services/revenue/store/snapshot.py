"""The whole ledger at one moment: `LedgerSnapshot` on MongoDB, while others go on writing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pymongo import ASCENDING

from services.revenue.domain.audit import Kept
from services.revenue.domain.ledger import Head, Link
from services.revenue.store.batches import batches
from services.revenue.store.documents import (
    account_of,
    agreement_of,
    book_key_of,
    book_totals_of,
    fund_of,
    link_of,
    pair_of,
    settlement_of,
)
from shared.contracts.revenue import RebateAccrued
from shared.runtime.mongo import Database, Document, Mongo, Session


class MongoSnapshot:
    """What is kept beside the ledger, as of one moment; and the ledger up to that moment, which never changes.

    MongoDB keeps a moment for five minutes. The totals are read within seconds; the chain may take hours, and is
    therefore read without the session, up to the number that the totals stand for.
    """

    def __init__(self, db: Database, session: Session) -> None:
        self._db = db
        self._session = session

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
        )

    async def chain(self, city: str) -> AsyncIterator[Link]:
        head = await self._db["heads"].find_one({"_id": city}, session=self._session)
        wanted = {"city": city, "seq": {"$lte": head["seq"] if head else 0}}
        async for documents in batches(self._db["entries"].find(wanted).sort("seq", ASCENDING)):
            for document in documents:
                yield link_of(document)

    async def told(self, entry_ids: Sequence[str]) -> Sequence[str]:
        wanted = {"topic": RebateAccrued.topic, "entity_id": {"$in": list(entry_ids)}}
        # Answered from the index alone.
        cursor = self._db["events"].find(wanted, {"_id": 0, "entity_id": 1})
        return [document["entity_id"] for document in await cursor.to_list(None)]

    async def _read(self, collection: str, wanted: Document, order: str) -> AsyncIterator[Document]:
        cursor = self._db[collection].find(wanted, session=self._session).sort(order, ASCENDING)
        async for documents in batches(cursor):
            for document in documents:
                yield document


@asynccontextmanager
async def at_one_moment(mongo: Mongo) -> AsyncIterator[MongoSnapshot]:
    """A snapshot for the duration of the block."""
    async with await mongo.client.start_session(snapshot=True) as session:
        yield MongoSnapshot(mongo.db, session)
