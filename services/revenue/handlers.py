"""What revenue does by itself: accrue the shifts that come, release those that waited, carry out settlements."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import ClassVar, cast

from services.revenue import metrics
from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Agreement
from services.revenue.domain.reconciliation import KINDS
from services.revenue.domain.settlements import Order, Tally
from services.revenue.errors import TotalsDiffer
from services.revenue.ports import LedgerReads, LedgerSnapshot, LedgerStore, Orders, Party
from services.revenue.ports.verifications import Verification, Verifications
from services.revenue.use_cases.accrue import accrue_shifts, release_waiting
from services.revenue.use_cases.reconcile import reconcile_kept
from services.revenue.use_cases.settle import Preview, SettleMonth, preview_month, settle_month, tally_month
from services.revenue.use_cases.tell import tell_entries
from services.revenue.use_cases.verify import verify_ledger
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.registry import CommunityRegistered, EmployerRegistered, ShiftCompleted
from shared.kernel.clock import Clock, civil_day
from shared.messaging.consume import Refusal
from shared.messaging.events import EventLog
from shared.runtime.logs import logger
from shared.runtime.mongo import Mongo, Session, StoreUnavailable, is_unavailable
from shared.runtime.supervised import end

CONSUMED: tuple[type[Event], ...] = (EmployerRegistered, CommunityRegistered, ShiftCompleted)

RELEASE_LOOK_S = 30.0
"""How often an instance looks for releases that another one began and did not live to finish."""

VERIFY_LOOK_S = 60.0
"""How often an instance looks for cities whose verification is due, or was left by another one."""

VERIFY_KEEP_S = 15.0
"""How often an instance says that it is still at a city: some times while a claim lasts."""

RETRY_S = 5.0
"""Pause before a verification is tried again that the database interrupted."""

RECONCILE_RETRY_S = 300.0
"""Pause before a reconciliation is tried again: it reads all shifts, and may have failed for taking too long."""

LOGGED_MAX = 100
"""Differences that a reconciliation logs; the command lists more, the metric counts all."""

TELL_LOOK_S = 1.0
"""How often an instance looks for entries without events that another one posted."""

SETTLE_LOOK_S = 10.0
"""How often an instance looks for settlements that another one began and did not live to finish."""

COLLECT_AFTER = 300_000
"""Objects after which Python looks for cycles: above what some batches of 2,000 shifts and the messages fetched ahead
make, none of them in a cycle. Its default, 700, has it walk through the same live batch again and again."""

_log = logger(__name__)


def collect_seldom() -> None:
    """Set the collector of cycles up for batches; to be called once, when all that stays has been made."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


class Ledger:
    """One writer at a time within this process.

    Every transaction of a city takes the end of its chain, so two at once would only make one of them start again; and
    a short command could lose against the stream of batches until its attempts ran out. A lock serves them in turn.
    Writers in other processes are met by the transaction itself.

    Attributes:
        turn: held by a writer.
        posted: set after entries were posted, for whoever tells of them.
    """

    def __init__(self, mongo: Mongo, store: Callable[[Session], LedgerStore], clock: Clock) -> None:
        self._mongo = mongo
        self._store = store
        self._clock = clock
        self.turn = asyncio.Lock()
        self.posted = asyncio.Event()

    async def apply(self, batch: Sequence[Envelope]) -> Sequence[Refusal]:
        """Apply a batch of events in one transaction: who there is, and what was worked."""
        shifts = [shift_of(envelope) for envelope in batch if envelope.event.topic == ShiftCompleted.topic]
        parties = [party_of(envelope.event) for envelope in batch if envelope.event.topic != ShiftCompleted.topic]
        kinds: Counter[str] = Counter()

        async def work(session: Session) -> list[tuple[Shift, str]]:
            kinds.clear()
            store = self._store(session)
            if parties:
                await store.note_parties(parties)
            if not shifts:
                return []
            refused, desk = await accrue_shifts(shifts, store=store, now=self._clock())
            kinds.update(entry.kind for entry in desk.entries)
            return refused

        async with self.turn:
            refused = await self._mongo.transaction(work)
        self.posted.set()
        for kind, count in kinds.items():
            metrics.ENTRIES.labels(kind).inc(count)
        reasons = {shift.event_id: reason for shift, reason in refused}
        return [Refusal(envelope, reasons[envelope.id]) for envelope in batch if envelope.id in reasons]

    async def tell(self, city: str) -> int:
        """Add the events of a city's next entries; how many entries were passed."""
        return await self._mongo.transaction(lambda session: tell_entries(city, store=self._store(session)))

    async def preview(self, command: SettleMonth) -> Preview:
        """The dry run of a settlement."""

        async def work(session: Session) -> Preview:
            return await preview_month(command, store=self._store(session), now=self._clock())

        return await self._mongo.transaction(work)

    async def settle(self, order: Order, tally: Tally) -> bool:
        """Enter a settlement; `False` if another instance was faster.

        Raises:
            TotalsDiffer
        """

        async def work(session: Session) -> Envelope | None:
            return await settle_month(order, tally, store=self._store(session), now=self._clock())

        async with self.turn:
            entered = await self._mongo.transaction(work)
        if entered is not None:
            metrics.ENTRIES.labels("settlement").inc()
        return entered is not None

    async def release(self, agreement: Agreement) -> None:
        """Post all shifts that wait for an agreement, some at a time, each time in one transaction."""
        after: str | None = ""
        while after is not None:
            at = after

            async def work(session: Session, at: str = at) -> str | None:
                return await release_waiting(agreement, at, store=self._store(session), now=self._clock())

            async with self.turn:
                after = await self._mongo.transaction(work)
            self.posted.set()


