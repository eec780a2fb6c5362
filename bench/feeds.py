"""The feed over HTTP, against reading the same documents straight from mongod."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
from pymongo import MongoClient

from bench.measure import NOW, Goal, Measured, seeker
from deploy.local.engines import Engines
from deploy.local.process import pick_port
from shared.contracts.registry import SeekerRegistered
from shared.messaging.events import EventLog
from shared.messaging.feed import Feed
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

EVENTS = 20_000
WRITTEN_AT_ONCE = 1000
TURNS = 6

PAGE = 2000
"""The largest page."""

READ_BYTES = 256 * 1024
START_TIMEOUT_S = 60.0


async def bench_feeds(round_number: int) -> list[Measured]:
    """One round: the registry in a process of its own, its log full of profiles, one reader."""
    with tempfile.TemporaryDirectory() as name, Engines.start(Path(name) / "data", Path(name) / "log") as engines:
        root = Path(name)
        settings = Settings(mongo=engines.urls.mongo, kafka="127.0.0.1:1", db_prefix=f"bench_{secrets.token_hex(4)}")
        mongo = Mongo.connect(settings, "registry")
        await _fill(mongo, random.Random(round_number))
        async with _registry(settings, root) as port:
            path = f"/feeds/{SeekerRegistered.topic}"
            # In turns, since what else the machine does slows all; the first warms up and does not count.
            turns = [(_bare(settings), _pages(port, path), _snapshot(port, path)) for _ in range(TURNS)][1:]
        mongo.close()
    bare, pages, snapshot = (statistics.median(rates) for rates in zip(*turns, strict=True))
    against = "the same documents in the same order, read with PyMongo"
    return [
        Measured("feed in pages over HTTP", pages, bare, "events/s", against, Goal("feed-pages-vs-mongod", 0.5)),
        Measured(
            "feed as a snapshot over HTTP", snapshot, bare, "events/s", against, Goal("feed-snapshot-vs-mongod", 0.5)
        ),
    ]


async def _fill(mongo: Mongo, dice: random.Random) -> None:
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    for _ in range(EVENTS // WRITTEN_AT_ONCE):
        events = [seeker(dice) for _ in range(WRITTEN_AT_ONCE)]
        await mongo.transaction(lambda session, events=events: log.append(session, events, NOW))  # type: ignore[misc]
    await Feed(mongo, log).number()


@asynccontextmanager
async def _registry(settings: Settings, root: Path) -> AsyncIterator[int]:
    key = root / "master.key"
    key.write_text(secrets.token_hex(32))
    port = pick_port()
    env = {
        **os.environ,
        "MAMAPOST_MONGO": settings.mongo,
        "MAMAPOST_KAFKA": settings.kafka,
        "MAMAPOST_DB_PREFIX": settings.db_prefix,
        "MAMAPOST_MASTER_KEY_FILE": str(key),
    }
    with (root / "registry.log").open("wb") as log:
        command = [sys.executable, "-m", "mamapost", "serve", "registry", "--port", str(port)]
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            deadline = time.monotonic() + START_TIMEOUT_S
            while True:
                try:
                    if (await http.get("/feeds")).status_code == 200:
                        break
                except httpx.TransportError:
                    if time.monotonic() > deadline:
                        raise
                await asyncio.sleep(0.2)
        yield port
    finally:
        process.kill()
        await process.wait()


def _bare(settings: Settings) -> float:
    client: MongoClient[dict[str, object]] = MongoClient(settings.mongo)
    found = (
        client[f"{settings.db_prefix}_registry"]["events"]
        .find({"topic": SeekerRegistered.topic, "feed_round": {"$gt": 0}}, hint="feed")
        .sort([("feed_round", 1), ("version", 1), ("_id", 1)])
    )
    started = time.perf_counter()
    count = sum(1 for _ in found)
    seconds = time.perf_counter() - started
    client.close()
    assert count == EVENTS
    return count / seconds


def _pages(port: int, path: str) -> float:
    reader = HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    count, cursor = 0, ""
    while True:
        reader.request("GET", f"{path}?limit={PAGE}" + (f"&after={cursor}" if cursor else ""))
        lines = reader.getresponse().read().splitlines()
        if not lines:
            break
        count += len(lines)
        cursor = lines[-1].partition(b'"id":"')[2][: len("evt-") + 32].decode()
    seconds = time.perf_counter() - started
    reader.close()
    assert count == EVENTS
    return count / seconds


def _snapshot(port: int, path: str) -> float:
    reader = HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    reader.request("GET", f"{path}/snapshot")
    answer = reader.getresponse()
    count = 0
    while chunk := answer.read(READ_BYTES):
        count += chunk.count(b"\n")
    seconds = time.perf_counter() - started
    reader.close()
    assert count == EVENTS + 1
    return count / seconds
