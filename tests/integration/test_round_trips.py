"""What a command costs the database: round trips are counted, since they are most of its processor time, and ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring

from shared.contracts.envelope import Message
from shared.contracts.fields import Event
from shared.kernel.clock import system_clock
from shared.messaging import relay
from shared.messaging.events import EventLog
from shared.messaging.relay import RENEW_S, Relay
from shared.runtime.mongo import Mongo, Session
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import seeker_registered
from tests.integration.registry_desk import NOWHERE, YESTERDAY, lines, serving, shift

ANSWERED = ("insert", "command_answers")


class Trips(monitoring.CommandListener):
    """Notes each command that a client sends: its name, its collection, and its transaction (0: none)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, int]] = []
        self._transactions: dict[tuple[bytes, int], int] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        number = 0
        if "autocommit" in command:
            key = (bytes(command["lsid"]["id"]), int(command["txnNumber"]))
            number = self._transactions.setdefault(key, len(self._transactions) + 1)
        self.sent.append((event.command_name, command[event.command_name], number))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def of_the_answer(self) -> list[tuple[str, Any]]:
        """Those of the transaction that committed a command's answer; the feed has its own meanwhile."""
        answered = [number for name, collection, number in self.sent if (name, collection) == ANSWERED]
        return [(name, collection) for name, collection, number in self.sent if number == answered[-1]]

    def count(self, name: str, collection: str) -> int:
        return sum(sent[:2] == (name, collection) for sent in self.sent)


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    """Of all clients that are made from now on."""
    counted = Trips()
    client = partial(AsyncIOMotorClient, event_listeners=[counted])
    monkeypatch.setattr("shared.runtime.mongo.AsyncIOMotorClient", client)
    return counted


async def test_a_shift_takes_seven_round_trips_and_many_take_no_more_than_one_more(
    settings: Settings, trips: Trips
) -> None:
    async with serving(settings.model_copy(update={"kafka": NOWHERE})) as registry:
        placement_id = await registry.placed()
        trips.sent.clear()
        await registry.done("/shifts", shift(placement_id))
        assert trips.of_the_answer() == [
            ("find", "command_answers"),
            ("findAndModify", "placements"),
            ("find", "shifts"),
            ("insert", "shifts"),
            ("insert", "events"),
            ANSWERED,
            ("commitTransaction", 1),
        ]
        others = [await registry.placed() for _ in range(2)]
        trips.sent.clear()
        rows = lines([shift(one, YESTERDAY, hour) for one in others for hour in (8, 12, 16)])
        answer = await registry.post("/shifts/bulk", rows, headers={"Content-Type": "application/x-ndjson"})
        assert answer.json()["accepted"] == 6
        assert len(trips.of_the_answer()) == 8


async def _appended(log: EventLog, event: Event, session: Session) -> None:
    await log.append(session, [event], system_clock())


def _noted(trips: Trips, number: int) -> bool:
    return trips.count("update", "events") == number


async def test_the_relay_publishes_an_event_in_three_round_trips(
    settings: Settings, trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []

    async def broker(_producer: object, messages: Iterable[Message]) -> None:
        sent.extend(message.key for message in messages)

    monkeypatch.setattr(relay, "publish", broker)
    counted = Mongo.connect(settings, "registry")
    log = EventLog(counted.db, "registry")
    await log.ensure_indexes()
    own = Relay(counted.db, log, system_clock, "this instance", 1000)
    await own.adopt("a broker", AsyncMock(return_value=True))
    started_s = time.monotonic()
    running = asyncio.create_task(own.run(object()))
    events = [seeker_registered() for _ in range(20)]
    for number, event in enumerate(events, 1):
        await counted.transaction(partial(_appended, log, event))
        log.wake()
        await eventually(partial(_noted, trips, number), "the event is noted as published")
    own.stop()
    await running
    renewals = int((time.monotonic() - started_s) / RENEW_S) + 1
    assert sent == [event.seeker_id.encode() for event in events]
    assert trips.count("findAndModify", "relay") <= renewals
    # Each publication is confirmed once, and each renewal; one more was for the adoption.
    assert trips.count("find", "relay") <= len(events) + renewals + 1
    await counted.client.drop_database(counted.db.name)
    counted.close()
