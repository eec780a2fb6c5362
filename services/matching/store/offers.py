"""Instant hiring in MongoDB: `hirings` by post, `offers`, and `hands`, one document a seeker, beside the event log.

Whatever makes or ends an offer of hers writes her `hands`. Two transactions that would give her two offers for the same
hours write the same document, so one of them is run again and sees the other's offer: a conflict, not a reading,
keeps the promise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any, TypeVar

from pymongo import ASCENDING, DESCENDING, IndexModel, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from services.matching.domain.hiring import Hiring
from services.matching.domain.offers import Hands, Hold, Offer, Terms
from services.matching.errors import LostRaceError
from services.matching.ports import Counts, OfferBook, OfferChanges, ShiftSeen
from services.matching.store.driver import told
from shared.contracts.envelope import Envelope
from shared.kernel.week import SLOTS_PER_WEEK
from shared.messaging.events import EventLog
from shared.runtime.mongo import Database, Document, Mongo, Session

T = TypeVar("T")

HIRINGS, OFFERS, HANDS = "hirings", "offers", "hands"
MASK_BYTES = SLOTS_PER_WEEK // 8
UNSETTLED = {"$in": ["live", "accepting"]}
DUPLICATE_KEY = 11000

AWAITED_MAX = 1_000_000
"""Pairs of post and seeker whose first shift is waited for; beyond a million hirings a year, the oldest are let go."""

INDEXES: dict[str, list[IndexModel]] = {
    HIRINGS: [IndexModel([("state", ASCENDING), ("_id", ASCENDING)], name="open")],
    HANDS: [],
    OFFERS: [
        # Nobody is asked twice in a round.
        IndexModel([("post_id", ASCENDING), ("round", ASCENDING), ("seeker_id", ASCENDING)], name="once", unique=True),
        IndexModel([("post_id", ASCENDING), ("made_at", DESCENDING), ("_id", ASCENDING)], name="of_post"),
        IndexModel([("seeker_id", ASCENDING), ("made_at", DESCENDING), ("_id", ASCENDING)], name="of_seeker"),
        IndexModel([("state", ASCENDING), ("expires_at", ASCENDING)], name="running_out"),
        IndexModel([("state", ASCENDING), ("accepting_at", ASCENDING)], name="being_accepted"),
        # Small: only offers with something to wait for stand in it.
        IndexModel(
            [("attendance", ASCENDING)],
            name="attendance",
            partialFilterExpression={"attendance": {"$in": ["awaited", "missed"]}},
        ),
    ],
}


class MongoOffers:
    """Implements `ports.Offers`, and the readers' lists."""

    def __init__(self, mongo: Mongo, events: EventLog) -> None:
        self._mongo = mongo
        self._events = events
        self._hirings, self._offers = mongo.db[HIRINGS], mongo.db[OFFERS]

    def book(self, session: Session) -> MongoOfferBook:
        """The offers inside the transaction of a session."""
        return MongoOfferBook(self._mongo.db, self._events, session)

    async def transaction(self, work: Callable[[OfferBook], Awaitable[T]]) -> T:
        """Run a step whole or not at all.

        Raises:
            LostRaceError, StoreUnavailable, and what the step raises.
        """
        done = await self._mongo.transaction(lambda session: work(self.book(session)))
        self._events.wake()
        return done

    async def hirings(self, post_ids: Collection[str]) -> list[Hiring]:
        """The hirings of these posts. Raises `StoreUnavailable`."""
        return [_hiring(held) for held in await self._list(HIRINGS, {"_id": {"$in": list(post_ids)}}, None, None)]

    async def open_hirings(self, after: str, limit: int) -> list[Hiring]:
        """Open hirings by post id. Raises `StoreUnavailable`."""
        wanted = {"state": "open", "_id": {"$gt": after}}
        return [_hiring(held) for held in await self._list(HIRINGS, wanted, [("_id", ASCENDING)], limit)]

    async def unsettled_of(self, post_ids: Collection[str]) -> list[Offer]:
        """Unsettled offers of these posts. Raises `StoreUnavailable`."""
        wanted = {"post_id": {"$in": list(post_ids)}, "state": UNSETTLED}
        return [_offer(held) for held in await self._list(OFFERS, wanted, None, None)]

    async def posts_with_expired(self, now: datetime, limit: int) -> list[str]:
        """Posts of live offers whose time has passed. Raises `StoreUnavailable`."""
        wanted = {"state": "live", "expires_at": {"$lte": now}}
        found = await self._list(OFFERS, wanted, [("expires_at", ASCENDING)], limit)
        return list(dict.fromkeys(held["post_id"] for held in found))

    async def accepting(self, asked_before: datetime, limit: int) -> list[Offer]:
        """Offers left in the middle of an acceptance, the longest first. Raises `StoreUnavailable`."""
        wanted = {"state": "accepting", "$or": [{"accepting_at": None}, {"accepting_at": {"$lte": asked_before}}]}
        return [_offer(held) for held in await self._list(OFFERS, wanted, [("accepting_at", ASCENDING)], limit)]

    async def missed(self, limit: int) -> list[Offer]:
        """Offers whose seat is to be given back. Raises `StoreUnavailable`."""
        wanted = {"attendance": "missed", "placement_id": {"$ne": None}}
        return [_offer(held) for held in await self._list(OFFERS, wanted, None, limit)]

    async def awaited(self) -> set[tuple[str, str]]:
        """Pairs whose shifts matter. Raises `StoreUnavailable`."""
        wanted = {"$or": [{"state": UNSETTLED}, {"attendance": {"$in": ["awaited", "missed"]}}]}
        shown = {"post_id": 1, "seeker_id": 1}
        try:
            found = await (
                self._offers.find(wanted, shown).sort("made_at", DESCENDING).limit(AWAITED_MAX).to_list(AWAITED_MAX)
            )
        except PyMongoError as error:
            raise told(error) from error
        return {(held["post_id"], held["seeker_id"]) for held in found}

    async def note_shifts(self, seen: Sequence[ShiftSeen]) -> int:
        """Note how first shifts went. Raises `StoreUnavailable`.

        Whoever came once has come, whatever follows; a no-show that is corrected in time is forgotten.
        """
        if not seen:
            return 0
        try:
            done = await self._offers.bulk_write([_noting(shift) for shift in seen], ordered=True)
        except PyMongoError as error:
            raise told(error) from error
        return int(done.modified_count)

    async def counts(self) -> Counts:
        """For the metrics. Raises `StoreUnavailable`."""
        try:
            return Counts(
                await self._offers.count_documents({"state": UNSETTLED}),
                await self._hirings.count_documents({"state": "open", "progress": "waiting"}),
            )
        except PyMongoError as error:
            raise told(error) from error

    # --- for readers ---

    async def offer(self, offer_id: str) -> Offer | None:
        """One offer. Raises `StoreUnavailable`."""
        found = await self._list(OFFERS, {"_id": offer_id}, None, 1)
        return _offer(found[0]) if found else None

    async def list_of_post(self, post_id: str, state: str | None, after: str, limit: int) -> list[Offer]:
        """Offers of a post by id. Raises `StoreUnavailable`."""
        return await self._page({"post_id": post_id}, state, after, limit)

    async def list_of_seeker(self, seeker_id: str, state: str | None, after: str, limit: int) -> list[Offer]:
        """Offers of a seeker by id. Raises `StoreUnavailable`."""
        return await self._page({"seeker_id": seeker_id}, state, after, limit)

    async def _page(self, wanted: Document, state: str | None, after: str, limit: int) -> list[Offer]:
        wanted = {**wanted, "_id": {"$gt": after}}
        if state is not None:
            wanted["state"] = state
        return [_offer(held) for held in await self._list(OFFERS, wanted, [("_id", ASCENDING)], limit)]

    async def _list(
        self, name: str, wanted: Document, order: list[tuple[str, int]] | None, limit: int | None
    ) -> list[Document]:
        cursor = self._mongo.db[name].find(wanted)
        if order is not None:
            cursor = cursor.sort(order)
        try:
            return await (cursor if limit is None else cursor.limit(limit)).to_list(limit)
        except PyMongoError as error:
            raise told(error) from error


