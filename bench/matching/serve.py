"""The whole service, as a process of its own on embedded engines: its loop, its freshness, its reads, its restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import numpy as np

from bench.matching.alone import Scale
from bench.matching.bare import bare_rate, ends
from bench.matching.broker import Sender
from bench.matching.check import ListsDiffer, Oracle
from bench.matching.fresh import at_half_load, by_load
from bench.matching.goals import Figures, Size
from bench.matching.running import Running, Served, draw, fed, reached
from bench.matching.served import EMPTY
from bench.matching.show import say
from bench.matching.web import Web, percentile
from services.matching.facts import CONSUMED

STOPPED_MOST = 60_000
"""Events of one backlog: the process is stopped while they are sent, and the broker would miss it after six seconds."""

ASK_PAUSE_S = 0.02
"""Between two questions to a service that starts: each takes it a few milliseconds of its start."""

WARM_EVENTS = 2_000
"""Before the first round: every kind of change was seen once, so that nothing is compiled or loaded in it."""


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
    """Those of `loop`, `fresh`, `loads`, `read` and `restart` that are asked for, on one running service."""

    async def run() -> None:
        served = await fed(size, seed, running)
        if "loop" in only:
            await _loop(figures, served, scale)
        if "fresh" in only:
            await at_half_load(figures, served, scale)
        if "loads" in only:
            await by_load(served, scale)
        if "read" in only:
            await _read(figures, served, scale)
        if "restart" in only:
            await _restart(figures, served, scale)

    asyncio.run(run())
