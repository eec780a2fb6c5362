"""Positions as text: nothing is lost, nothing else passes, and they are ordered by what lies before them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matching.facts import CONSUMED
from services.matching.position import CHARS_MAX, FORM, OFFSET_MAX, TOPIC_ORDER, StreamPosition, short
from shared.contracts.topics import PARTITIONS, TOPICS

CLUSTER = short("a broker")

offsets = st.tuples(*[st.one_of(st.integers(0, 300), st.integers(0, OFFSET_MAX)) for _ in TOPIC_ORDER])
positions = st.builds(
    StreamPosition, st.sampled_from([CLUSTER, short("another")]), st.integers(0, PARTITIONS - 1), offsets
)


def test_topics_stand_in_the_order_of_the_catalogue() -> None:
    assert set(TOPIC_ORDER) == {event.topic for event in CONSUMED}
    assert list(TOPIC_ORDER) == [topic for topic in TOPICS if topic in TOPIC_ORDER]


@given(positions)
def test_text_and_back(position: StreamPosition) -> None:
    text = str(position)
    assert StreamPosition.parse(text) == position
    assert len(text) <= CHARS_MAX
    assert ":" not in text


@given(positions, positions)
def test_different_positions_have_different_texts(one: StreamPosition, other: StreamPosition) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(positions, st.data())
def test_a_changed_character_is_another_position_or_none(position: StreamPosition, data: st.DataObject) -> None:
    text = str(position)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    assert (_parsed(changed) == position) == (changed == text)


def _parsed(text: str) -> StreamPosition | None:
    try:
        return StreamPosition.parse(text)
    except ValueError:
        return None


@given(st.text())
def test_any_other_text_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a position "):
        StreamPosition.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{FORM}.{CLUSTER}.{PARTITIONS}.AAAA",
        f"{FORM}.{CLUSTER}.-1.AAAA",
        f"{FORM}.{CLUSTER}.00.AAAA",
        f"{FORM}.{CLUSTER}.\N{ARABIC-INDIC DIGIT ONE}.AAAA",
        f"{FORM}.{CLUSTER.upper()}x.1.AAAA",
        f"{FORM}.{CLUSTER}.1.",
        f"{FORM}.{CLUSTER}.1.{'A' * 300}",
        f"0000.{CLUSTER}.1.AAAA",
    ],
)
def test_what_looks_like_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a position "):
        StreamPosition.parse(text)


@given(positions, positions)
def test_one_reaches_the_other_if_no_topic_is_behind(one: StreamPosition, other: StreamPosition) -> None:
    if (one.cluster, one.partition) != (other.cluster, other.partition):
        with pytest.raises(ValueError, match="same broker and partition"):
            one.reaches(other)
        return
    assert one.reaches(other) == all(a >= b for a, b in zip(one.offsets, other.offsets, strict=True))


def test_a_topic_that_was_not_read_stands_at_its_beginning() -> None:
    position = StreamPosition.of("a broker", 2, {TOPIC_ORDER[1]: 7, "course-scheduled": 3})
    assert position == StreamPosition(CLUSTER, 2, (0, 7, *[0] * (len(TOPIC_ORDER) - 2)))
