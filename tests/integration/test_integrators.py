"""Every consumer of the kit gets the golden stream right, although it is killed in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from mamapost.kit.play import TopicsInUse, play
from mamapost.kit.stream import load
from mamapost.kit.table import TableUnreadable, compare, read_table, right_table
from shared.contracts.envelope import Undecodable, decode
from shared.contracts.fields import Event
from shared.messaging.connection import Connection
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW
from tests.integration.feed_server import served_feed

KIT = Path(__file__).parents[2] / "examples" / "integrators"
RIGHT = right_table(load())
TIMEOUT_S = 120
NO_COLUMN = re.compile("no column named|no such column")


class Consumer:
    """One of the kit's consumers, as a process of its own."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], table: Path) -> None:
        self._command = command
        self._env = {**os.environ, **env}
        self._table = table
        self._process: asyncio.subprocess.Process | None = None
        self._log = table.with_suffix(".log")

    async def start(self) -> None:
        with self._log.open("ab") as log:
            # A session of its own: the pipeline of a shell script is killed as a whole.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, self._table, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    async def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def rows(self) -> int:
        try:
            return len(read_table(self._table, "open_posts"))
        except TableUnreadable:
            return 0

    def is_right(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self._log.read_text()
        try:
            return compare(RIGHT, read_table(self._table, "open_posts")) == []
        except TableUnreadable:
            return False

    async def survives(self) -> None:
        """Killed in the middle, started again, right; killed and started once more, still right."""
        try:
            await self.start()
            await eventually(lambda: self.rows() > 0, f"{self._command}: first rows", TIMEOUT_S)
            await self.kill()
            await self.start()
            await eventually(self.is_right, f"{self._command}: the right table\n{self._log.read_text()}", TIMEOUT_S)
        finally:
            await self.kill()

    async def blames_no_event(self) -> None:
        """What cannot be stored is not passed over: once it can be, the table is right."""
        with contextlib.closing(sqlite3.connect(self._table)) as db:
            db.execute("CREATE TABLE posts (post_id TEXT PRIMARY KEY)")
        try:
            await self.start()
            await eventually(lambda: NO_COLUMN.search(self._log.read_text()) is not None, "it says so", TIMEOUT_S)
            await self.kill()
            assert not re.search(f"left out .*({NO_COLUMN.pattern})", self._log.read_text())
            self._table.unlink()
            await self.start()
            await eventually(self.is_right, f"{self._command}: the right table\n{self._log.read_text()}", TIMEOUT_S)
        finally:
            await self.kill()


@pytest.fixture
async def prefix(settings: Settings) -> str:
    """Topics that hold the golden stream."""
    made = f"kit-{secrets.token_hex(4)}."
    await play(Connection(settings), load(), made)
    return made


async def test_consumers_in_python_survive_and_are_right(settings: Settings, prefix: str, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("aiokafka", "confluent", "faststream"):
            command = [sys.executable, str(KIT / f"with_{name}.py"), settings.kafka]
            group.create_task(Consumer(command, {"TOPIC_PREFIX": prefix}, tmp_path / f"{name}.db").survives())


async def test_consumers_in_python_pass_over_nothing_that_they_cannot_store(
    settings: Settings, prefix: str, tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("aiokafka", "confluent", "faststream"):
            command = [sys.executable, str(KIT / f"with_{name}.py"), settings.kafka]
            group.create_task(Consumer(command, {"TOPIC_PREFIX": prefix}, tmp_path / f"{name}.db").blames_no_event())


@pytest.fixture(scope="session")
def node_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The consumer in Node with what it needs from npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node is not installed here")
    kit = tmp_path_factory.mktemp("node")
    for name in ("package.json", "with_kafkajs.js"):
        shutil.copy(KIT / "node" / name, kit)
    installed = subprocess.run([npm, "install", "--no-audit", "--no-fund"], cwd=kit, capture_output=True, timeout=120)
    if installed.returncode:
        pytest.skip(f"npm does not give kafkajs here: {installed.stderr.decode()[-200:]}")
    return kit


async def test_the_consumer_in_node_survives_and_is_right(
    settings: Settings, prefix: str, tmp_path: Path, node_kit: Path
) -> None:
    command = ["node", str(node_kit / "with_kafkajs.js"), settings.kafka]
    (tmp_path / "node.db.lock").mkdir()  # as one that was killed while it wrote leaves it
    await Consumer(command, {"TOPIC_PREFIX": prefix}, tmp_path / "node.db").survives()


async def test_the_consumer_in_node_passes_over_nothing_that_it_cannot_store(
    settings: Settings, prefix: str, tmp_path: Path, node_kit: Path
) -> None:
    command = ["node", str(node_kit / "with_kafkajs.js"), settings.kafka]
    await Consumer(command, {"TOPIC_PREFIX": prefix}, tmp_path / "node.db").blames_no_event()


async def test_the_consumer_with_kcat_survives_and_is_right(settings: Settings, prefix: str, tmp_path: Path) -> None:
    missing = [tool for tool in ("bash", "kcat", "jq", "sqlite3") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")
    # Debian's kcat comes with librdkafka 2.0, which cannot read the embedded broker; confluent-kafka brings a newer.
    import confluent_kafka

    library = next(Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*.so*"), None)
    if library is None:
        pytest.skip("there is no newer librdkafka for kcat here")
    shim = tmp_path / "bin" / "kcat"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec {shutil.which("kcat")} "$@"\n')
    shim.chmod(0o755)
    env = {"TOPIC_PREFIX": prefix, "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    await Consumer([str(KIT / "with_kcat.sh"), settings.kafka], env, tmp_path / "kcat.db").survives()


@pytest.fixture
async def logs(settings: Settings) -> AsyncIterator[dict[str, Mongo]]:
    """The logs of registry and matching, with the events of the golden stream."""
    told: dict[str, Event] = {}
    for line in load():
        try:
            envelope = decode(line.topic, line.key, line.headers, line.value)
        except Undecodable:
            continue
        told.setdefault(envelope.id, envelope.event)
    connected = {service: Mongo.connect(settings, service) for service in ("registry", "matching")}
    for service, mongo in connected.items():
        log = EventLog(mongo.db, service)
        await log.ensure_indexes()
        own = [event for event in told.values() if event.source == service]
        await mongo.transaction(lambda session, log=log, own=own: log.append(session, own, NOW))  # type: ignore[misc]
    yield connected
    for mongo in connected.values():
        await mongo.client.drop_database(mongo.db.name)
        mongo.close()


async def test_the_consumer_over_http_survives_and_is_right(
    settings: Settings, logs: dict[str, Mongo], tmp_path: Path
) -> None:
    async with (
        served_feed(settings, logs["registry"], "registry") as (_, registry),
        served_feed(settings, logs["matching"], "matching") as (_, matching),
    ):
        urls = [f"http://127.0.0.1:{port}" for port in (registry, matching)]
        await Consumer([sys.executable, str(KIT / "with_http.py"), *urls], {}, tmp_path / "http.db").survives()


async def test_a_stream_is_not_played_among_other_messages(settings: Settings, prefix: str) -> None:
    with pytest.raises(TopicsInUse, match="expected empty topics"):
        await play(Connection(settings), load(), prefix)
