"""A service's own events as a feed: without Kafka, complete, each entity in order, resumable for ever.

The log has no order of its own that a reader could resume by: of two transactions the one that began first may commit
last. So what has been committed is numbered afterwards, in *rounds*: a transaction takes the next round's number from
one counter and stamps the events that are there and have none. Rounds come one after another, since each changes the
counter; so a reader who has seen a round can never miss an event of it, or of one before. Within a topic the order is
(round, version, id). An entity's later version is committed after the one before, and lowest versions are taken first,
so a version never stands before an older one. Nothing of this needs the broker, or clocks that agree
(docs/decisions/0025).

The cursor is the id of an event: what comes after it is what comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NamedTuple

import orjson
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from shared.contracts.envelope import ID
from shared.kernel.errors import Fault, Kind, ServiceError
from shared.messaging.events import EventLog
from shared.runtime.mongo import Collection, Document, Mongo, Session, is_unavailable, unavailable

ROUND_MAX = 2000
"""Events stamped in one transaction: some 50 ms, so that a round never blocks the relay for long."""

PAGE_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of events in one page, 2,000 of the usual size; a page in memory is the most that a reader costs."""

READ_MAX = 1000
"""Events taken from the database at once, half of the largest page; it reads on while these are written out."""

SNAPSHOT_BATCH = 500
"""Newest versions of a snapshot fetched at once; so too."""

_FIELDS = {"version": 1, "feed_round": 1, "headers": 1, "value": 1}


class CursorUnknown(ServiceError):
    """The cursor is no event of this feed: of another one, of a log that was since restored, or no cursor at all."""

    code: ClassVar[str] = "cursor-unknown"
    kind: ClassVar[Kind] = "invalid"


class Place(NamedTuple):
    """Where an event stands in the feed of its topic."""

    round: int
    version: int
    id: str


START = Place(0, 0, "")
"""Before the first event."""


class Record(NamedTuple):
    """One event as a reader gets it: its place, and CloudEvents 1.0 in structured JSON, one line.

    One object, not two: a page has thousands, and making them took a fifth of its time.
    """

    round: int
    version: int
    id: str
    line: bytes

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.round, self.version, self.id)


