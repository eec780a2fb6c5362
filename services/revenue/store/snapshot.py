"""The whole ledger at one moment: `LedgerSnapshot` on MongoDB, while others go on writing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pymongo import ASCENDING

from services.revenue.domain.accrual import BookTotals
from services.revenue.domain.audit import Kept
from services.revenue.domain.ledger import Head, Link
from services.revenue.domain.settlements import Account
from services.revenue.store.documents import fund_of, link_of, pair_of, settlement_of
from services.revenue.store.write import READ_BATCH
from shared.runtime.mongo import Database, Document, Mongo, Session


class MongoSnapshot:
    """Reads of one snapshot session; MongoDB keeps the moment for five minutes, so a read may not last longer."""

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
            books={
                (pair_of(d), d["month"]): BookTotals(d["entries"], d["base_fen"], d["sum_fen_e4"])
                async for d in self._read("books", of_city, "_id")
            },
            accounts={
                pair_of(d): Account(d["settled_through"], d["carry_fen_e4"])
                async for d in self._read("accounts", of_city, "_id")
            },
            funds={d["_id"]: fund_of(d) async for d in self._read("funds", of_city, "_id")},
            settlements={d["_id"]: settlement_of(d) async for d in self._read("settlements", of_city, "_id")},
        )

    async def chain(self, city: str) -> AsyncIterator[Link]:
        async for document in self._read("entries", {"city": city}, "seq"):
            yield link_of(document)

    async def _read(self, collection: str, wanted: Document, order: str) -> AsyncIterator[Document]:
        cursor = self._db[collection].find(wanted, session=self._session).sort(order, ASCENDING)
        while documents := await cursor.to_list(READ_BATCH):
            for document in documents:
                yield document


@asynccontextmanager
async def at_one_moment(mongo: Mongo) -> AsyncIterator[MongoSnapshot]:
    """A snapshot for the duration of the block."""
    async with await mongo.client.start_session(snapshot=True) as session:
        yield MongoSnapshot(mongo.db, session)
