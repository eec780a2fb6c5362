"""Promises 1, 2, 3 and 7 at the level of the bus: outbox, relay, batch consumption, dead letters, a lost broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from deploy.local.engines import Engines
from shared.contracts.envelope import Envelope, decode, encode
from shared.contracts.fields import Event
from shared.contracts.registry import SeekerRegistered, SeekerWithdrawn
from shared.contracts.topics import PARTITIONS, partition_of
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.connection import Connection
from shared.messaging.consume import Apply, Refusal
from shared.messaging.events import EventLog
from shared.messaging.reading import read_to_end
from shared.messaging.relay import own_topics
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, YANTAI, seeker_registered, seeker_withdrawn
from tests.integration.topics import make_topics

TOPIC = SeekerRegistered.topic

ASK_TIMEOUT_MS = 5_000
"""Longest wait for a topic that a broker may make by itself; one that does makes it at once."""


class Sink:
    """A consumer's effect: what was applied, in order, and what to do instead for a while."""

    def __init__(self) -> None:
        self.applied: list[Envelope] = []
        self.failures: list[BaseException] = []
        self.refuse: set[str] = set()
        self.poison: set[str] = set()

    async def apply(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        if self.failures:
            raise self.failures.pop(0)
        if any(envelope.event.entity_id in self.poison for envelope in batch):
            raise RuntimeError("a bug in the handler")
        self.applied.extend(batch)
        return [Refusal(e, "refused by the test") for e in batch if e.event.entity_id in self.refuse]

    @property
    def entities(self) -> list[str]:
        return [envelope.event.entity_id for envelope in self.applied]


@asynccontextmanager
async def running(settings: Settings, mongo: Mongo, service: str, apply: Apply | None) -> AsyncIterator[Bus]:
    bus = Bus(settings, service, mongo, EventLog(mongo.db, service), system_clock)
    if apply is not None:
        bus.consume([SeekerRegistered, SeekerWithdrawn], apply)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


async def is_up(bus: Bus) -> None:
    await eventually(lambda: bus.state == "up", "the bus is up")


async def append(mongo: Mongo, events: Sequence[Event], at: datetime = NOW) -> list[Envelope]:
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    return await mongo.transaction(lambda session: log.append(session, events, at))


async def read_all(settings: Settings, topic: str, partitions: int = PARTITIONS) -> list[Any]:
    """Every record of a topic."""
    places = {TopicPartition(topic, number): 0 for number in range(partitions)}
    async with asyncio.timeout(20):
        return [record async for record in read_to_end(Connection(settings), places)]


async def create_topics(settings: Settings) -> None:
    """The registry's topics, for a test in which no registry runs."""
    await make_topics(settings, own_topics("registry"))


async def test_a_committed_event_reaches_its_topic_with_its_headers(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    event = seeker_registered()
    [envelope] = await append(mongo, [event])
    async with running(settings, mongo, "registry", None) as bus:
        await is_up(bus)
        await eventually(lambda: published(mongo, 1), "the event is marked as published")
    [record] = await read_all(settings, TOPIC)
    assert decode(TOPIC, record.key, record.headers, record.value) == envelope
    assert record.partition == partition_of(YANTAI)
    assert dict(record.headers)["ce_type"] == b"mamapost.seeker-registered.v1"


async def published(mongo: Mongo, count: int) -> bool:
    return await mongo.db["events"].count_documents({"published": {"$gt": 0}}) >= count


async def test_a_long_backlog_is_no_message_too_large(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    """Apache Kafka takes a batch for one message; the embedded broker takes any."""
    await append(mongo, [seeker_registered() for _ in range(1_000)])
    async with running(settings, mongo, "registry", None):
        await eventually(lambda: published(mongo, 1_000), "all are marked as published")


async def test_an_aborted_transaction_publishes_nothing(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()

    async def fails(session: Any) -> None:
        await log.append(session, [seeker_registered()], NOW)
        raise RuntimeError("the command failed")

    with pytest.raises(RuntimeError):
        await mongo.transaction(fails)
    [kept] = await append(mongo, [seeker_registered()])
    async with running(settings, mongo, "registry", None):
        await eventually(lambda: published(mongo, 1), "the kept event is published")
    assert [dict(r.headers)["ce_id"].decode() for r in await read_all(settings, TOPIC)] == [kept.id]


async def test_versions_of_an_entity_arrive_in_order(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    seeker_id = new_id("seeker")
    for version in range(1, 31):
        await append(mongo, [seeker_registered(seeker_id=seeker_id, version=version)])
    async with running(settings.model_copy(update={"relay_batch_max": 7}), mongo, "registry", None):
        await eventually(lambda: published(mongo, 30), "all are published")
    versions = [orjson.loads(record.value)["version"] for record in await read_all(settings, TOPIC)]
    assert versions == list(range(1, 31))


@pytest.mark.parametrize("batch_max", [2, 5, 1000])
async def test_versions_arrive_in_order_whatever_the_clocks_of_instances_say(
    batch_max: int, fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    seeker_ids = [new_id("seeker") for _ in range(3)]
    for version in range(1, 8):
        events = [seeker_registered(seeker_id=seeker_id, version=version) for seeker_id in seeker_ids]
        await append(mongo, events, NOW - timedelta(minutes=version))
    async with running(settings.model_copy(update={"relay_batch_max": batch_max}), mongo, "registry", None):
        await eventually(lambda: published(mongo, 21), "all are published")
    found = [orjson.loads(record.value) for record in await read_all(settings, TOPIC)]
    for seeker_id in seeker_ids:
        assert [event["version"] for event in found if event["seeker_id"] == seeker_id] == list(range(1, 8))


async def test_a_lost_broker_is_refilled_and_its_consumers_read_it_again(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    sink = Sink()
    first = [seeker_registered() for _ in range(20)]
    await append(mongo, first)
    reader = Mongo.connect(settings, "training")
    async with running(settings, mongo, "registry", None), running(settings, reader, "training", sink.apply) as bus:
        await eventually(lambda: len(sink.applied) == 20, "all are applied")
        fresh_broker.kill_broker()
        await eventually(lambda: bus.state == "away", "the loss is noticed")
        late = await append(mongo, [seeker_registered()])
        fresh_broker.start_broker()
        await eventually(lambda: len(set(sink.entities)) == 21, "the late event is applied without a restart")
        await eventually(lambda: len(sink.applied) >= 41, "the refilled events came again")
    on_topic = {dict(r.headers)["ce_id"].decode() for r in await read_all(settings, TOPIC)}
    assert on_topic == {e.id for e in sink.applied}
    assert late[0].id in on_topic
    reader.close()


async def test_a_refill_keeps_the_order_of_each_entity(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    seeker_id = new_id("seeker")
    small = settings.model_copy(update={"relay_batch_max": 3})
    await append(mongo, [seeker_registered(seeker_id=seeker_id, version=v) for v in range(1, 11)])
    async with running(small, mongo, "registry", None):
        await eventually(lambda: published(mongo, 10), "all are published")
    fresh_broker.kill_broker()
    fresh_broker.start_broker()
    await append(mongo, [seeker_registered(seeker_id=seeker_id, version=v) for v in range(11, 14)])
    async with running(small, mongo, "registry", None):
        await eventually(lambda: refilled(mongo, 13), "all are published again")
    versions = [orjson.loads(record.value)["version"] for record in await read_all(settings, TOPIC)]
    assert versions == list(range(1, 14))


async def refilled(mongo: Mongo, count: int) -> bool:
    return await mongo.db["events"].count_documents({"published": 2}) == count


async def test_two_relays_share_one_lease(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    await append(mongo, [seeker_registered() for _ in range(50)])
    other = Mongo.connect(settings, "registry")
    second = Bus(settings, "registry", other, EventLog(other.db, "registry"), system_clock)
    second._relay._owner = "another instance"
    async with running(settings, mongo, "registry", None):
        await second.start()
        await eventually(lambda: published(mongo, 50), "all are published")
        await eventually(lambda: second.state == "up", "the second is up too")
        await second.stop()
    assert len(await read_all(settings, TOPIC)) == 50
    other.close()


BAD: list[tuple[str, dict[str, Any]]] = [
    ("not-json", {"value": b"{not json"}),
    ("not-json", {"value": b"\xff\xfe{}"}),
    ("not-json", {"value": None}),
    ("missing-header", {"headers": []}),
    ("missing-header", {"headers": [("ce_type", b"mamapost.seeker-registered.v1")]}),
    ("bad-header", {"set": ("ce_source", b"\xff\xfe")}),
    ("unknown-type", {"set": ("ce_type", b"mamapost.lottery-won.v1")}),
    ("wrong-version", {"set": ("ce_type", b"mamapost.seeker-registered.v2")}),
    ("wrong-topic", {"set": ("ce_type", b"mamapost.post-opened.v1")}),
    ("bad-header", {"set": ("ce_sequence", b"77")}),
    ("invalid", {"value": b'{"seeker_id": "Zhang San, 138 0000 0000"}'}),
    ("wrong-key", {"key": b"skr-00000000000000000000000000000000"}),
    ("too-large", {"value": b"{" + b" " * 300_000}),
]
"""What a message can have wrong, and the reason it is dead-lettered for."""


async def test_bad_messages_are_dead_lettered_and_the_rest_of_their_batch_proceeds(
    fresh_broker: Engines, settings: Settings
) -> None:
    sink = Sink()
    reader = Mongo.connect(settings, "training")
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    partition = partition_of(YANTAI)
    wanted = []
    for reason, fault in BAD:
        good = encode(Envelope(new_id("event"), NOW, seeker_registered()))
        fields: dict[str, Any] = {"key": good.key, "value": good.value, "headers": list(good.headers)}
        await producer.send_and_wait(TOPIC, partition=partition, **fields)
        if "set" in fault:
            name, value = fault["set"]
            fields["headers"] = [(n, value if n == name else v) for n, v in fields["headers"]]
        else:
            fields |= fault
        try:
            sent = await producer.send_and_wait(TOPIC, partition=partition, **fields)
        except MessageSizeTooLargeError:
            assert reason == "too-large"  # Apache Kafka keeps the topic's limit itself; the embedded broker has none
            continue
        wanted.append((reason, {"topic": TOPIC, "partition": partition, "offset": sent.offset}, 1))
    await producer.stop()
    async with running(settings, reader, "training", sink.apply):
        await eventually(lambda: len(sink.applied) == len(BAD), "the good ones are applied")
    reader.close()
    letters = [orjson.loads(r.value) for r in await read_all(settings, f"{TOPIC}.dlq", 1)]
    assert [(letter["reason"], letter["origin"], letter["attempts"]) for letter in letters] == wanted
    assert "Zhang" not in str(letters)


async def test_a_lost_database_brings_the_batch_again_and_loses_nothing(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    sink = Sink()
    sink.failures = [StoreUnavailable("gone"), AutoReconnect("gone"), StoreUnavailable("still gone")]
    await append(mongo, [seeker_registered() for _ in range(5)])
    reader = Mongo.connect(settings, "training")
    async with running(settings, mongo, "registry", None), running(settings, reader, "training", sink.apply):
        await eventually(lambda: len(set(sink.entities)) == 5, "all are applied in the end")
    assert await read_all(settings, f"{TOPIC}.dlq", 1) == []
    reader.close()


async def test_an_event_that_the_handler_cannot_use_does_not_block_the_others(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    sink = Sink()
    events = [seeker_registered() for _ in range(6)]
    sink.poison = {events[2].seeker_id}
    sink.refuse = {events[4].seeker_id}
    await append(mongo, events)
    reader = Mongo.connect(settings, "training")
    async with running(settings, mongo, "registry", None), running(settings, reader, "training", sink.apply):
        await eventually(lambda: len(set(sink.entities)) == 5, "the others are applied")
        await eventually(lambda: dead_lettered(settings, 2), "both are dead-lettered")
    letters = [orjson.loads(r.value) for r in await read_all(settings, f"{TOPIC}.dlq", 1)]
    assert sorted(letter["reason"] for letter in letters) == ["handler-failed", "refused"]
    reader.close()


async def dead_lettered(settings: Settings, count: int) -> bool:
    return len(await read_all(settings, f"{TOPIC}.dlq", 1)) == count


async def test_a_stopped_consumer_goes_on_where_it_was(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    reader = Mongo.connect(settings, "training")
    first, second = Sink(), Sink()
    seeker = seeker_registered()
    await append(mongo, [seeker])
    async with running(settings, mongo, "registry", None):
        async with running(settings, reader, "training", first.apply):
            await eventually(lambda: len(first.applied) == 1, "the first is applied")
        await append(mongo, [seeker_withdrawn(seeker.seeker_id, 2)])
        async with running(settings, reader, "training", second.apply):
            await eventually(lambda: len(second.applied) == 1, "the second is applied")
    assert [e.event.entity_version for e in second.applied] == [2]
    reader.close()


async def ask_for(topic: str, settings: Settings) -> None:
    """As a consumer that outlived the lost broker does; skips on a broker that does not make the topic by itself."""
    left_over = AIOKafkaConsumer(topic, bootstrap_servers=settings.kafka, request_timeout_ms=ASK_TIMEOUT_MS)
    try:
        await left_over.start()
        if topic not in await left_over.topics():
            pytest.skip("this broker makes no topic by itself")
    except UnknownTopicOrPartitionError:
        pytest.skip("this broker makes no topic by itself")
    finally:
        await left_over.stop()


@pytest.mark.parametrize("asked", ["before it is looked for", "between the look and the making"])
async def test_a_topic_that_the_broker_made_by_itself_is_made_anew(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    make = AIOKafkaAdminClient.create_topics

    async def make_too_late(admin: AIOKafkaAdminClient, wanted: Sequence[NewTopic]) -> Any:
        monkeypatch.undo()
        await ask_for(TOPIC, settings)
        return await make(admin, wanted)

    await ask_for("another-topic", settings)
    if asked == "before it is looked for":
        await ask_for(TOPIC, settings)
    else:
        monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", make_too_late)
    await append(mongo, [seeker_registered()])
    async with running(settings, mongo, "registry", None) as bus:
        await is_up(bus)
        await eventually(lambda: published(mongo, 1), "the event is published")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    [described] = await admin.describe_topics([TOPIC])
    await admin.close()
    assert len(described["partitions"]) == PARTITIONS
    assert len(await read_all(settings, TOPIC)) == 1


@pytest.mark.parametrize("holds", ["an event of the log", "something else"])
async def test_a_topic_with_too_few_partitions_goes_only_if_all_that_it_holds_comes_again(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, holds: str
) -> None:
    """A relay that has yet to see that the broker is another one publishes on what this one made by itself."""
    await ask_for(TOPIC, settings)
    [stored] = await append(mongo, [seeker_registered()])
    message = encode(stored)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    headers = message.headers if holds == "an event of the log" else []
    await producer.send_and_wait(TOPIC, message.value, message.key, partition=0, headers=list(headers))
    await producer.stop()
    with capture_logs() as told:
        async with running(settings, mongo, "registry", None) as bus:
            if holds == "something else":
                await eventually(lambda: any(TOPIC in line.get("topics", ()) for line in told), "the topic is judged")
                assert len(await read_all(settings, TOPIC, 1)) == 1, "what stands nowhere else must stay"
                return
            await is_up(bus)
            await eventually(lambda: published(mongo, 1), "the event is published")
    records = await read_all(settings, TOPIC)
    assert [dict(record.headers)["ce_id"].decode() for record in records] == [stored.id]
