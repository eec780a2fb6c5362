"""Engines for the tests that need them: one database for the whole run, a fresh broker for each test that asks."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.metadata import MetadataRequest

from deploy.local.engines import Engines, EngineUrls
from deploy.local.errors import EngineNotOurs
from deploy.local.recipes import KAFKA_VARIABLE
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests import containers

# Their loggers repeat "connection refused" ten times a second while a test has the broker down.
for chatty in ("aiokafka", "aiokafka.consumer", "aiokafka.producer"):
    logging.getLogger(chatty).setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """The embedded broker and database; or containers of them, or those that the environment names."""
    root = tmp_path_factory.mktemp("engines")
    with containers.engines() if containers.wanted() else Engines.start(root / "data", root / "log") as started:
        yield started


@pytest.fixture
def settings(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a service on the engines, with a database, consumer groups and checkpoints of this test alone."""
    return settings_in(tmp_path, engines.urls, monkeypatch)


def settings_in(folder: Path, urls: EngineUrls, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a service on the engines, with a database and consumer groups of its own; its files in a folder."""
    monkeypatch.setenv("MAMAPOST_MATCHING_CHECKPOINT_DIR", str(folder / "checkpoints"))
    key_file = folder / "master.key"
    key_file.write_text(secrets.token_hex(32))
    return Settings(
        kafka=urls.kafka,
        mongo=urls.mongo,
        db_prefix=f"t_{secrets.token_hex(6)}",
        master_key_file=key_file,
    )


@pytest.fixture
async def mongo(settings: Settings) -> AsyncIterator[Mongo]:
    """A database of this test alone, dropped after it."""
    connected = Mongo.connect(settings, "registry")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
def fresh_broker(engines: Engines) -> Engines:
    """The broker, empty."""
    asyncio.run(empty_broker(engines))
    return engines


async def empty_broker(engines: Engines) -> None:
    """Start the broker anew and empty; one that the environment names, or in a container, has its topics removed."""
    if KAFKA_VARIABLE not in os.environ and not containers.wanted():
        engines.kill_broker()
        engines.start_broker()
        return
    admin = AIOKafkaAdminClient(bootstrap_servers=engines.urls.kafka)
    await admin.start()
    try:
        while left := await topics_of_any(engines.urls.kafka):
            await admin.delete_topics(left)
    finally:
        await admin.close()


async def topics_of_any(kafka: str) -> list[str]:
    """Topics that any broker of a cluster tells of.

    One may for a while tell of what is gone at the others, and who asks that one makes none.
    """
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        answers = [await client.send(broker.nodeId, MetadataRequest()) for broker in client.cluster.brokers()]
    finally:
        await client.close()
    names = {topic[1] for answer in answers for topic in answer.topics}
    return sorted(name for name in names if not name.startswith("__"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """A test that kills an engine is skipped where the engine is not the tests' own, and says so."""
    try:
        return (yield)
    except EngineNotOurs as error:
        pytest.skip(f"needs an engine of its own: {error}")


async def eventually(condition: Callable[[], Awaitable[bool] | bool], what: str, timeout_s: float = 30.0) -> None:
    """Await a condition that another process or task brings about; fails with `what` when it never does."""
    async with asyncio.timeout(timeout_s):
        while True:
            outcome = condition()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                pytest.fail(f"not within {timeout_s} s: {what}")
