"""What all routes share: commands run once, in a transaction, in turn with the stream of shifts, and are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response

from services.revenue.ports import LedgerReads, LedgerSnapshot, LedgerStore
from services.revenue.ports.checks import Checks, Verification
from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.kernel.ids import NewId
from shared.runtime.commands import Accepted, CommandRunner
from shared.runtime.mongo import Session

Work = Callable[[LedgerStore, datetime], Awaitable[Envelope]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the composition root hands to the routes.

    Attributes:
        turn: held by whoever writes the ledger in this process.
        look_for_releases: tells the background that a signature may have left shifts in suspense.
        store: the store inside the transaction of a session.
        snapshot: the whole ledger at one moment.
        verifications: what the last verification of each city found.
    """

    runner: CommandRunner
    turn: asyncio.Lock
    look_for_releases: Callable[[], None]
    store: Callable[[Session], LedgerStore]
    reads: LedgerReads
    snapshot: Callable[[], AbstractAsyncContextManager[LedgerSnapshot]]
    verifications: Checks[Verification]
    clock: Clock
    new_id: NewId

    async def run(self, request: Request, command: str, work: Work) -> Response:
        """Run a command and answer 201 `Accepted`; a repetition gets the first answer."""

        async def once(session: Session) -> Accepted:
            return Accepted.of(await work(self.store(session), self.clock()))

        async with self.turn:
            response, _ = await self.runner.counted(request, command, once)
        return response
