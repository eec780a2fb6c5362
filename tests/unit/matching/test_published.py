"""What is published of rankings, beside the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast
from unittest.mock import Mock

import pytest

from services.matching.ports import Basis, Published
from services.matching.store import rankings
from services.matching.store.rankings import MongoRankings
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from tests.turns import between_turns
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
    made = Mock(wraps=rankings._event)
    monkeypatch.setattr(rankings, "_event", made)
    store = Store()
    changes = [Published(new_id("post"), YANTAI, 1, (), Basis(NOW)) for _ in range(many)]
    with between_turns(lambda: made.call_count) as at_once:
        await MongoRankings(cast(Mongo, store), cast(EventLog, store)).publish(changes, NOW)
    assert store.transactions == 1
    assert made.call_count == many
    assert max(at_once) == rankings.AT_ONCE
