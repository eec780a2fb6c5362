"""Topics read to their end: also where a broker tells of messages that it does not give."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from deploy.local.engines import Engines
from shared.messaging.connection import Connection
from shared.messaging.reading import consumed_by, hold_messages, read_to_end
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import seeker_registered
from tests.integration.test_bus import TOPIC, append, ask_for, create_topics, is_up, read_all, running

SOON_MS = 2_000


async def test_a_message_that_the_broker_gives_to_nobody_keeps_nobody_waiting(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    """The relay of a lost broker publishes on its successor, which takes the message before it makes the topic."""
    await send_before_the_topic_is_there(fresh_broker, settings)
    assert await read_all(settings, TOPIC, 4) == []
    [stored] = await append(mongo, [seeker_registered()])
    async with running(settings, mongo, "registry", None) as bus:
        await is_up(bus)

        async def is_given() -> bool:
            return [dict(record.headers)["ce_id"] for record in await read_all(settings, TOPIC)] == [stored.id.encode()]

        await eventually(is_given, "the topic is made anew, and holds the event")


async def send_before_the_topic_is_there(broker: Engines, settings: Settings) -> None:
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        await producer.partitions_for(TOPIC)
        broker.kill_broker()
        broker.start_broker()
        await producer.send_and_wait(TOPIC, b"{}", partition=0)
    finally:
        await producer.stop()
    await ask_for(TOPIC, settings)


async def test_a_broker_that_stops_giving_is_told(
    fresh_broker: Engines, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_broker.pause_broker()  # where that cannot be done there is nothing to test
    fresh_broker.resume_broker()
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    await producer.send_and_wait(TOPIC, b"{}", partition=0)
    await producer.stop()
    assign = AIOKafkaConsumer.assign

    def assigned(self: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        fresh_broker.pause_broker()
        assign(self, partitions)

    monkeypatch.setattr(AIOKafkaConsumer, "assign", assigned)
    records = read_to_end(Connection(settings), {TopicPartition(TOPIC, 0): 0}, SOON_MS)
    try:
        with pytest.raises(KafkaTimeoutError):
            await anext(records)
    finally:
        fresh_broker.resume_broker()
    assert open_clients() == []


async def test_what_partitions_hold_and_how_far_a_group_is(fresh_broker: Engines, settings: Settings) -> None:
    await create_topics(settings)
    broker, group = Connection(settings), f"{settings.db_prefix}.somebody"
    first, second = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
    assert not await hold_messages(broker, [first, second])
    producer = AIOKafkaProducer(**broker.arguments())
    await producer.start()
    for _ in range(3):
        await producer.send_and_wait(TOPIC, b"{}", partition=1)
    await producer.stop()
    assert await hold_messages(broker, [first, second])
    assert not await hold_messages(broker, [first])
    assert await consumed_by(broker, group, [first, second]) == {first: 0, second: 0}
    consumer = AIOKafkaConsumer(**broker.arguments(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([second])
    await consumer.commit({second: 2})
    await consumer.stop()
    assert await consumed_by(broker, group, [first, second]) == {first: 0, second: 2}
    assert await consumed_by(broker, group, []) == {}
    assert open_clients() == []


def open_clients() -> list[asyncio.Task[Any]]:
    """The tasks of Kafka clients that nobody has closed."""
    return [task for task in asyncio.all_tasks() if "AIOKafkaClient" in repr(task.get_coro())]
