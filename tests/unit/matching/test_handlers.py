"""The ticker: it waits for the store, opens the bus after the state is there, and shows a defect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from services.matching import handlers
from services.matching.domain import Fact
from services.matching.engine import Engine
from services.matching.handlers import Events, Ticker
from services.matching.use_cases import Live
from shared.contracts.envelope import Envelope
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.runtime.mongo import StoreUnavailable
from tests.conftest import eventually
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.test_use_cases import Facts, Outbox
from tests.unit.matching.wire import AT, post_opened, seeker_registered


class BusThatNotes:
    """Notes when it was opened."""

    def __init__(self) -> None:
        self.opened = False

    async def start(self) -> None:
        self.opened = True


@asynccontextmanager
async def ticking(facts: Facts, outbox: Outbox) -> AsyncIterator[tuple[Ticker, Live, BusThatNotes]]:
    live, bus = Live(Engine(NOW)), BusThatNotes()
    ticker = Ticker(live, facts, outbox, cast(Bus, bus), lambda: NOW, 10)
    ticker.start()
    try:
        yield ticker, live, bus
    finally:
        await ticker.stop()


def failing(times: int, then: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Raises `StoreUnavailable` so many times before it works."""

    async def call() -> None:
        nonlocal times
        if times:
            times -= 1
            raise StoreUnavailable("away")
        await then()

    return call


async def test_a_store_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "LOAD_PAUSE_S", 0.001)
    facts, outbox = Facts(), Outbox()
    monkeypatch.setattr(facts, "prepare", failing(3, facts.prepare))
    async with ticking(facts, outbox) as (ticker, live, bus):
        assert (ticker.state, bus.opened, live.loaded) == ("starting", False, False)
        await eventually(lambda: ticker.state == "up" and bus.opened and live.loaded, "it is up")


async def test_changes_are_published_at_the_next_tick_and_again_after_a_failure() -> None:
    facts, outbox = Facts(), Outbox()
    async with ticking(facts, outbox) as (ticker, live, _):
        await eventually(lambda: ticker.state == "up", "it is up")
        outbox.failure = StoreUnavailable("away")
        events = Events(live, facts, lambda: NOW)
        batch = [Envelope(new_id("event"), AT, event) for event in (seeker_registered(1), post_opened(1))]
        assert list(await events.apply(batch)) == []
        await eventually(lambda: len(outbox.last) == 1, "the ranking is published")
        assert ticker.state == "up"


async def test_a_defect_is_shown_not_swallowed() -> None:
    facts, outbox = Facts(), Outbox()
    async with ticking(facts, outbox) as (ticker, live, _):
        await eventually(lambda: ticker.state == "up", "it is up")
        outbox.failure = RuntimeError("a defect")
        live.waiting |= live.engine.apply(
            [Fact("seeker", "skr-1", 1, YANTAI, seeker()), Fact("post", "pst-1", 1, YANTAI, post())]
        )
        await eventually(lambda: ticker.state == "down", "readiness says so")


async def test_a_stop_while_the_store_is_away_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()
    monkeypatch.setattr(facts, "prepare", failing(10**6, facts.prepare))
    async with asyncio.timeout(5), ticking(facts, Outbox()) as (ticker, _, bus):
        await asyncio.sleep(0)
        assert ticker.state == "starting"
    assert not bus.opened
