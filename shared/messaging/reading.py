"""Topics looked at once: what they hold, from some place to their end, and how far a group has consumed them.

Consumers that go on reading are in `consume.py` and `slices.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from shared.messaging.connection import Connection
from shared.runtime.supervised import came_to_its_end

POLL_MS = 100
QUIET_POLLS = 2
"""Empty polls after the last known message that make an end: a broker may tell the end of a partition too low."""

UNREADABLE_POLLS = 30
"""Empty polls after which a partition ends where the answers say that it ends, though the broker told of more before. A
message that the embedded broker took for a topic that was not there yet is given to nobody."""

FETCH_BATCH = 2_000

REQUEST_TIMEOUT_MS = 40_000
"""The client's own default: who reads to the end is in no hurry."""


async def read_to_end(
    broker: Connection, places: Mapping[TopicPartition, int], request_timeout_ms: int = REQUEST_TIMEOUT_MS
) -> AsyncGenerator[ConsumerRecord[bytes, bytes], None]:
    """Every message from these places up to what is the end now; partitions interleave, each in order.

    Args:
        places: where to begin.

    Raises:
        KafkaError: the broker does not answer, or gives nothing of what it has for `request_timeout_ms`.
    """
    if not places:
        return
    consumer = AIOKafkaConsumer(
        **broker.arguments(),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=request_timeout_ms,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(places))
        begins = await consumer.beginning_offsets(list(places))
        consumer.assign(list(places))
        for place, offset in places.items():
            consumer.seek(place, max(offset, begins[place]))
        empty_polls = 0
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=FETCH_BATCH)
            for records in polled.values():
                for record in records:
                    yield record
            empty_polls = 0 if polled else empty_polls + 1
            if empty_polls < QUIET_POLLS:
                continue
            short = [place for place in places if await consumer.position(place) < ends[place]]
            if empty_polls >= UNREADABLE_POLLS:
                short = [place for place in short if not await _ends_here(consumer, place)]
            if not short:
                return
            if empty_polls * POLL_MS >= request_timeout_ms:
                raise KafkaTimeoutError(f"nothing comes of {short[0]}, though the broker told of more")
    finally:
        await stop_reading(consumer)


async def hold_messages(
    broker: Connection, places: Iterable[TopicPartition], request_timeout_ms: int = REQUEST_TIMEOUT_MS
) -> bool:
    """Whether any of these partitions has taken a message. Raises `KafkaError`."""
    consumer = AIOKafkaConsumer(**broker.arguments(), request_timeout_ms=request_timeout_ms)
    await consumer.start()
    try:
        return any((await consumer.end_offsets(list(places))).values())
    finally:
        await consumer.stop()


async def consumed_by(
    broker: Connection, group_id: str, places: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """How far a group has consumed: the next offset of each of these partitions. Raises `KafkaError`."""
    if not places:
        return {}
    consumer = AIOKafkaConsumer(**broker.arguments(), group_id=group_id, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(places))
        return {place: await consumer.committed(place) or 0 for place in places}
    finally:
        await consumer.stop()


async def stop_reading(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer that has fetched, wholly: its own stop cancels itself while a fetch waits after a failure."""
    if not await came_to_its_end(consumer.stop()):
        await consumer._client.close()


async def _ends_here(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether the broker's last answer was that a partition ends where its reader is."""
    end = consumer.highwater(place)
    return end is not None and await consumer.position(place) >= end
