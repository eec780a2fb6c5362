"""Commands that write the same document take turns in this process, instead of colliding in the database.

A courtesy, not a guard: who wins the last seat is decided by the transactions, also between processes. But a rush of
transactions that all conflict throws most of its work away (docs/decisions/0017).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

TURN_WAIT_S = 5.0
"""How long a command waits for its turn before it goes ahead: long for a rush at one post, and not for ever where the
database answers no one."""


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """The queues of the documents that are wanted at this moment; a document that nobody wants has none."""

    def __init__(self, wait_s: float = TURN_WAIT_S) -> None:
        self._wait_s = wait_s
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @asynccontextmanager
    async def of(self, ids: Collection[str]) -> AsyncIterator[None]:
        """The turn at all of these documents, after at most the waiting time."""
        until = asyncio.get_running_loop().time() + self._wait_s
        async with AsyncExitStack() as held:
            # Always in the same order, so that no two wait for each other.
            for one in sorted(set(ids)):
                await held.enter_async_context(self._turn(one, until))
            yield

    @asynccontextmanager
    async def _turn(self, wanted: str, until: float) -> AsyncIterator[None]:
        queue = self._queues.setdefault(wanted, _Queue())
        queue.users += 1
        has_turn = False
        try:
            try:
                async with asyncio.timeout_at(until):
                    has_turn = await queue.lock.acquire()
            except TimeoutError:
                # It goes ahead: the transaction decides.
                has_turn = False
            yield
        finally:
            if has_turn:
                queue.lock.release()
            queue.users -= 1
            if not queue.users:
                del self._queues[wanted]
