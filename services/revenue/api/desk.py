"""What all routes share: commands run once, in a transaction, in turn with the stream of shifts, and are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel

from services.revenue import metrics
from services.revenue.ports import LedgerReads, LedgerSnapshot, LedgerStore
from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceError
from shared.kernel.ids import ID_PATTERN, NewId
from shared.runtime.commands import Accepted, CommandRunner, IdempotencyKey
from shared.runtime.http import needs
from shared.runtime.mongo import Session

Work = Callable[[LedgerStore, datetime], Awaitable[Envelope]]
EntityPath = Annotated[str, Path(pattern=ID_PATTERN, max_length=40)]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the composition root hands to the routes.

    Attributes:
        turn: held by whoever writes the ledger in this process.
        look_for_releases: tells the background that a signature may have left shifts in suspense.
        store: the store inside the transaction of a session.
        snapshot: the whole ledger at one moment.
    """

    runner: CommandRunner
    turn: asyncio.Lock
    look_for_releases: Callable[[], None]
    store: Callable[[Session], LedgerStore]
    reads: LedgerReads
    snapshot: Callable[[], AbstractAsyncContextManager[LedgerSnapshot]]
    clock: Clock
    new_id: NewId

    async def run(self, request: Request, command: str, work: Work) -> Response:
        """Run a command and answer 201 `Accepted`; a repetition gets the first answer."""
        done: Envelope | None = None

        async def once(session: Session) -> BaseModel:
            nonlocal done
            done = await work(self.store(session), self.clock())
            return Accepted.of(done)

        try:
            async with self.turn:
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


def reading(tag: str) -> APIRouter:
    """A router of lists and lookups."""
    return APIRouter(tags=[tag], dependencies=[needs("read")])
