"""What runs in a chaos run: engines, several instances of each service, and each as a part that can be hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from deploy.local.cluster import Cluster
from deploy.local.engines import Engines, EngineUrls
from deploy.local.fleet import SERVICES, Fleet, serve_command
from mamapost.chaos.options import EngineKind
from mamapost.local import credentials, own_files

INSTANCES: Final = 2
"""Of each service: one that is left when one is hurt; more only take processor time on two cores."""

START_TIMEOUT_S: Final = 240.0
"""For all instances side by side, on a machine that may be busy with other things."""


class Part(Protocol):
    """A process that can be hurt. All methods block until it is done."""

    @property
    def name(self) -> str: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def wait_ready(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service as a part."""

    name: str
    fleet: Fleet

    def kill(self) -> None:
        self.fleet.kill(self.name)

    def start(self) -> None:
        self.fleet.restart(self.name, wait_ready=False)

    def pause(self) -> None:
        self.fleet.pause(self.name)

    def resume(self) -> None:
        self.fleet.resume(self.name)

    def stop(self) -> None:
        self.fleet.stop_one(self.name)

    def wait_ready(self) -> None:
        self.fleet.wait_ready(self.name)


@dataclass(frozen=True, slots=True)
class Embedded:
    """One of the two embedded engines as a part; `start` returns when it answers."""

    name: str
    kill: Callable[[], None]
    start: Callable[[], None]
    pause: Callable[[], None]
    resume: Callable[[], None]

    def stop(self) -> None:
        self.kill()

    def wait_ready(self) -> None:
        """`start` waited."""


@dataclass(frozen=True, slots=True)
class World:
    """All that runs.

    Attributes:
        parts: by name; those of the engines are `broker` and `store`, or the nodes of the cluster.
        brokers, stores: names of the parts that are engines.
        keeps_messages: whether a killed broker still has them when it is back.
    """

    engine: EngineKind
    urls: EngineUrls
    fleet: Fleet
    parts: Mapping[str, Part]
    brokers: tuple[str, ...]
    stores: tuple[str, ...]
    keeps_messages: bool
    token: str
    approver_token: str
    log_dir: Path

    def instances(self, service: str) -> list[str]:
        """Names of the instances of a service."""
        return [name for name in self.fleet.services if service_of(name) == service]


def service_of(instance: str) -> str:
    """`matching-2` is an instance of `matching`."""
    return instance.partition("-")[0]


@contextmanager
def world(engine: EngineKind, root: Path) -> Iterator[World]:
    """Start everything, and stop it in the opposite order.

    Raises:
        LocalRunError: something does not start; the message says what and why.
    """
    log_dir = root / "log"
    log_dir.mkdir(parents=True, exist_ok=True)
    secret = credentials(root)
    env = own_files(root) | secret.env
    with _engines(engine, root, log_dir) as (urls, engine_parts, more_env):
        names = [
            name for service in SERVICES for name in (service, *(f"{service}-{n}" for n in range(2, INSTANCES + 1)))
        ]
        with Fleet.start(
            urls,
            log_dir=log_dir,
            env=env | more_env,
            services=names,
            command=lambda name, port: serve_command(service_of(name), port),
            start_timeout_s=START_TIMEOUT_S,
        ) as fleet:
            parts: dict[str, Part] = {name: Instance(name, fleet) for name in names}
            brokers = tuple(name for name in engine_parts if name.startswith(("kafka", "broker")))
            yield World(
                engine=engine,
                urls=urls,
                fleet=fleet,
                parts=parts | engine_parts,
                brokers=brokers,
                stores=tuple(name for name in engine_parts if name not in brokers),
                keeps_messages=engine is EngineKind.CLUSTER,
                token=secret.token,
                approver_token=secret.approver_token,
                log_dir=log_dir,
            )


@contextmanager
def _engines(
    engine: EngineKind, root: Path, log_dir: Path
) -> Iterator[tuple[EngineUrls, dict[str, Part], dict[str, str]]]:
    """The engines: where they answer, their parts, and what services must be told beside that."""
    if engine is EngineKind.CLUSTER:
        with Cluster.start(root / "engines", log_dir) as cluster:
            nodes: dict[str, Part] = {node.name: node for node in (*cluster.brokers, *cluster.stores)}
            yield cluster.urls, nodes, cluster.environment
        return
    # Engines that the environment names are somebody's: chaos kills only its own.
    with Engines.start(root / "engines", log_dir, environ={}) as engines:
        broker = Embedded(
            "broker", engines.kill_broker, engines.start_broker, engines.pause_broker, engines.resume_broker
        )
        store = Embedded("store", engines.kill_store, engines.start_store, engines.pause_store, engines.resume_store)
        yield engines.urls, {"broker": broker, "store": store}, {}
