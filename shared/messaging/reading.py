"""Topics read once, from some place to their end; consumers that go on reading are in `consume.py` and `slices.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.messaging.connection import Connection

POLL_MS = 100
QUIET_POLLS = 2
"""Empty polls after the last known message that make an end: a broker may tell the end of a partition too low."""

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
        KafkaError: the broker does not answer.
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
        quiet = 0
        while quiet < QUIET_POLLS:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=FETCH_BATCH)
            for records in polled.values():
                for record in records:
                    yield record
            is_there = polled or not all([await consumer.position(place) >= ends[place] for place in places])
            quiet = 0 if is_there else quiet + 1
    finally:
        await consumer.stop()
