"""Rankings of a city as of any past moment, from the topics alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.errors import LocalRunError
from services.matching.domain import Fact
from services.matching.engine import Engine
from services.matching.facts import Unusable, fact_of
from services.matching.position import TOPIC_ORDER, StreamPosition, short
from shared.contracts.envelope import Envelope, Undecodable, decode
from shared.contracts.topics import partition_of
from shared.messaging.connection import Connection
from shared.messaging.reading import stop_reading

POLL_MS = 200
"""Longest wait of one poll."""

QUIET_POLLS = 3
"""Empty polls after the last known event that make an end: a broker may tell the end of a partition too low."""

BATCH_MAX = 20_000
"""Facts that the engine is given at once, so that memory stays bounded."""


def replay(
    broker: Connection, city: str, until: StreamPosition | datetime, at: datetime | None, tell: Callable[[int], None]
) -> Engine:
    """The rankings of a city after everything before a position, or after everything that happened up to an instant.

    Args:
        until: the `position` of an answer; or an instant, which events are held against by their `ce_time`.
        at: with a position, the `at` of the answer: the instant that waiting, closing and eligibility are judged at.
        tell: called with the number of events read so far.

    Raises:
        LocalRunError: the position is of another city or broker, or has no instant with it.
    """
    return asyncio.run(_replay(broker, city, until, at, tell))


async def _replay(
    broker: Connection, city: str, until: StreamPosition | datetime, at: datetime | None, tell: Callable[[int], None]
) -> Engine:
    partition = partition_of(city)
    if isinstance(until, StreamPosition):
        if until.partition != partition:
            raise LocalRunError(f"until: expected a position of the partition of city {city}, {partition}")
        if at is None:
            raise LocalRunError("at: expected the instant `at` of the answer that named the position")
        if until.cluster != await _cluster(broker):
            raise LocalRunError("until: expected a position of this broker; after a refill, give an instant instead")
    moment = at if isinstance(until, StreamPosition) and at is not None else until
    if not isinstance(moment, datetime):
        raise LocalRunError("until: expected a position or an instant")
    engine = Engine(moment.astimezone(UTC))
    consumer = AIOKafkaConsumer(**broker.arguments(), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for topic in TOPIC_ORDER]
        ends = dict(await consumer.end_offsets(places))
        if isinstance(until, StreamPosition):
            ends = dict(zip(places, until.offsets, strict=True))
        consumer.assign([place for place in places if ends[place]])
        facts: list[Fact] = []
        read = quiet = 0
        while ends and (quiet < QUIET_POLLS if isinstance(until, datetime) else True):
            if isinstance(until, StreamPosition) and await _reached(consumer, ends):
                break
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=2000)
            quiet = 0 if polled or not await _reached(consumer, ends) else quiet + 1
            for place, records in polled.items():
                for record in records:
                    if isinstance(until, StreamPosition) and record.offset >= ends[place]:
                        continue
                    read += 1
                    envelope = _event(record)
                    if envelope is None or envelope.event.city != city:
                        continue
                    if isinstance(until, datetime) and envelope.time > until:
                        continue
                    try:
                        facts.append(fact_of(envelope.event))
                    except Unusable:
                        continue  # the service refused it too, and said so in the dead letters
            tell(read)
            if len(facts) >= BATCH_MAX:
                engine.apply(facts)
                facts = []
        engine.apply(facts)
        engine.await_policies()
    finally:
        await stop_reading(consumer)
    return engine


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    for place in consumer.assignment():
        if await consumer.position(place) < ends[place]:
            return False
    return True


def _event(record: object) -> Envelope | None:
    """The event of a record; `None` for one that no consumer can use, which is in the dead letters."""
    try:
        return decode(record.topic, record.key, record.headers, record.value)  # type: ignore[attr-defined]
    except Undecodable:
        return None


async def _cluster(broker: Connection) -> str:
    admin = AIOKafkaAdminClient(**broker.arguments())
    await admin.start()
    try:
        return short(str((await admin.describe_cluster())["cluster_id"]))
    finally:
        await admin.close()
