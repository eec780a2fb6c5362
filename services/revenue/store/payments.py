"""Payouts and grants on MongoDB: inside a transaction, and for readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date

from pymongo import ASCENDING, ReplaceOne

from services.revenue.domain.agreements import Pair
from services.revenue.domain.grants import Grant, Source
from services.revenue.domain.payouts import PAYOUTS_MAX, Batch, Payout
from shared.runtime.mongo import Database, Document, Session


class MongoPayments:
    """`PaymentStore` inside one transaction."""

    def __init__(self, db: Database, session: Session) -> None:
        self._db = db
        self._session = session

    async def outstanding(self, city: str) -> Mapping[Pair, int]:
        """What each pair of a city was settled and not ordered, fen; ordered and failed is not ordered."""
        sums: Counter[str] = Counter()
        settled = {"city": city, "reversed_at": None}
        for collection, wanted, sign in (
            ("settlements", settled, 1),
            ("payouts", {"city": city, "state": {"$ne": "failed"}}, -1),
        ):
            pipeline: list[Document] = [
                {"$match": wanted},
                {"$group": {"_id": "$pair", "amount_fen": {"$sum": "$amount_fen"}}},
            ]
            found = self._db[collection].aggregate(pipeline, session=self._session)
            for document in await found.to_list(None):
                sums[document["_id"]] += sign * document["amount_fen"]
        return {Pair(*key.split(":")): amount for key, amount in sums.items()}

    async def add_batch(self, batch: Batch, payouts: Sequence[Payout]) -> None:
        """Store both."""
        await self._db["batches"].insert_one(_batch_document(batch), session=self._session)
        await self._db["payouts"].insert_many([_document(payout) for payout in payouts], session=self._session)

    async def payouts(self, payout_ids: Collection[str]) -> Mapping[str, Payout]:
        """By id; those that do not exist are absent."""
        cursor = self._db["payouts"].find({"_id": {"$in": list(payout_ids)}}, session=self._session)
        return {document["_id"]: payout_of(document) for document in await cursor.to_list(None)}

    async def save_payouts(self, payouts: Sequence[Payout]) -> None:
        """Store what they became."""
        changes: list[ReplaceOne[Document]] = [
            ReplaceOne({"_id": payout.payout_id}, _document(payout)) for payout in payouts
        ]
        await self._db["payouts"].bulk_write(changes, ordered=False, session=self._session)

    async def source(self, source_id: str) -> Source | None:
        document = await self._db["sources"].find_one({"_id": source_id}, session=self._session)
        return _source(document) if document else None

    async def save_source(self, source: Source) -> None:
        """Add or replace it."""
        document = _source_document(source)
        await self._db["sources"].replace_one({"_id": source.source_id}, document, upsert=True, session=self._session)

    async def add_grant(self, grant: Grant) -> None:
        """Store it."""
        await self._db["grants"].insert_one(_grant_document(grant), session=self._session)


class MongoPaymentReads:
    """`PaymentReads`, outside transactions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def batches(self, city: str | None, after: str, limit: int) -> list[Batch]:
        return [_batch(document) for document in await self._by_id("batches", city, after, limit)]

    async def payouts_of(self, batch_id: str) -> list[Payout]:
        cursor = self._db["payouts"].find({"batch_id": batch_id}).sort("pair", ASCENDING)
        return [payout_of(document) for document in await cursor.to_list(PAYOUTS_MAX)]

    async def sources(self, city: str | None, after: str, limit: int) -> list[Source]:
        return [_source(document) for document in await self._by_id("sources", city, after, limit)]

    async def _by_id(self, collection: str, city: str | None, after: str, limit: int) -> list[Document]:
        wanted: Document = {"_id": {"$gt": after}} if city is None else {"_id": {"$gt": after}, "city": city}
        return await self._db[collection].find(wanted).sort("_id", ASCENDING).limit(limit).to_list(limit)


def _document(payout: Payout) -> Document:
    return {
        "_id": payout.payout_id,
        "batch_id": payout.batch_id,
        "city": payout.city,
        "pair": payout.pair.key,
        "amount_fen": payout.amount_fen,
        "ordered_at": payout.ordered_at,
        "state": payout.state,
        "bank_reference": payout.bank_reference,
        "booked_on": payout.booked_on.isoformat() if payout.booked_on else None,
    }


def payout_of(document: Document) -> Payout:
    """The payout of a document."""
    return Payout(
        payout_id=document["_id"],
        batch_id=document["batch_id"],
        city=document["city"],
        pair=Pair(*document["pair"].split(":")),
        amount_fen=document["amount_fen"],
        ordered_at=document["ordered_at"],
        state=document["state"],
        bank_reference=document["bank_reference"],
        booked_on=date.fromisoformat(document["booked_on"]) if document["booked_on"] else None,
    )


def _batch_document(batch: Batch) -> Document:
    return {
        "_id": batch.batch_id,
        "city": batch.city,
        "count": batch.count,
        "amount_fen": batch.amount_fen,
        "file_hash": batch.file_hash,
        "ordered_at": batch.ordered_at,
    }


def _batch(document: Document) -> Batch:
    return Batch(
        document["_id"],
        document["city"],
        document["count"],
        document["amount_fen"],
        document["file_hash"],
        document["ordered_at"],
    )


def _source_document(source: Source) -> Document:
    return {
        "_id": source.source_id,
        "city": source.city,
        "kind": source.kind,
        "giver": source.giver,
        "limit_fen": source.limit_fen,
        "valid_from": source.valid_from.isoformat(),
        "valid_until": source.valid_until.isoformat(),
        "given_fen": source.given_fen,
    }


def _source(document: Document) -> Source:
    return Source(
        source_id=document["_id"],
        city=document["city"],
        kind=document["kind"],
        giver=document["giver"],
        limit_fen=document["limit_fen"],
        valid_from=date.fromisoformat(document["valid_from"]),
        valid_until=date.fromisoformat(document["valid_until"]),
        given_fen=document["given_fen"],
    )


def _grant_document(grant: Grant) -> Document:
    return {
        "_id": grant.grant_id,
        "source_id": grant.source_id,
        "city": grant.city,
        "kind": grant.kind,
        "community_id": grant.community_id,
        "employer_id": grant.employer_id,
        "amount_fen": grant.amount_fen,
        "granted_on": grant.granted_on.isoformat(),
        "granted_at": grant.granted_at,
    }


def grant_of(document: Document) -> Grant:
    """The grant of a document."""
    return Grant(
        grant_id=document["_id"],
        source_id=document["source_id"],
        city=document["city"],
        kind=document["kind"],
        community_id=document["community_id"],
        employer_id=document["employer_id"],
        amount_fen=document["amount_fen"],
        granted_on=date.fromisoformat(document["granted_on"]),
        granted_at=document["granted_at"],
    )
