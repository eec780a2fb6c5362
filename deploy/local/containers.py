"""Broker and store in containers: which image, with which settings. For machines without the bundled programs, and for
tests that ask for containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.local.process import LOOPBACK, pick_port

KAFKA_IMAGE_VARIABLE: Final = "MAMAPOST_KAFKA_IMAGE"
MONGO_IMAGE_VARIABLE: Final = "MAMAPOST_MONGO_IMAGE"

NETWORK_VARIABLE: Final = "MAMAPOST_DOCKER_NETWORK"
"""`host`: for a Docker engine without a bridge; by default the engine's port is published."""

KAFKA_IMAGE: Final = "apache/kafka:4.1.0"
MONGO_IMAGE: Final = "mongo:7.0.16"
"""Official images, each by its whole version; a digest after it (`mongo:7.0.16@sha256:...`) is taken as well."""

REPLICA_SET: Final = "mamapost"

TRANSACTION_LIFETIME_S: Final = 10
"""A killed service leaves its open transaction behind, which keeps its documents locked for this long (MongoDB's
default is 60 s). The longest transaction, an upload of 1,000 rows or a batch of 2,000 shifts, takes about a second."""

_COMMAND_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands in a container, whoever starts it.

    Attributes:
        environment: variables of the image's own programs.
        command: replaces that of the image; empty = the image's own.
    """

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


def new_cluster_id() -> str:
    """An id as Kafka wants it, and as its own are: its tools would take one that begins with `-` for an option."""
    while (made := urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return made


def kafka_contents(port: int) -> Contents:
    """A broker that is its own controller, with a new cluster id, reached by this port of loopback."""
    controller = pick_port()  # on the host's network it must be free there
    settings = {
        "CLUSTER_ID": new_cluster_id(),
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://{LOOPBACK}:{controller}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@{LOOPBACK}:{controller}",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    return Contents(os.environ.get(KAFKA_IMAGE_VARIABLE, KAFKA_IMAGE), environment=settings)


def mongo_contents(port: int) -> Contents:
    """A mongod of a replica set that is still to be initiated.

    The port is the same inside and outside, so that the set's member address is true on both sides.
    """
    options = ("--bind_ip_all", "--port", str(port), "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "1")
    lifetime = ("--setParameter", f"transactionLifetimeLimitSeconds={TRANSACTION_LIFETIME_S}")
    return Contents(os.environ.get(MONGO_IMAGE_VARIABLE, MONGO_IMAGE), command=("mongod", *options, *lifetime))


def run_command(contents: Contents, port: int, name: str, *options: str) -> list[str]:
    """The command line that runs a container in the foreground, and removes it when it ends."""
    network = os.environ.get(NETWORK_VARIABLE)
    reached = ["--network", network] if network else ["--publish", f"{LOOPBACK}:{port}:{port}"]
    variables = [part for key, value in contents.environment.items() for part in ("--env", f"{key}={value}")]
    return [
        *("docker", "run", "--rm", "--name", name),
        *(*reached, *variables, *options),
        *(contents.image, *contents.command),
    ]


def docker(*arguments: str) -> bool:
    """Run one short docker command; tell whether it succeeded."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        done = subprocess.run([program, *arguments], capture_output=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def docker_answers() -> bool:
    """Tell whether there is a Docker client here, and an engine that answers it."""
    return docker("version")
