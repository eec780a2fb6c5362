"""The process that fetches for a service, at a broker: what it reads, and what follows when one of both is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from deploy.local.engines import Engines
from shared.messaging import fetcher as fetchers
from shared.messaging.bus import Bus
from shared.messaging.carried import records_of
from shared.messaging.fetcher import Fetcher, FetcherLost
from shared.messaging.slices import SliceConsumer
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import seeker_registered
from tests.integration.test_slices import HERE, TOPIC, Books, consuming, producing, send

TIMEOUT_S = 30
PLACE = (TOPIC, HERE)
LAST = seeker_registered()

SERVICE = """
import asyncio
from shared.messaging.fetcher import Fetcher
from shared.runtime.settings import Settings

async def main():
    fetcher = Fetcher("matching", ["post-opened"], Settings())
    print(fetcher._process.pid, flush=True)
    while True:
        await fetcher.next(1)

asyncio.run(main())
"""


@asynccontextmanager
async def fetching(settings: Settings) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher("matching", [TOPIC], settings)
    try:
        yield fetcher
    finally:
        await fetcher.stop()


async def fetched(fetcher: Fetcher, up_to: int, most_s: float = TIMEOUT_S) -> list[int]:
    """Offsets of the next records, up to this one; what came when that does not."""
    offsets: list[int] = []
    ends_s = time.monotonic() + most_s
    while time.monotonic() < ends_s and (not offsets or offsets[-1] < up_to):
        offsets += [record.offset for fetched in await fetcher.next(0.5) for record in records_of(fetched)]
    return offsets


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_it_reads_from_where_it_is_told_and_drops_what_it_read_before(
    fresh_broker: Engines, settings: Settings
) -> None:
    async with producing(settings) as producer, fetching(settings) as fetcher:
        await send(producer, [seeker_registered() for _ in range(30)])
        fetcher.fetch_from({PLACE: 12})
        assert await fetched(fetcher, 29) == list(range(12, 30))
        fetcher.fetch_from({PLACE: 0})
        await fetcher.next(TIMEOUT_S)  # all of it is on its way
        fetcher.fetch_from({PLACE: 25})
        assert await fetched(fetcher, 29) == list(range(25, 30))
        fetcher.fetch_from({})
        await send(producer, [seeker_registered()])
        assert await fetcher.next(0.5) == []
        fetcher.fetch_from({PLACE: 30})
        assert await fetched(fetcher, 30) == [30]


async def test_it_ends_by_no_signal_that_goes_to_all(fresh_broker: Engines, settings: Settings) -> None:
    """Ctrl-C and a stop of the whole group do; the service still finishes what it has in hand."""
    async with producing(settings) as producer, fetching(settings) as fetcher:
        fetcher.fetch_from({PLACE: 0})
        await send(producer, [seeker_registered()])
        assert await fetched(fetcher, 0) == [0]
        for number in (signal.SIGINT, signal.SIGTERM):
            fetcher._process.send_signal(number)
        await send(producer, [seeker_registered()])
        assert await fetched(fetcher, 1) == [1]


async def test_who_waits_for_it_hears_that_it_was_killed(settings: Settings) -> None:
    async with fetching(settings) as fetcher:
        assert await fetcher.next(0) == []
        fetcher._process.kill()
        with pytest.raises(FetcherLost):
            await fetcher.next(TIMEOUT_S)


async def test_its_memory_and_processor_time_are_in_the_metrics_while_it_runs(settings: Settings) -> None:
    def told() -> tuple[float | None, float | None]:
        memory, processor = "resident_memory_bytes", "cpu_seconds_total"
        return (
            REGISTRY.get_sample_value(f"mamapost_fetch_process_{memory}"),
            REGISTRY.get_sample_value(f"mamapost_fetch_process_{processor}"),
        )

    assert told() == (None, None)
    async with fetching(settings):
        memory_bytes, processor_s = told()
        assert memory_bytes
        assert processor_s is not None
    assert told() == (None, None)


async def test_one_that_hangs_is_told_and_one_that_has_nothing_to_do_is_not(
    fresh_broker: Engines, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with producing(settings) as producer, fetching(settings) as fetcher:
        await send(producer, [seeker_registered()])
        fetcher.fetch_from({PLACE: 0})
        assert await fetched(fetcher, 0) == [0]
        monkeypatch.setattr(fetchers, "SILENT_S", 3.0)
        assert await fetched(fetcher, 0, most_s=4) == [], "at work, though nothing comes"
        fetcher.fetch_from({})
        fetcher._process.send_signal(signal.SIGSTOP)
        assert await fetched(fetcher, 0, most_s=4) == [], "nothing is asked of it"
        fetcher.fetch_from({PLACE: 0})
        assert await fetcher.next(0) == [], "it has just been told"
        with pytest.raises(FetcherLost):
            await fetched(fetcher, 0)


async def test_a_broker_that_cannot_be_reached_is_told(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    async with fetching(settings.model_copy(update={"kafka": "127.0.0.1:1"})) as fetcher:
        with pytest.raises(FetcherLost):
            await fetcher.next(TIMEOUT_S)
    assert "KafkaConnectionError" in capfd.readouterr().err


@pytest.mark.parametrize(("ends", "times"), [(signal.SIGKILL, 4), (signal.SIGSTOP, 1)], ids=["killed", "hangs"])
async def test_a_service_whose_fetching_is_killed_or_hangs_goes_on_where_it_was(
    fresh_broker: Engines, settings: Settings, monkeypatch: pytest.MonkeyPatch, ends: signal.Signals, times: int
) -> None:
    events = [seeker_registered() for _ in range(10 * times)]
    books = Books()
    async with producing(settings) as producer, consuming(settings, books) as bus:
        for at in range(0, len(events), 10):
            await send(producer, events[at : at + 10])
            await eventually(lambda at=at: len(books.applied) >= at + 10, "applied")  # type: ignore[misc]
            monkeypatch.setattr(fetchers, "SILENT_S", 10.0)  # enough to start, too, on a busy machine
            os.kill(_pid_of(bus), ends)
        await send(producer, [LAST])
        await eventually(lambda: len(books.applied) > len(events), "the last is applied")
    assert books.entities == [event.seeker_id for event in (*events, LAST)], "once each, in order"
    assert books.calls == ["assigned", "placed", "revoked"], "the group did not hear of it"


def _pid_of(bus: Bus) -> int:
    consumer = bus._consumer
    assert isinstance(consumer, SliceConsumer)
    return consumer._fetching()._process.pid


async def test_a_service_that_ends_before_it_says_anything_is_no_failure() -> None:
    command = [sys.executable, "-m", "shared.messaging.fetch", "matching"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert (await process.communicate(b""))[0] == b""
    assert process.returncode == 0


async def test_it_ends_with_the_service_that_was_killed() -> None:
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE)
    assert service.stdout is not None
    pid = int(await service.stdout.readline())
    assert is_alive(pid)
    service.kill()
    await service.wait()
    await eventually(lambda: not is_alive(pid), "it has ended")
