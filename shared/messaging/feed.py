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
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import ClassVar, NamedTuple

from pymongo import ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from shared.contracts.envelope import ID, constants_of
from shared.contracts.topics import TOPICS
from shared.kernel.errors import Fault, Kind, ServiceError
from shared.messaging.events import EventLog
from shared.runtime.mongo import Collection, Document, Mongo, Session, is_unavailable, unavailable

ROUND_MAX = 2000
"""Events stamped in one transaction: some 50 ms, so that a round never blocks the relay for long."""

PAGE_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of events in one page, 2,000 of the usual size; a page in memory is the most that a reader costs."""

READ_MAX = 500
"""Events taken from the database at once, a quarter of the largest page; it reads on while these are written out."""

SNAPSHOT_BATCH = 500
"""Newest versions of a snapshot fetched at once, or more; so too."""

LOOKED_UP_FROM = 3
"""Versions an entity from which on a snapshot looks its newest ones up by their ids. Below it reads them all and leaves
the old ones: an event looked up costs the database three that lie one behind the other in an index."""

_FIELDS = {
    "version": 1,
    "feed_round": 1,
    "city": 1,
    "value": 1,
    "headers.ce_time": 1,
    "headers.traceparent": 1,
}
"""What is not the same on all events of a topic: to read all headers of each took a third of a page's time."""


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
        await self._prepare()
        async with self._lock, _reaching_the_store():
            # By a majority, as it is read: what another instance has just stamped may not be readable yet.
            while await self._majority.find_one({"feed_round": None}, {"_id": 1}, hint="feed_pending"):
                if await self._mongo.transaction(self._number_round) < ROUND_MAX:
                    return

    async def _prepare(self) -> None:
        if self._prepared:
            return
        async with self._lock, _reaching_the_store():
            await self._log.ensure_indexes()
            await self._state.update_one({"_id": "rounds"}, {"$setOnInsert": {"last": 0}}, upsert=True)
            self._prepared = True

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
        event = await self._event(cursor)
        if event is not None and event.get("feed_round") is None:  # it came by Kafka first
            await self.number()
            event = await self._event(cursor)
        if event is None:
            raise CursorUnknown("no event of this service has this id; begin anew with a snapshot", fault)
        if event["topic"] != topic:
            raise CursorUnknown(f"this is a cursor of the feed {event['topic']}", fault)
        return _place(event)

    async def _event(self, event_id: str) -> Document | None:
        async with _reaching_the_store():
            found: Document | None = await self._majority.find_one(
                {"_id": event_id}, {"topic": 1, "feed_round": 1, "version": 1}
            )
        return found

    async def page(self, topic: str, after: Place, limit: int) -> list[Record]:
        """The next events of a topic, at most `limit`, and not much more than `PAGE_MAX_BYTES`.

        Short only if there are no more. What stands in the log behind a whole page has no bearing on it, so events are
        numbered only for who has read all the others.
        """
        records = await self.stamped(topic, after, limit)
        left_bytes = PAGE_MAX_BYTES - sum(len(record.line) for record in records)
        if len(records) < limit and left_bytes > 0:
            await self.number()
            last = records[-1].place if records else after
            records += await self.stamped(topic, last, limit - len(records), left_bytes)
        return records

    async def stamped(self, topic: str, after: Place, limit: int, max_bytes: int | None = None) -> list[Record]:
        """As `page`, of the events that `number` has stamped; at least one, if there is any."""
        await self._prepare()
        max_bytes = max_bytes or PAGE_MAX_BYTES
        records: list[Record] = []
        size = 0
        # All of it as of one moment: a round is seen whole, and never without the one before.
        async with _reaching_the_store(), self._mongo.at_one_moment() as session:
            found = self._events.find(_after(topic, after), _FIELDS, session=session, hint="feed", batch_size=READ_MAX)
            found = found.sort([("feed_round", 1), ("version", 1), ("_id", 1)]).limit(limit)
            record_of = records_of(topic)
            coming = found.to_list(READ_MAX)
            while size < max_bytes and (documents := await coming):
                coming = found.to_list(READ_MAX)  # the database reads on while these are written out
                for record in map(record_of, documents):
                    records.append(record)
                    size += len(record.line)
                    if size >= max_bytes:
                        await coming
                        await found.close()
                        break
        return records

    async def end(self, topic: str) -> Place:
        """The place of the last event that is stamped; `START` if there is none."""
        async with _reaching_the_store(), self._mongo.at_one_moment() as session:
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
            async for stretch in self._stretches(topic, upto):
                fetched, coming = coming, asyncio.create_task(self._fetch(topic, upto, stretch))
                if fetched is not None:
                    yield await fetched
            if coming is not None:
                yield await coming
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait([coming])

    async def _stretches(self, topic: str, upto: Place) -> AsyncIterator[_Stretch]:
        """What `newest` gives the events of."""
        wanted: list[Document] = []
        newest: Document | None = None
        looked_at = 0
        # From an index alone, entity by entity: only the ids of old versions are looked at.
        versions = self._majority.find(
            _upto(topic, upto),
            {"entity_id": 1, "version": 1, "feed_round": 1},
            hint="feed_entities",
            batch_size=READ_MAX,
        ).sort([("entity_id", 1), ("version", 1)])
        try:
            while documents := await versions.to_list(READ_MAX):
                looked_at += len(documents)
                for document in documents:
                    if document["feed_round"] == upto.round and _place(document) > upto:
                        continue
                    if newest is not None and newest["entity_id"] != document["entity_id"]:
                        wanted.append(newest)
                    newest = document
                if len(wanted) >= SNAPSHOT_BATCH:
                    yield _stretch(wanted, looked_at)
                    wanted, looked_at = [], 0
        finally:
            await versions.close()
        if newest is not None:
            yield _stretch([*wanted, newest], looked_at)

    async def _fetch(self, topic: str, upto: Place, stretch: _Stretch) -> list[Record]:
        """The newest events of a stretch, by entity."""
        query: Document = {"_id": {"$in": stretch.ids}}
        hint = None
        if stretch.versions < LOOKED_UP_FROM * len(stretch.ids):
            query = _upto(topic, upto) | {"entity_id": {"$gte": stretch.first, "$lte": stretch.last}}
            hint = "feed_entities"
        found = self._majority.find(query, _FIELDS, hint=hint, batch_size=READ_MAX)
        wanted, record_of = frozenset(stretch.ids), records_of(topic)
        records: dict[str, Record] = {}
        async with _reaching_the_store():
            while documents := await found.to_list(READ_MAX):
                records |= {event["_id"]: record_of(event) for event in documents if event["_id"] in wanted}
        return [records[event_id] for event_id in stretch.ids]


