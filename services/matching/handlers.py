"""What drives matching beside its readers: batches of events, and the tick that publishes rankings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable, Sequence

from services.matching import metrics
from services.matching.facts import Unusable, fact_of
from services.matching.ports import FactStore, News, RankingOutbox
from services.matching.use_cases import Live, learn, load, publish_changes
from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceError
from shared.messaging.bus import Bus
from shared.messaging.consume import Refusal
from shared.runtime.logs import logger

LOAD_PAUSE_S = 1.0
"""Pause before the state is read again, so that a lost database is not hammered."""

_log = logger(__name__)


class Events:
    """Batches of events, translated and learnt."""

    def __init__(self, live: Live, facts: FactStore, clock: Clock) -> None:
        self._live = live
        self._facts = facts
        self._clock = clock

    async def apply(self, envelopes: Sequence[Envelope]) -> Sequence[Refusal]:
        """One batch; an event that no rule can work with is refused and leaves everything as it was."""
        news, refusals = [], []
        for envelope in envelopes:
            try:
                news.append(News(fact_of(envelope.event), envelope.time))
            except Unusable as error:
                refusals.append(Refusal(envelope, str(error)))
        await learn(news, live=self._live, facts=self._facts, clock=self._clock)
        return refusals


class Ticker:
    """Reads the state at the start, opens the bus, then publishes changed rankings at every tick.

    `state` is `starting` until the state is there, then `up`; `down` if it ended by a defect, which is logged.
    """

    def __init__(
        self, live: Live, facts: FactStore, outbox: RankingOutbox, bus: Bus, clock: Clock, interval_ms: int
    ) -> None:
        self._live = live
        self._facts = facts
        self._outbox = outbox
        self._bus = bus
        self._clock = clock
        self._interval_s = interval_ms / 1000
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.state = "starting"

    def start(self) -> None:
        """Begin, in the background, so that the service can say that it is starting."""
        self._task = asyncio.create_task(self._run(), name="ticker")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End after the transaction at hand."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.state = "down"
            _log.error("publishing ended by a defect", exc_info=error)

    async def _run(self) -> None:
        while not await self._try(self._load) and not self._stopping.is_set():
            await self._pause(LOAD_PAUSE_S)
        if self._stopping.is_set():
            return
        self.state = "up"
        await self._bus.start()
        while not self._stopping.is_set():
            await self._pause(self._interval_s)
            await self._try(self._publish)

    async def _load(self) -> None:
        await self._facts.prepare()
        await self._outbox.prepare()
        await load(self._live, facts=self._facts, outbox=self._outbox)
        # What was loaded mostly stays for the life of the process; unfrozen, the collector would walk its million
        # objects again and again, and a reader would wait meanwhile.
        gc.freeze()

    async def _publish(self) -> None:
        await publish_changes(self._live, outbox=self._outbox, now=self._clock())
        metrics.CHANGES_WAITING.set(len(self._live.waiting))

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it succeeded; a failure that may pass is told and tried again, any other ends the task."""
        try:
            await work()
        except ServiceError as error:
            if not error.retryable:
                raise
            _log.warning("to be tried again", error=error.code)
            return False
        return True

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)
