"""Learning, waiting and publishing, with a store in memory that can fail."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from services.matching import use_cases
from services.matching.api.reader import Reader
from services.matching.domain import Fact
from services.matching.engine import UnknownForm
from services.matching.errors import (
    CatchingUp,
    NotFreshYet,
    PositionInvalid,
    PostUnknown,
    PublishedElsewhereError,
    SeekerUnknown,
    StartingError,
)
from services.matching.ports import Basis, News, Noted, Published
from services.matching.position import StreamPosition
from services.matching.use_cases import Live, Part, held_for_good
from shared.contracts.topics import partition_of
from shared.runtime.mongo import StoreUnavailable
from tests.unit.matching.cities import ELSEWHERE, NOW, YANTAI, post, seeker
from tests.unit.matching.memory import Outbox, Seconds
from tests.unit.matching.plain import plain

FRESHNESSES = "mamapost_matching_freshness_seconds_count"
HERE, THERE = partition_of(YANTAI), partition_of(ELSEWHERE)


class World:
    """A process that owns everything; `restart` is the next process on the same store and topics."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.topic: list[News] = []
        self.live = held_for_good(Live(plain(NOW)))

    async def restart(self) -> None:
        self.live = held_for_good(Live(plain(NOW)))
        use_cases.learn(self.topic, {}, live=self.live, clock=lambda: NOW)
        for part in self.live.parts.values():
            await use_cases.read_published(self.live, part, outbox=self.outbox)

    def learn(self, *facts: Fact, **ends: int) -> None:
        news = [News(fact, NOW) for fact in facts]
        self.topic += news
        offsets = {(topic.replace("_", "-"), HERE): end for topic, end in ends.items()}
        use_cases.learn(news, offsets, live=self.live, clock=lambda: NOW)

    async def publish(self, now: object = NOW) -> int:
        return await use_cases.publish_changes(self.live, outbox=self.outbox, now=now)  # type: ignore[arg-type]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.restart()
    return made


def her(number: int, version: int = 1, *, gone: bool = False, city: str = YANTAI, **given: object) -> Fact:
    return Fact("seeker", f"skr-{number}", version, city, None if gone else seeker(**given))


def it(number: int, version: int = 1, *, gone: bool = False, city: str = YANTAI, **given: object) -> Fact:
    return Fact("post", f"pst-{number}", version, city, None if gone else post(**given))


# --- learning and answering ---


async def test_the_newest_version_counts(world: World) -> None:
    world.learn(her(1, 3, gone=True), her(1, 2), her(1, 1), it(1))
    assert world.live.engine.version_of("seeker", "skr-1") == 3
    assert use_cases.ranking(world.live, "pst-1", NOW) == []


async def test_the_freshness_of_each_event_is_counted_and_not_that_of_each_slice(world: World) -> None:
    before = REGISTRY.get_sample_value(FRESHNESSES) or 0
    world.learn(*(her(number) for number in range(4)))
    assert REGISTRY.get_sample_value(FRESHNESSES) == before + 4


async def test_rankings_and_position_change_together(world: World) -> None:
    world.learn(it(1), her(1), post_opened=4, seeker_registered=9)
    position = world.live.position(YANTAI)
    assert position == StreamPosition.of("", HERE, {"post-opened": 4, "seeker-registered": 9})
    assert world.live.parts[HERE].is_changed
    assert not world.live.parts[THERE].is_changed
    assert world.live.as_of([YANTAI]) == NOW
    assert world.live.as_of([ELSEWHERE]) is None


async def test_nobody_is_answered_before_it_is_known_what_is_ours() -> None:
    with pytest.raises(StartingError):
        use_cases.ranking(Live(plain(NOW)), "pst-1", NOW)


