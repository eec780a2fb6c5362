"""A service's database brought forward by numbered steps, while instances of the release before go on beside it.

Steps are additive: collections, indexes, values that were not there. Nothing is renamed or removed, since an instance
of the release before still reads and writes it. What a later release no longer needs stays until no instance uses it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure, PyMongoError

from shared.runtime.logs import logger
from shared.runtime.mongo import Database
from shared.runtime.supervised import end

COLLECTION: Final = "migrations"
"""Holds one document: `{_id: "steps", done, holder, until}`."""

LEASE_S: Final = 10.0
"""A process that died in the middle of a step is followed after this long; a living one renews it three times as often.

It only spares work: a step that two instances run at once has the effect of one."""

LOOK_S: Final = 0.1
"""How often an instance that waits for another's step looks again."""

_ID: Final = {"_id": "steps"}
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NAMESPACE_EXISTS: Final = 48
_MAY_NOT_COME_LATER: Final = ("unique", "expireAfterSeconds")
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step forward; once released, it never changes.

    Attributes:
        what: one line, for the log.
        indexes: by collection. A collection is made too, since a transaction should not have to.
        backfill: gives documents of before what they lack. It may run twice, and two instances may run it at once.
    """

    what: str
    indexes: Mapping[str, Sequence[IndexModel]] = field(default_factory=dict)
    backfill: Callable[[Database], Awaitable[None]] | None = None


class Migrations:
    """The steps of one service's database.

    Args:
        steps: all that ever were, oldest first.
        lease_s: shorter in tests.

    Raises:
        ValueError: a step would break what runs beside it (`faults`).
    """

    def __init__(self, db: Database, steps: Sequence[Step], lease_s: float = LEASE_S) -> None:
        if found := faults(steps):
            raise ValueError(found[0])
        self._db = db
        self._steps = steps
        self._lease_s = lease_s
        self._state = db[COLLECTION]
        self._holder = secrets.token_hex(8)

    async def run(self) -> None:
        """Return when every step is done, by this instance or another. No-op on a database of a newer release.

        Raises:
            PyMongoError: the database is gone, or refuses a step; the step is taken up again by the next call.
        """
        with suppress(DuplicateKeyError):  # another instance was faster
            await self._state.update_one(_ID, {"$setOnInsert": {"done": 0, "until": _LONG_AGO}}, upsert=True)
        while (done := await self._done()) < len(self._steps):
            if await self._hold_lease():
                await self._take(done)
            else:
                await asyncio.sleep(LOOK_S)
        if done > len(self._steps):
            _log.info("the database is of a newer release", done=done, known=len(self._steps))

    async def _done(self) -> int:
        state = await self._state.find_one(_ID)
        if state is None:
            raise RuntimeError("the count of the database's steps was taken away")
        return int(state["done"])

    async def _hold_lease(self) -> bool:
        # The server's clock, so that those of instances need not agree.
        free = {"$or": [{"$lt": ["$until", "$$NOW"]}, {"$eq": ["$holder", self._holder]}]}
        until = {"$add": ["$$NOW", round(self._lease_s * 1000)]}
        held = await self._state.find_one_and_update(
            {**_ID, "$expr": free}, [{"$set": {"holder": self._holder, "until": until}}]
        )
        return held is not None

    async def _take(self, done: int) -> None:
        step = self._steps[done]
        _log.info("database step begins", number=done + 1, what=step.what)
        renewing = asyncio.create_task(self._renew())
        try:
            await ensure(self._db, step.indexes)
            if step.backfill is not None:
                await step.backfill(self._db)
        finally:
            await end(renewing)
        # Counted once, whoever else ran it.
        await self._state.update_one({**_ID, "done": done}, {"$set": {"done": done + 1}})

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._hold_lease()
            except PyMongoError as error:  # the step itself meets it too, and tells of it
                _log.warning("lease of a database step not renewed", cause=type(error).__name__)


async def ensure(db: Database, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
    """Make collections and indexes that are missing; others may do so at the same time.

    Raises:
        PyMongoError: the database is gone, or holds another index of that name.
    """
    existing = set(await db.list_collection_names())
    for name, wanted in indexes.items():
        if name not in existing:
            await _create(db, name)
        if wanted:
            await db[name].create_indexes(list(wanted))


async def _create(db: Database, name: str) -> None:
    try:
        await db.create_collection(name, check_exists=False)
    except CollectionInvalid:
        return  # another instance was faster
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise


def faults(steps: Iterable[Step]) -> list[str]:
    """What in a list of steps would break an instance of the release before, or never take effect."""
    found = []
    known: dict[str, set[str]] = {}
    for step in steps:
        for collection, indexes in step.indexes.items():
            is_old = collection in known
            names = known.setdefault(collection, set())
            for index in indexes:
                document: dict[str, Any] = index.document
                where = f"{step.what}: index {document['name']} of {collection}"
                if document["name"] in names:
                    found.append(f"{where} was made by an earlier step; another one needs another name")
                found += [
                    f"{where} is {option}: the release before may hold or write what it does not allow"
                    for option in _MAY_NOT_COME_LATER
                    if is_old and document.get(option) not in (None, False)
                ]
                names.add(document["name"])
    return found
