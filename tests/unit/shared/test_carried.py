"""What goes between a service and the process that fetches for it. Values: tests/contract/test_fast_decode.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import fast
from shared.contracts.envelope import Undecodable
from shared.messaging.carried import (
    LENGTH_BYTES,
    End,
    Fetch,
    messages_in,
    parts_of,
    read_fetch,
    records_of,
    write_fetch,
    write_fetched,
)
from shared.messaging.records import PLACE, Record
from shared.messaging.records import records_of as decoded
from tests.unit.shared.client import message

TOPICS = ("seeker-registered", "shift-completed")
[VALID] = decoded([message(0)], fast.decode)


def record(topic: str, partition: int, offset: int, is_valid: bool) -> Record:
    found = VALID.found if is_valid and topic == VALID.topic else Undecodable("not-json", "expected a JSON object")
    return Record(topic, partition, offset, b"{}" if is_valid else None, offset % 3, found)


RUNS = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 2), st.lists(st.booleans(), max_size=5)), max_size=8)


@given(RUNS)
def test_records_of_a_partition_stay_in_order_whatever_is_refused_between_them(
    runs: list[tuple[str, int, list[bool]]],
) -> None:
    given, offsets = list[Record](), dict[tuple[str, int], int]()
    for topic, partition, validity in runs:
        for is_valid in validity:
            offset = offsets[topic, partition] = offsets.get((topic, partition), 0) + 1
            given.append(record(topic, partition, offset, is_valid))
    parts = parts_of(write_fetched(1, [], given))
    assert len({part.topic for part in parts}) == len(parts), "one for each topic"
    arrived = [one for part in parts for one in records_of(part)]
    assert len(arrived) == len(given) == sum(part.count for part in parts)
    for place in offsets:
        before, after = ([one for one in some if PLACE(one) == place] for some in (given, arrived))
        assert [_told(one) for one in after] == [_told(one) for one in before]


def _told(one: Record) -> tuple[object, ...]:
    found = one.found
    said = (found.reason, found.detail) if isinstance(found, Undecodable) else (found.id, found.time, found.traceparent)
    return one.topic, one.partition, one.offset, one.value, one.replays, *said


def test_an_answer_says_to_which_command_and_where_partitions_end() -> None:
    ends = [End("seeker-registered", 3, 17, 1_700_000_000_000), End("shift-completed", 3, 4, 1_700_000_000_001)]
    parts = parts_of(write_fetched(7, ends, [record("seeker-registered", 3, 16, True)]))
    assert [(part.number, part.topic, part.count, part.ends) for part in parts] == [
        (7, "seeker-registered", 1, ends[:1]),
        (7, "shift-completed", 0, ends[1:]),
    ]


def test_a_command_arrives_as_it_was_given() -> None:
    command = Fetch(2**31, [("seeker-registered", 0, 0), ("shift-completed", 5, 2**40)])
    assert read_fetch(write_fetch(command)[LENGTH_BYTES:]) == command


@given(st.lists(st.binary(max_size=300), max_size=5), st.binary(max_size=3))
def test_only_whole_messages_are_read(bodies: list[bytes], rest: bytes) -> None:
    written = b"".join(len(body).to_bytes(LENGTH_BYTES, "big") + body for body in bodies)
    assert [*messages_in(written + rest)] == bodies
    assert [*messages_in(written[:-1])] == bodies[:-1]
