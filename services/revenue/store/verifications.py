"""The last verification of each city, and who does the next one: `Verifications` on MongoDB.

A document of `verifications` is a `Verification` by its city, with `claimed_until` while an instance is at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.revenue.ports.verifications import Verification
from shared.kernel.clock import Clock
from shared.runtime.mongo import Database

CLAIM = timedelta(minutes=1)
"""How long an instance has a city without saying that it is still at it; another one takes over from one that died."""


class MongoVerifications:
    """Verifications, outside of transactions."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._kept = db["verifications"]
        self._clock = clock

    async def claim(self, city: str, due: datetime) -> bool:
        now = self._clock()
        free = {"_id": city, "verified_at": {"$not": {"$gt": due}}, "claimed_until": {"$not": {"$gt": now}}}
        try:
            await self._kept.update_one(free, {"$set": {"claimed_until": now + CLAIM}}, upsert=True)
        except DuplicateKeyError:  # it is there, and not free
            return False
        return True

    async def keep(self, city: str) -> None:
        await self._kept.update_one({"_id": city}, {"$set": {"claimed_until": self._clock() + CLAIM}})

    async def done(self, found: Verification) -> None:
        document = {
            "verified_at": found.verified_at,
            "imbalance_fen_e4": found.imbalance_fen_e4,
            "findings": found.findings,
        }
        await self._kept.replace_one({"_id": found.city}, document, upsert=True)

    async def last(self) -> Sequence[Verification]:
        verified = self._kept.find({"verified_at": {"$exists": True}}).sort("_id", ASCENDING)
        return [
            Verification(d["_id"], d["verified_at"], d["imbalance_fen_e4"], d["findings"])
            for d in await verified.to_list(None)
        ]
