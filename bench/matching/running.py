"""The whole service as a process of its own on embedded engines, and what it is given over the bus."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.matching.broker import Sender, make_topics
from bench.matching.child import PYTHONPATH
from bench.matching.goals import Size
from bench.matching.kept import KEPT_IN
from bench.matching.play import PIECE, Play
from bench.matching.show import step
from bench.matching.tables import AT, ids
from bench.matching.web import Web
from bench.matching.wire import Speaker
from deploy.local.engines import Engines
from deploy.local.fleet import Fleet
from shared.contracts.envelope import Message, decode
from shared.contracts.position import Position
from shared.kernel.clock import Clock
from shared.runtime.settings import Settings

LOG_IN = KEPT_IN / "log"
"""The service's log of the last run, which outlives it: what went wrong in a round is asked afterwards."""

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
            "PYTHONPATH": PYTHONPATH,
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


async def fed(size: Size, seed: int, running: Running) -> Served:
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
            while not await web.is_fresh(post, Position.of(event), rows=1):
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
