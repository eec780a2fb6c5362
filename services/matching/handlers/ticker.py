"""The course of matching's life: prepare, take up what was left, connect, then publish what changed at every tick."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from services.matching import metrics
from services.matching.handlers.checkpoints import Checkpoints
from services.matching.ownership import Leases
from services.matching.ports import Owners, RankingOutbox
from services.matching.position import StreamPosition
from services.matching.use_cases import Live, end_streams, publish_changes
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceError
from shared.messaging.bus import Bus
from shared.runtime.logs import logger
from shared.runtime.supervised import supervised

LOAD_PAUSE_S = 1.0
"""Pause before the start is tried again, so that a lost database is not hammered."""

_log = logger(__name__)


class Ticker:
    """Publishes what changed, at every tick."""

    def __init__(
        self,
        live: Live,
        outbox: RankingOutbox,
        owners: Owners,
        checkpoints: Checkpoints,
        leases: Leases,
        bus: Bus,
        clock: Clock,
        *,
        warm: Callable[[], object],
        instance: str,
        interval_ms: int,
    ) -> None:
        self._live = live
        self._outbox = outbox
        self._owners = owners
        self._checkpoints = checkpoints
        self._leases = leases
        self._bus = bus
        self._clock = clock
        self._warm = warm
        self._instance = instance
        self._interval_s = interval_ms / 1000
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._state = "starting"

    @property
    def state(self) -> str:
        """`starting` until every partition that was assigned here is answered for, then `up`, however much there is to
        be published first; `down` if it ended by a defect, which is logged."""
        if self._state == "starting" and self._is_ready():
            self._state = "up"
        return self._state

    def start(self, prepared: asyncio.Future[None]) -> None:
        """Begin, in the background, so that the service can say that it is starting; with the store once that is
        prepared. Its preparation must be ended before `stop`."""
        self._task = supervised(self._run(prepared), "ticker", self._ended_by_defect)

    async def stop(self) -> None:
        """End after the transaction at hand."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended_by_defect(self) -> None:
        self._state = "down"

    async def _run(self, prepared: asyncio.Future[None]) -> None:
        # Compiling takes a minute on a machine that never did it; the event loop goes on answering meanwhile.
        await asyncio.to_thread(self._warm)
        await asyncio.wait({prepared})
        if prepared.cancelled():
            return
        prepared.result()
        while not await self._try(self._prepare) and not self._stopping.is_set():
            await self._pause(LOAD_PAUSE_S)
        if self._stopping.is_set():
            return
        await self._bus.start()
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(self._leases.run()), tasks.create_task(self._checkpoints.run())]
            while not await self._rest(self._interval_s):
                await self._try(self._publish)
            for task in background:
                task.cancel()

    def _is_ready(self) -> bool:
        live = self._live
        return live.is_assigned and all(live.owns(part.number) for part in live.parts.values() if part.is_assigned)

    async def _prepare(self) -> None:
        store_id = await self._owners.prepare()
        await self._checkpoints.prepare(store_id)
        await self._take_up()

    async def _take_up(self) -> None:
        """Answer at once for what this instance answered for last, if its checkpoint is as new as its last answer."""
        for owner in await self._owners.of(self._instance):
            if owner.partition in self._live.parts or owner.position is None:
                continue
            part = await self._checkpoints.load(owner.partition)
            try:
                reached = StreamPosition.of(part.cluster_id, part.number, part.offsets)
                is_newest = reached.reaches(StreamPosition.parse(owner.position))
            except ValueError:  # of another broker, or over other topics
                is_newest = False
            if is_newest:
                await self._leases.take_up(part)

    async def _publish(self) -> None:
        await publish_changes(self._live, outbox=self._outbox, now=self._clock(), rest=self._rest)
        metrics.CHANGES_WAITING.set(len(self._live.waiting))

    async def _try(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether it succeeded; a failure that may pass is told and tried again, any other ends the task."""
        try:
            await work()
        except ServiceError as error:
            if not error.retryable:
                raise
            _log.warning("to be tried again", error=error.code)
            return False
        return True

    async def _rest(self, pause_s: float) -> bool:
        """What comes between two ticks, and between two transactions of one: of a large city that was taken over there
        are thousands. Returns whether to stop."""
        await self._pause(pause_s)
        end_streams(self._live)
        return self._stopping.is_set()

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)