class _Looking(ABC):
    """Work that is looked for at the start, when woken, and now and then, since another instance may have left it.

    Args:
        woken: set by whoever knows of work.
    """

    look_s: ClassVar[float]
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
            try:
                await self._look()
            except Exception as error:
                if not (isinstance(error, StoreUnavailable) or is_unavailable(error)):
                    raise
                _log.warning(self.later, cause=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self.look_s)

    @abstractmethod
    async def _look(self) -> None:
        """Do all that is there to be done."""


class Teller(_Looking):
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


class Releaser(_Looking):
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


class _Checking(ABC):
    """Reads all that is kept at one moment, at the start and then regularly; the time of the last check is a metric.

    Args:
        snapshot: gives the ledger at one moment.
        interval_s: pause between two checks.
    """

    retry_s: ClassVar[float]
    later: ClassVar[str]
    """Logged when the store was away; the check is made again after `retry_s`."""

    def __init__(
        self, snapshot: Callable[[], AbstractAsyncContextManager[LedgerSnapshot]], clock: Clock, interval_s: float
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Check again and again; ends by being cancelled."""
        while True:
            pause_s = self._interval_s
            try:
                await self._check()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                _log.warning(self.later, cause=type(error).__name__)
                pause_s = self.retry_s
            await asyncio.sleep(pause_s)

    @abstractmethod
    async def _check(self) -> None:
        """Check once, and tell of what is wrong by metrics and log."""


class Verifier(_Checking):
    """Verifies the ledger of each city in time, so that an alarm about it needs nobody who asks.

    One instance does a city; each shows what the last verification of every city found, whoever made it.

    Args:
        interval_s: pause between two verifications of a city.
    """

    retry_s = RETRY_S
    later = "the ledger will be verified later"

    def __init__(
        self,
        snapshot: Callable[[], AbstractAsyncContextManager[LedgerSnapshot]],
        verifications: Verifications,
        clock: Clock,
        interval_s: float,
    ) -> None:
        super().__init__(snapshot, clock, min(interval_s, VERIFY_LOOK_S))
        self._verifications = verifications
        self._every = timedelta(seconds=interval_s)

    async def _check(self) -> None:
        due = self._clock() - self._every
        async with self._snapshot() as snapshot:
            cities = await snapshot.cities()
        fresh = {one.city for one in await self._verifications.last() if one.verified_at > due}
        for city in cities:
            if city not in fresh and await self._verifications.claim(city, due):
                await self._verify(city)
        metrics.show_verifications(await self._verifications.last(), self._clock())

    async def _verify(self, city: str) -> None:
        keeping = asyncio.create_task(self._keep(city))
        try:
            [audit] = await verify_ledger(at_one_moment=self._snapshot, city=city)
        finally:
            await end(keeping)
        for finding in audit.findings:
            _log.error("the ledger is wrong", city=city, rule=finding.rule, where=finding.where)
        await self._verifications.done(Verification.of(audit, self._clock()))

    async def _keep(self, city: str) -> None:
        while True:
            await asyncio.sleep(VERIFY_KEEP_S)
            await self._verifications.keep(city)


class Reconciler(_Checking):
    """Holds each shift that was taken against its lines, settlements and payouts.

    The topic itself is read by `mamapost ledger reconcile --from-topics`: a service reads it once, from where it was.
    """

    retry_s = RECONCILE_RETRY_S
    later = "shifts will be reconciled later"

    async def _check(self) -> None:
        report = await reconcile_kept(at_one_moment=self._snapshot)
        metrics.show_reconciliation({kind: report.counts[kind] for kind in KINDS}, self._clock().timestamp())
        for one in report.listed[:LOGGED_MAX]:
            _log.error("reconciliation differs", city=one.city, kind=one.kind, where=one.where, detail=one.detail)


class Settler(_Looking):
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


def party_of(event: Event) -> Party:
    """The employer or community that an event tells of; it may be a model or the struct that stands in for one."""
    if event.topic == EmployerRegistered.topic:
        employer = cast(EmployerRegistered, event)
        return Party("employer", employer.employer_id, employer.city, employer.version)
    community = cast(CommunityRegistered, event)
    return Party("community", community.community_id, community.city, community.version)


def shift_of(envelope: Envelope) -> Shift:
    """What the ledger needs of a `shift-completed`, as a model or as a struct."""
    event = cast(ShiftCompleted, envelope.event)
    # By position: by name it takes twice as long, and there is one for every event.
    return Shift(
        event.shift_id,
        event.revision,
        event.city,
        event.employer_id,
        event.community_id,
        civil_day(event.started_at),
        event.wage_fen,
        event.base_fen,
        envelope.id,
    )
