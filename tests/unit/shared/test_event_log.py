"""What an append costs beside the database."""

from __future__ import annotations

from typing import Any, cast
from unittest.mock import Mock

import pytest
import structlog

from shared.messaging import events
from shared.messaging.events import EventLog
from shared.runtime.logs import logger
from shared.runtime.mongo import Database, Session
from tests.events import NOW, seeker_registered
from tests.turns import between_turns


class Collection:
    """A collection that takes everything."""

    async def insert_many(self, documents: list[dict[str, Any]], session: Session) -> None:
        assert documents


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 0)])
async def test_an_event_is_told_of_only_where_somebody_listens(
    level: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call itself, not only the line: its facts would be put together for each of millions of events."""
    log = cast("Any", structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(level)))
    called: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "_log", Calls(log, called))
    appended = await EventLog(cast("Database", {"events": Collection()}), "registry").append(
        cast("Session", None), [seeker_registered() for _ in range(3)], NOW
    )
    assert called == [{"event_id": each.id, "topic": "seeker-registered"} for each in appended][:lines]


class Calls:
    """A logger of some level that keeps what it is called with."""

    def __init__(self, log: Any, called: list[dict[str, Any]]) -> None:
        self.is_enabled_for = log.is_enabled_for
        self._called = called

    def debug(self, _event: str, **facts: Any) -> None:
        self._called.append(facts)


async def test_others_get_their_turn_while_many_events_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = 5 * events.AT_ONCE + 3
    encoded = Mock(wraps=events.document_of)
    monkeypatch.setattr(events, "document_of", encoded)
    with between_turns(lambda: encoded.call_count) as at_once:
        await EventLog(cast("Database", {"events": Collection()}), "registry").append(
            cast("Session", None), [seeker_registered() for _ in range(many)], NOW
        )
    assert encoded.call_count == many
    assert max(at_once) == events.AT_ONCE


def test_loggers_know_whether_they_are_heard() -> None:
    assert isinstance(logger("a").is_enabled_for(10), bool)
