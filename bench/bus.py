"""What an event costs on its way, against the same bytes through bare aiokafka in batches.

Two ways are measured. *On the wire*: from an event to the event in its consumer's batch: `encode`, record batches to
its topic, and the batch subscription of `shared.messaging` with `fast.decode`, which validates headers, key and value;
offsets are committed and metrics counted. *Through the outbox*: as a service does it, with transactions of MongoDB that
hold the events, and the relay, which reads them, publishes them, and notes that it has. Bare aiokafka sends and fetches
bytes that lie ready, and commits nothing.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.measure import NOW, YANTAI, Goal, Measured, shift
from deploy.local.engines import Engines
from shared.contracts import fast
from shared.contracts.envelope import Envelope, Message, encode
from shared.contracts.fields import Event
from shared.contracts.registry import ShiftCompleted
from shared.contracts.topics import partition_of
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import PRODUCER_BATCH_MAX_BYTES, Bus
from shared.messaging.consume import Refusal
from shared.messaging.events import EventLog
from shared.messaging.polling import FETCH_WAIT_MIN_MS
from shared.messaging.publish import publish
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

EVENTS = 10_000
"""Of one turn of one side; `shift-completed`, of which a programme has most."""

TURNS = 5
"""Of each side in a round; they alternate, since what else the machine does slows both. The first is for warming up."""

SENT_AT_ONCE = 1000
"""Messages before acknowledgements are awaited; as the relay (`Settings.relay_batch_max`)."""

FETCHED_AT_ONCE = 500
"""Messages of a batch; as the subscription (`Settings.batch_max_records`)."""

COMMITTED_AT_ONCE = 500
"""Events of a transaction of the outbox."""

BARE_TOPIC = "bench-bare"
BARE = "the same bytes, bare aiokafka, send and fetch in batches"
COST = Goal("event-cost-vs-bare-aiokafka", 1.5, at_most=True)


class Cost(NamedTuple):
    """What a turn took: by the clock, and of the processor in this process (the broker is another)."""

    wall_s: float
    cpu_s: float


class Arrivals:
    """Counts what arrives, and lets a turn wait for the last of it."""

    def __init__(self) -> None:
        self._awaited = 0
        self._came = asyncio.Event()

    def expect(self, count: int) -> None:
        self._awaited = count
        self._came.clear()

    async def apply(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """A handler that does nothing."""
        self.count(len(batch))
        return []

    def count(self, number: int) -> None:
        self._awaited -= number
        if self._awaited <= 0:
            self._came.set()

    async def all(self) -> None:
        await self._came.wait()


async def bench_bus(round_number: int) -> list[Measured]:
    """One round on engines of its own."""
    with tempfile.TemporaryDirectory() as root, Engines.start(Path(root) / "data", Path(root) / "log") as engines:
        settings = Settings(
            kafka=engines.urls.kafka, mongo=engines.urls.mongo, db_prefix=f"bench_{secrets.token_hex(4)}"
        )
        dice = random.Random(round_number)
        envelopes = [Envelope(new_id("event"), NOW, shift(dice)) for _ in range(EVENTS)]
        messages = [encode(envelope) for envelope in envelopes]
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka,
            acks="all",
            max_batch_size=PRODUCER_BATCH_MAX_BYTES,
            max_request_size=PRODUCER_BATCH_MAX_BYTES * 2,
        )
        await producer.start()
        arrivals = Arrivals()
        costs: list[tuple[Cost, Cost]] = []
        async with _bare_reader(settings, producer, arrivals), _services(settings, arrivals) as append:
            for _ in range(TURNS):
                bare = await _turn(arrivals, lambda: _send(producer, messages))
                ours = await _turn(arrivals, lambda: _publish(producer, envelopes))
                costs.append((ours, bare))
            outbox = await _turn(arrivals, lambda: append([envelope.event for envelope in envelopes]))
        await producer.stop()
    del costs[0]
    ours, bare = (
        Cost(*(statistics.median(each) for each in zip(*side, strict=True))) for side in zip(*costs, strict=True)
    )
    return [
        Measured("event → topic → valid event", EVENTS / ours.wall_s, EVENTS / bare.wall_s, "events/s", BARE, COST),
        Measured("the same, processor time", EVENTS / ours.cpu_s, EVENTS / bare.cpu_s, "events/CPU s", BARE),
        Measured(
            "transaction → relay → topic → valid event", EVENTS / outbox.wall_s, EVENTS / bare.wall_s, "events/s", BARE
        ),
    ]


async def _turn(arrivals: Arrivals, produce: Callable[[], Awaitable[None]]) -> Cost:
    arrivals.expect(EVENTS)
    cpu, wall = time.process_time(), time.perf_counter()
    await produce()
    await arrivals.all()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


async def _publish(producer: AIOKafkaProducer, envelopes: Sequence[Envelope]) -> None:
    for start in range(0, len(envelopes), SENT_AT_ONCE):
        await publish(producer, map(encode, envelopes[start : start + SENT_AT_ONCE]))


async def _send(producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), SENT_AT_ONCE):
        pending = [
            await producer.send(BARE_TOPIC, m.value, key=m.key, partition=m.partition, headers=list(m.headers))
            for m in messages[start : start + SENT_AT_ONCE]
        ]
        await asyncio.gather(*pending)


@asynccontextmanager
async def _bare_reader(settings: Settings, producer: AIOKafkaProducer, arrivals: Arrivals) -> AsyncIterator[None]:
    partition = partition_of(YANTAI)
    made = await producer.send_and_wait(BARE_TOPIC, b"makes the topic", partition=partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, fetch_max_wait_ms=FETCH_WAIT_MIN_MS, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(BARE_TOPIC, partition)])
    consumer.seek(TopicPartition(BARE_TOPIC, partition), made.offset + 1)

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=20, max_records=FETCHED_AT_ONCE)).values():
                arrivals.count(len(records))

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        reading.cancel()
        await consumer.stop()


@asynccontextmanager
async def _services(settings: Settings, arrivals: Arrivals) -> AsyncIterator[Callable[[list[Event]], Awaitable[None]]]:
    """The registry's relay, and a consumer of what it publishes; gives what commits events to the registry's log."""
    source, sink = Mongo.connect(settings, "registry"), Mongo.connect(settings, "training")
    log = EventLog(source.db, "registry")
    await log.ensure_indexes()
    relaying = Bus(settings, "registry", source, log, system_clock)
    consuming = Bus(settings, "training", sink, EventLog(sink.db, "training"), system_clock)
    consuming.consume([ShiftCompleted], arrivals.apply, fast.decode)

    async def append(events: list[Event]) -> None:
        for start in range(0, len(events), COMMITTED_AT_ONCE):
            piece = events[start : start + COMMITTED_AT_ONCE]
            await source.transaction(lambda session, piece=piece: log.append(session, piece, NOW))  # type: ignore[misc]
            log.wake()

    await relaying.start()
    await consuming.start()
    while consuming.state != "up" or relaying.state != "up":  # noqa: ASYNC110  a state, looked at once here
        await asyncio.sleep(0.02)
    try:
        yield append
    finally:
        await consuming.stop()
        await relaying.stop()
        source.close()
        sink.close()
