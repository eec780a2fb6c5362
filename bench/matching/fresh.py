"""How long a command takes until a ranking shows it, while other events come in; and until a bare client has it."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle
from typing import TypeAlias

from bench.matching.alone import Scale
from bench.matching.bare import bare_hop_ms
from bench.matching.child import PYTHONPATH
from bench.matching.cores import Cores
from bench.matching.goals import Figures
from bench.matching.running import LOG_IN, Served, draw
from bench.matching.show import say
from bench.matching.web import FRESH_TIMEOUT_MS, Web, percentile
from services.matching.domain.ranking import TOP_SEEKERS
from shared.contracts.envelope import Message, decode
from shared.contracts.fields import Event
from shared.contracts.position import Position
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo

Commit: TypeAlias = Callable[[Event], Awaitable[None]]
Shown: TypeAlias = Callable[[Event], Awaitable[None]]
"""Returns when the event is seen where it is waited for; raises when it does not come to be."""

Watching: TypeAlias = Callable[[Sequence[Event]], AbstractAsyncContextManager[Shown]]
"""Who is asked for these events."""

PROBE_PAUSE_S = 0.01

LOADS = (500, 2_000, 4_000, 8_000, 12_000, 16_000, 20_000)
"""Events a second at which freshness is asked for, to show what it depends on; the last is half the loop's goal."""


async def at_half_load(figures: Figures, served: Served, scale: Scale) -> None:
    """Milliseconds from a committed command to a ranking that shows it, while half the loop's rate comes in."""
    size = served.play.size
    rate = (figures.median("loop", size.name) or 2_000.0) / 2
    rounds = min(scale.rounds, scale.service_rounds)
    async with _registry(served) as commit:
        for number in range(rounds):
            times, told = await _round(served, commit, _rankings(served), rate, scale.probes)
            figures.add("fresh", size.name, percentile(times, 99) * 1000)
            say(f"{size.name}: freshness round {number + 1} of {rounds} at {_told(rate, times, told)}")
        figures.compare("fresh", size.name, "one bare hop", await bare_hop_ms(served.engines.urls.kafka))


async def by_load(served: Served, scale: Scale) -> None:
    """The same at rates from next to nothing to what the machine can bear, beside a bare client in the service's
    place, which fetches and validates the same bytes, and has no rankings. It is told, and has no goal.
    """
    async with _registry(served) as commit:
        for rate in LOADS:
            times, told = await _round(served, commit, _rankings(served), rate, scale.probes)
            say(f"{served.play.size.name}: freshness at {_told(rate, times, told)}")
        served.fleet.stop_one("matching")
        for rate in LOADS:
            times, told = await _round(served, commit, _bare(served), rate, scale.probes)
            say(f"{served.play.size.name}: bare client at {_told(rate, times, told)}")
        served.fleet.restart("matching")


def _told(rate: float, times: list[float], cores: str) -> str:
    p50, p99 = percentile(times, 50) * 1000, percentile(times, 99) * 1000
    return f"{rate:,.0f} events/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms; {cores}"


@asynccontextmanager
async def _registry(served: Served) -> AsyncIterator[Commit]:
    """This process as the registry: its database, and its outbox, whose relay runs. Yields what commits an event."""
    mongo = Mongo.connect(served.settings, "registry")
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()

    async def commit(event: Event) -> None:
        await mongo.transaction(lambda session: log.append(session, [event], served.clock()))
        log.wake()

    registry = Bus(served.settings, "registry", mongo, log, served.clock)
    await registry.start()
    try:
        while registry.state != "up":  # noqa: ASYNC110  a state, looked at a few times
            await asyncio.sleep(0.02)
        yield commit
    finally:
        await registry.stop()
        mongo.close()


