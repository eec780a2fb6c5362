"""What is published of rankings, beside the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from services.matching.ports import Basis, Published
from services.matching.store import rankings
from services.matching.store.rankings import MongoRankings
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from tests.unit.matching.cities import NOW, YANTAI


class Store:
    """A store whose transactions do nothing; also the event log that is told of them."""

    def __init__(self) -> None:
        self.db = {MongoRankings.NAME: None}
        self.transactions = 0

    async def transaction(self, _: Callable[[Any], Awaitable[None]]) -> None:
        self.transactions += 1

    def wake(self) -> None:
        assert self.transactions == 1, "the relay is told once there is something"


async def test_others_get_their_turn_while_many_rankings_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    many = 5 * rankings.AT_ONCE + 3
    steps, make, made_at = 0, rankings._event, list[int]()

    async def others() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    def event(change: Published) -> Any:
        made_at.append(steps)
        return make(change)

    monkeypatch.setattr(rankings, "_event", event)
    store = Store()
    reading = asyncio.create_task(others())
    changes = [Published(new_id("post"), YANTAI, 1, (), Basis(NOW)) for _ in range(many)]
    await MongoRankings(cast(Mongo, store), cast(EventLog, store)).publish(changes, NOW)
    reading.cancel()
    assert store.transactions == 1
    assert len(made_at) == many
    assert max(Counter(made_at).values()) == rankings.AT_ONCE