class MongoOfferBook:
    """Implements `ports.OfferBook` on one session; made anew for each attempt of a transaction."""

    def __init__(self, db: Database, events: EventLog, session: Session) -> None:
        self._db = db
        self._events = events
        self._session = session

    async def hiring(self, post_id: str) -> Hiring | None:
        held = await self._db[HIRINGS].find_one({"_id": post_id}, session=self._session)
        return None if held is None else _hiring(held)

    async def offer(self, offer_id: str) -> Offer | None:
        held = await self._db[OFFERS].find_one({"_id": offer_id}, session=self._session)
        return None if held is None else _offer(held)

    async def unsettled(self, post_id: str) -> list[Offer]:
        found = self._db[OFFERS].find({"post_id": post_id, "state": UNSETTLED}, session=self._session)
        return [_offer(held) for held in await found.to_list(None)]

    async def asked(self, hiring: Hiring) -> set[str]:
        wanted = {"post_id": hiring.post_id, "round": hiring.round}
        # Covered by the index: no document is read.
        found = self._db[OFFERS].find(wanted, {"_id": 0, "seeker_id": 1}, session=self._session)
        return {held["seeker_id"] for held in await found.to_list(None)}

    async def hands(self, seeker_ids: Collection[str]) -> Mapping[str, Hands]:
        found = self._db[HANDS].find({"_id": {"$in": list(seeker_ids)}}, session=self._session)
        empty = {seeker_id: Hands(seeker_id, 0) for seeker_id in seeker_ids}
        return empty | {held["_id"]: _hands(held) for held in await found.to_list(None)}

    async def settling_event(self, offer: Offer) -> str:
        wanted = {"topic": "offer-settled", "entity_id": offer.id, "version": offer.version}
        held = await self._db["events"].find_one(wanted, {"_id": 1}, session=self._session)
        if held is None:
            raise RuntimeError("an offer was settled without its event")
        return str(held["_id"])

    async def save(self, changes: OfferChanges, at: datetime) -> Sequence[Envelope]:
        try:
            await self._replace(HIRINGS, [(_lock(was), _hiring_document(is_)) for was, is_ in changes.hirings])
            await self._replace(OFFERS, [(_lock(was), _offer_document(is_)) for was, is_ in changes.offers])
            await self._replace(HANDS, [(was.lock or None, _hands_document(is_)) for was, is_ in changes.hands])
        except (BulkWriteError, DuplicateKeyError) as error:
            # What was read as missing was made by somebody else meanwhile.
            if isinstance(error, BulkWriteError) and not _is_duplicate(error):
                raise
            raise LostRaceError from error
        return await self._events.append(self._session, changes.events, at)

    async def _replace(self, name: str, documents: Sequence[tuple[int | None, Document]]) -> None:
        """Write documents that are still as they were read: by their lock, or missing."""
        new = [document for lock, document in documents if lock is None]
        old = [
            ReplaceOne({"_id": document["_id"], "lock": lock}, document)
            for lock, document in documents
            if lock is not None
        ]
        if new:
            await self._db[name].insert_many(new, session=self._session)
        if old:
            done = await self._db[name].bulk_write(old, session=self._session)
            if done.matched_count != len(old):
                raise LostRaceError


