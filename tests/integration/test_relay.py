"""The relay's note of its broker, where instances race for it, and whether it says that it publishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from motor.motor_asyncio import AsyncIOMotorCollection
from prometheus_client import REGISTRY
from pymongo.errors import AutoReconnect

from shared.contracts.envelope import Message
from shared.kernel.clock import system_clock
from shared.messaging import relay
from shared.messaging.events import EventLog
from shared.messaging.relay import Relay
from shared.runtime.mongo import Collection, Mongo, Session
from shared.runtime.supervised import end
from tests.conftest import eventually
from tests.events import seeker_registered


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
    await asyncio.gather(*(relay.adopt("a broker", AsyncMock(return_value=True)) for relay in relays))
    [noted] = await mongo.db["relay"].find().to_list(None)
    assert noted == {"_id": "broker", "cluster_id": "a broker", "generation": 1}


async def test_what_another_instance_publishes_meanwhile_is_not_taken_for_lost(mongo: Mongo) -> None:
    log = EventLog(mongo.db, "registry")
    await append(mongo, log)

    async def is_empty() -> bool:
        await log.collection.update_many({}, {"$set": {"published": 1}})
        return True  # it was when it was asked

    for number in range(2):
        await Relay(mongo.db, log, system_clock, f"instance {number}", 1000).adopt("a broker", is_empty)
    [noted] = await mongo.db["relay"].find().to_list(None)
    assert noted["generation"] == 1


async def append(mongo: Mongo, log: EventLog) -> None:
    async def appended(session: Session) -> None:
        await log.append(session, [seeker_registered()], system_clock())

    await mongo.transaction(appended)


@dataclass
class Working:
    """A relay that runs, and what it publishes to, which can be made to fail.

    Attributes:
        seen: what the metric said at each attempt to publish.
    """

    mongo: Mongo
    log: EventLog
    run: asyncio.Task[None]
    error: Exception | None = None
    seen: list[float | None] = field(default_factory=list)

    async def append(self) -> None:
        await append(self.mongo, self.log)
        self.log.wake()

    def publish(self, messages: Iterable[Message]) -> None:
        assert list(messages)
        self.seen.append(active())
        if self.error is not None:
            raise self.error


def active() -> float | None:
    return REGISTRY.get_sample_value("mamapost_relay_active")


@pytest.fixture
async def working(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Working]:
    """A relay that has published one event."""

    async def publish(_producer: object, messages: Iterable[Message]) -> None:
        one.publish(messages)

    monkeypatch.setattr(relay, "publish", publish)
    monkeypatch.setattr(relay, "PAUSE_S", 0.01)
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    own = Relay(mongo.db, log, system_clock, "this instance", 1000)
    one = Working(mongo, log, asyncio.create_task(own.run(object())))
    await one.append()
    await eventually(lambda: active() == 1, "it publishes, and says so")
    yield one
    await end(one.run)


@pytest.mark.parametrize("error", [KafkaConnectionError(), AutoReconnect()], ids=lambda error: type(error).__name__)
async def test_a_relay_that_fails_does_not_say_that_it_publishes_until_it_does(
    working: Working, error: Exception
) -> None:
    working.error, working.seen = error, []
    await working.append()
    await eventually(lambda: len(working.seen) > 3, "it tried again and again")
    assert working.seen[1:] == [0] * len(working.seen[1:])
    working.error = None
    await eventually(lambda: active() == 1, "it publishes again, and says so")


async def test_a_relay_that_ends_by_an_error_does_not_say_that_it_publishes(working: Working) -> None:
    working.error = TopicAuthorizationFailedError()
    await working.append()
    with pytest.raises(TopicAuthorizationFailedError):
        await working.run
    assert active() == 0


async def test_a_relay_that_is_cancelled_with_its_session_does_not_say_that_it_publishes(working: Working) -> None:
    await end(working.run)
    assert active() == 0


async def test_a_relay_that_finds_its_lease_gone_says_so_at_once(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RENEW_S", 60)  # so that it finds out when it is about to publish
    working.seen = []
    lease = {"owner": "another", "until": datetime.now(UTC) + timedelta(minutes=1)}
    await working.mongo.db["relay"].update_one({"_id": "lease"}, {"$set": lease})
    await working.append()
    await eventually(lambda: active() == 0, "it says that it publishes no more", timeout_s=3)
    assert working.seen == []