class Feed:
    """The feeds of one service's topics.

    Args:
        events: its event log.
    """

    def __init__(self, mongo: Mongo, events: EventLog) -> None:
        self._mongo = mongo
        self._events: Collection = events.collection
        # Committed by a majority or not seen at all: no failover can take back what a reader was given.
        self._majority = self._events.with_options(read_concern=ReadConcern("majority"))
        self._state = mongo.db.get_collection("feed", read_concern=ReadConcern("majority"))
        self._log = events
        self._lock = asyncio.Lock()
        self._prepared = False

    async def number(self) -> None:
        """Stamp every event that is committed by now, so that it can be read.

        Raises:
            StoreUnavailable: the database is gone for now; so it is with all of these.
        """
        async with self._lock, _reaching_the_store():
            if not self._prepared:
                await self._log.ensure_indexes()
                await self._state.update_one({"_id": "rounds"}, {"$setOnInsert": {"last": 0}}, upsert=True)
                self._prepared = True
            while await self._events.find_one({"feed_round": None}, {"_id": 1}, hint="feed_pending"):
                if await self._mongo.transaction(self._number_round) < ROUND_MAX:
                    return

    async def _number_round(self, session: Session) -> int:
        """One round; the counter first, so that a round that began meanwhile conflicts and one of both starts anew."""
        state: Document = await self._state.find_one_and_update(
            {"_id": "rounds"}, {"$inc": {"last": 1}}, return_document=ReturnDocument.AFTER, session=session
        )
        pending = self._events.find({"feed_round": None}, {"topic": 1}, session=session, hint="feed_pending")
        found = await pending.sort("version", 1).limit(ROUND_MAX).to_list(ROUND_MAX)
        number: int = state["last"]
        await self._events.update_many(
            {"_id": {"$in": [event["_id"] for event in found]}}, {"$set": {"feed_round": number}}, session=session
        )
        touched = {f"topics.{event['topic']}": number for event in found}
        if touched:
            await self._state.update_one({"_id": "rounds"}, {"$set": touched}, session=session)
        return len(found)

    async def rounds(self) -> dict[str, int]:
        """By topic, the last round that holds an event of it."""
        async with _reaching_the_store():
            state = await self._state.find_one({"_id": "rounds"})
        return dict(state.get("topics", {})) if state else {}

    async def place_of(self, topic: str, cursor: str | None) -> Place:
        """Where a cursor stands; `None` is the beginning.

        Raises:
            CursorUnknown: see there.
        """
        if cursor is None:
            return START
        fault = Fault("after", "the `id` of an event that this feed gave")
        if not ID.fullmatch(cursor):
            raise CursorUnknown("not a cursor of a feed", fault)
        async with _reaching_the_store():
            event = await self._majority.find_one({"_id": cursor}, {"topic": 1, "feed_round": 1, "version": 1})
        if event is None:
            raise CursorUnknown("no event of this service has this id; begin anew with a snapshot", fault)
        if event["topic"] != topic:
            raise CursorUnknown(f"this is a cursor of the feed {event['topic']}", fault)
        if event.get("feed_round") is None:
            raise CursorUnknown("this event was not yet given by the feed", fault)
        return _place(event)

    async def page(self, topic: str, after: Place, limit: int) -> list[Record]:
        """The next events of a topic, at most `limit`, and not much more than `PAGE_MAX_BYTES`.

        Empty only if there are no more that `number` has stamped.
        """
        records: list[Record] = []
        size = 0
        # All of it as of one moment: a round is seen whole, and never without the one before.
        async with _reaching_the_store(), await self._mongo.client.start_session(snapshot=True) as session:
            found = self._events.find(_after(topic, after), _FIELDS, session=session, hint="feed", batch_size=READ_MAX)
            found = found.sort([("feed_round", 1), ("version", 1), ("_id", 1)]).limit(limit)
            coming = found.to_list(READ_MAX)
            while size < PAGE_MAX_BYTES and (documents := await coming):
                coming = found.to_list(READ_MAX)  # the database reads on while these are written out
                for record in map(_record, documents):
                    records.append(record)
                    size += len(record.line)
                    if size >= PAGE_MAX_BYTES:
                        await coming
                        break
            await found.close()
        return records

    async def end(self, topic: str) -> Place:
        """The place of the last event that is stamped; `START` if there is none."""
        async with _reaching_the_store(), await self._mongo.client.start_session(snapshot=True) as session:
            last = await self._events.find_one(
                {"topic": topic, "feed_round": {"$gt": 0}},
                {"feed_round": 1, "version": 1},
                sort=[("feed_round", -1), ("version", -1), ("_id", -1)],
                hint="feed",
                session=session,
            )
        return _place(last) if last else START

    async def newest(self, topic: str, upto: Place) -> AsyncIterator[list[Record]]:
        """The newest version of every entity among the events up to a place, in batches, by entity.

        What `page(topic, upto)` gives next continues it: nothing is missing, nothing comes twice. Events up to a place
        never change, so the answer does not depend on what is written meanwhile, and neither side keeps more than a
        batch of it.
        """
        coming: asyncio.Task[list[Record]] | None = None
        try:
            async for ids in self._newest_ids(topic, upto):
                fetched, coming = coming, asyncio.create_task(self._fetch(ids))
                if fetched is not None:
                    yield await fetched
            if coming is not None:
                yield await coming
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait([coming])

    async def _newest_ids(self, topic: str, upto: Place) -> AsyncIterator[list[str]]:
        """The ids that `newest` gives the events of, in batches."""
        wanted: list[str] = []
        newest: Document | None = None
        # From an index alone, entity by entity: only the ids of old versions are looked at.
        versions = self._majority.find(
            {"topic": topic, "feed_round": {"$gt": 0, "$lte": upto.round}},
            {"entity_id": 1, "version": 1, "feed_round": 1},
            hint="feed_entities",
            batch_size=READ_MAX,
        ).sort([("entity_id", 1), ("version", 1)])
        try:
            while documents := await versions.to_list(READ_MAX):
                for document in documents:
                    if document["feed_round"] == upto.round and _place(document) > upto:
                        continue
                    if newest is not None and newest["entity_id"] != document["entity_id"]:
                        wanted.append(newest["_id"])
                    newest = document
                while len(wanted) >= SNAPSHOT_BATCH:
                    yield wanted[:SNAPSHOT_BATCH]
                    del wanted[:SNAPSHOT_BATCH]
        finally:
            await versions.close()
        if newest is not None:
            wanted.append(newest["_id"])
        for start in range(0, len(wanted), SNAPSHOT_BATCH):
            yield wanted[start : start + SNAPSHOT_BATCH]

    async def _fetch(self, ids: list[str]) -> list[Record]:
        """These events in this order."""
        async with _reaching_the_store():
            documents = await self._majority.find({"_id": {"$in": ids}}, _FIELDS).to_list(len(ids))
        found = {document["_id"]: _record(document) for document in documents}
        return [found[event_id] for event_id in ids]


@asynccontextmanager
async def _reaching_the_store() -> AsyncIterator[None]:
    """Says in the caller's form that the database is gone for now; any other failure is a defect and stays one."""
    try:
        yield
    except PyMongoError as error:
        if is_unavailable(error):
            raise unavailable(error) from error
        raise


def _after(topic: str, place: Place) -> Document:
    """Filter of the events behind a place; its bounds lie in the index `feed`."""
    if place == START:
        return {"topic": topic, "feed_round": {"$gt": 0}}
    return {
        "topic": topic,
        "feed_round": {"$gte": place.round},
        "$or": [
            {"feed_round": {"$gt": place.round}},
            {"version": {"$gt": place.version}},
            {"version": place.version, "_id": {"$gt": place.id}},
        ],
    }


def _place(document: Document) -> Place:
    return Place(document["feed_round"], document["version"], document["_id"])


def _record(document: Document) -> Record:
    line = structured(document["headers"], document["value"])
    return Record(document["feed_round"], document["version"], document["_id"], line)


def structured(headers: dict[str, Any], value: bytes) -> bytes:
    """What Kafka carries in binary mode, in CloudEvents' structured mode: attributes, and the very bytes of the data.

    Args:
        headers: `ce_id` and so on, `content-type`, `traceparent` where there is one.
        value: the event, a JSON object.
    """
    # By the bytes, since a page has thousands of them: JSON escapes quotes in a text, so what follows one is a name.
    attributes = orjson.dumps(headers).replace(b',"ce_', b',"').replace(b'"content-type":', b'"datacontenttype":', 1)
    if attributes.startswith(b'{"ce_'):
        attributes = b'{"' + attributes[5:]
    return attributes[:-1] + b',"data":' + value + b"}"
