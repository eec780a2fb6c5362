"""A cluster on one machine, as production has it: three Apache Kafka nodes (KRaft) and three mongod in a replica set.

Kafka comes as Maven artifacts (deploy/cluster/pom.xml) and needs a Java; mongod is the embedded one. Every node is a
child process that can be killed, paused and started again by itself, on its port and with its data.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.containers import new_cluster_id
from deploy.local.engines import EngineUrls
from deploy.local.errors import EngineMissing, EngineStartFailed
from deploy.local.node import POLL_S, STOP_TIMEOUT_S, Node
from deploy.local.process import LOOPBACK, Deadline, pick_port
from deploy.local.recipes import find_store, kafka_cluster_id

NODES: Final = 3
"""Of each kind: one may be away, and two still agree."""

KAFKA_PARTS: Final = Path("var/parts/kafka")
"""Where `make parts` puts Apache Kafka."""

_REPLICA_SET: Final = "mamapost"
_HEAP: Final = "512m"  # of a broker; a city's programme is some megabytes
_FORMAT_TIMEOUT_S: Final = 180.0  # a Java start each, on a machine that is busy
_ALREADY_INITIALIZED: Final = 23  # MongoDB's error code


Front = Callable[[int], int]


def _direct(port: int) -> int:
    """Nobody stands in between."""
    return port


def has_parts(parts: Path = KAFKA_PARTS) -> bool:
    """Whether `make parts` has fetched Apache Kafka."""
    return any(parts.absolute().glob("kafka_*.jar"))


class Cluster:
    """Three brokers and three mongod. Use `with Cluster.start(...) as cluster:`."""

    def __init__(self, brokers: Sequence[Node], storage: _Storage, stores: Sequence[Node]) -> None:
        """Internal; use `start`."""
        self.brokers = list(brokers)
        self._storage = storage
        self.stores = list(stores)

    @classmethod
    def start(
        cls,
        data_dir: Path,
        log_dir: Path,
        *,
        parts: Path = KAFKA_PARTS,
        front: Front = _direct,
        start_timeout_s: float = 120.0,
    ) -> Cluster:
        """Start all nodes and return when three brokers are registered and the replica set has a primary.

        Args:
            data_dir: of this cluster alone; a second start on it goes on with the same data.
            log_dir: `kafka-N.log` and `mongo-N.log` are appended there.
            parts: the folder of Kafka's jars.
            front: from a node's port to the one at which clients reach it, for who wants to stand between them. The
                databases reach each other there too; brokers have ports of their own for that.

        Raises:
            EngineMissing: no Java, no jars, or no mongod.
            EngineStartFailed: a node ended or did not answer in time; all are stopped again.
        """
        kafka = kafka_program(parts)
        data_dir = data_dir.absolute()
        data_dir.mkdir(parents=True, exist_ok=True)
        brokers, storage = _brokers(kafka, data_dir, log_dir, front)
        cluster = cls(brokers, storage, _stores(data_dir, log_dir, front))
        deadline = Deadline(start_timeout_s)
        try:
            for node in (*cluster.brokers, *cluster.stores):
                node.start()
            cluster._await(cluster._has_primary, cluster.stores, deadline)
            cluster._await(cluster._has_brokers, cluster.brokers, deadline)
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            cluster.stop()
            raise
        return cluster

    @property
    def urls(self) -> EngineUrls:
        return EngineUrls(
            kafka=",".join(node.address for node in self.brokers),
            mongo=f"mongodb://{','.join(node.address for node in self.stores)}/?replicaSet={_REPLICA_SET}",
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point everything of ours at this cluster."""
        return {
            "MAMAPOST_KAFKA": self.urls.kafka,
            "MAMAPOST_MONGO": self.urls.mongo,
            "MAMAPOST_REPLICATION_FACTOR": str(NODES),
        }

    def wipe_brokers(self) -> None:
        """Kill all brokers and remove what they hold; started again, they are another, empty cluster."""
        for node in self.brokers:
            node.kill()
        self._storage.wipe()

    def stop(self) -> None:
        """Stop all nodes in order, together. Can be called again."""
        deadline = Deadline(STOP_TIMEOUT_S)
        for nodes in (self.brokers, self.stores):
            for node in nodes:
                node.request_stop()
        for node in (*self.brokers, *self.stores):
            node.wait_stopped(deadline.left_s)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _await(self, condition: Callable[[], bool], nodes: Sequence[Node], deadline: Deadline) -> None:
        while not condition():
            ended = next((node for node in nodes if not node.alive), None)
            if ended is not None or deadline.passed:
                raise EngineStartFailed((ended or nodes[0]).failure())
            time.sleep(POLL_S)

    def _has_brokers(self) -> bool:
        """Whether all brokers answer, and are registered with the controllers."""
        if any(not kafka_cluster_id(node.port) for node in self.brokers):
            return False
        return asyncio.run(_broker_count(self.urls.kafka)) == NODES

    def _has_primary(self) -> bool:
        """Bring the replica set one step closer to its primary; whether it is there, with two that follow it."""
        client: MongoClient[dict[str, Any]] = MongoClient(
            LOOPBACK, self.stores[0].port, directConnection=True, serverSelectionTimeoutMS=1000
        )
        try:
            _initiate(client, [node.address for node in self.stores])
            members = client.admin.command("replSetGetStatus")["members"]
        except PyMongoError:
            return False  # still starting; the caller asks again until its deadline
        finally:
            client.close()
        states = sorted(member["stateStr"] for member in members)
        return states == ["PRIMARY", *["SECONDARY"] * (NODES - 1)]


