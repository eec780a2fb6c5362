"""What is done to a world, and what it may be done together with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.local.engines import EngineUrls
from deploy.local.fleet import SERVICES, Fleet
from mamapost.chaos.faults import Injector, timelines
from mamapost.chaos.history import FaultBegan, FaultEnded, History
from mamapost.chaos.leaders import _first
from mamapost.chaos.options import EngineKind
from mamapost.chaos.plan import LASTS_S, Fault
from mamapost.chaos.world import World
from mamapost.local import Credentials


@dataclass
class FakePart:
    """Notes what is done to it."""

    name: str
    done: list[str] = field(default_factory=list)

    def _note(self, what: str) -> None:
        self.done.append(what)

    def kill(self) -> None:
        self._note("kill")

    def start(self) -> None:
        self._note("start")

    def pause(self) -> None:
        self._note("pause")

    def resume(self) -> None:
        self._note("resume")

    def stop(self) -> None:
        self._note("stop")

    def wait_ready(self) -> None:
        self._note("ready")


class FakeNetwork:
    """Notes the delays that it is told."""

    def __init__(self) -> None:
        self.delays: list[tuple[int, float]] = []

    def delay(self, port: int, delay_s: float) -> None:
        self.delays.append((port, delay_s))


@pytest.fixture
def world(tmp_path: Path) -> World:
    services = tuple(f"{service}{tail}" for service in SERVICES for tail in ("", "-2"))
    names = (*services, "kafka-1", "kafka-2", "mongo-1")
    return World(
        engine=EngineKind.CLUSTER,
        urls=EngineUrls("", ""),
        fleet=cast("Fleet", SimpleNamespace(services=services)),
        parts={name: FakePart(name) for name in names},
        brokers=("kafka-1", "kafka-2"),
        stores=("mongo-1",),
        cluster=cast("Any", object()),
        network=cast("Any", FakeNetwork()),
        clocks={name: tmp_path / name for name in services},
        skipped={},
        credentials=Credentials("", "", {}),
        log_dir=tmp_path,
    )


def injected(world: World, *faults: Fault) -> History:
    history = History()
    injector = Injector(world, cast("Any", None), history, seed=1)
    asyncio.run(injector.run([[fault] for fault in faults], 60, lambda: None))
    assert sorted(map(repr, injector.injected)) == sorted(map(repr, faults))
    assert injector.active == {}
    return history


def done(world: World, name: str) -> list[str]:
    return cast("FakePart", world.parts[name]).done


def test_what_is_killed_is_started_again_and_what_is_paused_goes_on(world: World) -> None:
    injected(world, Fault("one", 1, "kill", "registry", 0, 0), Fault("one", 2, "pause", "mongo-1", 0, 0.05))
    assert done(world, "registry") == ["kill", "start", "ready"]
    assert done(world, "mongo-1") == ["pause", "resume"]


def test_a_rolling_restart_goes_from_one_to_the_next(world: World) -> None:
    order: list[str] = []
    for name in ("matching", "matching-2", "kafka-1", "kafka-2"):
        part = cast("FakePart", world.parts[name])
        part.done = cast("list[str]", _Named(order, name))
    injected(world, Fault("one", 1, "restart", "matching", 0, 0))
    steps = ("stop", "start", "ready")
    assert order == [f"{name} {step}" for name in ("matching", "matching-2") for step in steps]
    order.clear()
    injected(world, Fault("one", 1, "restart", "brokers", 0, 0))
    assert order == [f"{name} {step}" for name in ("kafka-1", "kafka-2") for step in steps]


class _Named(list[str]):
    """Notes into one list for several parts."""

    def __init__(self, order: list[str], name: str) -> None:
        super().__init__()
        self._order, self._name = order, name

    def append(self, what: str) -> None:
        self._order.append(f"{self._name} {what}")


def test_faults_of_a_timeline_follow_each_other_and_others_go_on_beside(world: World) -> None:
    history = History()
    injector = Injector(world, cast("Any", None), history, seed=1)
    timelines = [
        [Fault("one", 1, "pause", "registry", 0, 0.2), Fault("one", 2, "pause", "registry-2", 0, 0)],
        [Fault("two", 1, "pause", "revenue", 0.05, 0)],
        [Fault("late", 1, "kill", "training", 30, 0)],
    ]
    asyncio.run(injector.run(timelines, 0.4, lambda: None))
    told = [entry for entry in history.entries if isinstance(entry, FaultBegan | FaultEnded)]
    begun = {entry.target: entry.number for entry in told if isinstance(entry, FaultBegan)}
    assert set(begun) == {"registry", "registry-2", "revenue"}, "what there is no time for is left out"
    order = [(isinstance(entry, FaultEnded), entry.number) for entry in told]
    assert order.index((True, begun["registry"])) < order.index((False, begun["registry-2"]))
    assert order.index((True, begun["revenue"])) < order.index((True, begun["registry"]))


def test_a_clock_is_stepped_and_set_right_again(world: World) -> None:
    seen: set[str] = set()

    async def watch() -> None:
        injector = Injector(world, cast("Any", None), History(), seed=1)
        running = asyncio.create_task(injector.run([[Fault("one", 1, "clock", "registry", 0, 0.2)]], 60, lambda: None))
        while not running.done():
            if world.clocks["registry"].exists():
                seen.add(world.clocks["registry"].read_text())
            await asyncio.sleep(0.01)
        running.result()

    asyncio.run(watch())
    assert len(seen - {"+0\n"}) == 1
    assert world.clocks["registry"].read_text() == "+0\n"
    assert all(30 <= abs(int(text)) <= 3600 for text in seen - {"+0\n"})


def test_every_kind_of_fault_has_its_place_on_a_cluster(world: World) -> None:
    kinds = {kind for timeline in timelines(world) for kind in timeline.kinds}
    assert kinds == set(LASTS_S)
    for timeline in timelines(world):
        for targets in timeline.kinds.values():
            assert targets


def test_one_broker_comes_first_where_it_has_a_replica() -> None:
    topics = [
        {
            "topic": "post-opened",
            "partitions": [
                {"partition": 0, "replicas": [1, 2, 3]},
                {"partition": 1, "replicas": [2, 3, 1]},
                {"partition": 2, "replicas": [1, 3]},
            ],
        }
    ]
    assert _first(topics, 2) == {"post-opened": [(0, [2, 1, 3]), (1, [2, 3, 1])]}
