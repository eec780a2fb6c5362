"""A consumer that stands still is seen to fall behind, for whatever reason it does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from deploy.local.engines import Engines
from shared.contracts.envelope import Envelope
from shared.contracts.registry import SeekerRegistered
from shared.messaging import lag
from shared.messaging.bus import Bus
from shared.messaging.consume import Refusal
from shared.messaging.partitions import Offsets
from shared.runtime import metrics
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import seeker_registered
from tests.integration.test_bus import is_up, running
from tests.integration.test_slices import Books, consuming, producing, send

TOPIC = SeekerRegistered.topic
BACKLOG = 300
MORE = 20


class Stuck:
    """A handler that begins and does not end until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.applied = 0

    async def apply(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        self.begun.set()
        await self.let_go.wait()
        self.applied += len(batch)
        return []


class Unplaced(Books):
    """A service that does not come to say where to read."""

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        self.held = partitions
        raise StoreUnavailable("not yet")


@pytest.fixture
def training(settings: Settings) -> Iterator[Mongo]:
    connected = Mongo.connect(settings, "training")
    yield connected
    connected.close()


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "SHOW_S", 0.05)
    monkeypatch.setattr(lag, "ASK_S", 0.5)


def shown() -> float | None:
    return REGISTRY.get_sample_value("mamapost_consumer_lag_messages", {"topic": TOPIC})


async def lags(messages: int) -> None:
    await eventually(lambda: shown() == messages, f"it lags by {messages}", 15)


async def send_singly(producer: Any, count: int) -> None:
    """Each in a batch of its own: the embedded broker tells the first offset of the last batch as the end."""
    for _ in range(count):
        await send(producer, [seeker_registered()])


async def test_a_batch_at_hand_is_not_applied_and_what_comes_behind_it_counts(
    fresh_broker: Engines, settings: Settings, training: Mongo
) -> None:
    stuck = Stuck()
    async with producing(settings) as producer:
        await send(producer, [seeker_registered() for _ in range(BACKLOG)])
        async with running(settings, training, "training", stuck.apply):
            await stuck.begun.wait()
            await lags(BACKLOG)
            await send_singly(producer, MORE)
            await lags(BACKLOG + MORE)
            stuck.let_go.set()
            await lags(0)


async def test_a_service_whose_state_is_not_loaded_falls_behind(fresh_broker: Engines, settings: Settings) -> None:
    async with producing(settings) as producer, consuming(settings, Unplaced()):
        await send_singly(producer, MORE)
        await lags(MORE)


async def test_a_consumer_that_is_assigned_nothing_again_falls_behind_what_it_held(
    fresh_broker: Engines, settings: Settings, training: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that finds no agreement after a lost connection."""
    idle = Stuck()
    idle.let_go.set()
    async with producing(settings) as producer, running(settings, training, "training", idle.apply) as bus:
        await send_singly(producer, 3)
        await eventually(lambda: idle.applied == 3, "all have taken effect")
        metrics.CONSUMER_LAG.labels(TOPIC).set(-1)  # so that the next look shows what it shows
        await lags(0)
        agreed = asyncio.Event()
        monkeypatch.setattr(AIOKafkaConsumer, "start", joins_after(agreed, AIOKafkaConsumer.start))
        await lose_connection(bus)
        await send_singly(producer, MORE)
        await lags(MORE)
        agreed.set()
        await lags(0)


async def test_a_broker_that_does_not_answer_the_question_ends_nothing(
    fresh_broker: Engines, settings: Settings, training: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "ASK_TIMEOUT_MS", 200)
    stuck = Stuck()
    async with producing(settings) as producer:
        await send(producer, [seeker_registered()])
        async with running(settings, training, "training", stuck.apply) as bus:
            await is_up(bus)
            await stuck.begun.wait()
            try:
                with capture_logs() as told:
                    fresh_broker.pause_broker()
                    try:
                        await eventually(lambda: any("lag may be" in line["event"] for line in told), "it is told")
                    finally:
                        fresh_broker.resume_broker()
                await send_singly(producer, MORE)
                await lags(MORE + 1)
                assert not [line for line in told if "ended" in line["event"]]
            finally:
                stuck.let_go.set()
            await lags(0)


def joins_after(agreed: asyncio.Event, start: Any) -> Any:
    """A start that waits where it is that of a member of a group, as while the others do not agree."""

    async def started(self: AIOKafkaConsumer) -> None:
        if self._group_id is not None:
            await agreed.wait()
        await start(self)

    return started


async def lose_connection(bus: Bus) -> None:
    consumer = bus._consumer
    assert consumer is not None
    consumer._fail(ConnectionResetError())
    await eventually(lambda: not consumer.assigned.is_set(), "the connection is built again")
