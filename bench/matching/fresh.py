"""How long a command takes until a ranking shows it, while other events come in."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.matching.alone import Scale
from bench.matching.broker import bare_hop_ms
from bench.matching.cores import Cores
from bench.matching.goals import Figures
from bench.matching.running import Served, draw, reached
from bench.matching.show import say
from bench.matching.web import Web, percentile
from shared.contracts.envelope import Message, decode
from shared.contracts.position import Position
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo

PROBE_PAUSE_S = 0.01

LOADS = (500, 2_000, 4_000, 8_000, 12_000, 16_000)
"""Events a second at which freshness is asked for, to show what it depends on; the last are what two cores give."""


async def at_half_load(figures: Figures, served: Served, scale: Scale) -> None:
    """Milliseconds from a committed command to a ranking that shows it, while half the loop's rate comes in."""
    size = served.play.size
    rate = (figures.median("loop", size.name) or 2_000.0) / 2
    rounds = min(scale.rounds, scale.service_rounds)
    async with _registry(served) as (mongo, log):
        for number in range(rounds):
            times, told = await _round(served, mongo, log, rate, scale.probes)
            figures.add("fresh", size.name, percentile(times, 99) * 1000)
            say(f"{size.name}: freshness round {number + 1} of {rounds} at {_told(rate, times, told)}")
        figures.compare("fresh", size.name, "one bare hop", await bare_hop_ms(served.engines.urls.kafka))


async def by_load(served: Served, scale: Scale) -> None:
    """The same at rates from next to nothing to what the machine can bear; told, and measured against no goal."""
    async with _registry(served) as (mongo, log):
        for rate in LOADS:
            times, told = await _round(served, mongo, log, rate, scale.probes)
            say(f"{served.play.size.name}: freshness at {_told(rate, times, told)}")


def _told(rate: float, times: list[float], cores: str) -> str:
    p50, p99 = percentile(times, 50) * 1000, percentile(times, 99) * 1000
    return f"{rate:,.0f} events/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms; {cores}"


@asynccontextmanager
async def _registry(served: Served) -> AsyncIterator[tuple[Mongo, EventLog]]:
    """This process as the registry: its database, and its outbox, whose relay runs."""
    mongo = Mongo.connect(served.settings, "registry")
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    registry = Bus(served.settings, "registry", mongo, log, served.clock)
    await registry.start()
    try:
        while registry.state != "up":  # noqa: ASYNC110  a state, looked at a few times
            await asyncio.sleep(0.02)
        yield mongo, log
    finally:
        await registry.stop()
        mongo.close()


async def _round(served: Served, mongo: Mongo, log: EventLog, rate: float, most: int) -> tuple[list[float], str]:
    """Seconds of so many commands at most, one after the other, and who had the cores meanwhile."""
    seconds = most * 0.035 + 1
    load = draw(served, max(100, int(rate * seconds)))
    probes = [m for m in draw(served, 20 * most) if m.topic == "seeker-registered"][:most]
    file = served.folder / "load"
    file.write_bytes(pickle.dumps(load))
    pumping = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.matching.broker", served.engines.urls.kafka, str(file), str(rate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
    )
    assert pumping.stdin is not None
    assert pumping.stdout is not None
    await pumping.stdout.readline()
    through = asyncio.create_task(pumping.stdout.readline())
    gc.freeze()  # the drawn messages are many, and a search through them would stop the clock of a probe
    cores, began = Cores(), time.perf_counter()
    times = await _probe(served, mongo, log, probes, through)
    told = cores.told(time.perf_counter() - began)
    if not await through:
        raise RuntimeError("who sends the load has failed")
    pumping.stdin.close()
    await pumping.wait()
    await reached(served, load)
    return times, told


async def _probe(
    served: Served, mongo: Mongo, log: EventLog, probes: Sequence[Message], load: asyncio.Task[bytes]
) -> list[float]:
    """Seconds from the commit of each probe to a ranking that shows it, which must come (`RuntimeError`).

    No more of them once the load has ended.
    """
    times = []
    posts = served.posts(50)
    async with Web(served.url) as web:
        for number, message in enumerate(probes):
            if load.done():
                break
            event = decode(message.topic, message.key, message.headers, message.value).event
            await mongo.transaction(lambda session, event=event: log.append(session, [event], served.clock()))  # type: ignore[misc]
            log.wake()
            started = time.perf_counter()
            post = posts[number % len(posts)]
            if not await web.is_fresh(f"/posts/{post}/ranking?after={Position.of(event)}&timeout_ms=10000"):
                raise RuntimeError(f"no ranking showed {Position.of(event)} within 10 s; see {served.log}")
            times.append(time.perf_counter() - started)
            await asyncio.sleep(PROBE_PAUSE_S)  # probes are spread over the round
    return times
