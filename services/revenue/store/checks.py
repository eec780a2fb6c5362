"""The last check of each city, and who does the next one: `Checks` on MongoDB.

A document of `verifications` is a `Verification`, one of `reconciliations` is `Differences`, by its city; it has
`claimed_until` while an instance is at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Generic

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.revenue.ports.checks import C, Check, Differences, Verification
from shared.kernel.clock import Clock
from shared.runtime.mongo import Database

CLAIM = timedelta(minutes=1)
"""How long an instance has a city without saying that it is still at it; another one takes over from one that died."""


class MongoChecks(Generic[C]):
    """Checks of one kind, outside of transactions.

    Args:
        kind: what is kept of a check.
        at: the name that `checked_at` has in the documents.
    """

    def __init__(self, db: Database, collection: str, kind: type[C], clock: Clock, at: str = "checked_at") -> None:
        self._kept = db[collection]
        self._made: Callable[..., C] = kind
        self._found = [field.name for field in fields(kind) if field.name not in Check.__slots__]
        self._clock = clock
        self._at = at

    async def claim(self, city: str, due: datetime) -> bool:
        now = self._clock()
        free = {"_id": city, self._at: {"$not": {"$gt": due}}, "claimed_until": {"$not": {"$gt": now}}}
        try:
            await self._kept.update_one(free, {"$set": {"claimed_until": now + CLAIM}}, upsert=True)
        except DuplicateKeyError:  # it is there, and not free
            return False
        return True

    async def keep(self, city: str) -> None:
        await self._kept.update_one({"_id": city}, {"$set": {"claimed_until": self._clock() + CLAIM}})

    async def done(self, found: C) -> None:
        values = asdict(found)
        document = {self._at: found.checked_at} | {name: values[name] for name in self._found}
        await self._kept.replace_one({"_id": found.city}, document, upsert=True)

    async def last(self) -> Sequence[C]:
        checked = self._kept.find({self._at: {"$exists": True}}).sort("_id", ASCENDING)
        return [
            self._made(d["_id"], d[self._at], **{name: d[name] for name in self._found})
            for d in await checked.to_list(None)
        ]


def verifications(db: Database, clock: Clock) -> MongoChecks[Verification]:
    """The last verifications; their time has the name by which instances of the release before know it."""
    return MongoChecks(db, "verifications", Verification, clock, at="verified_at")


def reconciliations(db: Database, clock: Clock) -> MongoChecks[Differences]:
    """The last reconciliations."""
    return MongoChecks(db, "reconciliations", Differences, clock)
