"""From a database that may not be there yet to one that is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pymongo.errors import PyMongoError

from shared.runtime.logs import logger
from shared.runtime.mongo import Mongo, StoreUnavailable, is_unavailable

PAUSE_S = 0.5
"""Pause between attempts; each attempt itself waits some seconds for a primary."""

_log = logger(__name__)


class Readiness:
    """Prepares the database once it answers, so that a service can start before its database.

    Args:
        steps: what must exist before commands are good: collections and indexes. Each may be run again.
    """

    def __init__(self, mongo: Mongo, steps: Sequence[Callable[[], Awaitable[None]]]) -> None:
        self._mongo = mongo
        self._steps = steps
        self._prepared = False
        self._broken = False

    async def prepare(self) -> None:
        """Run the steps, waiting for the database as long as it takes."""
        while not self._prepared:
            try:
                await self._mongo.ping()
                for step in self._steps:
                    await step()
            except StoreUnavailable as error:
                _log.warning("waiting for the database", cause=str(error))
                await asyncio.sleep(PAUSE_S)
            except PyMongoError as error:
                if not is_unavailable(error):
                    _log.error("the database cannot be prepared", cause=type(error).__name__)
                    raise
                _log.warning("waiting for the database", cause=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                self._prepared = True

    def broken(self) -> None:
        """Show the service as `down` from now on: what it does in the background ended by a defect."""
        self._broken = True

    async def state(self) -> str:
        """`starting`, `up` or `down`, as the health route shows it."""
        if self._broken:
            return "down"
        if not self._prepared:
            return "starting"
        try:
            await self._mongo.ping()
        except StoreUnavailable:
            return "down"
        return "up"
