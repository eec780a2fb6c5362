"""The order of a feed under concurrent transactions: nothing skipped, nothing twice, no version before an older one."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from datetime import timedelta

import orjson
import pytest
from pymongo import WriteConcern

from shared.contracts.registry import SeekerRegistered, SeekerWithdrawn
from shared.kernel.ids import new_id
from shared.messaging import feed as feed_module
from shared.messaging.events import EventLog
from shared.messaging.feed import START, CursorUnknown, Feed, Place, Record
from shared.runtime.mongo import Mongo, Session, StoreUnavailable
from tests.events import NOW, seeker_registered, seeker_withdrawn

TOPIC = SeekerRegistered.topic


@pytest.fixture
async def log(mongo: Mongo) -> EventLog:
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    await mongo.db["women"].insert_one({"_id": "none"})
    return log


class Writers:
    """Commands that change women at random, as use cases do: the woman's document and her event in one transaction.

    The clocks of the instances disagree, and a transaction stays open for a while between its insert and its commit.
    """

    def __init__(self, mongo: Mongo, log: EventLog, dice: random.Random) -> None:
        self._mongo = mongo
        self._log = log
        self._dice = dice
        self.women = [new_id("seeker") for _ in range(12)]
        self.committed = 0

    async def run(self, changes: int) -> None:
        for _ in range(changes):
            woman = self._dice.choice(self.women)
            skew = timedelta(seconds=self._dice.randrange(-60, 60))

            async def change(session: Session, woman: str = woman, skew: timedelta = skew) -> None:
                state = await self._mongo.db["women"].find_one_and_update(
                    {"_id": woman}, {"$inc": {"version": 1}}, upsert=True, return_document=True, session=session
                )
                event = seeker_registered(seeker_id=woman, version=state["version"])
                await self._log.append(session, [event], NOW + skew)
                await asyncio.sleep(self._dice.random() * 0.02)

            while True:
                try:
                    await self._mongo.transaction(change)
                except StoreUnavailable:  # too many others want this woman: a caller tries again, as it is told to
                    continue
                break
            self.committed += 1


async def read_until(feed: Feed, done: asyncio.Event, dice: random.Random) -> list[Record]:
    """A reader with nothing but its cursor, in pages of all sizes, until the writers are done and a page is empty."""
    records: list[Record] = []
    place: Place = START
    while True:
        was_done = done.is_set()
        try:
            page = await feed.page(TOPIC, place, dice.choice([1, 2, 7, 500]))
        except StoreUnavailable:  # too many others number at once: a reader comes again, as it is told to
            continue
        if not page and was_done:
            return records
        records += page
        # From the cursor alone, as a client that was started anew.
        place = await feed.place_of(TOPIC, page[-1].place.id) if page else place
        await asyncio.sleep(0)


def versions_of(records: list[Record]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for record in records:
        data = orjson.loads(record.line)["data"]
        found[data["seeker_id"]].append(data["version"])
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_readers_miss_nothing_and_see_each_version_in_order(
    mongo: Mongo, log: EventLog, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small rounds, so that many numbering transactions of several instances meet each other and the writers.
    monkeypatch.setattr(feed_module, "ROUND_MAX", 3)
    dice = random.Random(seed)
    writers = Writers(mongo, log, dice)
    done = asyncio.Event()
    readers = [asyncio.create_task(read_until(Feed(mongo, log), done, random.Random(seed + n))) for n in range(3)]
    await asyncio.gather(*(writers.run(15) for _ in range(6)))
    done.set()
    seen = await asyncio.gather(*readers)
    stored = [event["_id"] for event in await log.collection.find({"topic": TOPIC}).to_list(None)]
    assert len(stored) == writers.committed == 90
    for records in seen:
        ids = [record.place.id for record in records]
        assert len(ids) == len(set(ids)) == len(stored)
        assert all(found == sorted(found) for found in versions_of(records).values())
    # One order for all, whenever they read.
    assert [r.place for r in seen[0]] == [r.place for r in seen[1]] == [r.place for r in seen[2]]


async def test_an_event_that_commits_after_a_later_one_was_read_comes_after_it(mongo: Mongo, log: EventLog) -> None:
    feed = Feed(mongo, log)
    early, late = seeker_registered(), seeker_registered()
    async with await mongo.client.start_session() as session:
        session.start_transaction()
        await log.append(session, [early], NOW)
        await mongo.transaction(lambda other: log.append(other, [late], NOW + timedelta(seconds=5)))
        await feed.number()
        first = await feed.page(TOPIC, START, 10)
        assert list(versions_of(first)) == [late.seeker_id]
        await session.commit_transaction()
    await feed.number()
    assert list(versions_of(await feed.page(TOPIC, first[-1].place, 10))) == [early.seeker_id]


async def test_what_another_instance_stamps_at_this_moment_is_given(mongo: Mongo, log: EventLog) -> None:
    """Its round may be committed, and not by a majority yet: a page would end before it."""
    feed = Feed(mongo, log)
    await feed.number()
    at_once = WriteConcern(w=1, j=False)
    for number in range(1, 11):
        event = seeker_registered()
        await mongo.transaction(lambda session, event=event: log.append(session, [event], NOW))  # type: ignore[misc]
        await mongo.db["feed"].update_one({"_id": "rounds"}, {"$set": {"last": number}})
        other = log.collection.with_options(write_concern=at_once)
        await other.update_many({"feed_round": None}, {"$set": {"feed_round": number}})
        assert len(await feed.page(TOPIC, START, 100)) == number


async def test_a_round_that_stalls_before_its_commit_is_not_overtaken(
    mongo: Mongo, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = Feed(mongo, log), Feed(mongo, log)
    await other.number()
    stamped, go_on = asyncio.Event(), asyncio.Event()
    round_of = slow._number_round

    async def stall(session: Session) -> int:
        count = await round_of(session)
        stamped.set()
        await go_on.wait()
        return count

    monkeypatch.setattr(slow, "_number_round", stall)
    # What the other would stamp is not what the slow one holds: its lower version is taken first, and a round is one.
    monkeypatch.setattr(feed_module, "ROUND_MAX", 1)
    first, second = seeker_registered(version=2), seeker_registered(version=1)
    await mongo.transaction(lambda session: log.append(session, [first], NOW))
    stalled = asyncio.create_task(slow.number())
    await stamped.wait()
    await mongo.transaction(lambda session: log.append(session, [second], NOW))
    overtaking = asyncio.create_task(other.number())
    await asyncio.wait([overtaking], timeout=0.3)
    seen = await other.stamped(TOPIC, START, 10)
    go_on.set()
    await asyncio.gather(stalled, overtaking)
    seen += await other.page(TOPIC, seen[-1].place if seen else START, 10)
    assert sorted(versions_of(seen)) == sorted([first.seeker_id, second.seeker_id])


@pytest.mark.parametrize(("seed", "looked_up_from"), [(1, 0), (2, 1000)])
async def test_snapshot_and_tail_join_exactly_while_writes_go_on(
    mongo: Mongo, log: EventLog, seed: int, looked_up_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In many small stretches, of which either all are looked up by their ids or all are read with the old versions."""
    monkeypatch.setattr(feed_module, "READ_MAX", 5)
    monkeypatch.setattr(feed_module, "SNAPSHOT_BATCH", 2)
    monkeypatch.setattr(feed_module, "LOOKED_UP_FROM", looked_up_from)
    dice = random.Random(seed)
    writers = Writers(mongo, log, dice)
    feed = Feed(mongo, log)
    writing = asyncio.gather(*(writers.run(15) for _ in range(6)))
    joined: list[tuple[list[Record], Place]] = []
    while not writing.done():
        await feed.number()
        upto = await feed.end(TOPIC)
        table: list[Record] = []
        async for batch in feed.newest(TOPIC, upto):
            table += batch
            await asyncio.sleep(dice.random() * 0.01)
        joined.append((table, upto))
        await asyncio.sleep(0.02)
    await writing
    await feed.number()
    everything = await feed.page(TOPIC, START, 1000)
    assert len(everything) == 90
    assert len(joined) > 3
    assert any(0 < len(table) < len(everything) for table, _ in joined)
    for table, upto in joined:
        before = [record for record in everything if record.place <= upto]
        newest = {woman: versions[-1] for woman, versions in versions_of(before).items()}
        assert versions_of(table) == {woman: [version] for woman, version in newest.items()}
        # Snapshot and tail: each entity goes on with the very next version, and ends with its last.
        tail = await feed.page(TOPIC, upto, 1000)
        whole = versions_of(table + tail)
        last = {woman: versions[-1] for woman, versions in versions_of(everything).items()}
        for woman, versions in whole.items():
            assert versions == list(range(newest.get(woman, 1), last[woman] + 1))
        assert whole.keys() == last.keys()