async def test_unknown_ids_are_told_apart(world: World) -> None:
    world.learn(it(1))
    with pytest.raises(PostUnknown):
        use_cases.why(world.live, "pst-9", "skr-9", NOW)
    with pytest.raises(SeekerUnknown):
        use_cases.why(world.live, "pst-1", "skr-9", NOW)
    with pytest.raises(SeekerUnknown):
        use_cases.best_posts(world.live, "skr-9", NOW)


async def test_a_city_is_answered_for_only_while_it_is_owned(world: World) -> None:
    seconds = Seconds()
    world.live.clock_s = seconds
    world.learn(it(1), her(1), it(2, city=ELSEWHERE), her(2, city=ELSEWHERE))
    world.live.parts[HERE].owned_until_s = seconds.now + 1
    assert use_cases.ranking(world.live, "pst-1", NOW) != []
    assert world.live.cities() == sorted([YANTAI, ELSEWHERE])
    seconds.now += 1
    for read in (
        lambda: use_cases.ranking(world.live, "pst-1", NOW),
        lambda: use_cases.best_posts(world.live, "skr-1", NOW),
        lambda: use_cases.why(world.live, "pst-1", "skr-1", NOW),
        lambda: use_cases.why(world.live, "pst-2", "skr-1", NOW),
    ):
        with pytest.raises(CatchingUp):
            read()
    assert use_cases.ranking(world.live, "pst-2", NOW) != []
    assert world.live.cities() == [ELSEWHERE]


async def test_a_partition_that_is_dropped_leaves_nothing(world: World) -> None:
    world.learn(it(1), her(1), it(2, city=ELSEWHERE), her(2, city=ELSEWHERE))
    world.live.drop(HERE)
    assert list(world.live.engine.cities()) == [ELSEWHERE]
    assert world.live.waiting == {"pst-2"}
    assert world.live.position(YANTAI) is None
    with pytest.raises(PostUnknown):
        use_cases.ranking(world.live, "pst-1", NOW)
    world.live.parts[HERE] = Part(HERE, "", {}, owned_until_s=math.inf)
    world.learn(it(1), her(1))
    assert use_cases.ranking(world.live, "pst-1", NOW) != []


async def test_nobody_is_answered_between_an_effect_and_its_position(world: World) -> None:
    """Of a slice with two cities on one partition the first is refused by nothing, the second by the engine."""
    part = world.live.parts[HERE]
    part.cluster_id = "a broker"
    world.learn(it(1), post_opened=1)
    assert use_cases.ranking(world.live, "pst-1", NOW) == []
    apply = world.live.engine.apply

    def half(facts: Iterable[Fact]) -> set[str]:
        apply(fact for fact in facts if fact.id != "skr-2")
        raise UnknownForm("skills: too many")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.live.engine, "apply", half)
        with pytest.raises(UnknownForm):
            world.learn(her(1), her(2), seeker_registered=2)
    assert world.live.engine.ranking("pst-1") != [], "the effect is there"
    assert world.live.position(YANTAI) == StreamPosition.of("a broker", HERE, {"post-opened": 1}), "its position is not"
    with pytest.raises(CatchingUp):
        use_cases.ranking(world.live, "pst-1", NOW)
    world.learn(her(1))  # one by one, as a slice is applied that failed as a whole
    with pytest.raises(CatchingUp):
        use_cases.ranking(world.live, "pst-1", NOW)
    assert await world.publish() == 0, "nor is such a ranking published"
    world.learn(seeker_registered=2)
    assert use_cases.ranking(world.live, "pst-1", NOW) != []
    assert await world.publish() == 1


async def test_a_published_ranking_names_what_it_is_made_of(world: World) -> None:
    world.learn(it(1), her(1), post_opened=4, seeker_registered=9)
    at = NOW + timedelta(seconds=3)
    await world.publish(at)
    basis = world.outbox.last["pst-1"].basis
    assert basis == Basis(at, str(world.live.position(YANTAI)), ("*", 1))
    world.live.parts[HERE].lost = ("a position",)
    world.learn(her(2))
    await world.publish(at)
    assert world.outbox.last["pst-1"].basis.position is None, "no one position names it after a broker was lost"


