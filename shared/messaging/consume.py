"""Batch consumption: valid events to one handler, effects before offsets, nothing lost, nothing blocked.

FastStream's own decoding fails a whole batch for one bad record, so its parser is replaced by one that never raises and
its decoder by none: the handler gets the raw records, splits them, dead-letters the bad ones, applies the good ones in
one transaction, and raises to see the batch again when the store is gone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, NoReturn

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage, KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from pymongo.errors import PyMongoError

from shared.contracts.envelope import Decode, Envelope, Undecodable, decode
from shared.kernel.errors import ServiceError
from shared.messaging.connection import Connection
from shared.messaging.dead_letters import DeadLetters, Rejected
from shared.messaging.lag import Lag
from shared.messaging.polling import FETCH_WAIT_MIN_MS, Polling
from shared.messaging.records import Record
from shared.runtime import metrics, tracing
from shared.runtime.logs import logger
from shared.runtime.mongo import is_unavailable
from shared.runtime.settings import Settings
from shared.runtime.supervised import Abandoned, is_cancelled
from shared.runtime.tracing import Traced

COMMIT_S = 1.0
"""Pause between commits at the broker of a service that keeps its own offsets; they serve lag monitoring only."""

RETRY_PAUSE_S = 0.5
"""Pause before a failed batch comes again, so that a lost database is not hammered."""

REBALANCE_TIMEOUT_MS = 10_000
"""How long a rebalance waits for a member: above any healthy batch (under 2 s). A member that takes longer loses its
partitions and its batch comes again, which is harmless; the embedded broker waits this long for a killed one."""

TRACED_MAX = 50
"""Events of a batch that are traced: each costs a transaction of its own, some 4 ms, so together 200 ms. A batch with
more of them is a backlog, of which these are a sample."""

SESSION_TIMEOUT_MS = 6_000
"""A consumer that was killed is missed after this long (the least that Kafka allows by default)."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A valid event that its consumer cannot use; goes to the dead letters.

    Attributes:
        detail: why, without personal data.
    """

    envelope: Envelope
    detail: str


Received = tuple[Record, Envelope]

Apply = Callable[[Sequence[Envelope]], Awaitable[Sequence[Refusal]]]
"""A service's handler: one batch of valid events in, its effect in one transaction.

