"""The stream of events: who there is, and shifts that are accrued batch by batch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from services.revenue import metrics
from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Agreement
from services.revenue.domain.settlements import Order, Tally
from services.revenue.ports import LedgerStore, Party
from services.revenue.use_cases.accrue import accrue_shifts, release_waiting
from services.revenue.use_cases.settle import Preview, SettleMonth, preview_month, settle_month
from services.revenue.use_cases.tell import tell_entries
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.registry import CommunityRegistered, EmployerRegistered, ShiftCompleted
from shared.kernel.clock import Clock, civil_day
from shared.messaging.consume import Refusal
from shared.runtime.mongo import Mongo, Session

CONSUMED: tuple[type[Event], ...] = (EmployerRegistered, CommunityRegistered, ShiftCompleted)

COLLECT_AFTER = 300_000
"""Objects after which Python looks for cycles: above what some batches of 2,000 shifts and the messages fetched ahead
make, none of them in a cycle."""


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