async def _round(served: Served, commit: Commit, watching: Watching, rate: float, most: int) -> tuple[list[float], str]:
    """Seconds of so many commands at most, one after the other, and who had the cores meanwhile."""
    seconds = most * 0.035 + 1
    load = draw(served, max(100, int(rate * seconds)))
    probes = [m for m in draw(served, 20 * most) if m.topic == "seeker-registered"][:most]
    events = [_event(m) for m in probes]
    last = [_event(m) for m in {m.topic: m for m in load}.values()]
    async with watching([*events, *last]) as shown, pumping(served, load, rate) as through:
        gc.freeze()  # the drawn messages are many, and a search through them would stop the clock of a probe
        cores, began = Cores(), time.perf_counter()
        times = await probe(events, commit, shown, through)
        told = cores.told(time.perf_counter() - began)
        if not await through:
            raise RuntimeError("who sends the load has failed")
        for event in last:  # so that the next round begins with nothing left
            await shown(event)
    return times, told


def _event(message: Message) -> Event:
    return decode(message.topic, message.key, message.headers, message.value).event


def _rankings(served: Served) -> Watching:
    """The service, asked over HTTP for the ranking of one post after the other."""

    @asynccontextmanager
    async def watching(_: Sequence[Event]) -> AsyncIterator[Shown]:
        async with Web(served.url) as web:
            yield in_rankings(web, served.posts(50))

    return watching


def in_rankings(web: Web, posts: Sequence[str]) -> Shown:
    """What asks for the ranking of one post after the other until it shows an event.

    It raises RuntimeError when the ranking does not come to show it.
    """
    turns = cycle(posts)

    async def shown(event: Event) -> None:
        if not await web.is_fresh(next(turns), Position.of(event), rows=TOP_SEEKERS):
            raise RuntimeError(f"no ranking showed {Position.of(event)} within {FRESH_TIMEOUT_MS} ms; see {LOG_IN}")

    return shown


def _bare(served: Served) -> Watching:
    """A bare client in a process of its own."""

    @asynccontextmanager
    async def watching(events: Sequence[Event]) -> AsyncIterator[Shown]:
        file = served.folder / "positions"
        file.write_text("\n".join(str(Position.of(event)) for event in events))
        async with child("bench.matching.bare", served.engines.urls.kafka, str(file)) as said:
            seen = {Position.of(event): asyncio.get_running_loop().create_future() for event in events}

            async def listen() -> None:
                while line := await said.readline():
                    seen[Position.parse(line.decode().strip())].set_result(None)

            listening = asyncio.create_task(listen())

            async def shown(event: Event) -> None:
                try:
                    async with asyncio.timeout(FRESH_TIMEOUT_MS / 1000):
                        await seen[Position.of(event)]
                except TimeoutError:
                    raise RuntimeError(
                        f"the bare client did not see {Position.of(event)} within {FRESH_TIMEOUT_MS} ms"
                    ) from None

            yield shown
        await listening  # it ends with the child

    return watching


@asynccontextmanager
async def pumping(served: Served, load: Sequence[Message], rate: float) -> AsyncIterator[asyncio.Task[bytes]]:
    """A process that sends so many of these messages a second, and has begun to.

    Yields:
        what it says once all are sent, or nothing when it failed. It ends with the block, sent or not.
    """
    file = served.folder / "load"
    file.write_bytes(pickle.dumps(load))
    async with child("bench.matching.broker", served.engines.urls.kafka, str(file), str(rate)) as said:
        yield asyncio.create_task(said.readline())


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """A process of the benchmark's that has said its first line, that it has begun.

    Yields:
        what else it says. It ends with the block.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
    )
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError(f"{module} has failed")
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def probe(events: Sequence[Event], commit: Commit, shown: Shown, load: asyncio.Future[bytes]) -> list[float]:
    """Seconds from the commit of each event until it is shown; no more of them once the load has ended."""
    times = []
    for event in events:
        if load.done():
            break
        await commit(event)
        started = time.perf_counter()
        await shown(event)
        times.append(time.perf_counter() - started)
        await asyncio.sleep(PROBE_PAUSE_S)  # probes are spread over the round
    return times