The batch may hold duplicates, and events of different topics in any order. A retryable `ServiceError` or lost database
is raised, and the batch comes again; any other exception makes the events come one by one, and the culprit is
dead-lettered.
"""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's base is untyped
    """One subscription of a service to all topics that it consumes.

    One for all, so that the range assignor gives a whole city to one instance (promise 3).
    """

    def __init__(
        self, service: str, topics: Sequence[str], apply: Apply, dead_letters: DeadLetters, decode: Decode = decode
    ) -> None:
        self._decode = decode
        self._service = service
        self._topics = list(topics)
        self._meters = {
            topic: (metrics.CONSUMED.labels(topic), metrics.APPLY_DELAY_SECONDS.labels(topic)) for topic in topics
        }
        self._apply = apply
        self._dead_letters = dead_letters
        self._lag = Lag(topics)
        self._busy = asyncio.Lock()
        self._subscriber: BatchSubscriber | None = None
        self._polling = Polling(decode, 1, FETCH_WAIT_MIN_MS)
        self._failed: asyncio.Future[NoReturn] | None = None
        self._assignment = 0
        self.assigned = asyncio.Event()

    def attach(self, broker: KafkaBroker, settings: Settings, cluster_id: str) -> None:
        """Subscribe on a broker that has not been started.

        Args:
            cluster_id: the broker's identity.
        """
        subscriber = broker.subscriber(
            *self._topics,
            batch=True,
            group_id=f"{settings.db_prefix}.{self._service}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            partition_assignment_strategy=(RangePartitionAssignor,),
            fetch_max_wait_ms=FETCH_WAIT_MIN_MS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=SESSION_TIMEOUT_MS // 3,
            listener=self,
            parser=self._parse,
            decoder=_undecoded,
        )
        subscriber(self.handle)
        # FastStream's own sleeps after an empty poll, whatever comes meanwhile.
        subscriber.get_msg = self._poll  # type: ignore[method-assign]
        self._subscriber = subscriber
        self._polling = Polling(self._decode, settings.batch_max_records, settings.fetch_max_wait_ms)
        self._lag.attach(cluster_id)
        self.assigned.clear()
        self._failed = asyncio.get_running_loop().create_future()

    async def detach(self, broker: KafkaBroker) -> None:
        """Stop the broker that this is attached to.

        A consumer of aiokafka that stops while its fetch waits after a failure cancels its own stop, which FastStream
        takes for an end; its client would go on asking for the topics.
        """
        consumer: Any = self._subscriber.consumer if self._subscriber else None
        await broker.stop()
        if consumer is not None:
            await consumer._client.close()

    async def watch(self, stopping: asyncio.Event) -> None:
        """Return at the stop; meanwhile do what has to be done from time to time.

        Raises:
            Exception: nothing is consumed any more; what the client or the service told of it.
        """
        failed = self._failed
        if failed is None:
            raise RuntimeError("not attached")
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stop.done() and not failed.done():
                await asyncio.wait((stop, failed), timeout=COMMIT_S, return_when=asyncio.FIRST_COMPLETED)
                await self._commit()
            if failed.done():
                failed.result()
        finally:
            stop.cancel()

    async def _commit(self) -> None:
        """Tell the broker how far this is, where FastStream does not; for monitoring only."""

    def _fail(self, error: BaseException) -> None:
        """Have `watch` raise this: the connection is built again, by which all parts of a client begin anew."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def release(self) -> None:
        """Called before the connection is closed, by a stop or by the loss of the broker."""

    async def _poll(self, consumer: Any) -> tuple[Record, ...]:
        """The next records as soon as there are some; none after a while without."""
        records: list[Record] = []
        assignment = self._assignment
        try:
            with self._failing():
                async for few in self._polling.batch(consumer):
                    if self._assignment != assignment:  # what was read before is of partitions that others read now
                        records, assignment = [], self._assignment
                    self._lag.take(few)
                    records += few
        except KafkaError:
            if not records:
                raise
            # The client counts what was read as consumed, so that it must not be passed over.
        return tuple(records) if self._assignment == assignment else ()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A client that breaks is told to `watch`."""
        try:
            yield
        except ConsumerStoppedError:
            raise
        except Exception as error:  # FastStream waits after those of the broker, and polls no more after any other
            self._fail(error)
            raise
        except asyncio.CancelledError:
            # A part of the client that cancelled itself comes to light here; FastStream would poll no more.
            if not is_cancelled():
                self._fail(Abandoned())
            raise

    async def _parse(self, records: tuple[Record, ...]) -> KafkaMessage:
        """Wrap the raw records; headers are not read here, since a bad one would lose the batch."""
        consumer: Any = self._subscriber.consumer if self._subscriber else None
        return KafkaAckableMessage(
            body=b"", headers={}, batch_headers=[], raw_message=records, consumer=consumer, message_id="batch"
        )

    async def handle(self, records: Sequence[Record]) -> None:
        """Apply one batch. Returns when its effect is durable; raises when it must come again."""
        async with self._busy:
            good, bad = split(records)
            await self._dead_letters.send(bad)
            if good:
                await self._apply_all(good)
            self._lag.settle()
            self._lag.look(self._assigned_client())

    async def _apply_all(self, good: list[Received]) -> None:
        try:
            with metrics.APPLY_SECONDS.time():
                refusals = await self._apply_in_traces([envelope for _, envelope in good])
        except Exception as error:
            if comes_again(error):
                await self._pause(error)
                raise
            _log.error("batch failed; trying its events one by one", error=type(error).__name__, size=len(good))
            refusals = await self._apply_singly(good)
        if refusals:
            record_of = {envelope.id: record for record, envelope in good}
            await self._dead_letters.send([refused(record_of, refusal) for refusal in refusals])
        self._count(good)

    async def _apply_in_traces(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Apply a batch; each event of a trace by itself, so that what it causes belongs to its trace."""
        spans = tracing.spans()
        traced = traced_of(batch) if spans is not None else []
        if spans is None or not traced:
            return await self._apply(batch)
        refusals: list[Refusal] = []
        with spans.batch(traced):
            alone = {event.event_id: event for event in traced}
            for is_alone, run in groupby(batch, lambda envelope: envelope.id in alone):
                if not is_alone:
                    refusals += await self._apply(list(run))
                    continue
                for envelope in run:
                    with spans.process(alone[envelope.id]):
                        refusals += await self._apply([envelope])
        return refusals

    def _count(self, good: Sequence[Received]) -> None:
        """Count what came together, and its delays."""
        now = datetime.now(UTC)
        moments: defaultdict[str, list[datetime]] = defaultdict(list)
        for record, envelope in good:
            moments[record.topic].append(envelope.time)
        for topic, of_topic in moments.items():
            consumed, delay = self._meters[topic]
            consumed.inc(len(of_topic))
            metrics.observe_ages(delay, now, of_topic)

    async def _apply_singly(self, good: list[Received]) -> list[Refusal]:
        refusals: list[Refusal] = []
        for record, envelope in good:
            try:
                refusals.extend(await self._apply_in_traces([envelope]))
            except Exception as error:
                if comes_again(error):
                    await self._pause(error)
                    raise
                _log.exception("event failed", event_id=envelope.id, topic=record.topic)
                await self._dead_letters.send([failed(record, envelope, error)])
        return refusals

    async def _pause(self, error: BaseException) -> None:
        code = error.code if isinstance(error, ServiceError) else "store-unavailable"
        metrics.BATCH_FAILURES.labels(code).inc()
        _log.warning("batch will come again", code=code)
        await asyncio.sleep(RETRY_PAUSE_S)

    async def tell_lag(self, broker: Connection) -> None:
        """Keep the metric of the lag up to date until cancelled."""
        await self._lag.tell(broker, self._assigned_client)

    def _assigned_client(self) -> Any | None:
        return self._subscriber.consumer if self._subscriber and self.assigned.is_set() else None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Wait for the batch at hand: its effect and offsets belong to the old assignment."""
        self._assignment += 1
        async with self._busy:
            pass

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._lag.settle()
        self.assigned.set()


def traced_of(batch: Sequence[Envelope]) -> list[Traced]:
    """The events of a batch that continue a trace; the first `TRACED_MAX`."""
    traced = (
        Traced(envelope.event.topic, envelope.id, envelope.traceparent) for envelope in batch if envelope.traceparent
    )
    return list(islice(traced, TRACED_MAX))


def split(records: Iterable[Record]) -> tuple[list[Received], list[Rejected]]:
    """Valid events with their records, in order, and the rest with reasons.

    A record that holds the same event id as an earlier one of the batch is a duplicate and left out.
    """
    good: list[Received] = []
    bad: list[Rejected] = []
    seen: set[str] = set()
    for record in records:
        found = record.found
        if isinstance(found, Undecodable):
            bad.append(Rejected(record, found.reason, found.detail))
        elif found.id not in seen:
            seen.add(found.id)
            good.append((record, found))
    return good, bad


def refused(record_of: Mapping[str, Record], refusal: Refusal) -> Rejected:
    """The dead letter of an event that its consumer cannot use.

    Args:
        record_of: records by the ids of their events.
    """
    event_id = refusal.envelope.id
    return Rejected(record_of[event_id], "refused", refusal.detail, event_id=event_id)


def failed(record: Record, envelope: Envelope, error: BaseException) -> Rejected:
    """The dead letter of an event that made its handler fail, in its batch and by itself."""
    return Rejected(record, "handler-failed", type(error).__name__, attempts=2, event_id=envelope.id)


def comes_again(error: BaseException) -> bool:
    """Whether the same batch can succeed later."""
    if isinstance(error, ServiceError):
        return error.retryable
    return isinstance(error, PyMongoError) and is_unavailable(error)


async def _undecoded(message: KafkaMessage) -> Any:
    return message.raw_message
