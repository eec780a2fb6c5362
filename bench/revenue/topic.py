"""Accruals from the topic to the durable ledger: two instances of the consumer, each a process, on one broker.

An instance is what the service runs, without HTTP: bus, decoder, handler, store. It starts on an empty topic, so that
the partitions are shared out before anything comes, and holds its first batch until all messages are there.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from services.revenue.handlers import COLLECT_AFTER, CONSUMED, Ledger
from services.revenue.store import MongoLedger
from shared.contracts import fast
from shared.contracts.envelope import Envelope, Message
from shared.kernel.clock import system_clock
from shared.messaging.bus import PRODUCER_BATCH_MAX_BYTES, Bus
from shared.messaging.consume import Refusal
from shared.messaging.events import EventLog
from shared.messaging.relay import own_topics
from shared.messaging.topics import ensure_topics
from shared.runtime.loading import collect_seldom
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

INSTANCES = 2
"""Processes that accrue: as many as the development machine has cores."""

STORED = ("lock", "standing", "agreements", "accounts", "bases", "add_to_books", "append_lines", "save_shifts")


class Batch(NamedTuple):
    """When a batch was committed, and how many shifts it held."""

    at: float
    shifts: int


class Told(NamedTuple):
    """What an instance says at its end.

    Attributes:
        seconds: by stage, wall time.
        cpu_s: that its process took between its first batch and its last.
    """

    batches: list[Batch]
    seconds: dict[str, float]
    cpu_s: float


class Accrued(NamedTuple):
    """What was measured.

    Attributes:
        per_s: accruals in a second, of all instances together.
        wall_us: by stage, microseconds of an instance's time for each accrual.
        cpu_us: by process, microseconds of processor time for each accrual.
    """

    per_s: float
    wall_us: dict[str, float]
    cpu_us: dict[str, float]


async def produce(settings: Settings, messages: Sequence[Message]) -> None:
    """Put messages on their topics."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        acks="all",
        max_batch_size=PRODUCER_BATCH_MAX_BYTES,
        max_request_size=2 * PRODUCER_BATCH_MAX_BYTES,
    )
    async with producer:
        for start in range(0, len(messages), 2_000):
            sent = [
                await producer.send(m.topic, m.value, key=m.key, partition=m.partition, headers=list(m.headers))
                for m in messages[start : start + 2_000]
            ]
            await asyncio.gather(*sent)


