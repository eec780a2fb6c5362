"""Slices of a batch: who comes meanwhile is let in between any two, whatever the machine does beside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from unittest.mock import AsyncMock, MagicMock

import pytest
from faststream.kafka import KafkaBroker

from shared.contracts.envelope import Envelope
from shared.kernel.ids import new_id
from shared.messaging import pace, slices
from shared.messaging.carried import Fetched
from shared.messaging.dead_letters import Rejected
from shared.messaging.fetcher import FetcherLost
from shared.messaging.partitions import Offsets, Refuse, Slice
from shared.messaging.records import Record
from shared.runtime.settings import Settings
from shared.runtime.supervised import Abandoned
from tests.unit.matching.wire import AT, seeker_registered


class Books:
    """A service's state: how many events each slice held; to each comes a request, answered after so many slices."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.answered: list[int] = []
        self.requests: list[asyncio.Task[None]] = []
        self.read = 0

    async def request(self) -> None:
        for _ in range(slices.STEPS_BETWEEN - 1):
            await asyncio.sleep(0)
        self.answered.append(len(self.sizes))

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        raise AssertionError("no group here")

    def placed(self, starts: Offsets) -> None: ...

    def readers(self) -> int:
        return self.read

    def caught_up(self, partition: int) -> None: ...

    async def revoked(self, partitions: frozenset[int]) -> None: ...

    async def apply(self, piece: Slice, refuse: Refuse) -> None:
        self.sizes.append(len(piece.events))
        self.requests.append(asyncio.create_task(self.request()))


class NoLetters:
    async def send(self, rejected: Sequence[Rejected]) -> None:
        assert not rejected


def one(number: int, offset: int, place: tuple[str, int] = ("seeker-registered", 0)) -> Record:
    """A valid event at a place of its partition."""
    return Record(*place, offset, b"{}", 0, Envelope(new_id("event"), AT, seeker_registered(number, version=1)))


def _consumer(
    books: Books, records: Sequence[Record], topics: Sequence[str] = ("seeker-registered",)
) -> slices.SliceConsumer:
    letters: object = NoLetters()
    consumer = slices.SliceConsumer("matching", topics, books, letters)  # type: ignore[arg-type]
    consumer._next = {(records[0].topic, records[0].partition): 0}
    return consumer


async def test_a_request_gets_through_between_two_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLICE_MAX", 4)
    books, given = Books(), [one(number, number) for number in range(12)]
    books.read = 1
    consumer = _consumer(books, given)
    await consumer.handle(given)
    await asyncio.gather(*books.requests)
    assert books.sizes == [4, 4, 4]
    assert books.answered == [1, 2, 3], "each before the next slice"


async def test_a_topic_has_its_turn_whatever_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [("shift-completed", 1), ("shift-completed", 0), ("seeker-registered", 1), ("station-registered", 0)]
    given = [one(number, number // 4, places[number % 4]) for number in range(16)]
    given.sort(key=lambda record: places.index((record.topic, record.partition)))
    consumer = _consumer(Books(), given, ["seeker-registered", "station-registered", "shift-completed"])
    consumer._next = dict.fromkeys(places[:3], 0)
    taken: list[tuple[str, int, int]] = []

    async def apply(piece: Sequence[Record]) -> None:
        taken.extend((record.topic, record.partition, record.offset) for record in piece)

    monkeypatch.setattr(consumer, "_apply_slice", apply)
    await consumer.handle(given)
    turns = [("seeker-registered", 1), ("shift-completed", 1), ("shift-completed", 0)]
    assert taken == [(*place, offset) for place in turns for offset in range(4)], "what is not placed is left out"


async def test_a_reader_makes_slices_short_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(slices, "time", SimpleNamespace(thread_time=lambda: 0.0, monotonic=lambda: now_s))
    books, aims = Books(), list[float]()
    record = one(1, 0)
    consumer = _consumer(books, [record])
    monkeypatch.setattr(consumer._pace, "learn", lambda _records, _took_s, aim_s: aims.append(aim_s))
    for count, at_s in ((0, 0.0), (1, 1.0), (1, 1.0 + slices.UNREAD_S / 2), (1, 1.0 + slices.UNREAD_S)):
        books.read, now_s = count, at_s
        await consumer.handle([record])
    await asyncio.gather(*books.requests)
    assert aims == [slices.UNREAD_SLICE_S, slices.SLICE_S, slices.SLICE_S, slices.UNREAD_SLICE_S]


async def test_an_assignment_whose_begin_cancels_itself_ends_the_watch() -> None:
    """A part of the client did, and nobody else: what is assigned would stay held back."""
    consumer, broker = _consumer(Books(), [one(1, 0)]), KafkaBroker()
    consumer.attach(broker, Settings(), "a broker")
    given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given_up.cancel()

    async def place() -> None:
        await given_up

    placing = asyncio.create_task(place())
    placing.add_done_callback(consumer._end_of_placing)
    with pytest.raises(Abandoned):
        async with asyncio.timeout(5):
            await consumer.watch(asyncio.Event())
    await consumer.detach(broker)


class Lost:
    """A process that fetches and has ended; how often another was started."""

    def __init__(self, has_given: bool) -> None:
        self.has_given = has_given
        self.starts = 0
        self.told: list[dict[tuple[str, int], int]] = []

    async def next(self, timeout_s: float) -> list[Fetched]:
        raise FetcherLost

    async def restart(self) -> None:
        self.starts += 1

    def fetch_from(self, offsets: dict[tuple[str, int], int]) -> None:
        self.told.append(dict(offsets))


async def test_fetching_that_is_lost_begins_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that gave something goes on elsewhere; after one that gave nothing the connection is built anew."""
    consumer = _consumer(Books(), [one(1, 0)])
    client = MagicMock(getmany=AsyncMock(return_value={}))
    gave, gave_nothing = Lost(has_given=True), Lost(has_given=False)
    monkeypatch.setattr(slices, "Fetcher", lambda *_: gave)
    consumer.attach(KafkaBroker(), Settings(), "a broker")
    assert await consumer._poll(client) == ()
    assert (gave.starts, gave.told) == (1, [{("seeker-registered", 0): 0}])
    monkeypatch.setattr(consumer, "_fetcher", gave_nothing)
    with pytest.raises(FetcherLost):
        await consumer._poll(client)
    assert gave_nothing.starts == 0
    with pytest.raises(FetcherLost):
        async with asyncio.timeout(5):
            await consumer.watch(asyncio.Event())
