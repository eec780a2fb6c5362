"""`mamapost ledger verify`: read a ledger again, straight from its database, and say what is wrong with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from services.revenue.domain.audit import Audit
from services.revenue.store import at_one_moment
from services.revenue.use_cases.verify import verify_ledger
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

OnEntries = Callable[[str, int, int], None]


class Verified(NamedTuple):
    """What was read, and how long it took."""

    audits: list[Audit]
    seconds: float


def verify(settings: Settings, city: str | None, on_entries: OnEntries) -> Verified:
    """Verify one city, or all.

    Args:
        on_entries: told of the progress: city, entries read, entries in all.

    Raises:
        PyMongoError: the database did not answer.
    """
    return asyncio.run(_verify(settings, city, on_entries))


async def _verify(settings: Settings, city: str | None, on_entries: OnEntries) -> Verified:
    mongo = Mongo.connect(settings, "revenue")
    started = time.monotonic()
    try:
        audits = await verify_ledger(at_one_moment=lambda: at_one_moment(mongo), city=city, on_entries=on_entries)
    finally:
        mongo.close()
    return Verified(audits, time.monotonic() - started)
