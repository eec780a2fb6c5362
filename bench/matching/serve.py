"""The whole service, as a process of its own on embedded engines: its loop, its freshness, its reads, its restart."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.matching.alone import Scale
from bench.matching.broker import Sender, bare_hop_ms, bare_rate, ends, make_topics
from bench.matching.check import ListsDiffer, Oracle
from bench.matching.cores import Cores
from bench.matching.goals import Figures, Size
from bench.matching.kept import KEPT_IN
from bench.matching.play import PIECE, Play
from bench.matching.served import EMPTY
from bench.matching.show import say, step
from bench.matching.tables import AT, ids
from bench.matching.web import Web, percentile
from bench.matching.wire import Speaker
from deploy.local.engines import Engines
from deploy.local.fleet import Fleet
from services.matching.facts import CONSUMED
from shared.contracts.envelope import Message, decode
from shared.contracts.position import Position
from shared.kernel.clock import Clock
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

STOPPED_MOST = 60_000
"""Events of one backlog: the process is stopped while they are sent, and the broker would miss it after six seconds."""

LOG_IN = KEPT_IN / "log"
"""The service's log of the last run, which outlives it: what went wrong in a round is asked afterwards."""

PROBE_PAUSE_S = 0.01

ASK_PAUSE_S = 0.02
"""Between two questions to a service that starts: each takes it a few milliseconds of its start."""

WARM_EVENTS = 2_000
"""Before the first round: every kind of change was seen once, so that nothing is compiled or loaded in it."""

LOAD_TIMEOUT_S = 2_400.0
"""A million women over the bus take six minutes and more: their lists are made one after the other."""

