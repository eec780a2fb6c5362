"""A service's own events: append-only, written in the transaction of the state they tell of. This is the outbox.

Each event stands here for ever, so a lost broker can be refilled (promise 2). The relay notes in `published` the
generation of the broker that has acknowledged it (0: none yet), the feed once in `feed_round` which round it belongs
to (`feed.py`); nothing else of an event ever changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pymongo import ASCENDING, DESCENDING, IndexModel

from shared.contracts.envelope import Envelope, Message, encode
from shared.contracts.fields import Event
from shared.contracts.topics import with_old_versions
from shared.kernel.ids import new_id
from shared.kernel.turns import in_turns
from shared.runtime import tracing
from shared.runtime.logs import logger
from shared.runtime.mongo import Database, Document, Session

_log = logger(__name__)

AT_ONCE = 8
"""Events that are encoded before others may run: a third of a millisecond. A transaction may hold dozens, and who reads
waits meanwhile."""

_STAMPED = {"feed_round": {"$gt": 0}}

INDEXES = [
    IndexModel([("published", DESCENDING), ("at", ASCENDING), ("version", ASCENDING)], name="to_publish"),
    IndexModel([("topic", ASCENDING), ("entity_id", ASCENDING), ("version", ASCENDING)], name="position", unique=True),
    # Three for the feed: what it has yet to stamp, its order, and each entity's versions up to a place.
    IndexModel([("version", ASCENDING)], name="feed_pending", partialFilterExpression={"feed_round": None}),
    IndexModel(
        [("topic", ASCENDING), ("feed_round", ASCENDING), ("version", ASCENDING), ("_id", ASCENDING)],
        name="feed",
        partialFilterExpression=_STAMPED,
    ),
    IndexModel(
        [
            ("topic", ASCENDING),
            ("entity_id", ASCENDING),
            ("version", ASCENDING),
            ("feed_round", ASCENDING),
            ("_id", ASCENDING),
        ],
        name="feed_entities",
        partialFilterExpression=_STAMPED,
    ),
]
"""Of the collection `events`, in every service's first step (`shared.runtime.migrations`)."""


class EventLog:
    """The `events` collection of one service.

    Args:
        db: the service's database.
        service: its name; an event of another source is refused.
    """

    def __init__(self, db: Database, service: str) -> None:
        self.collection = db["events"]
        self._service = service
        self._appended = asyncio.Event()

    async def ensure_indexes(self) -> None:
        await self.collection.create_indexes(INDEXES)

    async def append(self, session: Session, events: Sequence[Event], at: datetime) -> list[Envelope]:
        """Add events inside the caller's transaction; they are published after it commits.

        An event whose version replaces an older one is added in both, until the older one's end date.

        Args:
            at: the moment of the change, the events' `ce_time`.

        Returns:
            The events with their ids, in order.

        Raises:
            ValueError: an event belongs to another service.
            DuplicateKeyError: the same version of an entity was published before; a bug in the caller's versions.
        """
        if not events:
            return []
        foreign = [event.topic for event in events if event.source != self._service]
        if foreign:
            raise ValueError(f"{self._service} does not own {foreign[0]}")
        trace = tracing.traceparent()
        envelopes = [Envelope(new_id("event"), at, event, trace) for event in events]
        day = at.astimezone(UTC).date()
        older = [
            Envelope(new_id("event"), at, old, trace) for event in events for old in with_old_versions(event, day)[1:]
        ]
        documents: list[Document] = []
        async for few in in_turns((*envelopes, *older), AT_ONCE):
            documents += map(document_of, few)
        await self.collection.insert_many(documents, session=session)
        if _log.is_enabled_for(logging.DEBUG):
            for envelope in envelopes:
                _log.debug("event stored", event_id=envelope.id, topic=envelope.event.topic)
        return envelopes

    async def holds(self, ids: Collection[str]) -> bool:
        """Whether all these are ids of events here."""
        return await self.collection.count_documents({"_id": {"$in": [*ids]}}) == len(ids)

    def wake(self) -> None:
        """Tell the relay that a transaction with events was committed, so that it need not wait for its next look."""
        self._appended.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until `wake` or the timeout (for events of other processes, or of one that died before `wake`)."""
        try:
            await asyncio.wait_for(self._appended.wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            self._appended.clear()


def document_of(envelope: Envelope) -> Document:
    """An event as it is stored."""
    message = encode(envelope)
    event = envelope.event
    return {
        "_id": envelope.id,
        "topic": message.topic,
        "entity_id": event.entity_id,
        "version": event.entity_version,
        "partition": message.partition,
        "city": event.city,
        "at": envelope.time,
        "headers": {name: value.decode() for name, value in message.headers},
        "value": message.value,
        "published": 0,
    }


def message_of(document: Document) -> Message:
    """A stored event as it goes to the broker."""
    return Message(
        topic=document["topic"],
        partition=document["partition"],
        key=document["entity_id"].encode(),
        headers=[(name, value.encode()) for name, value in document["headers"].items()],
        value=document["value"],
    )
