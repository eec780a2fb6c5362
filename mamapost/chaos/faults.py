"""Carries out the faults of a plan, and undoes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from deploy.local.fleet import SERVICES
from mamapost.chaos import messages
from mamapost.chaos.history import FaultBegan, FaultEnded, History
from mamapost.chaos.plan import Fault, Kind, Timeline
from mamapost.chaos.recorder import Recorder
from mamapost.chaos.world import World
from mamapost.scenario.dice import Dice

TOPICS: Final = "topics"
"""Target of faults that put messages on topics."""

SERVICE_PAUSE_S: Final = (10, 40)
ENGINE_PAUSE_S: Final = (12, 40)
MESSAGES_PAUSE_S: Final = (5, 20)
"""Time between two faults of a service, of a kind of engine, and of messages: short enough that several are under way
at most times, long enough that commands get through in between."""


def timelines(world: World) -> list[Timeline]:
    """What can be done to this world, as timelines that run side by side."""
    found = []
    for service in SERVICES:
        instances = world.instances(service)
        kinds: dict[Kind, Sequence[str]] = {"kill": instances, "pause": instances, "restart": [service]}
        found.append(Timeline(service, kinds, SERVICE_PAUSE_S))
    for name, nodes in (("brokers", world.brokers), ("stores", world.stores)):
        found.append(Timeline(name, {"kill": nodes, "pause": nodes}, ENGINE_PAUSE_S))
    kinds = {"duplicate": [TOPICS], "reorder": [TOPICS], "poison": [TOPICS]}
    found.append(Timeline("messages", kinds, MESSAGES_PAUSE_S))
    return found


@dataclass
class Injector:
    """Carries out faults at their time, several at once where they hit different parts.

    Attributes:
        active: what is under way now, in words.
        injected: faults that were begun.
    """

    world: World
    recorder: Recorder
    history: History
    seed: int
    injected: list[Fault] = field(default_factory=list)
    active: dict[int, str] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def run(self, faults: Sequence[Fault], tell: Callable[[], None]) -> None:
        """Carry out all of them; returns when the last one is undone.

        Args:
            tell: called whenever a fault begins or ends.
        """
        started = time.monotonic()

        async def one(fault: Fault) -> None:
            await asyncio.sleep(max(fault.begins_s - (time.monotonic() - started), 0))
            async with AsyncExitStack() as stack:
                for name in sorted(self._touched(fault)):
                    await stack.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
                self.history.note(FaultBegan(self.history.now_s, fault.number, fault.kind, fault.target))
                self.injected.append(fault)
                self.active[fault.number] = f"{fault.kind} {fault.target}"
                tell()
                await self._do(fault)
                self.history.note(FaultEnded(self.history.now_s, fault.number))
                del self.active[fault.number]
                tell()

        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(one(fault))

    def _touched(self, fault: Fault) -> set[str]:
        """Parts that nothing else may be done to meanwhile."""
        if fault.kind == "restart":
            return set(self.world.instances(fault.target))
        if fault.target == TOPICS and not self.world.keeps_messages:
            return {
                TOPICS,
                *self.world.brokers,
            }  # one that comes back empty would make a topic of a message, its own way
        return {fault.target}

    async def _do(self, fault: Fault) -> None:
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
                for name in self.world.instances(fault.target):
                    part = self.world.parts[name]
                    await asyncio.to_thread(part.stop)
                    await asyncio.to_thread(part.start)
                    await asyncio.to_thread(part.wait_ready)
            case "duplicate" | "reorder" | "poison":
                dice = Dice("chaos-messages", self.seed, fault.number)
                await messages.inject(fault.kind, self.world.urls.kafka, self.recorder, dice)
            case _:
                raise NotImplementedError(fault.kind)

    async def _kill(self, fault: Fault) -> None:
        part = self.world.parts[fault.target]
        empties = fault.target in self.world.brokers and not self.world.keeps_messages
        await asyncio.to_thread(part.kill)
        if empties:
            await self.recorder.end()
        await asyncio.sleep(fault.lasts_s)
        await asyncio.to_thread(part.start)
        await asyncio.to_thread(part.wait_ready)
        if empties:
            await self.recorder.begin()
