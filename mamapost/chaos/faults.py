"""Carries out the faults of a plan, and undoes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from deploy.local.errors import LocalRunError
from deploy.local.fleet import SERVICES
from deploy.local.process import Deadline
from mamapost.chaos import leaders, messages, stepped
from mamapost.chaos.history import FaultBegan, FaultEnded, History
from mamapost.chaos.plan import Fault, Kind, Timeline
from mamapost.chaos.recorder import Recorder
from mamapost.chaos.world import World
from mamapost.scenario.dice import Dice

TOPICS: Final = "topics"
"""Target of faults that put messages on topics."""

MESSAGE_KINDS: Final[tuple[Kind, ...]] = ("duplicate", "reorder", "poison")

FULL_DISK_BYTES: Final = 1
"""No file may grow beyond this: every write of a broker fails, as with a disk that is full."""

DELAY_MS: Final = (20, 400)
"""What a slow network adds each way: from another city to another continent and back."""

CLOCK_STEP_S: Final = (30, 3600)
"""How far a clock is stepped, forwards or backwards: beyond every lease, within the day."""

LEADER_TIMEOUT_S: Final = 60.0
"""How long an election is asked for while nobody answers."""

SERVICE_PAUSE_S: Final = (10, 40)
ENGINE_PAUSE_S: Final = (12, 40)
NETWORK_PAUSE_S: Final = (10, 30)
MESSAGES_PAUSE_S: Final = (5, 20)
"""Time between two faults of a service, of a kind of engine, and of messages: short enough that several are under way
at most times, long enough that commands get through in between."""


def timelines(world: World) -> list[Timeline]:
    """What can be done to this world, as timelines that run side by side."""
    found = []
    for service in SERVICES:
        instances = world.instances(service)
        kinds: dict[Kind, Sequence[str]] = {"kill": instances, "pause": instances, "restart": [service]}
        if world.clocks:
            kinds["clock"] = instances
        found.append(Timeline(service, kinds, SERVICE_PAUSE_S))
    brokers: dict[Kind, Sequence[str]] = {"kill": world.brokers, "pause": world.brokers}
    stores: dict[Kind, Sequence[str]] = {"kill": world.stores, "pause": world.stores}
    if world.cluster is not None:
        brokers |= {"restart": ["brokers"], "leader": world.brokers, "disk-full": world.brokers, "wipe": ["brokers"]}
        stores |= {"restart": ["stores"], "leader": ["stores"]}
    found += [Timeline("brokers", brokers, ENGINE_PAUSE_S), Timeline("stores", stores, ENGINE_PAUSE_S)]
    if world.network is not None:
        found.append(Timeline("network", {"slow": [*world.brokers, *world.stores]}, NETWORK_PAUSE_S))
    found.append(Timeline(TOPICS, dict.fromkeys(MESSAGE_KINDS, (TOPICS,)), MESSAGES_PAUSE_S))
    return found


@dataclass
class Injector:
    """Carries out faults at their time, several at once where they hit different parts.

    Attributes:
        active: what is under way now, in words.
        injected: faults that were begun.
        failures: what did not come back, in words.
    """

    world: World
    recorder: Recorder
    history: History
    seed: int
    injected: list[Fault] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    active: dict[int, str] = field(default_factory=dict)
    _broker: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, timelines: Sequence[Sequence[Fault]], duration_s: float, tell: Callable[[], None]) -> None:
        """Carry out all timelines side by side, each fault by fault; returns when the last one is undone.

        Args:
            duration_s: no fault begins after it.
            tell: called whenever a fault begins or ends.
        """
        ends_at = time.monotonic() + duration_s

        async def one_after_the_other(faults: Sequence[Fault]) -> None:
            for fault in faults:
                await asyncio.sleep(min(fault.pause_s, max(ends_at - time.monotonic(), 0)))
                async with self._alone(fault):
                    if time.monotonic() >= ends_at:
                        return
                    await self._carry_out(fault, tell)

        async with asyncio.TaskGroup() as group:
            for faults in timelines:
                group.create_task(one_after_the_other(faults))

    async def _carry_out(self, fault: Fault, tell: Callable[[], None]) -> None:
        self.injected.append(fault)
        number = len(self.injected)
        self.history.note(FaultBegan(self.history.now_s, number, fault.kind, fault.target))
        self.active[number] = f"{fault.kind} {fault.target}"
        tell()
        try:
            await self._do(fault)
        except LocalRunError as error:
            self.failures.append(f"after {fault.kind} of {fault.target}: {error}")
        self.history.note(FaultEnded(self.history.now_s, number))
        del self.active[number]
        tell()

    def _alone(self, fault: Fault) -> AbstractAsyncContextManager[object]:
        """The embedded broker makes a topic of a message that comes before its owner has created it; so no messages
        are put there while it may come back empty."""
        touches_broker = fault.timeline in (TOPICS, "brokers")
        return self._broker if touches_broker and not self.world.keeps_messages else nullcontext()

    async def _do(self, fault: Fault) -> None:
        dice = Dice("chaos-fault", self.seed, fault.timeline, fault.number)
        match fault.kind:
            case "kill":
                await self._kill(fault)
            case "pause":
                part = self.world.parts[fault.target]
                part.pause()
                try:
                    await asyncio.sleep(fault.lasts_s)
                finally:
                    part.resume()
            case "restart":
                for name in self.world.members(fault.target):
                    await asyncio.to_thread(self.world.parts[name].stop)
                    await self._start([name])
            case "leader":
                await self._move_leaders(fault.target)
            case "disk-full":
                await asyncio.to_thread(self.world.node(fault.target).limit_files, FULL_DISK_BYTES)
                await asyncio.sleep(fault.lasts_s)
                await asyncio.to_thread(self.world.parts[fault.target].kill)
                await self._start([fault.target])
            case "slow":
                await self._slow(fault, dice.between(*DELAY_MS) / 1000)
            case "clock":
                step_s = dice.between(*CLOCK_STEP_S) * dice.pick((1, -1))
                stepped.write_offset(self.world.clocks[fault.target], step_s)
                try:
                    await asyncio.sleep(fault.lasts_s)
                finally:
                    stepped.write_offset(self.world.clocks[fault.target], 0)
            case "wipe":
                await self._wipe(fault)
            case "duplicate" | "reorder" | "poison":
                await messages.inject(fault.kind, self.world.urls.kafka, self.recorder, dice)

    async def _start(self, names: Sequence[str]) -> None:
        """Start parts, side by side, and wait until they do their work."""
        parts = [self.world.parts[name] for name in names]
        await asyncio.gather(*(asyncio.to_thread(part.start) for part in parts))
        await asyncio.gather(*(asyncio.to_thread(part.wait_ready) for part in parts))

    async def _kill(self, fault: Fault) -> None:
        empties = fault.target in self.world.brokers and not self.world.keeps_messages
        await asyncio.to_thread(self.world.parts[fault.target].kill)
        if empties:
            await self.recorder.end()
        await asyncio.sleep(fault.lasts_s)
        await self._start([fault.target])
        if empties:
            await self.recorder.begin()

    async def _wipe(self, fault: Fault) -> None:
        """All brokers lose their disks, and another cluster is set up in their place."""
        if self.world.cluster is None:
            raise RuntimeError("only a cluster can be wiped")
        await asyncio.gather(*(asyncio.to_thread(self.world.parts[name].kill) for name in self.world.brokers))
        await self.recorder.end()
        await asyncio.to_thread(self.world.cluster.wipe_brokers)
        await asyncio.sleep(fault.lasts_s)
        await self._start(self.world.brokers)
        await self.recorder.begin()

    async def _move_leaders(self, target: str) -> None:
        """Let another database lead, or one broker lead all partitions; tried until somebody is there to ask."""
        deadline = Deadline(LEADER_TIMEOUT_S)
        while True:
            try:
                if target in self.world.brokers:
                    await leaders.lead_partitions(self.world.urls.kafka, self.world.brokers.index(target) + 1)
                else:
                    await asyncio.to_thread(leaders.step_down, self.world.urls.mongo)
            except (KafkaError, PyMongoError, leaders.ElectionRefused):
                if deadline.passed:
                    raise
                await asyncio.sleep(1)
            else:
                return

    async def _slow(self, fault: Fault, delay_s: float) -> None:
        network, port = self.world.network, self.world.node(fault.target).port
        if network is None:
            raise RuntimeError("nothing stands between clients and nodes here")
        network.delay(port, delay_s)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            network.delay(port, 0)
