"""The bus: from outbox through relay, broker and validation to a consumer, against the same bytes, bare aiokafka."""

from __future__ import annotations

import asyncio
import random
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.measure import NOW, YANTAI, Measured, seeker
from deploy.local.engines import Engines
from shared.contracts.envelope import Envelope, Message, encode
from shared.contracts.registry import SeekerRegistered
from shared.contracts.topics import partition_of
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import PRODUCER_BATCH_MAX_BYTES, Bus
from shared.messaging.consume import Refusal
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

EVENTS = 20_000


async def bench_bus(round_number: int) -> list[Measured]:
    """One round on engines of its own."""
    with tempfile.TemporaryDirectory() as root, Engines.start(Path(root) / "data", Path(root) / "log") as engines:
        settings = Settings(
            kafka=engines.urls.kafka, mongo=engines.urls.mongo, db_prefix=f"bench_{secrets.token_hex(4)}"
        )
        dice = random.Random(round_number)
        envelopes = [Envelope(new_id("event"), NOW, seeker(dice)) for _ in range(EVENTS)]
        bare_per_s = await _bare(settings, [encode(envelope) for envelope in envelopes])
        ours_per_s = await _ours(settings, envelopes)
        return [
            Measured(
                "outbox → relay → topic → valid events applied",
                ours_per_s,
                bare_per_s,
                "events/s",
                "same bytes, bare aiokafka send and fetch, no database, no validation",
            )
        ]


async def _bare(settings: Settings, messages: Sequence[Message]) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        acks="all",
        max_batch_size=PRODUCER_BATCH_MAX_BYTES,
        max_request_size=PRODUCER_BATCH_MAX_BYTES * 2,
    )
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=20)
    await producer.start()
    await consumer.start()
    partition = partition_of(YANTAI)
    topic = "bench-bare"
    await producer.send_and_wait(topic, b"makes the topic", partition=partition)
    consumer.assign([TopicPartition(topic, partition)])
    started = time.perf_counter()

    async def produce() -> None:
        for start in range(0, len(messages), 1000):
            pending = [
                await producer.send(topic, m.value, key=m.key, partition=partition, headers=list(m.headers))
                for m in messages[start : start + 1000]
            ]
            await asyncio.gather(*pending)

    producing = asyncio.create_task(produce())
    seen = 0
    while seen < len(messages) + 1:
        seen += sum(len(records) for records in (await consumer.getmany(timeout_ms=20, max_records=500)).values())
    elapsed = time.perf_counter() - started
    await producing
    await producer.stop()
    await consumer.stop()
    return len(messages) / elapsed


async def _ours(settings: Settings, envelopes: Sequence[Envelope]) -> float:
    source, sink = Mongo.connect(settings, "registry"), Mongo.connect(settings, "training")
    log = EventLog(source.db, "registry")
    await log.ensure_indexes()
    events = [envelope.event for envelope in envelopes]
    applied = 0
    done = asyncio.Event()

    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        nonlocal applied
        applied += len(batch)
        if applied >= len(events):
            done.set()
        return []

    producer_side = Bus(settings, "registry", source, log, system_clock)
    consumer_side = Bus(settings, "training", sink, EventLog(sink.db, "training"), system_clock)
    consumer_side.consume([SeekerRegistered], apply)
    await producer_side.start()
    await consumer_side.start()
    while consumer_side.state != "up" or producer_side.state != "up":  # noqa: ASYNC110  a state, looked at once here
        await asyncio.sleep(0.02)
    for start in range(0, len(events), 500):
        piece = events[start : start + 500]
        await source.transaction(lambda session, piece=piece: log.append(session, piece, NOW))  # type: ignore[misc]
    started = time.perf_counter()
    log.wake()
    applied_before = applied
    await done.wait()
    elapsed = time.perf_counter() - started
    await consumer_side.stop()
    await producer_side.stop()
    source.close()
    sink.close()
    return (len(events) - applied_before) / elapsed
