"""Who answers for which partition, and what the database is called that the checkpoints go with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from services.matching.ports import Owner
from services.matching.store.driver import told
from shared.contracts.topics import PARTITIONS
from shared.runtime.mongo import Collection, Document, Mongo

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""End of a lease that was given up."""

WANTED_S = 5
"""How long a wish for a partition counts; whoever has it repeats it several times a second."""


class MongoOwners:
    """The `Owners` in MongoDB: `{_id: partition, instance, url, epoch, until, position, wanted_by, wanted_until}`.

    Every instant in it is the server's, so that clocks of instances need not agree.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._owners: Collection = mongo.db["owners"]
        self._identity: Collection = mongo.db["identity"]

    async def prepare(self) -> str:
        """Create what is missing. Answers with the identity of the database. Raises `StoreUnavailable`."""
        free: Document = {"instance": "", "url": "", "epoch": 0, "until": LONG_AGO, "position": None}
        try:
            for number in range(PARTITIONS):
                with suppress(DuplicateKeyError):  # another instance was faster
                    await self._owners.update_one({"_id": number}, {"$setOnInsert": free}, upsert=True)
            with suppress(DuplicateKeyError):
                await self._identity.update_one(
                    {"_id": "database"}, {"$setOnInsert": {"name": secrets.token_hex(16)}}, upsert=True
                )
            found = await self._identity.find_one({"_id": "database"})
            if found is None:
                raise RuntimeError("the identity of the database was taken away")
        except PyMongoError as error:
            raise told(error) from error
        return str(found["name"])

    async def take(self, partition: int, instance: str, url: str, lease_s: float, *, again: bool) -> Owner | None:
        """Own a partition that nobody owns; else say that it is wanted.

        Args:
            again: it may be owned by this very instance, from before its process was started.

        Raises:
            StoreUnavailable
        """
        mine = {"$and": [again, {"$eq": ["$instance", {"$literal": instance}]}]}
        free = {"$or": [{"$lt": ["$until", "$$NOW"]}, mine]}
        taken = {
            "instance": {"$literal": instance},
            "url": {"$literal": url},
            "epoch": {"$add": ["$epoch", 1]},
            "until": _after(lease_s),
            "wanted_by": None,
        }
        try:
            found: Document | None = await self._owners.find_one_and_update(
                {"_id": partition, "$expr": free}, [{"$set": taken}], return_document=ReturnDocument.AFTER
            )
            if found is None:
                wanted = {"wanted_by": {"$literal": instance}, "wanted_until": _after(WANTED_S)}
                await self._owners.update_one({"_id": partition}, [{"$set": wanted}])
        except PyMongoError as error:
            raise told(error) from error
        return None if found is None else _owner(found)

    async def renew(self, owned: Owner, lease_s: float) -> Owner | None:
        """Own it for longer, and note the position; `None` if it has another owner or epoch. Raises
        `StoreUnavailable`."""
        still = {"_id": owned.partition, "instance": owned.instance, "epoch": owned.epoch}
        renewed = {
            "until": _after(lease_s),
            "position": {"$literal": owned.position},
            "is_wanted": _is_wanted(owned.instance),
        }
        try:
            found: Document | None = await self._owners.find_one_and_update(
                still, [{"$set": renewed}], return_document=ReturnDocument.AFTER
            )
        except PyMongoError as error:
            raise told(error) from error
        return None if found is None else _owner(found)

    async def release(self, owned: Owner) -> None:
        """Give it up at once. Raises `StoreUnavailable`."""
        try:
            await self._owners.update_one(
                {"_id": owned.partition, "instance": owned.instance, "epoch": owned.epoch},
                {"$set": {"until": LONG_AGO, "position": owned.position}},
            )
        except PyMongoError as error:
            raise told(error) from error

    async def of(self, instance: str) -> Sequence[Owner]:
        """What this instance owned last, whether or not its lease has run out. Raises `StoreUnavailable`."""
        try:
            found = await self._owners.find({"instance": instance}).sort("_id").to_list(PARTITIONS)
        except PyMongoError as error:
            raise told(error) from error
        return [_owner(document) for document in found]

    async def all(self) -> Sequence[Owner]:
        """Those whose lease has not run out. Raises `StoreUnavailable`."""
        try:
            found = await self._owners.find({"$expr": {"$gt": ["$until", "$$NOW"]}}).sort("_id").to_list(PARTITIONS)
        except PyMongoError as error:
            raise told(error) from error
        return [_owner(document) for document in found]


def _after(seconds: float) -> Any:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _is_wanted(instance: str) -> Any:
    """Whether another instance has wished for it lately."""
    return {
        "$and": [
            {"$ne": [{"$ifNull": ["$wanted_by", None]}, None]},
            {"$ne": ["$wanted_by", {"$literal": instance}]},
            {"$gt": ["$wanted_until", "$$NOW"]},
        ]
    }


def _owner(document: Document) -> Owner:
    return Owner(
        partition=document["_id"],
        instance=document["instance"],
        url=document["url"],
        epoch=document["epoch"],
        is_wanted=bool(document.get("is_wanted", False)),
        position=document.get("position"),
    )
