"""Long work of one event loop, in pieces between which others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


async def in_turns(items: Iterable[T], size: int) -> AsyncIterator[list[T]]:
    """Items in pieces, in order, with a step of the event loop after each full one.

    They are taken as their piece begins, so that what comes meanwhile may be among the later ones.

    Args:
        size: items of a piece: as many as others may wait for.
    """
    source = iter(items)
    while piece := list(islice(source, size)):
        yield piece
        if len(piece) == size:
            await asyncio.sleep(0)
