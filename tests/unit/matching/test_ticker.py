"""Ticks: how much of the time publishing takes, and what goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from services.matching.domain import Fact
from services.matching.handlers import Ticker
from services.matching.ports import News, Published
from services.matching.use_cases import Live, held_for_good, learn, publish_changes, publishing
from tests.conftest import eventually
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.memory import Outbox, Seconds
from tests.unit.matching.plain import plain


class HeldUp(Outbox):
    """An outbox whose transactions each wait to be let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go = asyncio.Semaphore(0)

    async def publish(self, changes: Sequence[Published], at: datetime) -> None:
        self.begun += 1
        await self.go.acquire()
        await super().publish(changes, at)


class Around:
    """All that a ticker starts and asks beside publishing: it does nothing, for as long as it is wanted."""

    async def prepare(self, *_: object) -> str:
        return "a store"

    async def of(self, _: str) -> Sequence[object]:
        return ()

    async def start(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Live:
    """A city with a seeker and three posts, whose rankings are published in a transaction each."""
    monkeypatch.setattr(publishing, "PUBLISH_MAX", 1)
    made = held_for_good(Live(plain(NOW)))
    facts = [Fact("seeker", "skr-1", 1, YANTAI, seeker())]
    facts += [Fact("post", f"pst-{number}", 1, YANTAI, post()) for number in range(3)]
    learn([News(fact, NOW) for fact in facts], {}, live=made, clock=lambda: NOW)
    return made


@pytest.fixture
async def outbox() -> HeldUp:
    return HeldUp()


@pytest.fixture
async def ticker(live: Live, outbox: HeldUp) -> AsyncIterator[Ticker]:
    """One that has begun."""
    around = cast(Any, Around())
    made = Ticker(
        live,
        outbox,
        around,
        around,
        around,
        around,
        lambda: NOW,
        warm=lambda: None,
        instance="this one",
        interval_ms=1,
    )
    prepared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    prepared.set_result(None)
    made.start(prepared)
    yield made
    for _ in range(3):
        outbox.go.release()
    await made.stop()


async def test_publishing_leaves_most_of_the_time_to_what_comes_in(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, clock, rests = Outbox(), Seconds(), list[float]()
    live.clock_s = clock
    publish = outbox.publish

    async def slowly(changes: Sequence[Published], at: datetime) -> None:
        clock.now += 0.25
        await publish(changes, at)

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(outbox, "publish", slowly)
    assert await publish_changes(live, outbox=outbox, now=NOW, rest=rest) == 3
    assert rests == [0.5, 0.5, 0.5], "twice what each batch took"


async def test_publishing_ends_between_two_transactions_and_goes_on_the_next_time(live: Live) -> None:
    async def stop(_: float) -> bool:
        return True

    outbox = Outbox()
    assert await publish_changes(live, outbox=outbox, now=NOW, rest=stop) == 1
    assert live.waiting == {"pst-1", "pst-2"}
    assert await publish_changes(live, outbox=outbox, now=NOW) == 2


async def test_it_is_up_while_there_is_still_much_to_publish(ticker: Ticker, outbox: HeldUp) -> None:
    await eventually(lambda: outbox.begun == 1, "the first transaction is under way")
    assert ticker.state == "up"


async def test_a_stop_waits_for_one_transaction_and_not_for_all(ticker: Ticker, outbox: HeldUp) -> None:
    await eventually(lambda: outbox.begun == 1, "the first transaction is under way")
    stopping = asyncio.create_task(ticker.stop())
    await asyncio.sleep(0)
    outbox.go.release()
    async with asyncio.timeout(10):
        await stopping
    assert outbox.begun == 1
