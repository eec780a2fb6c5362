"""What a subscription does with what it polls; and that a client which broke is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import ConsumerStoppedError, UnknownMemberIdError
from faststream.kafka import KafkaBroker
from prometheus_client import REGISTRY

from shared.contracts.envelope import Envelope
from shared.messaging.consume import Consumer, Refusal
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.records import AT_ONCE, records_of
from shared.runtime.settings import Settings
from shared.runtime.supervised import Abandoned
from tests.unit.shared.client import Client, message


class Broken:
    """A client whose part has ended: it tells so whenever it is asked, and gives nothing."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [(asyncio.CancelledError(), Abandoned), (UnknownMemberIdError(), UnknownMemberIdError), (ValueError(), ValueError)],
)
async def test_a_client_that_broke_ends_the_watch(error: BaseException, told: type[Exception]) -> None:
    """FastStream goes on in silence: it asks again after an error, and no more after a cancellation."""
    consumer = attached()
    watching = asyncio.create_task(consumer.watch(asyncio.Event()))
    polling = asyncio.create_task(consumer._poll(Broken(error)))
    await asyncio.wait([polling])
    with pytest.raises(told):
        async with asyncio.timeout(5):
            await watching


async def test_who_stops_the_polling_ends_no_watch() -> None:
    consumer = attached()
    stopping = asyncio.Event()
    watching = asyncio.create_task(consumer.watch(stopping))
    with pytest.raises(ConsumerStoppedError):
        await consumer._poll(Broken(ConsumerStoppedError()))
    stopping.set()
    await watching


def attached() -> Consumer:
    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        raise AssertionError("nothing comes")

    consumer = Consumer("training", ["seeker-registered"], apply, DeadLetters("training"))
    consumer.attach(KafkaBroker(), Settings(), "a broker")
    return consumer


async def test_the_delay_of_each_event_is_counted_and_not_that_of_each_batch() -> None:
    taken: list[Envelope] = []

    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        taken.extend(batch)
        return []

    def counted() -> float:
        return REGISTRY.get_sample_value("mamapost_apply_delay_seconds_count", {"topic": "seeker-registered"}) or 0

    consumer = Consumer("training", ["seeker-registered"], apply, DeadLetters("training"))
    before = counted()
    await consumer.handle(records_of(message(number) for number in range(4)))
    assert len(taken) == 4
    assert counted() == before + 4


@pytest.mark.parametrize("count", [0, 2 * AT_ONCE])
async def test_nothing_of_what_was_read_has_taken_effect(count: int) -> None:
    consumer = attached()
    records = await consumer._poll(Client(count))
    assert [record.offset for record in records] == list(range(count))
    assert set(consumer._lag._at_hand.values()) == ({0} if count else set())


async def test_what_was_read_before_the_client_broke_is_not_passed_over() -> None:
    """The client counts it as consumed: were it dropped, the next batch would commit past it."""

    async def breaks() -> None:
        raise UnknownMemberIdError

    consumer = attached()
    records = await consumer._poll(Client(AT_ONCE + 1, breaks))
    assert len(records) == AT_ONCE
    with pytest.raises(UnknownMemberIdError):
        async with asyncio.timeout(5):
            await consumer.watch(asyncio.Event())


async def test_what_was_read_of_an_assignment_that_ended_meanwhile_is_dropped() -> None:
    """Whoever has its partitions now reads it again; so does this consumer if they come back."""
    consumer = attached()
    client = Client(AT_ONCE + 2, lambda: consumer.on_partitions_revoked(set()))
    records = await consumer._poll(client)
    assert [record.offset for record in records] == [AT_ONCE, AT_ONCE + 1]


async def test_what_was_taken_away_while_the_next_fetch_is_sent_is_dropped() -> None:
    consumer = attached()

    async def revoke() -> None:
        await consumer.on_partitions_revoked(set())

    revoking = asyncio.create_task(revoke())
    assert await consumer._poll(Client(3)) == ()
    await revoking
