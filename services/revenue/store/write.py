"""The ledger inside one transaction: `LedgerStore` on MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from services.revenue.domain.accrual import BookKey, BookTotals, Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.funds import Fund, Receipt, Spending, SpendingRequest
from services.revenue.domain.ledger import GENESIS_HASH, Head, Link
from services.revenue.domain.months import first_day
from services.revenue.domain.settlements import Account, Order, Settlement
from services.revenue.errors import ReceiptUsed
from services.revenue.ports import Party, Signatories
from services.revenue.store.documents import (
    account_of,
    agreement_document,
    agreement_of,
    book_key_of,
    book_totals_of,
    fund_of,
    link_document,
    order_document,
    order_of,
    pair_of,
    request_document,
    request_of,
    settlement_document,
    settlement_of,
    shift_document,
    shift_of,
    spending_document,
    standing_document,
    standing_of,
)
from services.revenue.store.payments import MongoPayments
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.clock import end_of_month
from shared.kernel.errors import Fault
from shared.messaging.events import EventLog
from shared.runtime.mongo import Database, Document, Session


class MongoLedger(MongoPayments):
    """One transaction's view; made anew for each attempt."""

    def __init__(self, db: Database, events: EventLog, session: Session) -> None:
        super().__init__(db, session)
        self._events = events
        self._known_shifts: set[str] = set()

    async def lock(self, cities: Collection[str]) -> dict[str, Head]:
        heads: dict[str, Head] = {}
        for city in sorted(cities):
            # A write, although nothing is meant by it: a second writer of the city then conflicts at once.
            document = await self._db["heads"].find_one_and_update(
                {"_id": city},
                {"$inc": {"turn": 1}, "$setOnInsert": {"seq": 0, "hash": GENESIS_HASH}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=self._session,
            )
            heads[city] = Head(city, document["seq"], document["hash"])
        return heads

    async def append(self, links: Sequence[Link], heads: Collection[Head]) -> None:
        await self._db["entries"].insert_many(
            [link_document(link) for link in links], ordered=False, session=self._session
        )
        for head in heads:
            await self._db["heads"].update_one(
                {"_id": head.city}, {"$set": {"seq": head.seq, "hash": head.hash}}, session=self._session
            )

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
        documents = await self._db["shifts"].find(wanted, session=self._session).to_list(None)
        self._known_shifts.update(document["_id"] for document in documents)
        return {document["_id"]: standing_of(document) for document in documents}

    async def bases(self, pairs: Collection[Pair], worked_months: Collection[str]) -> dict[BookKey, int]:
        cursor = self._db["books"].find(
            {
                "pair": {"$in": [pair.key for pair in pairs]},
                "$or": [{"settled": False}, {"worked_month": {"$in": list(worked_months)}}],
            },
            session=self._session,
        )
        return {book_key_of(d): d["base_fen"] for d in await cursor.to_list(None)}

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

    async def add_to_books(self, city: str, totals: Mapping[BookKey, BookTotals]) -> None:
        changes: list[UpdateOne] = [
            UpdateOne(
                {"_id": f"{key.pair.key}:{key.month}:{key.worked_month}:{key.agreement_id}"},
                {
                    "$inc": {
                        "entries": more.entries,
                        "base_fen": Int64(more.base_fen),
                        "sum_fen_e4": Int64(more.sum_fen_e4),
                    },
                    "$max": {"last_day": more.last_day.isoformat()},
                    "$setOnInsert": {
                        "city": city,
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
            for key, more in totals.items()
        ]
        await self._db["books"].bulk_write(changes, ordered=False, session=self._session)

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

    async def earliest_open_month(self, pair: Pair, before: str) -> str | None:
        document = await self._db["books"].find_one(
            {"pair": pair.key, "settled": False, "month": {"$lt": before}},
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
        wanted = {"pair": pair.key, "settled": False, "month": month}
        return {
            book_key_of(d): book_totals_of(d)
            for d in await self._db["books"].find(wanted, session=self._session).to_list(None)
        }

    async def count_waiting(self, pair: Pair, month: str) -> int:
        wanted = {"pair": pair.key, "day": {"$lte": end_of_month(first_day(month)).isoformat()}}
        return await self._db["suspense"].count_documents(wanted, session=self._session)

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
            {"pair": pair.key, "month": settlement.month}, {"$set": {"settled": settled}}, session=self._session
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

    async def add_spending(self, spending: Spending) -> None:
        document = spending_document(spending)
        await self._db["spendings"].replace_one({"_id": document["_id"]}, document, session=self._session)
