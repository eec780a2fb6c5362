"""The bare client says each position that it is asked for once, and ends with the last of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from bench.matching import bare
from bench.matching.wire import Speaker
from services.matching.facts import CONSUMED
from shared.contracts.envelope import decode
from shared.contracts.fields import Event
from shared.contracts.position import Position
from tests.unit.bench.small import drawn


async def test_positions_are_said_once_when_they_come_and_nothing_is_read_after_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = next(iter(Speaker(3).city(drawn().before)))[:5]
    first, second, third, *_ = events = [decode(m.topic, m.key, m.headers, m.value).event for m in messages]
    read: list[Event] = []

    async def ends(_: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
        return {TopicPartition(topic, 0): 7 for topic in topics}

    async def each(_: str, since: Mapping[TopicPartition, int], take: Callable[[Event], bool]) -> None:
        assert {place.topic for place in since} == {event.topic for event in CONSUMED}
        assert set(since.values()) == {7}, "what came before it was asked is not its own"
        for event in (first, second, second, third, *events):
            read.append(event)
            if not take(event):
                return

    monkeypatch.setattr(bare, "ends", ends)
    monkeypatch.setattr(bare, "_read", each)
    await bare.watch("broker:1", {str(Position.of(second)), str(Position.of(third))})
    assert capsys.readouterr().out.splitlines() == ["reading", str(Position.of(second)), str(Position.of(third))]
    assert read == [first, second, second, third]
