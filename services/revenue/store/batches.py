"""Long reads: many documents at a time, since with Motor each batch costs a thread hop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from shared.runtime.mongo import Document

READ_BATCH = 2_000
"""Documents that a long read holds at a time: about 2 MB."""

REBATES = {"$in": ["accrual", "reversal"]}
"""Kinds of entries that are lines of a statement."""


class Cursor(Protocol):
    """What a long read needs of the driver's cursor."""

    def batch_size(self, batch_size: int) -> Any: ...

    def to_list(self, length: int | None) -> Awaitable[list[Document]]: ...


async def batches(cursor: Cursor) -> AsyncIterator[list[Document]]:
    """All documents of a cursor, `READ_BATCH` at a time."""
    cursor.batch_size(READ_BATCH)
    while documents := await cursor.to_list(READ_BATCH):
        yield documents