# --- waiting ---


async def test_a_reader_waits_for_the_owner_of_her_city(world: World) -> None:
    waiting = asyncio.create_task(world.live.change_of_hands(5))
    await asyncio.sleep(0)
    world.live.hands_changed()
    await waiting
    await world.live.change_of_hands(0.01)
    assert world.live._hands_awaited == []


async def test_a_reader_with_an_event_is_answered_as_soon_as_her_city_has_an_owner(world: World) -> None:
    world.learn(it(1), her(1), post_opened=1)
    part = world.live.parts[HERE]
    part.owned_until_s = -math.inf
    reader = Reader(world.live, lambda: NOW)

    def read(now: datetime) -> int:
        return len(use_cases.ranking(world.live, "pst-1", now))

    with pytest.raises(CatchingUp):
        await reader.answer(None, 5_000, read)
    with pytest.raises(CatchingUp):
        await reader.answer("seeker-registered:skr-1:1", 20, read)
    waiting = asyncio.create_task(reader.answer("seeker-registered:skr-1:1", 5_000, read))
    await asyncio.sleep(0.01)
    world.live.hands_changed()
    await asyncio.sleep(0.01)
    assert not waiting.done(), "something else changed hands"
    part.owned_until_s = math.inf
    world.live.hands_changed()
    assert await waiting == 1


