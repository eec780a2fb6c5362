"""How long a fetch waits for records, never without a limit; and that a client which broke is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import ConsumerStoppedError, UnknownMemberIdError
from faststream.kafka import KafkaBroker
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from shared.contracts.envelope import Envelope, encode
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.consume import FETCH_STEPS, FETCH_WAIT_MIN_MS, FETCH_WAIT_SHARE, Consumer, Refusal, fetch_wait_ms
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.records import AT_ONCE, records_of
from shared.runtime.settings import Settings
from shared.runtime.supervised import Abandoned
from tests.events import seeker_registered

SILENCES = st.floats(0, 1e6)


@given(SILENCES, SILENCES, st.integers(FETCH_WAIT_MIN_MS, 5000))
def test_a_fetch_waits_a_share_of_the_silence_within_its_limits(one_s: float, other_s: float, max_ms: int) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert FETCH_WAIT_MIN_MS <= fetch_wait_ms(shorter, max_ms) <= fetch_wait_ms(longer, max_ms) <= max_ms
    # What ends a silence is late by no more than that share of it, or by the shortest wait.
    assert fetch_wait_ms(longer, max_ms) <= max(FETCH_WAIT_MIN_MS, longer * 1000 * FETCH_WAIT_SHARE)


def test_an_operator_may_ask_for_shorter_waits_than_ours() -> None:
    assert fetch_wait_ms(0.0, 5) == 5
    assert fetch_wait_ms(3600.0, 5) == 5


class Broken:
    """A client whose part has ended: it tells so whenever it is asked, and gives nothing."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [(asyncio.CancelledError(), Abandoned), (UnknownMemberIdError(), UnknownMemberIdError)],
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


def message(offset: int) -> ConsumerRecord[bytes, bytes]:
    told = encode(Envelope(new_id("event"), system_clock(), seeker_registered()))
    return ConsumerRecord(
        told.topic, told.partition, offset, 0, 0, told.key, told.value, None, 0, 0, tuple(told.headers)
    )


class Fetched:
    """A client that has so many messages, and gives the group's decisions a chance at each call after the first."""

    def __init__(self, count: int, between: Callable[[], Awaitable[None]] | None = None) -> None:
        self.left = [message(offset) for offset in range(count)]
        self.calls: list[tuple[int, int]] = []
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=0)
        self._between = between

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        if self.calls and self._between is not None:
            await self._between()
        self.calls.append((timeout_ms, max_records))
        given, self.left = self.left[:max_records], self.left[max_records:]
        return {"a partition": given} if given else {}


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7, 500, 501])
async def test_a_batch_is_taken_in_handfuls_and_nobody_waits_for_the_next_one(count: int) -> None:
    client, most, consumer = Fetched(count), Settings().batch_max_records, attached()
    records = await consumer._poll(client)
    assert [record.offset for record in records] == list(range(min(count, most)))
    assert all(timeout_ms == 0 for timeout_ms, _ in client.calls[1:]), "only for the first messages is waited"
    assert all(asked <= AT_ONCE for _, asked in client.calls)
    assert len(client.calls) <= -(-min(count + 1, most) // AT_ONCE), "a client that has no more is not asked again"
    assert set(consumer._lag._at_hand.values()) == ({0} if count else set()), "nothing of it has taken effect"


async def test_what_was_read_before_the_client_broke_is_not_passed_over() -> None:
    """The client counts it as consumed: were it dropped, the next batch would commit past it."""

    async def breaks() -> None:
        raise UnknownMemberIdError

    consumer = attached()
    records = await consumer._poll(Fetched(AT_ONCE + 1, breaks))
    assert len(records) == AT_ONCE
    with pytest.raises(UnknownMemberIdError):
        async with asyncio.timeout(5):
            await consumer.watch(asyncio.Event())


async def test_what_was_read_of_an_assignment_that_ended_meanwhile_is_dropped() -> None:
    """Whoever has its partitions now reads it again; so does this consumer if they come back."""
    consumer = attached()
    client = Fetched(AT_ONCE + 2, lambda: consumer.on_partitions_revoked(set()))
    records = await consumer._poll(client)
    assert [record.offset for record in records] == [AT_ONCE, AT_ONCE + 1]


@pytest.mark.parametrize("count", [1, AT_ONCE + 1])
async def test_the_next_fetch_is_sent_before_a_batch_is_worked_off(count: int) -> None:
    """So the broker answers meanwhile: the client does it in its own steps of the event loop."""
    client, steps = Fetched(count), list[int]()

    async def fetch() -> None:
        for step in range(FETCH_STEPS):
            steps.append(step)
            await asyncio.sleep(0)

    sending = asyncio.create_task(fetch())
    records = await attached()._poll(client)
    assert (len(records), len(steps)) == (count, FETCH_STEPS)
    await sending


async def test_what_was_taken_away_while_the_next_fetch_is_sent_is_dropped() -> None:
    consumer = attached()

    async def revoke() -> None:
        await consumer.on_partitions_revoked(set())

    revoking = asyncio.create_task(revoke())
    assert await consumer._poll(Fetched(3)) == ()
    await revoking