class _Stretch(NamedTuple):
    """Entities one behind the other, and what is known of them.

    Attributes:
        ids: of the newest event of each.
        first: the first entity, as `last` is the last.
        versions: how many events they have together, more or less.
    """

    ids: list[str]
    first: str
    last: str
    versions: int


def _stretch(newest: Sequence[Document], versions: int) -> _Stretch:
    return _Stretch([event["_id"] for event in newest], newest[0]["entity_id"], newest[-1]["entity_id"], versions)


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
    """Filter of the events behind a place: stretches of the index `feed` of which none holds an event of another."""
    if place == START:
        return {"topic": topic, "feed_round": {"$gt": 0}}
    rest = [
        {"feed_round": {"$gt": place.round}},
        {"feed_round": place.round, "version": {"$gt": place.version}},
        {"feed_round": place.round, "version": place.version, "_id": {"$gt": place.id}},
    ]
    # The first condition says what is so anyway: the index is partial, and only for who asks for what it holds.
    return {"topic": topic, "feed_round": {"$gt": 0}, "$or": rest}


def _place(document: Document) -> Place:
    return Place(document["feed_round"], document["version"], document["_id"])


def _upto(topic: str, place: Place) -> Document:
    """Filter of the events up to a place, and of what else its round holds."""
    return {"topic": topic, "feed_round": {"$gt": 0, "$lte": place.round}}


@cache
def records_of(topic: str) -> Callable[[Document], Record]:
    """What makes a record of an event of a topic, read with `_FIELDS`.

    Its line says what Kafka carries in binary mode in CloudEvents' structured mode: the attributes that
    `envelope.encode` writes as headers, in the same order, and the very bytes of the data. No attribute holds a
    character that JSON escapes.
    """
    form, spec, kind, source, schema = (value.decode() for _, value in constants_of(TOPICS[topic].event))
    to_id = f'{{"datacontenttype":"{form}","specversion":"{spec}","id":"'
    to_time = f'","type":"{kind}","source":"{source}","time":"'
    to_city = f'","dataschema":"{schema}","partitionkey":"'

    def record_of(event: Document) -> Record:
        event_id, version, own = event["_id"], event["version"], event["headers"]
        trace = f'","traceparent":"{own["traceparent"]}' if "traceparent" in own else ""
        head = f'{to_id}{event_id}{to_time}{own["ce_time"]}{to_city}{event["city"]}","sequence":"{version}{trace}"'
        return Record(event["feed_round"], version, event_id, b'%b,"data":%b}' % (head.encode(), event["value"]))

    return record_of
