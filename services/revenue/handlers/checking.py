"""Checks of the whole ledger, city by city, so that an alarm about it needs nobody who asks."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Generic

from services.revenue import metrics
from services.revenue.domain.reconciliation import KINDS
from services.revenue.handlers.looking import Looking, postponed
from services.revenue.ports import LedgerSnapshot
from services.revenue.ports.checks import C, Checks, Differences, Verification
from services.revenue.use_cases.reconcile import reconcile_kept
from services.revenue.use_cases.verify import verify_ledger
from shared.kernel.clock import Clock
from shared.runtime.logs import logger
from shared.runtime.supervised import end

VERIFY_LOOK_S = 60.0
"""How often an instance looks for cities whose verification is due, or was left by another one."""

RECONCILE_LOOK_S = 300.0
"""The same of reconciliation: less often, since one that failed may have failed for taking too long."""

KEEP_S = 15.0
"""How often an instance says that it is still at a city: some times while a claim lasts."""

LOGGED_MAX = 100
"""Differences of a city that are logged; the command lists more, the metric counts all."""

_log = logger(__name__)


class _Checking(Looking, Generic[C]):
    """Checks each city in time. One instance does a city; each shows what the last check of every city found, whoever
    made it.

    Args:
        snapshot: gives the ledger at one moment.
        interval_s: pause between two checks of a city.
    """

    def __init__(
        self,
        snapshot: Callable[[], AbstractAsyncContextManager[LedgerSnapshot]],
        checks: Checks[C],
        clock: Clock,
        interval_s: float,
    ) -> None:
        super().__init__(asyncio.Event())
        self.look_s = min(interval_s, self.look_s)
        self._snapshot = snapshot
        self._checks = checks
        self._clock = clock
        self._every = timedelta(seconds=interval_s)

    async def _look(self) -> None:
        due = self._clock() - self._every
        async with self._snapshot() as snapshot:
            cities = await snapshot.cities()
        fresh = {one.city for one in await self._checks.last() if one.checked_at > due}
        for city in cities:
            if city not in fresh and await self._checks.claim(city, due):
                with postponed(self.later, city=city):  # one that takes too long holds up no other
                    await self._take(city)
        self._show(await self._checks.last())

    async def _take(self, city: str) -> None:
        keeping = asyncio.create_task(self._keep(city))
        try:
            found = await self._check(city)
        finally:
            await end(keeping)
        await self._checks.done(found)

    async def _keep(self, city: str) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._checks.keep(city)

    @abstractmethod
    async def _check(self, city: str) -> C:
        """Check a city, and log what is wrong with it."""

    @abstractmethod
    def _show(self, last: Sequence[C]) -> None:
        """Show as metrics what the last checks found."""


class Verifier(_Checking[Verification]):
    """Verifies the ledger of each city."""

    look_s = VERIFY_LOOK_S
    later = "the ledger will be verified later"

    async def _check(self, city: str) -> Verification:
        [audit] = await verify_ledger(at_one_moment=self._snapshot, city=city)
        for finding in audit.findings:
            _log.error("the ledger is wrong", city=city, rule=finding.rule, where=finding.where)
        return Verification.of(audit, self._clock())

    def _show(self, last: Sequence[Verification]) -> None:
        metrics.show_verifications(last, self._clock())


class Reconciler(_Checking[Differences]):
    """Holds each shift that was taken against its lines, settlements and payouts.

    The topic itself is read by `mamapost ledger reconcile --from-topics`: a service reads it once, from where it was.
    """

    look_s = RECONCILE_LOOK_S
    later = "shifts will be reconciled later"

    async def _check(self, city: str) -> Differences:
        report = await reconcile_kept(city, at_one_moment=self._snapshot)
        for one in report.listed[:LOGGED_MAX]:
            _log.error("reconciliation differs", city=city, kind=one.kind, where=one.where, detail=one.detail)
        return Differences.of(city, report, self._clock())

    def _show(self, last: Sequence[Differences]) -> None:
        metrics.show_reconciliations(last, KINDS, self._clock())
