"""Long reads: many documents at a time, since with Motor each batch costs a thread hop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from pymongo import ASCENDING

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import Link
from services.revenue.store.lines import Books
from shared.runtime.mongo import Database, Document

READ_BATCH = 2_000
"""Documents that a long read holds at a time: about 2 MB."""

IN_STATEMENT = {"agreement_id": {"$gt": ""}}
"""Books whose entries are lines of a statement: all but those in suspense."""


class Cursor(Protocol):
    """What a long read needs of the driver's cursor."""

    def batch_size(self, batch_size: int) -> Any: ...

    def to_list(self, length: int | None) -> Awaitable[list[Document]]: ...


async def batches(cursor: Cursor) -> AsyncIterator[list[Document]]:
    """All documents of a cursor, `READ_BATCH` at a time."""
    cursor.batch_size(READ_BATCH)
    while documents := await cursor.to_list(READ_BATCH):
        yield documents


async def month_lines(db: Database, pair: Pair, month: str, before: int | None = None) -> AsyncIterator[Link]:
    """Lines of a month's statement, in ledger order.

    Args:
        before: place of the first entry that is not wanted; `None`: all are.
    """
    of_month = {"pair": pair.key, "month": month, **IN_STATEMENT}
    numbers = [book["number"] async for book in db["books"].find(of_month, {"number": 1})]
    wanted: Document = {"b": {"$in": numbers}}
    if before is not None:
        wanted["n"] = {"$lt": before}
    books = Books(db)
    async for documents in batches(db["entries"].find(wanted).sort("n", ASCENDING)):
        for link in await books.links(documents):
            yield link
