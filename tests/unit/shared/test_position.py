"""Positions: what a command answers, a reader can give back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.examples import EXAMPLES
from shared.contracts.position import Position
from shared.contracts.topics import TOPICS

POST = "pst-" + "0" * 32


@pytest.mark.parametrize("topic", EXAMPLES)
def test_a_position_is_its_text(topic: str) -> None:
    position = Position.of(EXAMPLES[topic].event)
    assert position.topic == topic
    assert Position.parse(str(position)) == position


@given(st.sampled_from(sorted(TOPICS)), st.integers(1, 2**31 - 1))
def test_any_version_of_any_topic(topic: str, version: int) -> None:
    position = Position(topic, POST, version)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "::",
        "post-opened",
        f"post-opened:{POST}",
        f"post-opened:{POST}:",
        f"post-opened:{POST}:x",
        f"post-opened:{POST}:-1",
        f"post-opened:{POST}:1.5",
        f"post-opened:{POST}: 1",
        f"post-opened:{POST}:１",
        f"post-opened:{POST}:²",
        f"post-opened:{POST}:1:2",
        "post-opened::1",
        f"post-moved:{POST}:1",
        f"POST-OPENED:{POST}:1",
        f"post-opened:{POST}:" + "9" * 200,
    ],
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match=r"^`topic:entity id:version`"):
        Position.parse(text)


@given(st.text(max_size=200))
def test_nothing_but_a_value_error_is_raised(text: str) -> None:
    try:
        position = Position.parse(text)
    except ValueError:
        return
    assert position.topic in TOPICS
