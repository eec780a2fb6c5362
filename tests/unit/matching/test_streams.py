"""Changes and streams of one post's ranking, with a store in memory: no gap, no growth, an end with its reason."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import pytest

from services.matching import use_cases
from services.matching.domain import RankedSeeker
from services.matching.errors import CatchingUp, PostUnknown, SequenceUnknown, StreamsFull
from services.matching.ports import Published
from services.matching.use_cases import Change, Watcher, watching
from services.matching.use_cases.watching import SLOW_S, Watchers
from tests.unit.matching.cities import NOW, YANTAI
from tests.unit.matching.memory import Seconds
from tests.unit.matching.test_differences import applied
from tests.unit.matching.test_use_cases import HERE, World, her, it

POST = "pst-1"


@pytest.fixture
async def world() -> World:
    made = World()
    await made.restart()
    return made


class Reader:
    """A reader of the stream: she knows only what she was told."""

    def __init__(self, world: World, since: int | None = None) -> None:
        self.world = world
        self.watcher = world.live.watchers.begin(POST)
        self.since = since
        self.top: list[RankedSeeker] = []
        self.told: list[str] = []
        self.sequence = since or 0
        self.items: AsyncIterator[Published | Change | watching.End] | None = None

    async def begin(self, top: list[RankedSeeker] | None = None) -> Reader:
        self.top = top or []
        stream = await use_cases.begin(self.world.live, self.watcher, self.since, NOW, log=self.world.outbox)
        self.items = use_cases.follow(stream)
        return self

    async def take(self) -> str:
        assert self.items is not None
        item = await asyncio.wait_for(anext(self.items), 1)
        if isinstance(item, Published):
            self.top, self.sequence = list(item.top), item.sequence
            self.told.append("snapshot")
        elif isinstance(item, Change):
            assert item.since == self.sequence, "a gap"
            self.top, self.sequence = applied(self.top, item.difference), item.sequence
            self.told.append("change")
        else:
            self.told.append(item)
        return self.told[-1]


def published(world: World) -> list[RankedSeeker]:
    return list(world.outbox.last[POST].top) if POST in world.outbox.last else []


async def test_a_reader_gets_all_then_every_change(world: World) -> None:
    world.learn(it(1), her(10))
    await world.publish()
    reader = await Reader(world).begin()
    assert await reader.take() == "snapshot"
    for number in range(11, 21):
        world.learn(her(number))
        await world.publish()
        if number != 20:  # the eleventh is below the published top
            assert await reader.take() == "change"
    assert reader.top == published(world)
    assert len(reader.top) == 10


@pytest.mark.parametrize("seed", range(20))
async def test_a_reader_who_comes_and_goes_misses_nothing(world: World, seed: int) -> None:
    rng = random.Random(seed)
    world.learn(it(1))
    versions: dict[int, int] = {}
    top: list[RankedSeeker] = []
    since: int | None = None
    for _ in range(10):
        reader = await Reader(world, since).begin(top)
        for _ in range(rng.randrange(4)):
            number = rng.randrange(14)
            versions[number] = versions.get(number, 0) + 1
            world.learn(her(number, versions[number], gone=rng.random() < 0.3))
            await world.publish()
            if rng.random() < 0.3:
                await world.restart()  # another instance goes on; this stream hears no more
                break
        reached = world.outbox.last[POST].sequence if POST in world.outbox.last else 0
        while reader.sequence < reached or (since is None and not reader.told):
            await reader.take()
        world.live.watchers.leave(reader.watcher)
        top, since = reader.top, reader.sequence
        assert top == list(world.outbox.log[POST, since].top if since else ())
    last = await Reader(world, since).begin(top)
    if since != world.outbox.last[POST].sequence:
        await last.take()
    assert last.top == published(world)


async def test_a_post_that_closes_while_rankings_are_published_ends_after_its_last_change(world: World) -> None:
    """What closes it is in the rankings then, and not in what is being published."""
    world.learn(it(1), her(1))
    await world.publish()
    reader = await Reader(world).begin()
    assert await reader.take() == "snapshot"
    publish = world.outbox.publish

    async def slowly(changes: Sequence[Published], at: datetime) -> None:
        await publish(changes, at)
        world.learn(it(1, 2, gone=True))

    world.outbox.publish = slowly  # type: ignore[method-assign]
    world.learn(her(2))
    await world.publish()
    world.outbox.publish = publish  # type: ignore[method-assign]
    await world.publish()
    # The reader who was not quick gets one change for all that was published meanwhile.
    assert [await reader.take(), await reader.take()] == ["change", "closed"]
    assert reader.top == published(world) == []


async def test_what_is_published_while_a_stream_begins_is_told(world: World) -> None:
    world.learn(it(1), her(1))
    await world.publish()
    reader = Reader(world)
    read = world.outbox.published

    async def slowly(post_id: str, sequence: int | None = None) -> Published | None:
        found = await read(post_id, sequence)
        world.learn(her(2))
        await world.publish()
        return found

    world.outbox.published = slowly  # type: ignore[method-assign]
    await reader.begin()
    world.outbox.published = read  # type: ignore[method-assign]
    assert [await reader.take(), await reader.take()] == ["snapshot", "change"]
    assert reader.top == published(world)


async def test_many_changes_that_a_slow_reader_did_not_take_become_one(world: World) -> None:
    world.learn(it(1), her(1))
    await world.publish()
    reader = await Reader(world).begin()
    await reader.take()
    for number in range(2, 9):
        world.learn(her(number))
        await world.publish()
    assert await reader.take() == "change"
    assert reader.top == published(world)
    assert reader.sequence == 8


async def test_a_reader_who_takes_nothing_is_let_go(world: World) -> None:
    seconds = Seconds()
    world.live.clock_s = seconds
    world.learn(it(1), her(1))
    await world.publish()
    reader = await Reader(world).begin()
    await reader.take()
    seconds.now += SLOW_S * 3
    use_cases.end_streams(world.live)
    world.learn(her(2))
    await world.publish()
    seconds.now += SLOW_S
    use_cases.end_streams(world.live)
    assert reader.watcher._end is None, "she has until then"
    seconds.now += 1
    use_cases.end_streams(world.live)
    assert await reader.take() == "slow"
    assert reader.sequence == 1, "so that she resumes from what she took"


async def test_the_end_of_a_post_ends_its_stream_after_its_last_change(world: World) -> None:
    world.learn(it(1, closes_at=NOW + timedelta(minutes=5)), her(1))
    await world.publish()
    early, late = await Reader(world).begin(), Reader(world)
    assert await early.take() == "snapshot"
    await world.publish(NOW + timedelta(minutes=5))
    await late.begin()
    await world.publish(NOW + timedelta(minutes=6))
    assert [await early.take(), await early.take()] == ["change", "closed"]
    assert [await late.take(), await late.take()] == ["snapshot", "closed"]
    assert early.top == late.top == []


async def test_a_closed_post_that_was_never_ranked_ends_too(world: World) -> None:
    world.learn(it(1))
    reader = await Reader(world).begin()
    world.learn(it(1, 2, gone=True))
    assert await world.publish() == 0
    assert [await reader.take(), await reader.take()] == ["snapshot", "closed"]


async def test_a_city_that_changes_hands_ends_its_streams(world: World) -> None:
    world.learn(it(1), her(1))
    await world.publish()
    reader = await Reader(world).begin()
    await reader.take()
    use_cases.end_streams(world.live)
    world.live.parts[HERE].owned_until_s = 0
    use_cases.end_streams(world.live)
    assert await reader.take() == "moved"
    dropped = Reader(world)
    world.live.drop(HERE)
    use_cases.end_streams(world.live)
    assert await dropped.watcher.next() == "moved"


async def test_a_stop_ends_streams_and_those_that_come_later(world: World) -> None:
    world.learn(it(1))
    reader = await Reader(world).begin()
    world.live.watchers.stop()
    later = await Reader(world).begin()
    for each in (reader, later):
        assert [await each.take(), await each.take()] == ["snapshot", "stopping"]


async def test_streams_have_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCHERS_MAX", 3)
    watchers = Watchers(Seconds())
    held: list[Watcher] = [watchers.begin(f"pst-{number % 2}") for number in range(3)]
    with pytest.raises(StreamsFull) as full:
        watchers.begin("pst-9")
    assert full.value.retryable
    watchers.leave(held[0])
    watchers.leave(held[0])
    watchers.begin("pst-9")
    assert len(watchers) == 3
    assert set(watchers.posts) == {"pst-0", "pst-1", "pst-9"}


async def test_changes_since_a_sequence(world: World) -> None:
    async def since(sequence: int) -> Change:
        return await use_cases.changes_since(world.live, POST, sequence, NOW, log=world.outbox)

    with pytest.raises(PostUnknown):
        await since(0)
    world.learn(it(1))
    assert (await since(0)).basis is None
    tops: list[list[RankedSeeker]] = [[]]
    for number in range(1, 5):
        world.learn(her(number))
        await world.publish()
        tops.append(published(world))
    for sequence, top in enumerate(tops):
        change = await since(sequence)
        assert applied(top, change.difference) == tops[-1]
        assert (change.since, change.sequence) == (sequence, 4)
    basis = change.basis
    assert basis is not None
    assert (basis.at, basis.policy) == (NOW, ("*", 1))
    assert basis.position == str(world.live.position(YANTAI))
    with pytest.raises(SequenceUnknown):
        await since(5)
    del world.outbox.log[POST, 2]
    with pytest.raises(SequenceUnknown):
        await since(2)
    world.live.parts[HERE].owned_until_s = 0
    with pytest.raises(CatchingUp):
        await since(0)