def _lock(was: Hiring | Offer | None) -> int | None:
    return None if was is None else was.lock


def _is_duplicate(error: BulkWriteError) -> bool:
    return any(fault.get("code") == DUPLICATE_KEY for fault in (error.details or {}).get("writeErrors", ()))


def _noting(shift: ShiftSeen) -> UpdateOne:
    """While an acceptance is under way its placement is not known yet; the pair says enough then."""
    wanted: Document = {
        "post_id": shift.post_id,
        "seeker_id": shift.seeker_id,
        "attendance": {"$in": ["awaited", "missed"]} if shift.came else "awaited",
        "placement_id": {"$in": [None, shift.placement_id]},
    }
    change: Document = (
        {"attendance": "came", "noted_of": shift.placement_id, "missed_on": None}
        if shift.came
        else {"attendance": "missed", "noted_of": shift.placement_id, "missed_on": shift.day.isoformat()}
    )
    return UpdateOne(wanted, {"$set": change, "$inc": {"lock": 1}})


def _mask(mask: int) -> bytes:
    """A week mask is wider than any BSON number."""
    return mask.to_bytes(MASK_BYTES, "little")


def _hiring_document(hiring: Hiring) -> Document:
    document = asdict(hiring)
    document["_id"] = document.pop("post_id")
    return document


def _hiring(document: Document) -> Hiring:
    return Hiring(post_id=document.pop("_id"), **document | {"unseen": tuple(document["unseen"])})


def _offer_document(offer: Offer) -> Document:
    document: Document = {item.name: getattr(offer, item.name) for item in fields(offer) if item.name != "id"}
    document["_id"] = offer.id
    document["hours"] = _mask(offer.hours)
    document["missed_on"] = None if offer.missed_on is None else offer.missed_on.isoformat()
    if offer.terms is not None:
        terms = asdict(offer.terms)
        document["terms"] = terms | {"hours": _mask(offer.terms.hours), "starts_on": offer.terms.starts_on.isoformat()}
    return document


def _offer(document: Document) -> Offer:
    terms: dict[str, Any] | None = document["terms"]
    missed_on = document["missed_on"]
    return Offer(
        id=document.pop("_id"),
        **document
        | {
            "hours": int.from_bytes(document["hours"], "little"),
            "missed_on": None if missed_on is None else date.fromisoformat(missed_on),
            "terms": None
            if terms is None
            else Terms(
                **terms
                | {
                    "hours": int.from_bytes(terms["hours"], "little"),
                    "starts_on": date.fromisoformat(terms["starts_on"]),
                }
            ),
        },
    )


def _hands_document(hands: Hands) -> Document:
    return {
        "_id": hands.seeker_id,
        "lock": hands.lock,
        "holds": [asdict(hold) | {"hours": _mask(hold.hours)} for hold in hands.holds],
    }


def _hands(document: Document) -> Hands:
    holds = tuple(Hold(**hold | {"hours": int.from_bytes(hold["hours"], "little")}) for hold in document["holds"])
    return Hands(document["_id"], document["lock"], holds)
