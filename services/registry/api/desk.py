"""What all routes share: commands run once, in a transaction, and are counted; lists are read in pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from services.registry.api.turns import Turns
from services.registry.ports import Entity, RegistryReader, RegistryStore
from shared.contracts.envelope import Envelope
from shared.kernel.clock import Clock
from shared.kernel.ids import NewId
from shared.runtime.commands import Accepted, CommandRunner
from shared.runtime.mongo import Session
from shared.runtime.pages import Page, decode_cursor, encode_cursor

Work = Callable[[RegistryStore, datetime], Awaitable[Envelope]]
Answer = TypeVar("Answer", bound=BaseModel)
Found = TypeVar("Found", bound=Entity)
View = TypeVar("View", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the composition root hands to the routes.

    Attributes:
        store: the store inside the transaction of a session.
        turns: where commands queue that want the same document.
    """

    runner: CommandRunner
    store: Callable[[Session], RegistryStore]
    reader: RegistryReader
    clock: Clock
    new_id: NewId
    turns: Turns = field(default_factory=Turns)

    async def run(self, request: Request, command: str, work: Work, wants: Collection[str] = ()) -> Response:
        """Run a single command and answer 201 `Accepted`.

        Args:
            wants: ids of documents that many commands may want to write at once.
        """

        async def answer(store: RegistryStore, now: datetime) -> Accepted:
            return Accepted.of(await work(store, now))

        async with self.turns.of(wants):
            response, _ = await self.answer(request, command, answer, 201)
        return response

    async def answer(
        self,
        request: Request,
        command: str,
        work: Callable[[RegistryStore, datetime], Awaitable[Answer]],
        status: int,
    ) -> tuple[Response, Answer | None]:
        """Run a command with an answer of its own; the answer is `None` for a repetition, which does nothing anew."""
        return await self.runner.counted(
            request, command, lambda session: work(self.store(session), self.clock()), status
        )


async def page_of(
    name: str,
    cursor: str | None,
    limit: int,
    read: Callable[[str | None, int], Awaitable[Sequence[Found]]],
    view: Callable[[Found], View],
) -> Page[View]:
    """One page of a list; one more is read, to know whether another page follows."""
    found = await read(decode_cursor(name, cursor), limit + 1)
    more = len(found) > limit
    return Page(
        items=[view(entity) for entity in found[:limit]],
        next=encode_cursor(name, found[limit - 1].id) if more else None,
    )