async def create_topics(settings: Settings) -> None:
    """What the registry does when it starts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await ensure_topics(admin, own_topics("registry"), settings.replication_factor)
    finally:
        await admin.close()


async def accrue_from_topic(settings: Settings, messages: Sequence[Message]) -> Accrued:
    """Have the instances take shifts of cities that are known to them."""
    await create_topics(settings)
    context = multiprocessing.get_context("spawn")
    go, pipes, instances = context.Event(), [], []
    for _ in range(INSTANCES):
        here, there = context.Pipe()
        instance = context.Process(target=_instance, args=(settings, go, there), daemon=True)
        instance.start()
        pipes.append(here)
        instances.append(instance)
    try:
        await asyncio.gather(*(asyncio.to_thread(_expect, pipe, "assigned") for pipe in pipes))
        await produce(settings, messages)
        before = _cpu_of_children()
        go.set()
        left, done = len(messages), [0] * len(pipes)
        while sum(done) < left:
            for number, pipe in enumerate(pipes):
                while pipe.poll(0.02):
                    done[number] = pipe.recv()
        engines = {name: cpu - before.get(name, 0.0) for name, cpu in _cpu_of_children().items()}
        told = []
        for pipe in pipes:
            pipe.send("end")
            told.append(await asyncio.to_thread(_told, pipe))
    finally:
        for instance in instances:
            instance.join(20)
            instance.kill()
    return _summed(told, engines)


def _summed(told: Sequence[Told], engines: dict[str, float]) -> Accrued:
    """From the first commit to the last: the batches that were held are not counted."""
    batches = sorted(batch for one in told for batch in one.batches)
    counted = sum(batch.shifts for batch in batches[1:])
    shifts = sum(batch.shifts for batch in batches)
    stages = {stage: sum(one.seconds[stage] for one in told) for stage in told[0].seconds}
    cpu = {"instances": sum(one.cpu_s for one in told)} | engines
    return Accrued(
        per_s=counted / (batches[-1].at - batches[0].at),
        wall_us={stage: 1e6 * seconds / shifts for stage, seconds in stages.items()},
        cpu_us={name: 1e6 * seconds / shifts for name, seconds in cpu.items()},
    )


def _expect(pipe: Connection, what: str) -> None:
    if pipe.recv() != what:
        raise SystemExit("an instance failed; its log says why")


def _told(pipe: Connection) -> Told:
    while not isinstance(said := pipe.recv(), Told):
        pass
    return said


def _cpu_of_children() -> dict[str, float]:
    """Processor seconds of the engines that this process started, by the name of their program."""
    ticks, found = os.sysconf("SC_CLK_TCK"), defaultdict[str, float](float)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        fields = rest.split()
        if int(fields[1]) == os.getpid() and not name.startswith("python"):
            found[name[:6]] += (int(fields[11]) + int(fields[12])) / ticks
    return dict(found)


def _instance(settings: Settings, go: Event, pipe: Connection) -> None:
    asyncio.run(_run(settings, go, pipe))


async def _run(settings: Settings, go: Event, pipe: Connection) -> None:
    mongo = Mongo.connect(settings, "revenue")
    events = EventLog(mongo.db, "revenue")
    seconds: defaultdict[str, float] = defaultdict(float)
    batches: list[Batch] = []
    cpu: list[float] = []
    ledger = Ledger(mongo, lambda session: _timed(MongoLedger(mongo.db, events, session), seconds), system_clock)
    ended = 0.0

    def decode(topic: str, key: bytes | None, headers: Any, value: bytes | None) -> Envelope:
        started = time.perf_counter()
        envelope = fast.decode(topic, key, headers, value)
        seconds["decode"] += time.perf_counter() - started
        return envelope

    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        nonlocal ended
        if not go.is_set():
            await asyncio.to_thread(go.wait)
        else:
            seconds["poll and commit of offsets"] += time.perf_counter() - ended
        if not cpu:
            cpu.append(time.process_time())
        started, stored = time.perf_counter(), sum(seconds.values())
        refused = await ledger.apply(batch)
        if refused:
            raise SystemExit(f"{len(refused)} shifts were refused: {refused[0].detail}")
        ended = time.perf_counter()
        seconds["rules, and commit"] += ended - started - (sum(seconds.values()) - stored)
        batches.append(Batch(ended, len(batch)))
        pipe.send(sum(one.shifts for one in batches))
        return refused

    bus = Bus(settings, "revenue", mongo, events, system_clock)
    bus.consume(CONSUMED, apply, decode)
    await bus.start()
    collect_seldom(COLLECT_AFTER)
    while bus.state != "up":  # noqa: ASYNC110 - the bus has no event of it, and a service needs none
        await asyncio.sleep(0.05)
    pipe.send("assigned")
    await asyncio.to_thread(pipe.recv)
    seconds["poll and commit of offsets"] -= seconds["decode"]
    pipe.send(Told(batches, seconds, time.process_time() - cpu[0]))
    await bus.stop()
    mongo.close()


def _timed(store: MongoLedger, seconds: defaultdict[str, float]) -> MongoLedger:
    """A store that counts the time of each of its steps."""

    def timed(name: str, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return await step(*args, **kwargs)
            finally:
                seconds[f"store: {name}"] += time.perf_counter() - started

        return run

    for name in STORED:
        setattr(store, name, timed(name, getattr(store, name)))
    return store
