"""Matching's MongoDB: a projection of what the events say, one collection a kind, and what was published of rankings.

Both are derived: dropped, they come back from the topics. They are kept so that a start does not re-read those.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, get_args

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from services.matching.domain import (
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Parts,
    Placement,
    Post,
    RankedSeeker,
    Seeker,
    Shift,
    State,
    Station,
)
from services.matching.errors import PublishedElsewhereError
from services.matching.ports import News, Published
from shared.contracts.matching import Parts as PartsPayload
from shared.contracts.matching import Ranked, RankingChanged
from shared.kernel.geo import Vector
from shared.kernel.week import SLOTS_PER_WEEK
from shared.messaging.events import EventLog
from shared.runtime.mongo import Collection, Document, Mongo, Session, is_unavailable, unavailable

KINDS: tuple[EntityKind, ...] = get_args(EntityKind)
MASK_BYTES = SLOTS_PER_WEEK // 8
MASKS = frozenset({"free", "hours"})
"""Fields that hold a week mask, which is wider than any BSON number."""

READ_BATCH = 5_000
"""Documents of one network batch while loading: about 3 MB."""

DUPLICATE_KEY = 11000


class MongoFacts:
    """The `FactStore` in MongoDB: `{_id, version, city, at, state}`, without `state` once an entity is over."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def prepare(self) -> None:
        """Create what is missing, since a transaction should not have to.

        Raises:
            StoreUnavailable
        """
        await _ensure(self._mongo, [_collection_of(kind) for kind in KINDS])

    async def load(self) -> list[News]:
        """All facts. Raises `StoreUnavailable`."""
        try:
            loaded = await asyncio.gather(*(self._load(kind) for kind in KINDS))
        except PyMongoError as error:
            raise _told(error) from error
        return [news for of_kind in loaded for news in of_kind]

    async def _load(self, kind: EntityKind) -> list[News]:
        documents = await self._mongo.db[_collection_of(kind)].find(batch_size=READ_BATCH).to_list(None)
        return [_news(kind, document) for document in documents]

    async def save(self, news: Sequence[News]) -> None:
        """Keep what is newer, in one transaction; each entity at most once. Raises `StoreUnavailable`."""
        by_kind: defaultdict[EntityKind, list[News]] = defaultdict(list)
        for item in news:
            by_kind[item.fact.kind].append(item)

        async def work(session: Session) -> None:
            for kind, of_kind in by_kind.items():
                await self._save(kind, of_kind, session)

        await self._mongo.transaction(work)

    async def _save(self, kind: EntityKind, news: Sequence[News], session: Session) -> None:
        """New entities go in by one insert, twice as fast as upserts; others are replaced where they are older.

        Read and write see one snapshot; if another process writes in between, the transaction starts again.
        """
        collection = self._mongo.db[_collection_of(kind)]
        ids = [item.fact.id for item in news]
        known = await collection.find({"_id": {"$in": ids}}, {"version": 1}, session=session).to_list(None)
        versions = {document["_id"]: document["version"] for document in known}
        fresh = [_document(item) for item in news if item.fact.id not in versions]
        newer = [
            ReplaceOne({"_id": item.fact.id}, _document(item))
            for item in news
            if item.fact.version > versions.get(item.fact.id, item.fact.version)
        ]
        if fresh:
            await collection.insert_many(fresh, ordered=False, session=session)
        if newer:
            await collection.bulk_write(newer, ordered=False, session=session)


class MongoRankings:
    """The `RankingOutbox` in MongoDB: last tops beside the event log, written in one transaction."""

    NAME = "published_rankings"

    def __init__(self, mongo: Mongo, events: EventLog) -> None:
        self._mongo = mongo
        self._events = events
        self._collection: Collection = mongo.db[self.NAME]

    async def prepare(self) -> None:
        """Create what is missing. Raises `StoreUnavailable`."""
        await _ensure(self._mongo, [self.NAME])
        try:
            await self._events.ensure_indexes()
        except PyMongoError as error:
            raise _told(error) from error

    async def last_published(self) -> Mapping[str, Published]:
        """What was published last, by post. Raises `StoreUnavailable`."""
        try:
            documents = await self._collection.find(batch_size=READ_BATCH).to_list(None)
        except PyMongoError as error:
            raise _told(error) from error
        return {document["_id"]: _published(document) for document in documents}

    async def publish(self, changes: Sequence[Published], as_of: datetime) -> None:
        """Append `ranking-changed` events and note the tops.

        Raises:
            PublishedElsewhereError, StoreUnavailable
        """
        operations = [
            ReplaceOne(
                {"_id": change.post_id, "sequence": change.sequence - 1},
                _published_document(change, as_of),
                upsert=change.sequence == 1,
            )
            for change in changes
        ]
        events = [_event(change, as_of) for change in changes]

        async def work(session: Session) -> None:
            done = await self._collection.bulk_write(operations, session=session)
            if done.matched_count + done.upserted_count != len(changes):
                raise PublishedElsewhereError
            await self._events.append(session, events, as_of)

        try:
            await self._mongo.transaction(work)
        except (BulkWriteError, DuplicateKeyError) as error:
            if isinstance(error, BulkWriteError) and not _is_duplicate(error):
                raise
            raise PublishedElsewhereError from error
        self._events.wake()


