"""A service that keeps its own offsets: where it reads from, what its slices hold, and how partitions change hands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from deploy.local.engines import Engines
from shared.contracts.envelope import Envelope, encode
from shared.contracts.fields import Event
from shared.contracts.registry import SeekerRegistered, SeekerWithdrawn
from shared.contracts.topics import PARTITIONS, partition_of
from shared.kernel.clock import system_clock
from shared.kernel.errors import ServiceError
from shared.kernel.ids import new_id
from shared.messaging import pace
from shared.messaging.bus import Bus
from shared.messaging.consume import Refusal
from shared.messaging.events import EventLog
from shared.messaging.partitions import Offsets, Refuse, Slice
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, YANTAI, seeker_registered
from tests.integration.test_bus import create_topics, dead_lettered, read_all

TOPIC = SeekerRegistered.topic
HERE = partition_of(YANTAI)


class Books:
    """A service's state: what was applied and up to where, and what to do instead for a while."""

    def __init__(self, starts: dict[tuple[str, int], int] | None = None) -> None:
        self.offsets: dict[tuple[str, int], int] = dict(starts or {})
        self.applied: list[Envelope] = []
        self.sizes: list[int] = []
        self.failures: list[BaseException] = []
        self.poison: set[str] = set()
        self.refuse: set[str] = set()
        self.clusters: list[str] = []
        self.held: frozenset[int] = frozenset()
        self.up_to_date: set[int] = set()
        self.calls: list[str] = []

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        self.calls.append("assigned")
        if self.failures:
            raise self.failures.pop(0)
        if self.clusters and self.clusters[-1] != cluster_id:
            self.offsets.clear()
        self.clusters.append(cluster_id)
        self.held, self.up_to_date = partitions, set()
        return {key: offset for key, offset in self.offsets.items() if key[1] in partitions}

    def placed(self, starts: Offsets) -> None:
        self.calls.append("placed")
        self.offsets.update(starts)

    async def apply(self, piece: Slice, refuse: Refuse) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if any(envelope.event.entity_id in self.poison for envelope in piece.events):
            raise RuntimeError("a defect")
        await refuse([Refusal(e, "refused by the test") for e in piece.events if e.event.entity_id in self.refuse])
        assert {key[1] for key in piece.ends} <= self.held
        self.sizes.append(len(piece.events))
        self.applied += [e for e in piece.events if e.event.entity_id not in self.refuse]
        self.offsets.update(piece.ends)

    def readers(self) -> int:
        return 0

    def caught_up(self, partition: int) -> None:
        self.up_to_date.add(partition)

    async def revoked(self, partitions: frozenset[int]) -> None:
        self.calls.append("revoked")
        assert partitions == self.held
        self.held = frozenset()

    @property
    def entities(self) -> list[str]:
        return [envelope.event.entity_id for envelope in self.applied]


@asynccontextmanager
async def consuming(settings: Settings, books: Books) -> AsyncIterator[Bus]:
    mongo = Mongo.connect(settings, "matching")
    bus = Bus(settings, "matching", mongo, EventLog(mongo.db, "matching"), system_clock)
    bus.consume_slices([SeekerRegistered, SeekerWithdrawn], books)
    await bus.start()
    try:
        await eventually(lambda: bus.state == "up", "the bus is up")
        yield bus
    finally:
        await bus.stop()
        mongo.close()


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, events: Sequence[Event], **instead: Any) -> list[RecordMetadata]:
    """Send events, side by side so that they share a batch."""
    pending = []
    for event in events:
        message = encode(Envelope(new_id("event"), NOW, event))
        fields: dict[str, Any] = {"value": message.value, "key": message.key, "headers": list(message.headers)}
        pending.append(await producer.send(message.topic, partition=message.partition, **fields | instead))
    return [await future for future in pending]


async def test_reading_begins_where_the_service_says(fresh_broker: Engines, settings: Settings) -> None:
    events = [seeker_registered() for _ in range(30)]
    async with producing(settings) as producer:
        await send(producer, events)
    books = Books({(TOPIC, HERE): 12})
    async with consuming(settings, books):
        await eventually(lambda: len(books.applied) == 18, "the rest is applied")
        await eventually(lambda: books.up_to_date == set(range(PARTITIONS)), "all are caught up, the empty ones too")
    assert books.entities == [event.seeker_id for event in events[12:]]
    assert books.offsets[TOPIC, HERE] == 30
    again = Books()
    async with consuming(settings, again):
        await eventually(lambda: len(again.applied) == 30, "committed offsets do not decide")
    third = Books(books.offsets)
    async with consuming(settings, third):
        await eventually(lambda: HERE in third.up_to_date, "it is caught up")
    assert third.applied == []


async def test_a_partition_is_caught_up_only_with_the_last_batch(fresh_broker: Engines, settings: Settings) -> None:
    """The embedded broker tells the first offset of the last batch as the end."""
    async with producing(settings) as producer:
        await send(producer, [seeker_registered() for _ in range(400)])
    books = Books()
    seen: list[int] = []
    books.caught_up = lambda partition: seen.append(len(books.applied)) if partition == HERE else None  # type: ignore[method-assign]
    async with consuming(settings.model_copy(update={"batch_max_records": 50}), books):
        await eventually(lambda: seen != [], "it is caught up")
    assert seen == [400]


