"""Engines for the tests that need them: one database for the whole run, a fresh broker for each test that asks."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.metadata import MetadataRequest
from hypothesis import settings as hypothesis_settings

from deploy.local.engines import Engines, EngineUrls
from deploy.local.errors import EngineNotOurs
from deploy.local.recipes import KAFKA_VARIABLE
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests import containers

# How long an example takes depends on the machine, and the first one that calls a compiled function loads it.
hypothesis_settings.register_profile("mamapost", deadline=None)
hypothesis_settings.load_profile("mamapost")

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
    kafka = engines.urls.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await all_have_heard(admin, kafka)
        while left := [name for name in set().union(*await topics_by_broker(kafka)) if not name.startswith("__")]:
            await admin.delete_topics(left)
            await all_have_heard(admin, kafka)
    finally:
        await admin.close()


async def all_have_heard(admin: AIOKafkaAdminClient, kafka: str) -> None:
    """Return once every broker of a cluster knows what was made and removed before.

    Each hears of it in order, but when it can, and who asks one that tells of a topic which is gone makes none. So a
    topic is made, and all have to tell of it.
    """
    last = f"__{secrets.token_hex(8)}"
    await admin.create_topics([NewTopic(last, 1, 1)])

    async def told_by_all() -> bool:
        return all(last in told for told in await topics_by_broker(kafka))

    await eventually(told_by_all, "every broker tells of a topic just made")
    await admin.delete_topics([last])


async def topics_by_broker(kafka: str) -> list[set[str]]:
    """Topics that each broker of a cluster tells of."""
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        answers = [await client.send(broker.nodeId, MetadataRequest()) for broker in client.cluster.brokers()]
    finally:
        await client.close()
    return [{topic[1] for topic in answer.topics} for answer in answers]


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