async def _ensure(mongo: Mongo, names: Sequence[str]) -> None:
    try:
        existing = set(await mongo.db.list_collection_names())
        for name in names:
            if name not in existing:
                await mongo.db.create_collection(name)
    except PyMongoError as error:
        raise _told(error) from error


def _told(error: PyMongoError) -> Exception:
    return unavailable(error) if is_unavailable(error) else error


def _is_duplicate(error: BulkWriteError) -> bool:
    return any(fault.get("code") == DUPLICATE_KEY for fault in (error.details or {}).get("writeErrors", ()))


def _collection_of(kind: EntityKind) -> str:
    return f"{kind}s"


def _document(item: News) -> Document:
    fact = item.fact
    document: Document = {"_id": fact.id, "version": fact.version, "city": fact.city, "at": item.at}
    if fact.state is not None:
        document["state"] = _state_document(fact.state)
    return document


def _state_document(state: State) -> Document:
    return {item.name: _stored(item.name, getattr(state, item.name)) for item in fields(state)}


def _stored(name: str, value: Any) -> Any:
    """A field's value as BSON."""
    if name in MASKS:
        return value.to_bytes(MASK_BYTES, "little")
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Vector):
        return list(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def _mask(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _day(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)


def _seeker(document: Document) -> Seeker:
    return Seeker(
        **document
        | {
            "home": Vector(*document["home"]),
            "free": _mask(document["free"]),
            "skills": frozenset(document["skills"]),
            "kinds": frozenset(document["kinds"]),
            "facilities": frozenset(document["facilities"]),
            "eligible_until": _day(document["eligible_until"]),
            "registered_on": _day(document["registered_on"]),
        }
    )


def _post(document: Document) -> Post:
    location = document["location"]
    return Post(
        **document
        | {
            "location": None if location is None else Vector(*location),
            "hours": _mask(document["hours"]),
            "skills_required": frozenset(document["skills_required"]),
            "skills_desired": frozenset(document["skills_desired"]),
            "facilities": frozenset(document["facilities"]),
        }
    )


_STATES: dict[EntityKind, Callable[[Document], State]] = {
    "seeker": _seeker,
    "post": _post,
    "employer": lambda document: Employer(**document),
    "station": lambda document: Station(**document | {"facilities": frozenset(document["facilities"])}),
    "placement": lambda document: Placement(**document | {"hours": _mask(document["hours"])}),
    "certificate": lambda document: Certificate(**document | {"valid_until": _day(document["valid_until"])}),
    "shift": lambda document: Shift(**document),
}


def _news(kind: EntityKind, document: Document) -> News:
    state = document.get("state")
    fact = Fact(
        kind, document["_id"], document["version"], document["city"], None if state is None else _STATES[kind](state)
    )
    return News(fact, document["at"])


def _published(document: Document) -> Published:
    top = tuple(RankedSeeker(place["seeker_id"], place["score"], Parts(*place["parts"])) for place in document["top"])
    return Published(document["_id"], document["city"], document["sequence"], top)


def _published_document(change: Published, as_of: datetime) -> Document:
    return {
        "_id": change.post_id,
        "city": change.city,
        "sequence": change.sequence,
        "at": as_of,
        "top": [
            {"seeker_id": place.seeker_id, "score": place.score, "parts": list(place.parts)} for place in change.top
        ],
    }


def _event(change: Published, as_of: datetime) -> RankingChanged:
    top = tuple(
        Ranked(seeker_id=place.seeker_id, score=place.score, parts=PartsPayload(**place.parts._asdict()))
        for place in change.top
    )
    return RankingChanged(post_id=change.post_id, sequence=change.sequence, city=change.city, as_of=as_of, top=top)