START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service that runs on empty topics, and its engines.

    Attributes:
        since: Unix time at which the city's present was.
    """

    engines: Engines
    fleet: Fleet
    folder: Path
    since: float
    prefix: str


@dataclass(slots=True)
class Served:
    """A running service that holds a city."""

    play: Play
    speaker: Speaker
    running: Running

    @property
    def engines(self) -> Engines:
        return self.running.engines

    @property
    def fleet(self) -> Fleet:
        return self.running.fleet

    @property
    def folder(self) -> Path:
        return self.running.folder

    @property
    def url(self) -> str:
        return self.fleet.url("matching")

    @property
    def log(self) -> Path:
        return self.fleet.log_path("matching")

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    @property
    def settings(self) -> Settings:
        """Of this process, where it plays the registry."""
        return Settings(kafka=self.engines.urls.kafka, mongo=self.engines.urls.mongo, db_prefix=self.running.prefix)

    @property
    def clock(self) -> Clock:
        return lambda: AT + timedelta(milliseconds=int((time.time() - self.running.since) * 1000))

    def posts(self, most: int) -> list[str]:
        """Ids of some posts that are open."""
        city = self.play.city
        some = np.random.default_rng(1).permutation(np.flatnonzero(city.posts["alive"]))[:most]
        return ids("pst", city.posts[some])


@contextmanager
def running(engines: Engines) -> Iterator[Running]:
    """The service, started on empty topics."""
    asyncio.run(make_topics(engines.urls.kafka))
    shutil.rmtree(LOG_IN, ignore_errors=True)
    LOG_IN.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="mamapost-bench-") as root:
        folder, since, prefix = Path(root), time.time(), f"bench_{secrets.token_hex(4)}"
        env = {
            "MAMAPOST_DB_PREFIX": prefix,
            "MAMAPOST_MATCHING_CHECKPOINT_DIR": str(folder / "checkpoints"),
            "MAMAPOST_LOG_LEVEL": "info",
            "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path),
        }

        def command(_service: str, port: int) -> list[str]:
            served = [sys.executable, "-m", "bench.matching.served"]
            return [*served, "--port", str(port), "--since", str(since), "--pid", str(folder / "pid")]

        with Fleet.start(
            engines.urls,
            log_dir=LOG_IN,
            env=env,
            services=("matching",),
            command=command,
            start_timeout_s=START_TIMEOUT_S,
        ) as fleet:
            yield Running(engines, fleet, folder, since, prefix)


async def _fed(size: Size, seed: int, running: Running) -> Served:
    """A running service, given a city over the bus."""
    served = Served(Play(size, seed), Speaker(seed), running)
    with step(f"{size.name}: the city over the bus"):
        last: dict[str, Message] = {}
        async with Sender(running.engines.urls.kafka) as sender:
            for messages in served.speaker.city(served.play.city):
                await sender.send(messages)
                last |= {message.topic: message for message in messages}
        await reached(served, list(last.values()))
    return served


async def reached(served: Served, messages: Sequence[Message]) -> None:
    """Return when the rankings show these messages: the last one of each topic is waited for.

    Raises:
        TimeoutError: they do not, within `LOAD_TIMEOUT_S`.
    """
    last = {message.topic: message for message in messages}
    [post] = served.posts(1)

    async def wait(message: Message) -> None:
        event = decode(message.topic, message.key, message.headers, message.value).event
        async with Web(served.url) as web:
            while not await web.is_fresh(f"/posts/{post}/ranking?limit=1&after={Position.of(event)}&timeout_ms=10000"):
                pass  # it has waited there

    async with asyncio.timeout(LOAD_TIMEOUT_S):
        await asyncio.gather(*(wait(message) for message in last.values()))


def draw(served: Served, count: int) -> list[Message]:
    """The next changes as messages."""
    found: list[Message] = []
    for at in range(0, count, PIECE):
        stream = served.play.mix.draw(min(PIECE, count - at))
        found += served.speaker.stream(stream, served.play.city)
    return found


async def _loop(figures: Figures, served: Served, scale: Scale) -> None:
    size, kafka = served.play.size, served.engines.urls.kafka
    count = min(STOPPED_MOST, scale.round_events)
    topics = [event.topic for event in CONSUMED]
    rates = []
    warm = draw(served, WARM_EVENTS)
    async with Sender(kafka) as sender:
        await sender.send(warm)
    await reached(served, warm)
    for number in range(scale.rounds):
        messages = draw(served, count)
        before = await ends(kafka, topics)
        async with Sender(kafka) as sender:
            os.killpg(os.getpgid(served.pid), signal.SIGSTOP)  # what it has started to fetch for it, too
            try:
                await sender.send(messages)
            finally:
                os.killpg(os.getpgid(served.pid), signal.SIGCONT)
            started = time.perf_counter()
            await reached(served, messages)
            rates.append(count / (time.perf_counter() - started))
        figures.add("loop", size.name, rates[-1])
        figures.compare("loop", size.name, "bare client", await bare_rate(kafka, before, count))
        say(f"{size.name}: loop round {number + 1} of {scale.rounds}: {rates[-1]:,.0f} events/s")
    await _check(served, scale)


async def _check(served: Served, scale: Scale) -> None:
    """Compare rankings and best posts as they are served with the pure function's (by NumPy).

    Raises:
        ListsDiffer
    """
    oracle, city, dice = Oracle(served.play.city), served.play.city, np.random.default_rng(served.play.seed)
    async with Web(served.url) as web:
        for row in dice.permutation(np.flatnonzero(city.posts["alive"]))[: min(scale.posts, 100)].tolist():
            top = (await web.json(f"/posts/{oracle.posts[row]}/ranking"))["top"]
            if [(place["seeker_id"], place["score"]) for place in top] != oracle.ranking(row):
                raise ListsDiffer(f"the ranking of post {row} as it is served")
        for row in dice.permutation(np.flatnonzero(city.seekers["alive"]))[: min(scale.seekers, 200)].tolist():
            best = (await web.json(f"/seekers/{oracle.seekers[row]}/posts"))["posts"]
            if [(place["post_id"], place["score"]) for place in best] != oracle.best(row):
                raise ListsDiffer(f"the posts of seeker {row} as they are served")


async def _fresh(figures: Figures, served: Served, scale: Scale) -> None:
    """Milliseconds from a committed command to a ranking that shows it, while half the loop's rate comes in."""
    size, kafka = served.play.size, served.engines.urls.kafka
    rate = (figures.median("loop", size.name) or 2_000.0) / 2
    rounds = min(scale.rounds, scale.service_rounds)
    per_round = scale.probes
    mongo = Mongo.connect(served.settings, "registry")
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    registry = Bus(served.settings, "registry", mongo, log, served.clock)
    await registry.start()
    try:
        while registry.state != "up":  # noqa: ASYNC110  a state, looked at a few times
            await asyncio.sleep(0.02)
        for number in range(rounds):
            seconds = per_round * 0.035 + 1
            load = draw(served, max(100, int(rate * seconds)))
            probes = [m for m in draw(served, 20 * per_round) if m.topic == "seeker-registered"][:per_round]
            file = served.folder / "load"
            file.write_bytes(pickle.dumps(load))
            pumping = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.matching.broker", kafka, str(file), str(rate)),
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
            figures.add("fresh", size.name, percentile(times, 99) * 1000)
            say(
                f"{size.name}: freshness round {number + 1} of {rounds} at {rate:,.0f} events/s: "
                f"p50 {percentile(times, 50) * 1000:.1f} ms, p99 {percentile(times, 99) * 1000:.1f} ms; {told}"
            )
        figures.compare("fresh", size.name, "one bare hop", await bare_hop_ms(kafka))
    finally:
        await registry.stop()
        mongo.close()


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


