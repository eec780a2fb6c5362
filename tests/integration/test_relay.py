"""The relay's note of its broker, where instances race for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorCollection

from shared.kernel.clock import system_clock
from shared.messaging.events import EventLog
from shared.messaging.relay import Relay
from shared.runtime.mongo import Collection, Mongo


async def test_instances_that_come_up_at_once_adopt_the_broker_once(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_looked = asyncio.Barrier(2)
    look = AsyncIOMotorCollection.find_one

    async def look_together(self: Collection, *args: Any, **kwargs: Any) -> Any:
        found = await look(self, *args, **kwargs)
        await both_looked.wait()
        return found

    monkeypatch.setattr(AsyncIOMotorCollection, "find_one", look_together)
    log = EventLog(mongo.db, "registry")
    relays = [Relay(mongo.db, log, system_clock, f"instance {number}", 1000) for number in range(2)]
    await asyncio.gather(*(relay.adopt("a broker", True) for relay in relays))
    [noted] = await mongo.db["relay"].find().to_list(None)
    assert noted == {"_id": "broker", "cluster_id": "a broker", "generation": 1}
