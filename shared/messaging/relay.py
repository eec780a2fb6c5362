"""The relay: from a service's own events to the broker, at least once, in the order of each entity.

One relay of a service works at a time, by a lease. What it has published it notes as the *generation* of the broker
that acknowledged it; a broker that has lost its data starts a new generation, which makes every event unpublished
again, oldest first, without touching one of them (promise 2). A relay that was cut off and still notes an old
generation does no harm.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from shared.contracts.topics import TOPICS
from shared.kernel.clock import Clock
from shared.messaging.events import EventLog, message_of
from shared.messaging.publish import publish
from shared.runtime import metrics, tracing
from shared.runtime.logs import logger
from shared.runtime.mongo import Database, Document, is_unavailable
from shared.runtime.tracing import Traced

LEASE_S = 3.0
"""A relay that died is followed after this long."""

RENEW_S = LEASE_S / 3
"""Age at which the living one takes its lease again. Not with every look: it is a write to the journal."""

LOOK_S = 0.2
"""Longest wait before the log is looked at unasked: events of another instance, or of a process that died. So often,
too, one that has no lease asks for it."""

WAITING_MAX = 10_000
"""Events that are counted as waiting; more is only more of the same alarm, and the count runs every second."""

PAUSE_S = 0.5
"""Pause after a failure of broker or database, so that a lost part is not hammered."""

_log = logger(__name__)


class Relay:
    """Publishes the events of one service.

    Args:
        owner: name of this instance, different for each.
        batch_max: events sent before their acknowledgements are awaited.
    """

    def __init__(self, db: Database, events: EventLog, clock: Clock, owner: str, batch_max: int) -> None:
        self._state = db["relay"]
        self._events = events
        self._clock = clock
        self._owner = owner
        self._batch_max = batch_max
        self._generation = 1
        self._leads = False
        self._asked_s = -math.inf
        self._stopping = False

    async def adopt(self, cluster_id: str, is_empty: Callable[[], Awaitable[bool]]) -> None:
        """Take note of the broker; a new one, or one that lost the topics, starts a new generation.

        Args:
            cluster_id: the broker's own identity.
            is_empty: asks the broker whether no topic of this service holds a message.
        """
        state = await self._state.find_one({"_id": "broker"})
        if state is not None and state["cluster_id"] == cluster_id:
            # In this order: what another instance publishes after the broker was asked is not lost.
            is_published = await self._events.collection.find_one({"published": state["generation"]}) is not None
            if not is_published or not await is_empty():
                return
        generation = 1 if state is None else state["generation"] + 1
        try:
            changed = await self._state.update_one(
                {"_id": "broker", "generation": generation - 1},
                {"$set": {"cluster_id": cluster_id, "generation": generation}},
                upsert=state is None,
            )
        except DuplicateKeyError:
            return  # another instance, which came up at the same moment, has just noted the first broker
        if state is not None and changed.modified_count:
            metrics.BROKER_REFILLS.inc()
            _log.warning("the broker is a new one; publishing all own events again", generation=generation)

    async def knows(self, cluster_id: str) -> bool:
        """Whether this is the broker that was adopted last."""
        return await self._state.find_one({"_id": "broker", "cluster_id": cluster_id}) is not None

    async def run(self, producer: AIOKafkaProducer) -> None:
        """Publish until `stop`; failures of broker and database are waited out.

        Raises:
            KafkaError: one that a retry with this producer cannot mend.
        """
        try:
            while not self._stopping:
                await self._work(producer)
        finally:
            metrics.RELAY_ACTIVE.set(0)
        await self._give_up_lease()

    async def _work(self, producer: AIOKafkaProducer) -> None:
        """Publish what waits if the lease is held; then wait for more, or after a failure."""
        try:
            published = await self._publish(producer) if await self._may_publish() else 0
        except (KafkaError, PyMongoError) as error:
            if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, UnknownError)):
                raise
            if isinstance(error, PyMongoError) and not is_unavailable(error):
                raise
            metrics.RELAY_ACTIVE.set(0)
            _log.warning("relay waits", error=type(error).__name__)
            await asyncio.sleep(PAUSE_S)
            return
        metrics.RELAY_ACTIVE.set(self._leads)
        if published < self._batch_max:  # what was appended meanwhile ends the wait at once
            await self._events.wait(LOOK_S)

    async def show_outbox(self) -> None:
        """Bring the metric of the oldest waiting event up to date, whether or not the broker answers."""
        try:
            state = await self._state.find_one({"_id": "broker"})
            generation = state["generation"] if state else 1
            oldest = await self._events.collection.find_one(
                {"published": {"$lt": generation}}, {"at": 1}, sort=[("published", -1), ("at", 1), ("version", 1)]
            )
            waiting = oldest and await self._events.collection.count_documents(
                {"published": {"$lt": generation}}, limit=WAITING_MAX
            )
        except PyMongoError as error:
            _log.warning("outbox not looked at", error=type(error).__name__)
            return
        age_s = (self._clock() - oldest["at"]).total_seconds() if oldest else 0.0
        metrics.OUTBOX_OLDEST_SECONDS.set(max(age_s, 0.0))
        metrics.OUTBOX_WAITING.set(waiting or 0)

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopping = True
        self._events.wake()

    async def _may_publish(self) -> bool:
        """Whether the lease is held here; asked for again when it is time to."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= (RENEW_S if self._leads else LOOK_S):
            self._leads = await self._hold_lease() and await self._confirm()
            self._asked_s = now_s
        return self._leads

    async def _confirm(self) -> bool:
        """Take note of the broker's present generation; whether the lease is still ours."""
        states = await self._state.find({"_id": {"$in": ["broker", "lease"]}}).to_list(None)
        found = {state["_id"]: state for state in states}
        self._generation = found["broker"]["generation"] if "broker" in found else 1
        return "lease" in found and found["lease"]["owner"] == self._owner

    async def _hold_lease(self) -> bool:
        now = datetime.now(UTC)
        try:
            await self._state.find_one_and_update(
                {"_id": "lease", "$or": [{"owner": self._owner}, {"until": {"$lt": now}}]},
                {"$set": {"owner": self._owner, "until": now + timedelta(seconds=LEASE_S)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return False
        return True

    async def _give_up_lease(self) -> None:
        try:
            await self._state.delete_one({"_id": "lease", "owner": self._owner})
        except PyMongoError as error:
            _log.warning("the lease was left to run out", error=type(error).__name__)

    async def _publish(self, producer: AIOKafkaProducer) -> int:
        """Send one batch in order, await the acknowledgements, note them. Returns how many there were."""
        picked_for = self._generation
        batch = await self._next(picked_for)
        if not batch:
            return 0
        # Only what is published needs the last word on lease and generation; most looks find nothing.
        self._leads = await self._confirm()
        if not self._leads:
            return 0
        generation = self._generation
        if generation != picked_for:
            batch = await self._next(generation)
        if (spans := tracing.spans()) is None:
            await publish(producer, map(message_of, batch))
        else:
            with spans.each("publish", _traced_of(batch)):
                await publish(producer, map(message_of, batch))
        await self._events.collection.update_many(
            {"_id": {"$in": [event["_id"] for event in batch]}}, {"$max": {"published": generation}}
        )
        now = self._clock()
        for topic, count in Counter(event["topic"] for event in batch).items():
            metrics.RELAYED.labels(topic).inc(count)
        metrics.observe_ages(metrics.RELAY_DELAY_SECONDS, now, (event["at"] for event in batch))
        return len(batch)

    async def _next(self, generation: int) -> list[Document]:
        """The events to publish next: oldest first, the versions of each entity in order."""
        batch: list[Document] = await (
            self._events.collection.find({"published": {"$lt": generation}})
            .sort([("published", -1), ("at", 1), ("version", 1)])
            .limit(self._batch_max)
            .to_list(self._batch_max)
        )
        if len(batch) == self._batch_max:
            batch = await self._left_out(batch, generation) + batch
        return in_order(batch)

    async def _left_out(self, batch: Sequence[Document], generation: int) -> list[Document]:
        """Earlier versions of what is in a full batch: an instance whose clock was ahead wrote them."""
        latest: dict[tuple[str, str], int] = {}
        for event in batch:
            entity = (event["topic"], event["entity_id"])
            latest[entity] = max(latest.get(entity, 0), event["version"])
        earlier = [
            {"topic": topic, "entity_id": entity_id, "version": {"$lt": version}}
            for (topic, entity_id), version in latest.items()
            if version > 1
        ]
        if not earlier:
            return []
        unpublished = {"$or": earlier, "published": {"$lt": generation}, "_id": {"$nin": [one["_id"] for one in batch]}}
        found: list[Document] = await self._events.collection.find(unpublished).to_list(None)
        return found


def in_order(batch: Sequence[Document]) -> list[Document]:
    """The same events in the same places, but where an entity has several, its versions ascend.

    Time alone does not order them: the instances that wrote them may disagree on what time it is.
    """
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, event in enumerate(batch):
        places[event["topic"], event["entity_id"]].append(place)
    ordered = list(batch)
    for own in places.values():
        versions = sorted((batch[place] for place in own), key=lambda event: int(event["version"]))
        for place, event in zip(own, versions, strict=True):
            ordered[place] = event
    return ordered


def _traced_of(batch: Sequence[Document]) -> list[Traced]:
    return [
        Traced(event["topic"], event["_id"], event["headers"]["traceparent"])
        for event in batch
        if "traceparent" in event["headers"]
    ]


def own_topics(service: str) -> list[str]:
    """Names of the topics that a service produces."""
    return [topic.name for topic in TOPICS.values() if topic.owner == service]