async def test_a_reader_waits_until_the_version_is_applied(world: World) -> None:
    waiting = asyncio.create_task(use_cases.await_version(world.live, "seeker", "skr-1", 2, 5_000))
    await asyncio.sleep(0)
    world.learn(her(1), her(2, 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    world.learn(her(1, 3))
    await waiting
    await use_cases.await_version(world.live, "seeker", "skr-1", 2, 0)


async def test_a_reader_waits_until_a_position_is_reached(world: World) -> None:
    wanted = StreamPosition.of("", HERE, {"post-opened": 3, "seeker-registered": 2})
    waiting = asyncio.create_task(use_cases.await_position(world.live, wanted, 5_000))
    await asyncio.sleep(0)
    world.learn(her(1), post_opened=3, seeker_registered=1)
    await asyncio.sleep(0)
    assert not waiting.done()
    world.learn(her(2), seeker_registered=2)
    await waiting
    await use_cases.await_position(world.live, wanted, 0)


async def test_a_position_of_a_lost_broker_is_refused(world: World) -> None:
    other = StreamPosition.of("another broker", HERE, {"post-opened": 1})
    with pytest.raises(PositionInvalid) as refused:
        await use_cases.await_position(world.live, other, 5_000)
    assert refused.value.faults[0].field == "after"
    wanted = StreamPosition.of("", HERE, {"post-opened": 9})
    waiting = asyncio.create_task(use_cases.await_position(world.live, wanted, 5_000))
    await asyncio.sleep(0)
    world.live.parts[HERE].cluster_id = "a new broker"
    world.learn(her(1), post_opened=1)
    with pytest.raises(PositionInvalid):
        await waiting


@pytest.mark.parametrize("goal", ["version", "position"])
async def test_a_wait_is_bounded_and_leaves_nothing_behind(world: World, goal: str) -> None:
    position = StreamPosition.of("", HERE, {"post-opened": 9})
    version = use_cases.await_version(world.live, "seeker", "skr-1", 1, 10)
    waits = {"version": version, "position": use_cases.await_position(world.live, position, 10)}
    waiting = waits.pop(goal)
    waits.popitem()[1].close()
    with pytest.raises(NotFreshYet) as raised:
        await waiting
    assert raised.value.retryable
    assert world.live._versions_awaited == {}
    assert world.live._positions_awaited == {}


# --- publishing ---


async def test_changes_between_two_ticks_become_one_event(world: World) -> None:
    world.learn(it(1))
    assert await world.publish() == 0, "an empty ranking that was never published is no change"
    world.learn(her(1))
    world.learn(her(2))
    assert await world.publish() == 1
    assert await world.publish() == 0
    assert [place.seeker_id for place in world.outbox.last["pst-1"].top] == ["skr-1", "skr-2"]
    world.learn(her(2, 2, gone=True))
    world.learn(her(2, 3))
    assert await world.publish() == 0, "it is again as published"


async def test_a_change_below_the_published_top_is_not_published(world: World) -> None:
    world.learn(it(1), *(her(number) for number in range(10, 20)))
    assert await world.publish() == 1
    world.learn(her(20))
    assert await world.publish() == 0
    assert len(world.outbox.last["pst-1"].top) == 10


async def test_a_closed_post_gets_an_empty_top(world: World) -> None:
    world.learn(it(1), her(1))
    await world.publish()
    world.learn(it(1, 2, gone=True))
    assert await world.publish() == 1
    assert (world.outbox.last["pst-1"].sequence, world.outbox.last["pst-1"].top) == (2, ())


async def test_a_post_whose_time_has_passed_gets_an_empty_top(world: World) -> None:
    world.learn(it(1, closes_at=NOW + timedelta(minutes=1)), her(1))
    await world.publish()
    assert await world.publish(NOW + timedelta(minutes=1)) == 1
    assert world.outbox.last["pst-1"].top == ()


async def test_a_crash_between_learning_and_publishing_loses_no_change(world: World) -> None:
    world.learn(it(1), it(2), her(1))
    await world.publish()
    world.learn(it(1, 2, gone=True), her(2))
    await world.restart()
    assert await world.publish() == 2
    assert world.outbox.last["pst-1"].top == ()
    assert len(world.outbox.last["pst-2"].top) == 2
    await world.restart()
    assert await world.publish() == 0


async def test_a_top_that_is_not_known_is_published_once_more(world: World) -> None:
    world.learn(it(1), her(1))
    world.outbox.digests = {"pst-1": Noted(6, None)}
    await world.restart()
    assert await world.publish() == 1
    assert world.outbox.last["pst-1"].sequence == 7
    assert await world.publish() == 0


async def test_only_what_is_owned_and_whose_past_is_known_is_published(world: World) -> None:
    world.learn(it(1), her(1), it(2, city=ELSEWHERE), her(2, city=ELSEWHERE))
    world.live.parts[THERE].published = None
    assert await world.publish() == 1
    assert set(world.outbox.last) == {"pst-1"}
    world.live.parts[HERE].owned_until_s = -math.inf
    await use_cases.read_published(world.live, world.live.parts[THERE], outbox=world.outbox)
    world.learn(her(3), her(4, city=ELSEWHERE))
    assert await world.publish() == 1
    assert world.outbox.last["pst-2"].sequence == 1
    assert "pst-1" in world.live.waiting


async def test_what_could_not_be_published_is_tried_again(world: World) -> None:
    world.learn(it(1), her(1))
    world.outbox.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await world.publish()
    assert await world.publish() == 1


async def test_rankings_published_by_another_instance_are_read_anew(world: World) -> None:
    world.learn(it(1), her(1))
    world.outbox.last["pst-1"] = Published("pst-1", YANTAI, 7, (), Basis(NOW))
    world.outbox.failure = PublishedElsewhereError()
    with pytest.raises(PublishedElsewhereError):
        await world.publish()
    part = world.live.parts[HERE]
    assert part.published is None
    assert await world.publish() == 0
    await use_cases.read_published(world.live, part, outbox=world.outbox)
    assert await world.publish() == 1
    assert world.outbox.last["pst-1"].sequence == 8


async def test_a_transaction_holds_a_bounded_number_of_rankings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.matching.use_cases.publishing.PUBLISH_MAX", 3)
    world.learn(her(1), *(it(number) for number in range(8)))
    assert await world.publish() == 8
    assert [len(transaction) for transaction in world.outbox.transactions] == [3, 3, 2]
