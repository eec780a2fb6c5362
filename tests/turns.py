"""Somebody else on the event loop, who has a turn at every step of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def between_turns(progress: Callable[[], int]) -> Iterator[list[int]]:
    """How far some work goes on between two of his turns, each time; he sees only how far it has come."""
    at_once: list[int] = []
    before = progress()

    def look() -> None:
        nonlocal before
        now = progress()
        at_once.append(now - before)
        before = now

    async def other() -> None:
        while True:
            look()
            await asyncio.sleep(0)

    waiting = asyncio.create_task(other())
    try:
        yield at_once
    finally:
        waiting.cancel()
        look()
