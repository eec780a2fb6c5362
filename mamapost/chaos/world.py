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
from deploy.local.node import Node
from mamapost.chaos import stepped
from mamapost.chaos.network import Network
from mamapost.chaos.options import EngineKind
from mamapost.local import Credentials, credentials, own_files

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
        cluster: `None` where the engines are embedded: a broker that was killed has lost its messages then.
        network: what stands between clients and the nodes of a cluster, `None` where nothing does.
        clocks: file of each instance that says how far its clock is stepped; none without libfaketime.
        skipped: what cannot be done here, and why.
    """

    engine: EngineKind
    urls: EngineUrls
    fleet: Fleet
    parts: Mapping[str, Part]
    brokers: tuple[str, ...]
    stores: tuple[str, ...]
    cluster: Cluster | None
    network: Network | None
    clocks: Mapping[str, Path]
    skipped: Mapping[str, str]
    credentials: Credentials
    log_dir: Path

    @property
    def keeps_messages(self) -> bool:
        """Whether a broker that was killed still has them when it is back."""
        return self.cluster is not None

    def members(self, name: str) -> tuple[str, ...]:
        """Parts of a group (a service, `brokers`, `stores`); of a part, itself."""
        groups = {"brokers": self.brokers, "stores": self.stores}
        groups |= {service: self.instances(service) for service in SERVICES}
        return groups.get(name, (name,))

    def instances(self, service: str) -> tuple[str, ...]:
        """Names of the instances of a service."""
        return tuple(name for name in self.fleet.services if service_of(name) == service)

    def node(self, name: str) -> Node:
        """A node of the cluster.

        Raises:
            KeyError: there is none of that name.
        """
        part = self.parts[name]
        if not isinstance(part, Node):
            raise KeyError(name)
        return part


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
    names = [service if n == 1 else f"{service}-{n}" for service in SERVICES for n in range(1, INSTANCES + 1)]
    faketime = stepped.library()
    clocks = {} if faketime is None else {name: root / "clocks" / name for name in names}
    skipped = (
        {} if faketime is not None else {"clock": "there is no libfaketime in var/parts (`make parts` fetches it)"}
    )
    if engine is EngineKind.EMBEDDED:
        skipped |= {"disk-full, leader, slow, wipe": "they need a cluster (a killed embedded broker comes back empty)"}
    for file in clocks.values():
        stepped.write_offset(file, 0)

    def command(name: str, port: int) -> list[str]:
        if faketime is None:
            return serve_command(service_of(name), port)
        return stepped.serve_stepped(service_of(name), port, faketime, clocks[name])

    with (
        _engines(engine, root, log_dir) as running,
        Fleet.start(
            running.urls,
            log_dir=log_dir,
            env=own_files(root) | secret.env | running.env,
            services=names,
            command=command,
            start_timeout_s=START_TIMEOUT_S,
        ) as fleet,
    ):
        parts: dict[str, Part] = {name: Instance(name, fleet) for name in names}
        yield World(
            engine=engine,
            urls=running.urls,
            fleet=fleet,
            parts=parts | running.brokers | running.stores,
            brokers=tuple(running.brokers),
            stores=tuple(running.stores),
            cluster=running.cluster,
            network=running.network,
            clocks=clocks,
            skipped=skipped,
            credentials=secret,
            log_dir=log_dir,
        )


@dataclass(frozen=True, slots=True)
class _Running:
    """The engines: where they answer, their parts, and what services must be told beside that."""

    urls: EngineUrls
    brokers: dict[str, Part]
    stores: dict[str, Part]
    env: dict[str, str]
    cluster: Cluster | None = None
    network: Network | None = None


@contextmanager
def _engines(engine: EngineKind, root: Path, log_dir: Path) -> Iterator[_Running]:
    data_dir = root / "engines"
    if engine is EngineKind.CLUSTER:
        with (
            Network() as network,
            Cluster.start(data_dir, log_dir, front=network.front, start_timeout_s=START_TIMEOUT_S) as cluster,
        ):
            brokers: dict[str, Part] = {node.name: node for node in cluster.brokers}
            stores: dict[str, Part] = {node.name: node for node in cluster.stores}
            yield _Running(cluster.urls, brokers, stores, cluster.environment, cluster, network)
        return
    # Engines that the environment names are somebody's: chaos kills only its own.
    with Engines.start(data_dir, log_dir, environ={}) as engines:
        broker = Embedded(
            "broker", engines.kill_broker, engines.start_broker, engines.pause_broker, engines.resume_broker
        )
        store = Embedded("store", engines.kill_store, engines.start_store, engines.pause_store, engines.resume_store)
        yield _Running(engines.urls, {broker.name: broker}, {store.name: store}, {})
