"""Record batches: each is one message to the broker, which takes none that is larger than its topic allows."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import Mock

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contracts.envelope import Envelope, encode
from shared.contracts.topics import MESSAGE_MAX_BYTES
from shared.kernel.ids import new_id
from shared.messaging.bus import PRODUCER_BATCH_MAX_BYTES
from shared.messaging.publish import AT_ONCE, publish
from tests.turns import between_turns
from tests.unit.matching.wire import AT, seeker_registered


class Kept:
    """A producer that keeps what it is given; its batches are the client's own."""

    def __init__(self) -> None:
        self.own = AIOKafkaProducer(max_batch_size=PRODUCER_BATCH_MAX_BYTES)
        self.batches: list[BatchBuilder] = []

    def create_batch(self) -> BatchBuilder:
        return self.own.create_batch()

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[object]:
        self.batches.append(batch)
        sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent


async def test_no_batch_is_larger_than_what_a_topic_takes() -> None:
    producer = Kept()
    messages = [encode(Envelope(new_id("event"), AT, seeker_registered(number, version=1))) for number in range(1_000)]
    await publish(cast(Any, producer), messages)
    await producer.own.stop()
    assert len(producer.batches) > 1, "all of them are more than one message may hold"
    assert sum(batch.record_count() for batch in producer.batches) == len(messages)
    assert all(batch.size() <= MESSAGE_MAX_BYTES for batch in producer.batches)


async def test_others_get_their_turn_while_many_messages_are_put_into_batches() -> None:
    many = 5 * AT_ONCE + 3
    producer, taken = Kept(), Mock(wraps=encode)
    events = [Envelope(new_id("event"), AT, seeker_registered(number, version=1)) for number in range(many)]
    with between_turns(lambda: taken.call_count) as at_once:
        await publish(cast(Any, producer), map(taken, events))
    await producer.own.stop()
    assert sum(batch.record_count() for batch in producer.batches) == taken.call_count == many
    assert max(at_once) == AT_ONCE
