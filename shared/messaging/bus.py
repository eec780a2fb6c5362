"""A service's connection to the bus, kept up by a supervised task: topics, relay, consumer.

Nothing here blocks the start of a service or its HTTP commands: while the broker is gone, events wait in the service's
own log. A broker that comes back with another identity has lost everything; then all parts start anew, the relay
refills it, and the consumers read it from its beginning, where the versions they hold make old news harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownError
from faststream.kafka import KafkaBroker
from pymongo.errors import PyMongoError

from shared.contracts.envelope import Decode, decode
from shared.contracts.fields import Event
from shared.contracts.topics import MESSAGE_MAX_BYTES, PARTITIONS
from shared.kernel.clock import Clock
from shared.messaging.connection import METADATA_MAX_AGE_MS, REQUEST_TIMEOUT_MS, Connection
from shared.messaging.consume import Apply, Consumer
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.events import EventLog
from shared.messaging.partitions import Partitions
from shared.messaging.reading import hold_messages, read_to_end
from shared.messaging.relay import Relay, own_topics
from shared.messaging.slices import SliceConsumer
from shared.messaging.topics import ensure_topics, strays
from shared.runtime import metrics
from shared.runtime.logs import logger
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from shared.runtime.supervised import Abandoned, came_to_its_end, end, supervised, together

WATCH_S = 1.0
"""How often the broker's identity is asked for."""

RECONNECT_PAUSE_S = 1.0
"""Pause before a lost connection is built again."""

PRODUCER_BATCH_MAX_BYTES = MESSAGE_MAX_BYTES
"""Bytes of one batch to the broker: some 300 events. The client's default of 16 kB makes a request of every 20. A
batch is one message to a topic: what is too large for it is refused each time that it comes; all behind it waits."""

TOPICS_PAUSE_S = 0.1
"""Pause between looks at topics that were just made or removed: brokers hear of it one after the other."""

STRAY_MAX = 10_000
"""Messages that are looked at on a topic that the broker made by itself: more than a relay publishes within WATCH_S."""

STOP_TIMEOUT_S = 15
"""How long a stop waits for the batch at hand; the store's own timeouts end it before."""

_log = logger(__name__)


class BrokerChanged(Exception):
    """The broker came back with another identity."""