async def _read(figures: Figures, served: Served, scale: Scale) -> None:
    """Milliseconds of a ranking and of an empty answer, one after the other on one connection."""
    size, posts = served.play.size, served.posts(500)
    async with Web(served.url) as web:
        for path in (EMPTY, f"/posts/{posts[0]}/ranking"):
            for _ in range(100):
                await web.get(path)
        for _ in range(scale.rounds):
            ours, empty = [], []
            for number in range(scale.reads):
                started = time.perf_counter()
                await web.get(f"/posts/{posts[number % len(posts)]}/ranking")
                ours.append(time.perf_counter() - started)
                started = time.perf_counter()
                await web.get(EMPTY)
                empty.append(time.perf_counter() - started)
            figures.add("read", size.name, percentile(ours, 99) * 1000)
            figures.compare("read", size.name, "empty route", percentile(empty, 99) * 1000)
    say(f"{size.name}: reading p50 {percentile(ours, 50) * 1000:.2f} ms, p99 {percentile(ours, 99) * 1000:.2f} ms")


async def _restart(figures: Figures, served: Served, scale: Scale) -> None:
    """Seconds from the start of the process to the first ranking that it serves, from a checkpoint."""
    size = served.play.size
    [post] = served.posts(1)
    checkpoint = served.folder / "checkpoints"
    for number in range(min(scale.rounds, scale.service_rounds)):
        served.fleet.wait_ready("matching")
        before = await _ranking(served, post)
        if number == 0:
            served.fleet.stop_one("matching")  # orderly, which writes what this start and those after it go on from
        else:
            served.fleet.kill("matching")
        began = time.perf_counter()
        _read_all(checkpoint)
        alone_s = time.perf_counter() - began
        began = time.perf_counter()
        served.fleet.restart("matching", wait_ready=False)
        while (now := await _ranking(served, post)) is None:  # noqa: ASYNC110  from outside there is only asking
            await asyncio.sleep(ASK_PAUSE_S)
        taken_s = time.perf_counter() - began
        if before != now:
            raise ListsDiffer("the ranking that is served after a restart is another one than before it")
        figures.add("restart", size.name, taken_s)
        figures.compare("restart", size.name, "reading the file", alone_s)
        say(f"{size.name}: restart {number + 1}: serving after {taken_s:.2f} s")


def _read_all(folder: Path) -> int:
    return sum(len(file.read_bytes()) for file in folder.rglob("*.checkpoint"))


async def _ranking(served: Served, post: str) -> object:
    """The ranking as it is served; `None` while it is not."""
    try:
        async with Web(served.url) as web:
            status, body = await web.get(f"/posts/{post}/ranking")
    except (OSError, asyncio.IncompleteReadError):
        return None
    if status != 200:
        return None
    return json.loads(body)["top"]


def measure(figures: Figures, size: Size, seed: int, scale: Scale, running: Running, only: set[str]) -> None:
    """Those of `loop`, `fresh`, `read` and `restart` that are asked for, on one running service."""

    async def run() -> None:
        served = await _fed(size, seed, running)
        if "loop" in only:
            await _loop(figures, served, scale)
        if "fresh" in only:
            await _fresh(figures, served, scale)
        if "read" in only:
            await _read(figures, served, scale)
        if "restart" in only:
            await _restart(figures, served, scale)

    asyncio.run(run())
