"""What is held of what was fetched: whose turn it is, what nobody overtakes, and when no more is read."""

from __future__ import annotations

import asyncio
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import Undecodable
from shared.messaging import fetcher
from shared.messaging.carried import NOTHING, Fetched, records_of, write_fetched
from shared.messaging.fetcher import Held
from shared.messaging.records import Record

TOPICS = ("seeker-registered", "post-opened", "shift-completed")


def written(topic: str, offsets: range, size: int = 2) -> bytes:
    found = Undecodable("not-json", "expected a JSON object")
    return write_fetched(1, [], [Record(topic, 0, offset, b"x" * size, 0, found) for offset in offsets])


def told(taken: list[Fetched]) -> list[tuple[str, int]]:
    return [(record.topic, record.offset) for part in taken for record in records_of(part)]


class Pipe(asyncio.ReadTransport):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


CAME = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(1, 9)), max_size=30)


@given(CAME, st.integers(1, 40), st.integers(1, 700))
async def test_everything_is_given_once_and_each_topic_in_order(
    came: list[tuple[str, int]], most: int, piece: int
) -> None:
    held, sent = Held(TOPICS), dict.fromkeys(TOPICS, 0)
    stream = bytearray(NOTHING)
    for topic, count in came:
        stream += written(topic, range(sent[topic], sent[topic] + count))
        sent[topic] += count
        stream += NOTHING
    taken = list[tuple[str, int]]()
    for at in range(0, len(stream), piece):
        held.data_received(bytes(stream[at : at + piece]))
        taken += told(held.take(most))
    while batch := told(held.take(most)):
        assert len(batch) < most + 9, "what exceeds is one part at the most"
        taken += batch
    for topic in TOPICS:
        assert [offset for name, offset in taken if name == topic] == [*range(sent[topic])]
    assert not held.came.is_set()


async def test_what_people_do_overtakes_shifts_and_holds_them_up_by_half_at_the_most() -> None:
    held = Held(TOPICS)
    for at in range(0, 100, 10):
        held.data_received(written("shift-completed", range(at, at + 10)))
    for at in range(0, 100, 10):
        held.data_received(written("seeker-registered", range(at, at + 10)))
    taken = [topic for topic, _ in told(held.take(40))]
    assert [(topic, len([*run])) for topic, run in groupby(taken)] == [
        ("seeker-registered", 20),
        ("shift-completed", 20),
    ]


async def test_no_more_is_read_than_is_to_be_held() -> None:
    held, pipe = Held(TOPICS), Pipe()
    held.connection_made(pipe)
    part = written("shift-completed", range(1), fetcher.AHEAD_BYTES // 2)
    held.data_received(part)
    assert pipe.calls == []
    held.data_received(part)
    held.data_received(part)  # was on its way
    assert pipe.calls == ["pause"]
    held.take(1)
    assert pipe.calls == ["pause"], "it still holds enough"
    held.take(1)
    assert pipe.calls == ["pause", "resume"]


async def test_who_waits_hears_of_the_end_after_what_was_left() -> None:
    held = Held(TOPICS)
    held.data_received(written("post-opened", range(3)))
    held.connection_lost(None)
    assert len(told(held.take(500))) == 3
    assert held.is_over
    assert held.came.is_set()


async def test_that_nothing_was_found_is_heard_and_wakes_nobody() -> None:
    held = Held(TOPICS)
    held.heard_s = 0
    held.data_received(NOTHING)
    assert held.heard_s > 0
    assert not held.came.is_set()
    assert held.take(500) == []
