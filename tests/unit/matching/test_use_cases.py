"""Learning, waiting and publishing, with a store in memory that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from services.matching import use_cases
from services.matching.domain import Fact
from services.matching.engine import Engine
from services.matching.errors import (
    NotFreshYet,
    PostUnknown,
    PublishedElsewhereError,
    SeekerUnknown,
    StartingError,
)
from services.matching.ports import News, Published
from services.matching.use_cases import Live
from shared.runtime.mongo import StoreUnavailable
from tests.unit.matching.cities import NOW, YANTAI, post, seeker


class Facts:
    """A `FactStore` in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], News] = {}
        self.away = False
        self.saves = 0

    async def prepare(self) -> None: ...

    async def load(self) -> list[News]:
        return list(self.kept.values())

    async def save(self, news: Sequence[News]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.saves += 1
        for item in news:
            self.kept[item.fact.kind, item.fact.id] = item


class Outbox:
    """A `RankingOutbox` in memory."""

    def __init__(self) -> None:
        self.last: dict[str, Published] = {}
        self.transactions: list[list[Published]] = []
        self.failure: Exception | None = None

    async def prepare(self) -> None: ...

    async def last_published(self) -> Mapping[str, Published]:
        return dict(self.last)

    async def publish(self, changes: Sequence[Published], as_of: datetime) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.transactions.append(list(changes))
        for change in changes:
            assert change.sequence == (self.last[change.post_id].sequence if change.post_id in self.last else 0) + 1
            self.last[change.post_id] = change


class World:
    """A process with its stores; `restart` is the next process on the same stores."""

    def __init__(self) -> None:
        self.facts, self.outbox = Facts(), Outbox()
        self.live = Live(Engine(NOW))

    async def restart(self) -> None:
        self.live = Live(Engine(NOW))
        await use_cases.load(self.live, facts=self.facts, outbox=self.outbox)

    async def learn(self, *facts: Fact) -> None:
        news = [News(fact, NOW) for fact in facts]
        await use_cases.learn(news, live=self.live, facts=self.facts, clock=lambda: NOW)

    async def publish(self, now: datetime = NOW) -> int:
        return await use_cases.publish_changes(self.live, outbox=self.outbox, now=now)


@pytest.fixture
async def world() -> World:
    made = World()
    await made.restart()
    return made


def her(number: int, version: int = 1, *, gone: bool = False, **given: object) -> Fact:
    return Fact("seeker", f"skr-{number}", version, YANTAI, None if gone else seeker(**given))


def it(number: int, version: int = 1, *, gone: bool = False, **given: object) -> Fact:
    return Fact("post", f"pst-{number}", version, YANTAI, None if gone else post(**given))


async def test_a_repeated_batch_costs_no_transaction(world: World) -> None:
    await world.learn(her(1), it(1), her(1))
    await world.learn(her(1), it(1))
    assert world.facts.saves == 1


async def test_a_batch_is_conflated_to_the_newest_version(world: World) -> None:
    await world.learn(her(1, 3, gone=True), her(1, 2), her(1, 1), it(1))
    assert world.facts.kept["seeker", "skr-1"].fact.version == 3
    assert use_cases.ranking(world.live, "pst-1", NOW) == []


async def test_a_batch_that_was_not_stored_changes_nothing(world: World) -> None:
    await world.learn(it(1))
    world.facts.away = True
    with pytest.raises(StoreUnavailable):
        await world.learn(her(1))
    assert world.live.engine.version_of("seeker", "skr-1") == 0
    assert use_cases.ranking(world.live, "pst-1", NOW) == []
    world.facts.away = False
    await world.learn(her(1))
    assert [place.seeker_id for place in use_cases.ranking(world.live, "pst-1", NOW)] == ["skr-1"]


async def test_a_restart_gives_the_same_rankings(world: World) -> None:
    await world.learn(her(1), her(2), her(3, gone=True), it(1), it(2, gone=True))
    before = use_cases.ranking(world.live, "pst-1", NOW)
    await world.restart()
    assert use_cases.ranking(world.live, "pst-1", NOW) == before != []
    assert world.live.as_of(YANTAI) == NOW


async def test_nobody_is_answered_before_the_state_is_loaded() -> None:
    with pytest.raises(StartingError):
        use_cases.ranking(Live(Engine(NOW)), "pst-1", NOW)


async def test_unknown_ids_are_told_apart(world: World) -> None:
    await world.learn(it(1))
    with pytest.raises(PostUnknown):
        use_cases.why(world.live, "pst-9", "skr-9", NOW)
    with pytest.raises(SeekerUnknown):
        use_cases.why(world.live, "pst-1", "skr-9", NOW)
    with pytest.raises(SeekerUnknown):
        use_cases.best_posts(world.live, "skr-9", NOW)


async def test_a_reader_waits_until_the_version_is_applied(world: World) -> None:
    waiting = asyncio.create_task(use_cases.await_version(world.live, "seeker", "skr-1", 2, 5_000))
    await world.learn(her(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    await world.learn(her(1, 3))
    await waiting
    await use_cases.await_version(world.live, "seeker", "skr-1", 2, 0)


async def test_a_wait_is_bounded(world: World) -> None:
    with pytest.raises(NotFreshYet) as raised:
        await use_cases.await_version(world.live, "seeker", "skr-1", 1, 10)
    assert raised.value.retryable


async def test_changes_between_two_ticks_become_one_event(world: World) -> None:
    await world.learn(it(1))
    assert await world.publish() == 0, "an empty ranking that was never published is no change"
    await world.learn(her(1))
    await world.learn(her(2))
    assert await world.publish() == 1
    assert await world.publish() == 0
    assert [place.seeker_id for place in world.outbox.last["pst-1"].top] == ["skr-1", "skr-2"]
    await world.learn(her(2, 2, gone=True))
    await world.learn(her(2, 3))
    assert await world.publish() == 0, "it is again as published"


async def test_a_change_below_the_published_top_is_not_published(world: World) -> None:
    await world.learn(it(1), *(her(number) for number in range(10, 20)))
    assert await world.publish() == 1
    await world.learn(her(20))
    assert await world.publish() == 0
    assert len(world.outbox.last["pst-1"].top) == 10


async def test_a_closed_post_gets_an_empty_top(world: World) -> None:
    await world.learn(it(1), her(1))
    await world.publish()
    await world.learn(it(1, 2, gone=True))
    assert await world.publish() == 1
    assert world.outbox.last["pst-1"] == Published("pst-1", YANTAI, 2, ())


async def test_a_post_whose_time_has_passed_gets_an_empty_top(world: World) -> None:
    await world.learn(it(1, closes_at=NOW + timedelta(minutes=1)), her(1))
    await world.publish()
    assert await world.publish(NOW + timedelta(minutes=1)) == 1
    assert world.outbox.last["pst-1"].top == ()


async def test_a_crash_between_learning_and_publishing_loses_no_change(world: World) -> None:
    await world.learn(it(1), it(2), her(1))
    await world.publish()
    await world.learn(it(1, 2, gone=True), her(2))
    await world.restart()
    assert await world.publish() == 2
    assert world.outbox.last["pst-1"].top == ()
    assert len(world.outbox.last["pst-2"].top) == 2
    await world.restart()
    assert await world.publish() == 0


async def test_what_could_not_be_published_is_tried_again(world: World) -> None:
    await world.learn(it(1), her(1))
    world.outbox.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await world.publish()
    assert await world.publish() == 1


async def test_rankings_published_by_another_instance_are_read_anew(world: World) -> None:
    await world.learn(it(1), her(1))
    world.outbox.last["pst-1"] = Published("pst-1", YANTAI, 7, ())
    world.outbox.failure = PublishedElsewhereError()
    with pytest.raises(PublishedElsewhereError):
        await world.publish()
    assert await world.publish() == 1
    assert world.outbox.last["pst-1"].sequence == 8


async def test_a_transaction_holds_a_bounded_number_of_rankings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "PUBLISH_MAX", 3)
    await world.learn(her(1), *(it(number) for number in range(8)))
    assert await world.publish() == 8
    assert [len(transaction) for transaction in world.outbox.transactions] == [3, 3, 2]