async def test_dead_letters_and_duplicates_move_the_position_too(fresh_broker: Engines, settings: Settings) -> None:
    books = Books()
    refused = seeker_registered()
    books.refuse = {refused.seeker_id}
    async with producing(settings) as producer, consuming(settings, books):
        await send(producer, [seeker_registered()])
        await send(producer, [seeker_registered()], value=b"{not json")
        await send(producer, [refused])
        await eventually(lambda: books.offsets.get((TOPIC, HERE)) == 3, "the position is past all of them")
        await eventually(lambda: dead_lettered(settings, 2), "both are dead-lettered")
        double = encode(Envelope(new_id("event"), NOW, seeker_registered()))
        for _ in range(2):
            await producer.send_and_wait(
                TOPIC, double.value, double.key, double.partition, headers=list(double.headers)
            )
        await eventually(lambda: books.offsets[TOPIC, HERE] == 5, "the position is past the duplicate")
    letters = [orjson.loads(record.value) for record in await read_all(settings, f"{TOPIC}.dlq", 1)]
    assert sorted(letter["reason"] for letter in letters) == ["not-json", "refused"]


async def test_a_slice_that_failed_comes_again_and_nothing_is_skipped(
    fresh_broker: Engines, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SLICE_MAX", 4)
    books = Books()
    events = [seeker_registered() for _ in range(40)]
    books.poison = {events[21].seeker_id}
    async with producing(settings) as producer, consuming(settings, books):
        await eventually(lambda: len(books.up_to_date) == PARTITIONS, "it reads")
        books.failures = [StoreUnavailable("gone"), StoreUnavailable("gone")]
        await send(producer, events)
        await eventually(lambda: books.offsets[TOPIC, HERE] == 40, "all are behind it")
    assert books.entities == [event.seeker_id for event in events if event is not events[21]]
    [letter] = [orjson.loads(record.value) for record in await read_all(settings, f"{TOPIC}.dlq", 1)]
    assert (letter["reason"], letter["origin"]["offset"]) == ("handler-failed", 21)


async def test_others_run_between_the_slices(fresh_broker: Engines, settings: Settings) -> None:
    books = Books()
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(books.applied))
            await asyncio.sleep(0)

    async with producing(settings) as producer:
        await send(producer, [seeker_registered() for _ in range(1_000)])
    running = asyncio.create_task(other())
    async with consuming(settings, books):
        await eventually(lambda: len(books.applied) == 1_000, "all are applied")
    running.cancel()
    assert max(books.sizes) <= pace.SLICE_MAX
    between = Counter(turns)
    assert len(between) >= len([size for size in books.sizes if size]), "somebody else ran after each slice"


class Refused(ServiceError):
    code = "refused"
    kind = "conflict"


async def test_a_service_that_cannot_hold_its_partitions_is_asked_again_or_shown(
    fresh_broker: Engines, settings: Settings
) -> None:
    books = Books()
    books.failures = [StoreUnavailable("gone")]
    async with producing(settings), consuming(settings, books):
        await eventually(lambda: len(books.up_to_date) == PARTITIONS, "asked again, it reads")
    broken = Books()
    broken.failures = [Refused("never")]
    async with consuming(settings, broken) as bus:
        await eventually(lambda: bus.state == "down", "a defect is shown")


async def test_partitions_are_shared_and_change_hands_after_the_books_are_closed(
    fresh_broker: Engines, settings: Settings
) -> None:
    first, second = Books(), Books()
    every = frozenset(range(PARTITIONS))
    async with producing(settings) as producer, consuming(settings, first):
        await send(producer, [seeker_registered() for _ in range(10)])
        await eventually(lambda: first.held == every and len(first.applied) == 10, "the first holds all")
        async with consuming(settings, second):
            await eventually(lambda: second.held != frozenset() and first.held | second.held == every, "shared", 60)
            assert not first.held & second.held
            assert first.calls[:3] == ["assigned", "placed", "revoked"]
            await send(producer, [seeker_registered() for _ in range(10)])
            await eventually(
                lambda: len({*first.entities, *second.entities}) == 20, "whoever holds the city has all of it"
            )
        await eventually(lambda: first.held == every, "the first holds all again", 60)
    assert second.calls[-1] == "revoked"
    assert len(first.entities) == len(set(first.entities)), "what was in memory is not read again"


async def test_a_new_broker_is_told_and_read_from_its_beginning(fresh_broker: Engines, settings: Settings) -> None:
    books = Books()
    async with producing(settings) as producer, consuming(settings, books) as bus:
        await send(producer, [seeker_registered() for _ in range(7)])
        await eventually(lambda: books.offsets.get((TOPIC, HERE)) == 7, "all are applied")
        fresh_broker.kill_broker()
        await eventually(lambda: bus.state == "away", "the loss is noticed")
        fresh_broker.start_broker()
        async with producing(settings) as other:
            await send(other, [seeker_registered() for _ in range(3)])
            await eventually(lambda: books.offsets.get((TOPIC, HERE)) == 3, "read from the beginning", 60)
    assert len(set(books.clusters)) == 2
    assert len(books.applied) == 10


async def test_offsets_are_committed_for_monitoring(fresh_broker: Engines, settings: Settings) -> None:
    books = Books()
    reader = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=f"{settings.db_prefix}.matching")
    part = TopicPartition(TOPIC, HERE)
    async with producing(settings) as producer, consuming(settings, books):
        await send(producer, [seeker_registered() for _ in range(7)])
        await eventually(lambda: books.offsets.get((TOPIC, HERE)) == 7, "all are applied")
    await reader.start()
    try:
        assert await reader.committed(part) == 7
    finally:
        await reader.stop()