class Bus:
    """Relay and consumer of one service instance.

    `state` is `starting` until topics, relay and consumer are there for the first time, then `up`, or `away` while the
    broker does not answer; `down` if it ended by a defect, which is logged.
    """

    def __init__(self, settings: Settings, service: str, mongo: Mongo, events: EventLog, clock: Clock) -> None:
        self._settings = settings
        self._connection = Connection(settings)
        self._service = service
        self._dead_letters = DeadLetters(service)
        self._events = events
        owner = f"{socket.gethostname()}:{os.getpid()}"
        self._relay = Relay(mongo.db, events, clock, owner, settings.relay_batch_max)
        self._consumer: Consumer | None = None
        self._consumed: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.state = "starting"

    def consume(self, events: Sequence[type[Event]], apply: Apply, decode: Decode = decode) -> None:
        """Have `apply` called with batches of these events; to be called once, before `start`.

        Args:
            apply: one that appends events wakes the relay itself, once they are committed; most append none.
            decode: `envelope.decode`, or `fast.decode` for a service that reads its topics from their beginning.
        """
        if self._consumer is not None:
            raise RuntimeError("a service has one subscription, which lists all its topics")
        self._consumed = [event.topic for event in events]
        self._consumer = Consumer(self._service, self._consumed, apply, self._dead_letters, decode)

    def consume_slices(self, events: Sequence[type[Event]], partitions: Partitions) -> None:
        """Have a service that keeps its own offsets consume these events, in these turns; instead of `consume`.

        They are fetched by a process of its own and come as `fast.decode` gives them.
        """
        if self._consumer is not None:
            raise RuntimeError("a service has one subscription, which lists all its topics")
        self._consumed = [event.topic for event in events]
        self._consumer = SliceConsumer(self._service, self._consumed, partitions, self._dead_letters)

    async def start(self) -> None:
        """Begin to connect, in the background."""
        self._task = supervised(self._supervise(), "bus", self._ended_by_defect)

    async def stop(self) -> None:
        """Finish the batch at hand, commit it, and disconnect."""
        self._stopping.set()
        self._relay.stop()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=STOP_TIMEOUT_S)
            if not done:
                await end(self._task)

    def _ended_by_defect(self) -> None:
        self.state = "down"
        metrics.BUS_CONNECTED.set(0)

    async def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                if not await came_to_its_end(self._session()):
                    raise Abandoned
            except* (KafkaError, PyMongoError, OSError, BrokerChanged, Abandoned) as group:
                causes = sorted({type(error).__name__ for error in group.exceptions})
                _log.warning("bus connection ended; building it again", causes=causes)
            await self._relay.show_outbox()
            metrics.BUS_CONNECTED.set(0)
            if self.state == "up":
                self.state = "away"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RECONNECT_PAUSE_S)

    async def _session(self) -> None:
        """One connection, until the stop or the loss of the broker."""
        async with contextlib.AsyncExitStack() as stack:
            await self._connection.check(REQUEST_TIMEOUT_MS)
            admin = AIOKafkaAdminClient(**self._connection.arguments(), request_timeout_ms=REQUEST_TIMEOUT_MS)
            await admin.start()
            stack.push_async_callback(admin.close)
            cluster_id = await _cluster_id(admin)
            own = own_topics(self._service)
            # Again after each change: until a topic is made, a consumer that was left over may have the broker make it.
            while await ensure_topics(admin, own, self._settings.replication_factor) or await self._removes_strays(
                admin, own, cluster_id
            ):
                _log.info("topics were made or removed; looking at them again")
                await asyncio.sleep(TOPICS_PAUSE_S)
            producer = await self._producer()
            stack.push_async_callback(producer.stop)
            self._dead_letters.connect(producer)
            await self._relay.adopt(cluster_id, lambda: self._is_empty(dict.fromkeys(own, PARTITIONS)))
            works = [self._relay.run(producer), self._watch(admin, cluster_id)]
            if self._consumer is not None:
                works.append(self._consume(self._consumer, admin, cluster_id))
            else:
                self._connected()
            await together(works)

    async def _producer(self) -> AIOKafkaProducer:
        """A started producer, idempotent where the broker can do that; the embedded one cannot, and says so at once."""
        for idempotent in (True, False):
            producer = AIOKafkaProducer(
                **self._connection.arguments(),
                acks="all",
                enable_idempotence=idempotent,
                max_batch_size=PRODUCER_BATCH_MAX_BYTES,
                max_request_size=PRODUCER_BATCH_MAX_BYTES * 2,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
            )
            try:
                await producer.start()
            except UnknownError:
                await producer.stop()
                if not idempotent:
                    raise
                _log.info("the broker has no idempotent producer; a retried send may come twice")
                continue
            except BaseException:
                await producer.stop()
                raise
            return producer
        raise AssertionError("unreachable: the last attempt returned or raised")

    async def _consume(self, consumer: Consumer, admin: AIOKafkaAdminClient, cluster_id: str) -> None:
        await self._await_topics(admin)
        if self._stopping.is_set():
            return
        broker = KafkaBroker(
            # A list: the client library takes a text with commas apart, FastStream hands it on as one server.
            self._settings.kafka.split(","),
            security=self._connection.security,
            client_id=f"mamapost-{self._service}",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=STOP_TIMEOUT_S,
            apply_types=False,
            logger=None,
        )
        consumer.attach(broker, self._settings, cluster_id)
        starting = asyncio.create_task(broker.start())
        telling = asyncio.create_task(self._tell_assigned(consumer))
        lagging = supervised(consumer.tell_lag(self._connection), "lag", self._ended_by_defect)
        try:
            await starting
            await consumer.watch(self._stopping)
        finally:
            starting.cancel()
            telling.cancel()
            try:
                await end(lagging)
                await consumer.release()
            finally:
                await consumer.detach(broker)

    async def _tell_assigned(self, consumer: Consumer) -> None:
        await consumer.assigned.wait()
        self._connected()

    async def _await_topics(self, admin: AIOKafkaAdminClient) -> None:
        """Wait until the owners have created all topics consumed here: only an owner creates, so none is made twice.

        One that the broker made by itself is as good as missing: its owner is about to remove it.
        """
        while missing := {*self._consumed} - {*await admin.list_topics()} | {*await strays(admin, self._consumed)}:
            if self._stopping.is_set():
                return
            _log.info("waiting for topics of other services", missing=sorted(missing))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WATCH_S)

    def _connected(self) -> None:
        self.state = "up"
        metrics.BUS_CONNECTED.set(1)

    async def _watch(self, admin: AIOKafkaAdminClient, cluster_id: str) -> None:
        """Raise when the broker is another one; a broker that is away for a while is waited for."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WATCH_S)
                return
            await self._relay.show_outbox()
            try:
                seen = await _cluster_id(admin)
            except KafkaError as error:
                if self.state == "up":
                    _log.warning("the broker does not answer", error=type(error).__name__)
                    self.state = "away"
                metrics.BUS_CONNECTED.set(0)
                continue
            if seen != cluster_id:
                raise BrokerChanged
            if self.state == "away":
                self._connected()

    async def _removes_strays(self, admin: AIOKafkaAdminClient, own: Sequence[str], cluster_id: str) -> bool:
        """Remove own topics that the broker made by itself, with too few partitions, so that they are made anew.

        A relay that has yet to see that the broker is another one may have published there. All of that comes again, so
        from a broker that is new to this service a topic goes, too, that holds nothing but events of its own log. Any
        other that holds messages is left alone: only an operator can say why it is as it is.

        Returns:
            Whether one was removed.
        """
        found = await strays(admin, own)
        if not found:
            return False
        is_new = not await self._relay.knows(cluster_id)
        expendable = [
            name
            for name, count in found.items()
            if await self._is_empty({name: count}) or (is_new and await self._holds_own_events(name, count))
        ]
        if expendable:
            _log.warning("the broker made topics by itself; making them anew", topics=sorted(expendable))
            await admin.delete_topics(expendable)
        if left := sorted(found.keys() - set(expendable)):
            _log.error("topics have too few partitions and hold messages", topics=left, expected=PARTITIONS)
        return bool(expendable)

    async def _holds_own_events(self, topic: str, partitions: int) -> bool:
        """Whether every message on a topic, of which there are few, is an event of this service's log."""
        places = {TopicPartition(topic, number): 0 for number in range(partitions)}
        ids: list[str] = []
        async with contextlib.aclosing(read_to_end(self._connection, places, REQUEST_TIMEOUT_MS)) as records:
            async for record in records:
                ids.append((dict(record.headers).get("ce_id") or b"").decode(errors="replace"))
                if len(ids) > STRAY_MAX:
                    return False
        return await self._events.holds(set(ids))

    async def _is_empty(self, partitions: Mapping[str, int]) -> bool:
        """Whether no partition of these topics holds a message.

        Args:
            partitions: how many each topic has.
        """
        places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
        return not await hold_messages(self._connection, places, REQUEST_TIMEOUT_MS)


async def _cluster_id(admin: AIOKafkaAdminClient) -> str:
    described = await admin.describe_cluster()
    return str(described["cluster_id"])
