"""What the routes of commands share: run once, in a transaction, and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.matching import metrics
from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceError
from shared.runtime.commands import Accepted, CommandRunner, IdempotencyKey
from shared.runtime.http import needs
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
        done: Envelope | None = None

        async def once(session: Session) -> BaseModel:
            nonlocal done
            done = await work(session, self.clock())
            return Accepted.of(done)

        try:
            response = await self.runner.run(request, once)
        except ServiceError as error:
            metrics.COMMANDS.labels(command, error.code).inc()
            raise
        metrics.COMMANDS.labels(command, "repeated" if done is None else "accepted").inc()
        return response


async def _declares_key(_key: IdempotencyKey = None) -> None:
    """The command runner reads the header; here it only becomes part of OpenAPI."""


def writing(tag: str) -> APIRouter:
    """A router of commands."""
    return APIRouter(tags=[tag], dependencies=[needs("write"), Depends(_declares_key)])
