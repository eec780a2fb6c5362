"""Work that is done in the background: events told, waiting shifts released, settlements carried out."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from services.revenue import metrics
from services.revenue.domain.settlements import Order
from services.revenue.errors import TotalsDiffer
from services.revenue.handlers.ledger import Ledger
from services.revenue.ports import LedgerReads, Orders
from services.revenue.use_cases.settle import tally_month
from shared.messaging.events import EventLog
from shared.runtime.logs import logger
from shared.runtime.mongo import StoreUnavailable, is_unavailable

RELEASE_LOOK_S = 30.0
"""How often an instance looks for releases that another one began and did not live to finish."""

TELL_LOOK_S = 1.0
"""How often an instance looks for entries without events that another one posted."""

SETTLE_LOOK_S = 10.0
"""How often an instance looks for settlements that another one began and did not live to finish."""

_log = logger(__name__)


@contextlib.contextmanager
def postponed(message: str, **about: str) -> Iterator[None]:
    """Log that something will be done later, where the store was away in the middle of it."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, StoreUnavailable) or is_unavailable(error)):
            raise
        _log.warning(message, cause=type(error).__name__, **about)


class Looking(ABC):
    """Work that is looked for at the start, when woken, and now and then, since another instance may have left it.

    Args:
        woken: set by whoever knows of work.
    """

    look_s: float
    later: ClassVar[str]
    """Logged when the store was away; the next look comes after `look_s` all the same."""

    def __init__(self, woken: asyncio.Event) -> None:
        self._woken = woken

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    async def run(self) -> None:
        """Look again and again; ends by being cancelled."""
        while True:
            self._woken.clear()
            with postponed(self.later):
                await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self.look_s)

    @abstractmethod
    async def _look(self) -> None:
        """Do all that is there to be done."""


class Teller(Looking):
    """Writes the events of posted entries into the outbox, whoever posted them: of each entry one, in their order."""

    look_s = TELL_LOOK_S
    later = "events of entries will be told later"

    def __init__(self, ledger: Ledger, reads: LedgerReads, events: EventLog) -> None:
        super().__init__(ledger.posted)
        self._ledger = ledger
        self._reads = reads
        self._events = events

    async def _look(self) -> None:
        for city in await self._reads.cities_to_tell():
            while await self._ledger.tell(city):
                self._events.wake()


class Releaser(Looking):
    """Finishes in the background what a signature left: more shifts waited than one transaction takes."""

    look_s = RELEASE_LOOK_S
    later = "the release of shifts will go on later"

    def __init__(self, ledger: Ledger, reads: LedgerReads, events: EventLog) -> None:
        super().__init__(asyncio.Event())
        self._ledger = ledger
        self._reads = reads
        self._events = events

    async def _look(self) -> None:
        for agreement in await self._reads.pending_releases():
            _log.info("releasing shifts from suspense", agreement_id=agreement.agreement_id)
            await self._ledger.release(agreement)
            self._events.wake()
        metrics.SUSPENSE.set(await self._reads.suspense_size())


class Settler(Looking):
    """Carries out the settlements that were ordered, one after the other.

    Whatever becomes of an instance, its orders stay: another one, or the same after its restart, reads the lines again.
    """

    look_s = SETTLE_LOOK_S
    later = "settlements will go on later"

    def __init__(self, ledger: Ledger, orders: Orders, events: EventLog) -> None:
        super().__init__(asyncio.Event())
        self._ledger = ledger
        self._orders = orders
        self._events = events

    async def _look(self) -> None:
        for order in await self._orders.pending():
            await self._carry_out(order)

    async def _carry_out(self, order: Order) -> None:
        if not await self._orders.claim(order.settlement_id):
            return
        _log.info("settling", settlement_id=order.settlement_id, month=order.month, entries=order.entries)

        async def progress(read: int) -> None:
            await self._orders.report(order.settlement_id, read)

        tally = await tally_month(self._orders.lines(order), progress)
        try:
            await self._ledger.settle(order, tally)
        except TotalsDiffer as error:
            metrics.COMMANDS.labels("settle-month", error.code).inc()
            _log.error("a settlement stopped", settlement_id=order.settlement_id, reason=str(error))
            await self._orders.fail(order.settlement_id, str(error))
        self._events.wake()
