"""The ledger inside one transaction: `LedgerStore` on MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.revenue.domain import accrual
from services.revenue.domain.accrual import Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.books import BookKey, BookTotals, Numbered
from services.revenue.domain.funds import Receipt, Spending, SpendingRequest
from services.revenue.domain.ledger import Block, Head, Link
from services.revenue.domain.months import first_day
from services.revenue.domain.settlements import Account
from services.revenue.errors import ReceiptUsed
from services.revenue.ports import Party, Signatories
from services.revenue.store.documents import (
    account_of,
    agreement_document,
    agreement_of,
    book_key_of,
    pair_of,
    request_document,
    request_of,
    shift_document,
    shift_of,
    spending_document,
    standing_document,
    standing_of,
)
from services.revenue.store.lines import (
    Books,
    block_document,
    book_number,
    entry_document,
    line_documents,
    place_of,
)
from services.revenue.store.settle import MongoSettlements
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.clock import end_of_month
from shared.kernel.errors import Fault
from shared.messaging.events import EventLog
from shared.runtime.mongo import Database, Document, Session


class MongoLedger(MongoSettlements):
    """One transaction's view; made anew for each attempt."""

    def __init__(self, db: Database, events: EventLog, session: Session) -> None:
        super().__init__(db, session)
        self._events = events
        self._books = Books(db, session)
        self._known_shifts: set[str] = set()
        self._numbers: dict[BookKey, int] = {}

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        of_cities = {"_id": {"$in": list(cities)}}
        # A write, although nothing is meant by it: a second writer of one of the cities then conflicts at once.
        await self._db["heads"].update_many(of_cities, {"$inc": {"turn": 1}}, session=self._session)
        documents = await self._db["heads"].find(of_cities, session=self._session).to_list(None)
        heads = {document["_id"]: Head(document["_id"], document["seq"], document["hash"]) for document in documents}
        new = [Head(city) for city in cities if city not in heads]
        if new:
            first = [{"_id": head.city, "seq": head.seq, "hash": head.hash, "turn": 1} for head in new]
            await self._db["heads"].insert_many(first, session=self._session)
        return heads | {head.city: head for head in new}

    async def append(self, links: Sequence[Link], blocks: Collection[Block]) -> None:
        await self._append([entry_document(link) for link in links], blocks)

    async def append_lines(
        self, lines: Mapping[str, Mapping[BookKey, Sequence[Numbered]]], blocks: Collection[Block]
    ) -> None:
        documents: list[Document] = []
        for city, books in lines.items():
            start = place_of(city, 0)
            for key, some in books.items():
                documents += line_documents(some, start, self._numbers[key])
        await self._append(documents, blocks)

    async def _append(self, documents: Sequence[Document], blocks: Collection[Block]) -> None:
        # The command itself: `insert_many` takes each document through several steps of its own. What one transaction
        # posts, some MB at most, is one message.
        insert = {"insert": "entries", "documents": documents, "ordered": False}
        answer = await self._db.command(insert, session=self._session)
        if answer.get("writeErrors"):
            raise BulkWriteError(answer)
        await self._db["blocks"].insert_many([block_document(block) for block in blocks], session=self._session)
        ends = [UpdateOne({"_id": block.city}, {"$set": {"seq": block.last, "hash": block.hash}}) for block in blocks]
        await self._db["heads"].bulk_write(ends, ordered=False, session=self._session)

    async def untold(self, city: str, limit: int) -> Sequence[Link]:
        document = await self._db["told"].find_one_and_update(
            {"_id": city},
            {"$inc": {"turn": 1}, "$setOnInsert": {"seq": 0}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=self._session,
        )
        places = {"$gt": place_of(city, document["seq"]), "$lte": place_of(city, document["seq"] + limit)}
        cursor = self._db["entries"].find({"n": places}, session=self._session).sort("n", ASCENDING)
        return await self._books.links(await cursor.to_list(None))

    async def mark_told(self, city: str, seq: int) -> None:
        await self._db["told"].update_one({"_id": city}, {"$set": {"seq": seq}}, session=self._session)

    async def publish(self, events: Sequence[Event], at: datetime) -> list[Envelope]:
        return await self._events.append(self._session, events, at)

    async def note_parties(self, parties: Collection[Party]) -> None:
        newest: dict[str, Party] = {}
        for party in parties:
            if party.party_id not in newest or newest[party.party_id].version < party.version:
                newest[party.party_id] = party
        known = {
            document["_id"]: document["version"]
            async for document in self._db["parties"].find({"_id": {"$in": list(newest)}}, session=self._session)
        }
        changes: list[ReplaceOne[Document]] = [
            ReplaceOne(
                {"_id": party.party_id},
                {"role": party.role, "city": party.city, "version": party.version},
                upsert=True,
            )
            for party in newest.values()
            if known.get(party.party_id, 0) < party.version
        ]
        if changes:
            await self._db["parties"].bulk_write(changes, ordered=False, session=self._session)

    async def city_of(self, role: Literal["employer", "community"], party_id: str) -> str | None:
        document = await self._db["parties"].find_one({"_id": party_id, "role": role}, session=self._session)
        return document["city"] if document else None

    async def agreements(self, pairs: Collection[Pair]) -> Mapping[Pair, Sequence[Agreement]]:
        found: dict[Pair, list[Agreement]] = {}
        wanted = {"pair": {"$in": [pair.key for pair in pairs]}}
        cursor = self._db["agreements"].find(wanted, session=self._session)
        for document in await cursor.sort([("pair", ASCENDING), ("version", ASCENDING)]).to_list(None):
            agreement = agreement_of(document)
            found.setdefault(agreement.pair, []).append(agreement)
        return found

    async def add_agreement(self, agreement: Agreement, signatories: Signatories, signed_at: datetime) -> None:
        await self._db["agreements"].insert_one(
            agreement_document(agreement, signatories, signed_at), session=self._session
        )

    async def accounts(self, pairs: Collection[Pair]) -> Mapping[Pair, Account]:
        wanted = {"_id": {"$in": [pair.key for pair in pairs]}}
        documents = await self._db["accounts"].find(wanted, session=self._session).to_list(None)
        return {pair_of(d): account_of(d) for d in documents}

    async def standing(self, shift_ids: Collection[str]) -> dict[str, Standing]:
        wanted = {"_id": {"$in": list(shift_ids)}}
        lines = await self._db["entries"].find(wanted, session=self._session).to_list(None)
        standing = {
            link.entry.rebate.shift_id: one
            for link in await self._books.links(lines)
            if link.entry.rebate is not None and (one := accrual.standing_of(link.entry)) is not None
        }
        for document in await self._db["shifts"].find(wanted, session=self._session).to_list(None):
            self._known_shifts.add(document["_id"])
            standing[document["_id"]] = standing_of(document)
        return standing

    async def bases(self, pairs: Collection[Pair], worked_months: Collection[str]) -> dict[BookKey, int]:
        cursor = self._db["books"].find(
            {
                "pair": {"$in": [pair.key for pair in pairs]},
                "$or": [{"settled": False}, {"worked_month": {"$in": list(worked_months)}}],
            },
            session=self._session,
        )
        documents = await cursor.to_list(None)
        self._numbers |= {book_key_of(d): d["number"] for d in documents}
        return {book_key_of(d): d["base_fen"] for d in documents}

    async def last_day_accrued(self, agreement_id: str) -> date | None:
        document = await self._db["books"].find_one(
            {"agreement_id": agreement_id}, sort=[("last_day", DESCENDING)], session=self._session
        )
        return date.fromisoformat(document["last_day"]) if document else None

    async def save_shifts(self, standing: Mapping[str, Standing], suspense: Mapping[str, Shift | None]) -> None:
        changes: list[InsertOne[Document] | ReplaceOne[Document]] = []
        for shift_id, known in standing.items():
            document = standing_document(shift_id, known)
            new = shift_id not in self._known_shifts
            changes.append(InsertOne(document) if new else ReplaceOne({"_id": shift_id}, document))
        await self._db["shifts"].bulk_write(changes, ordered=False, session=self._session)
        waiting: list[ReplaceOne[Document]] = [
            ReplaceOne({"_id": shift_id}, shift_document(shift), upsert=True)
            for shift_id, shift in suspense.items()
            if shift is not None
        ]
        if waiting:
            await self._db["suspense"].bulk_write(waiting, ordered=False, session=self._session)
        gone = [shift_id for shift_id, shift in suspense.items() if shift is None]
        if gone:
            await self._db["suspense"].delete_many({"_id": {"$in": gone}}, session=self._session)

    async def add_to_books(self, totals: Mapping[str, Mapping[BookKey, BookTotals]]) -> None:
        for city, books in totals.items():
            await self._number(city, books.keys() - self._numbers.keys())
        changes: list[UpdateOne] = [
            UpdateOne(
                {"_id": _book_id(key)},
                {
                    "$inc": {
                        "entries": more.entries,
                        "base_fen": Int64(more.base_fen),
                        "sum_fen_e4": Int64(more.sum_fen_e4),
                    },
                    "$max": {"last_day": more.last_day.isoformat()},
                    "$setOnInsert": {
                        "city": city,
                        "number": self._numbers[key],
                        "pair": key.pair.key,
                        "employer_id": key.pair.employer_id,
                        "community_id": key.pair.community_id,
                        "month": key.month,
                        "worked_month": key.worked_month,
                        "agreement_id": key.agreement_id,
                        "settled": False,
                    },
                },
                upsert=True,
            )
            for city, books in totals.items()
            for key, more in books.items()
        ]
        await self._db["books"].bulk_write(changes, ordered=False, session=self._session)

    async def _number(self, city: str, keys: Collection[BookKey]) -> None:
        """Find the numbers of books, and give the next ones of the city to those that are new."""
        if not keys:
            return
        wanted = {"_id": {"$in": [_book_id(key) for key in keys]}}
        found = {d["_id"]: d["number"] async for d in self._db["books"].find(wanted, session=self._session)}
        new = sorted(key for key in keys if _book_id(key) not in found)
        self._numbers |= {key: found[_book_id(key)] for key in keys if _book_id(key) in found}
        if new:
            head = await self._db["heads"].find_one_and_update(
                {"_id": city},
                {"$inc": {"books": len(new)}},
                return_document=ReturnDocument.AFTER,
                session=self._session,
            )
            first = head["books"] - len(new) + 1
            self._numbers |= {key: book_number(city, count) for count, key in enumerate(new, first)}

    async def waiting(self, pair: Pair, city: str, first: date, last: date, after: str, limit: int) -> Sequence[Shift]:
        cursor = self._db["suspense"].find(
            {
                "pair": pair.key,
                "city": city,
                "day": {"$gte": first.isoformat(), "$lte": last.isoformat()},
                "_id": {"$gt": after},
            },
            session=self._session,
        )
        return [shift_of(document) for document in await cursor.sort("_id", ASCENDING).limit(limit).to_list(None)]

    async def postpone_release(self, agreement: Agreement) -> None:
        await self._db["agreements"].update_one(
            {"_id": agreement.agreement_id}, {"$set": {"release_pending": True}}, session=self._session
        )

    async def release_done(self, agreement_id: str) -> None:
        await self._db["agreements"].update_one(
            {"_id": agreement_id}, {"$unset": {"release_pending": ""}}, session=self._session
        )

    async def count_waiting(self, pair: Pair, month: str) -> int:
        wanted = {"pair": pair.key, "day": {"$lte": end_of_month(first_day(month)).isoformat()}}
        return await self._db["suspense"].count_documents(wanted, session=self._session)

    async def request(self, spending_id: str) -> SpendingRequest | None:
        document = await self._db["spendings"].find_one({"_id": spending_id}, session=self._session)
        return request_of(document) if document else None

    async def request_with(self, receipt_hash: str) -> str | None:
        document = await self._db["spendings"].find_one({"receipt_hash": receipt_hash}, {}, session=self._session)
        return document["_id"] if document else None

    async def add_request(self, request: SpendingRequest, receipt: Receipt) -> None:
        kept = {
            "_id": receipt.receipt_hash,
            "media_type": receipt.media_type,
            "content": receipt.content,
            "kept_at": request.requested_at,
        }
        try:
            await self._db["receipts"].insert_one(kept, session=self._session)
        except DuplicateKeyError as error:
            raise ReceiptUsed(
                "a request of another city has the same receipt", Fault("receipt", "another one")
            ) from error
        await self._db["spendings"].insert_one(request_document(request), session=self._session)

    async def save_request(self, request: SpendingRequest) -> None:
        document = request_document(request)
        await self._db["spendings"].replace_one({"_id": document["_id"]}, document, session=self._session)

    async def add_spending(self, spending: Spending) -> None:
        document = spending_document(spending)
        await self._db["spendings"].replace_one({"_id": document["_id"]}, document, session=self._session)


def _book_id(key: BookKey) -> str:
    return f"{key.pair.key}:{key.month}:{key.worked_month}:{key.agreement_id}"
