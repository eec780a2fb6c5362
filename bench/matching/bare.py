"""What a bare client makes of the same bytes: it fetches and validates them, and does nothing else with them."""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.matching.broker import Sender, tell
from bench.matching.web import percentile
from bench.matching.wire import PARTITION
from services.matching.facts import CONSUMED
from shared.contracts.envelope import Message, decode
from shared.contracts.fields import Event
from shared.contracts.position import Position

HOPS = 100


def _consumer(kafka: str, group: str | None = None) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )


async def ends(kafka: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """Next offsets of the city's partition of some topics."""
    consumer = _consumer(kafka)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets([TopicPartition(t, PARTITION) for t in topics])
        return found
    finally:
        await consumer.stop()


async def bare_rate(kafka: str, since: Mapping[TopicPartition, int], count: int) -> float:
    """Messages a second that a bare client fetches, validates by the models and commits; nothing else."""
    seen = 0

    def count_one(_: Event) -> bool:
        nonlocal seen
        seen += 1
        return seen < count

    started = time.perf_counter()
    await _read(kafka, since, count_one, group="bench-bare")
    return seen / (time.perf_counter() - started)


async def _read(
    kafka: str, since: Mapping[TopicPartition, int], take: Callable[[Event], bool], group: str | None = None
) -> None:
    """Give each event since then to `take`, until that says no. What was read is committed where there is a group."""
    consumer = _consumer(kafka, group)
    await consumer.start()
    try:
        consumer.assign(list(since))
        for partition, offset in since.items():
            consumer.seek(partition, offset)
        goes_on = True
        while goes_on:
            for records in (await consumer.getmany(timeout_ms=20, max_records=500)).values():
                for record in records:
                    goes_on &= take(decode(record.topic, record.key, record.headers, record.value).event)
            if group is not None:
                await consumer.commit()
    finally:
        await consumer.stop()


async def bare_hop_ms(kafka: str) -> float:
    """Milliseconds, p99, from a message that is sent to the client that receives it; nothing else is going on."""
    topic, times = "bench-hop", []
    consumer = _consumer(kafka)
    async with Sender(kafka) as sender:
        await sender.send([Message(topic, 0, b"k", (), b"makes the topic")])
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.getone()
            for _ in range(HOPS):
                started = time.perf_counter()
                sending = asyncio.create_task(sender.send([Message(topic, 0, b"k", (), b"hop")]))
                await consumer.getone()
                times.append(time.perf_counter() - started)
                await sending
        finally:
            await consumer.stop()
    return percentile(times, 99) * 1000


async def watch(kafka: str, positions: set[str]) -> None:
    """Say `reading`, then each of these positions when its event comes, and end with the last of them.

    It commits nothing: to wait for that would make it later than a client has to be.
    """
    gc.disable()  # as who sends the load does: a search for garbage would be taken for a slow hop
    since = await ends(kafka, [event.topic for event in CONSUMED])

    def take(event: Event) -> bool:
        position = str(Position.of(event))
        if position in positions:
            positions.remove(position)
            tell(position)
        return bool(positions)

    tell("reading")
    await _read(kafka, since, take)


def main() -> None:
    """`python -m bench.matching.bare KAFKA FILE`: read the topics of matching, and say when positions come."""
    parser = argparse.ArgumentParser(prog="python -m bench.matching.bare", description=main.__doc__)
    parser.add_argument("kafka")
    parser.add_argument("file", type=Path, help="positions, one a line")
    arguments = parser.parse_args()
    asyncio.run(watch(arguments.kafka, set(arguments.file.read_text().splitlines())))


if __name__ == "__main__":
    main()