async def test_a_log_that_was_written_before_there_were_feeds_is_read_whole(mongo: Mongo, log: EventLog) -> None:
    women = [new_id("seeker") for _ in range(40)]
    for version in (1, 2, 3):
        batch = [seeker_registered(seeker_id=woman, version=version) for woman in women]
        await mongo.transaction(lambda session, batch=batch: log.append(session, batch, NOW))  # type: ignore[misc]
    feed = Feed(mongo, log)
    await feed.number()
    records = await feed.page(TOPIC, START, 1000)
    assert versions_of(records) == {woman: [1, 2, 3] for woman in women}


async def test_a_page_ends_by_bytes_and_the_next_goes_on(
    mongo: Mongo, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PAGE_MAX_BYTES", 4000)
    monkeypatch.setattr(feed_module, "READ_MAX", 4)
    await mongo.transaction(lambda session: log.append(session, [seeker_registered() for _ in range(60)], NOW))
    feed = Feed(mongo, log)
    await feed.number()
    seen: list[Record] = []
    while page := await feed.page(TOPIC, seen[-1].place if seen else START, 1000):
        size = sum(len(record.line) for record in page)
        assert size - len(page[-1].line) < 4000
        seen += page
    assert len({record.place.id for record in seen}) == len(seen) == 60


async def test_what_is_no_cursor_of_the_feed_is_refused(mongo: Mongo, log: EventLog) -> None:
    woman = seeker_registered()
    await mongo.transaction(
        lambda session: log.append(session, [woman, seeker_withdrawn(woman.seeker_id, version=2)], NOW)
    )
    feed = Feed(mongo, log)
    await feed.number()
    other = (await feed.page(SeekerWithdrawn.topic, START, 1))[0].place.id
    with pytest.raises(CursorUnknown, match="cursor of the feed seeker-withdrawn"):
        await feed.place_of(TOPIC, other)
    with pytest.raises(CursorUnknown, match="no event of this service"):
        await feed.place_of(TOPIC, new_id("event"))
    with pytest.raises(CursorUnknown, match="not a cursor"):
        await feed.place_of(TOPIC, "evt-1")
    assert await feed.place_of(TOPIC, None) == START


async def test_events_are_numbered_for_who_has_read_all_others(mongo: Mongo, log: EventLog) -> None:
    feed = Feed(mongo, log)
    await mongo.transaction(lambda session: log.append(session, [seeker_registered() for _ in range(3)], NOW))
    first = await feed.page(TOPIC, START, 3)
    (late,) = await mongo.transaction(lambda session: log.append(session, [seeker_registered()], NOW))
    assert await feed.page(TOPIC, START, 3) == first
    assert await feed.stamped(TOPIC, first[-1].place, 2) == [], "a whole page has no use for what comes behind it"
    behind = await feed.page(TOPIC, first[1].place, 2)
    assert [record.id for record in behind] == [first[2].id, late.id], "a short one has"


async def test_a_cursor_may_have_come_by_kafka_before_the_feed_gave_it(mongo: Mongo, log: EventLog) -> None:
    (told,) = await mongo.transaction(lambda session: log.append(session, [seeker_registered()], NOW))
    feed = Feed(mongo, log)
    place = await feed.place_of(TOPIC, told.id)
    assert place.id == told.id
    assert await feed.page(TOPIC, place, 10) == []