def kafka_program(parts: Path = KAFKA_PARTS) -> list[str]:
    """The command that runs a class of Apache Kafka's, which comes after it.

    Raises:
        EngineMissing: no Java, or no jars.
    """
    java = shutil.which("java")
    if java is None:
        raise EngineMissing("Apache Kafka needs Java 17 or newer; there is no `java` on PATH")
    if not has_parts(parts):
        raise EngineMissing(f"there is no Apache Kafka in {parts.absolute()}: run `make parts` (needs Maven)")
    return [java, "-cp", f"{parts.absolute()}/*"]


def format_folder(kafka: Sequence[str], file: Path, cluster_id: str, *arguments: str) -> None:
    """Write a cluster's id into the folder that a broker's settings name, where none stands yet.

    Args:
        kafka: as `kafka_program` gives it.
        file: the broker's settings.
        cluster_id: 16 bytes in URL-safe base64, without padding.
        arguments: more of Kafka's own, such as logins.

    Raises:
        EngineStartFailed: Kafka refused; the message has what it said.
    """
    command = [*kafka, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    command += ["--cluster-id", cluster_id, "--config", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False)
    if done.returncode:
        raise EngineStartFailed(f"{file} could not be formatted:\n{done.stdout}{done.stderr}")


class _Storage:
    """What three brokers keep on disk: folders that are formatted with one cluster id."""

    def __init__(self, kafka: Sequence[str], data_dir: Path) -> None:
        self._kafka = kafka
        self._id_file = data_dir / "cluster.id"
        self.folders = [data_dir / f"kafka-{number}" for number in range(1, NODES + 1)]
        self.files = [folder.with_suffix(".properties") for folder in self.folders]

    def format(self) -> None:
        """Write the cluster id into each folder where it does not stand yet."""
        if not self._id_file.exists():
            self._id_file.write_text(new_cluster_id())
        cluster_id = self._id_file.read_text()
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda file: format_folder(self._kafka, file, cluster_id), self.files))

    def wipe(self) -> None:
        """Remove everything, and format the folders for another cluster."""
        self._id_file.unlink()
        for folder in self.folders:
            shutil.rmtree(folder)
        self.format()


def _brokers(kafka: Sequence[str], data_dir: Path, log_dir: Path, front: Front) -> tuple[list[Node], _Storage]:
    """Brokers that are controllers too, and their folders, formatted."""
    storage = _Storage(kafka, data_dir)
    ports = [(_port(data_dir, f"kafka-{n}"), _port(data_dir, f"controller-{n}")) for n in range(1, NODES + 1)]
    voters = ",".join(f"{n}@{LOOPBACK}:{controller}" for n, (_, controller) in enumerate(ports, 1))
    nodes = []
    for number, (port, controller_port) in enumerate(ports, 1):
        internal_port = _port(data_dir, f"internal-{number}")
        folder, file = storage.folders[number - 1], storage.files[number - 1]
        fronted = front(port)
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": f"CLIENTS://{LOOPBACK}:{port},BROKERS://{LOOPBACK}:{internal_port},"
            f"CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"CLIENTS://{LOOPBACK}:{fronted},BROKERS://{LOOPBACK}:{internal_port}",
            "inter.broker.listener.name": "BROKERS",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT",
            "log.dirs": folder,
            "auto.create.topics.enable": "false",
            "default.replication.factor": NODES,
            "min.insync.replicas": NODES - 1,
            "unclean.leader.election.enable": "false",
            "offsets.topic.replication.factor": NODES,
            "transaction.state.log.replication.factor": NODES,
            "transaction.state.log.min.isr": NODES - 1,
            # Small, since six nodes share this machine; nothing of ours depends on it.
            "offsets.topic.num.partitions": 6,
            "transaction.state.log.num.partitions": 3,
            "group.initial.rebalance.delay.ms": 0,
        }
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [*kafka, f"-Xms{_HEAP}", f"-Xmx{_HEAP}", "kafka.Kafka", str(file)]
        name = f"kafka-{number}"
        nodes.append(Node(name, port, fronted, command, log_dir / f"{name}.log", _broker_answers))
    storage.format()
    return nodes, storage


def _stores(data_dir: Path, log_dir: Path, front: Front) -> list[Node]:
    recipe = find_store()
    if recipe.in_docker:
        raise EngineMissing("a replica set of three needs a mongod that runs here, not in a container")
    nodes = []
    for number in range(1, NODES + 1):
        name = f"mongo-{number}"
        folder = data_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        port = _port(data_dir, name)
        command = recipe.command(port, folder, name)
        nodes.append(Node(name, port, front(port), command, log_dir / f"{name}.log", _store_answers))
    return nodes


def _broker_answers(port: int) -> bool:
    return bool(kafka_cluster_id(port))


def _store_answers(port: int) -> bool:
    """Whether a member of the replica set leads, or follows."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000
    )
    try:
        hello = client.admin.command("hello")
    except PyMongoError:
        return False  # still starting; the caller asks again until its deadline
    finally:
        client.close()
    return bool(hello["isWritablePrimary"] or hello["secondary"])


def _port(data_dir: Path, name: str) -> int:
    return pick_port(data_dir / f"{name}.port")


def _initiate(client: MongoClient[dict[str, Any]], addresses: Sequence[str]) -> None:
    # With priorities the first one leads again when it is back, so that logs are read where they are expected.
    members = [{"_id": number, "host": address, "priority": NODES - number} for number, address in enumerate(addresses)]
    settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
    try:
        client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members, "settings": settings})
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise


async def _broker_count(urls: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=urls, request_timeout_ms=2000)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return 0  # still starting; the caller asks again until its deadline
    finally:
        await admin.close()
