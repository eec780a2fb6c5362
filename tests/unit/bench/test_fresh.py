"""A round of freshness counts answers that are fresh, and takes its load with it however it ends."""

from __future__ import annotations

import asyncio

import pytest

from bench.matching import fresh
from bench.matching.wire import Speaker
from shared.contracts.envelope import decode
from shared.contracts.fields import Event
from tests.unit.bench.answering import answering
from tests.unit.bench.small import drawn


def events(count: int) -> list[Event]:
    """Of a small city."""
    messages = next(iter(Speaker(3).city(drawn().before)))
    return [decode(m.topic, m.key, m.headers, m.value).event for m in messages[:count]]


async def test_each_event_is_committed_before_a_ranking_is_asked_for_it() -> None:
    done: list[Event] = []

    async def commit(event: Event) -> None:
        done.append(event)

    drawn = events(3)
    async with answering(200) as web:
        times = await fresh.probe(drawn, commit, fresh.in_rankings(web, ["pst-1", "pst-2"]), asyncio.Future())
    assert done == drawn
    assert len(times) == 3
    assert min(times) > 0


async def test_a_ranking_that_never_shows_an_event_ends_the_round() -> None:
    async def commit(_: Event) -> None: ...

    async with answering(503) as web:
        with pytest.raises(RuntimeError, match=r"no ranking showed .* within 10000 ms; see .*log"):
            await fresh.probe(events(1), commit, fresh.in_rankings(web, ["pst-1"]), asyncio.Future())


async def test_no_event_follows_once_the_load_has_ended() -> None:
    ended: asyncio.Future[bytes] = asyncio.Future()
    ended.set_result(b"1\n")

    async def commit(_: Event) -> None:
        raise AssertionError

    async with answering(200) as web:
        assert await fresh.probe(events(1), commit, fresh.in_rankings(web, ["pst-1"]), ended) == []
