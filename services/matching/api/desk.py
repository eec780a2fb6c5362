"""What the routes of commands share: run once, in a transaction, and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response

from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.runtime.commands import Accepted, CommandRunner
from shared.runtime.mongo import Session

Work = Callable[[Session, datetime], Awaitable[Envelope]]
"""A use case inside the transaction of a session, at an instant; it may run more than once."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the composition root hands to the routes of commands."""

    runner: CommandRunner
    clock: Clock

    async def run(self, request: Request, command: str, work: Work) -> Response:
        """Run a command and answer 201 `Accepted`; a repetition gets the first answer."""

        async def once(session: Session) -> Accepted:
            return Accepted.of(await work(session, self.clock()))

        response, _ = await self.runner.counted(request, command, once)
        return response
