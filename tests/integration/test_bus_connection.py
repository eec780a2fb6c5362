"""A service's connection to the broker outlives what its client libraries do."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from deploy.local.engines import Engines
from shared.messaging.connection import Connection
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from shared.runtime.supervised import end
from tests.conftest import eventually
from tests.integration.test_bus import Sink, is_up, running
from tests.integration.test_reading import open_clients


async def test_a_wait_that_a_client_library_gave_up_does_not_end_the_bus(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on three slow brokers: the task was cancelled by nobody of ours, and the service stood idle for ever."""
    check = Connection.check
    given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given_up.cancel()
    waits = [given_up]

    async def checked(self: Connection, timeout_ms: int) -> None:
        while waits:
            await waits.pop()
        await check(self, timeout_ms)

    monkeypatch.setattr(Connection, "check", checked)
    with capture_logs() as told:
        async with running(settings, mongo, "registry", None) as bus:
            await is_up(bus)
            assert bus._task is not None
            await end(bus._task)
            assert bus._task.cancelled(), "who ends the bus ends it"
    assert [line["causes"] for line in told if "causes" in line] == [["Abandoned"]]


async def test_a_bus_that_a_defect_ended_is_told_as_disconnected(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does nothing any more, so that an operator must not read that it is connected."""
    async with running(settings, mongo, "registry", None) as bus:
        await is_up(bus)
        assert REGISTRY.get_sample_value("mamapost_bus_connected") == 1

        async def fails(_: object) -> str:
            raise RuntimeError("a defect")

        monkeypatch.setattr("shared.messaging.bus._cluster_id", fails)
        await eventually(lambda: bus.state == "down", "the defect is noticed")
        assert REGISTRY.get_sample_value("mamapost_bus_connected") == 0


async def test_a_bus_that_stops_without_its_broker_leaves_no_client_open(
    fresh_broker: Engines, settings: Settings, mongo: Mongo
) -> None:
    """One that is left asks the next broker for its topics for ever, which has that make them by itself."""
    reader = Mongo.connect(settings, "training")
    async with running(settings, mongo, "registry", None), running(settings, reader, "training", Sink().apply) as bus:
        await is_up(bus)
        fresh_broker.kill_broker()
        await eventually(lambda: bus.state == "away", "the loss is noticed")
    reader.close()
    assert open_clients() == []
