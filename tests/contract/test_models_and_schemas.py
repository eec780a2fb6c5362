"""Models and JSON Schemas accept the same: who validates with one never quarrels with who validates with the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import Undecodable, decode
from shared.contracts.topics import TOPICS
from tests.contract.mutations import at, bounds_of, paths_of, put, replacements
from tests.contract.schemas import example_of, message_of, schema_of, validator_of


def is_accepted(topic: str, value: Any) -> bool:
    """Whether `decode` takes the value as an event; that key and headers no longer fit it is another matter."""
    _, key, headers, _ = message_of(example_of(topic))
    try:
        decode(topic, key, headers, json.dumps(value).encode())
    except Undecodable as error:
        return error.reason in ("wrong-key", "bad-header")
    return True


def assert_agreed(topic: str, value: Any, what: object) -> None:
    by_model, by_schema = is_accepted(topic, value), validator_of(topic).is_valid(value)
    assert by_model == by_schema, f"{topic} {what}: model {by_model}, schema {by_schema}"


@pytest.mark.parametrize("topic", TOPICS)
def test_they_agree_on_every_single_mistake(topic: str) -> None:
    value = example_of(topic)["value"]
    bounds = bounds_of(schema_of(topic))
    refused = 0
    for path in paths_of(value):
        part = at(value, path)
        is_number = isinstance(part, int | float) and not isinstance(part, bool)
        for replacement in [*replacements(part), *(bounds if is_number else ())]:
            spoiled = put(value, path, replacement)
            assert_agreed(topic, spoiled, (path, replacement))
            refused += not is_accepted(topic, spoiled)
    assert refused > 50  # or nothing was tested


@pytest.mark.parametrize("topic", TOPICS)
def test_an_unknown_field_is_ignored_everywhere(topic: str) -> None:
    value = example_of(topic)["value"]
    for path in paths_of(value):
        if isinstance(at(value, path), dict):
            extended = put(value, (*path, "added_later"), {"free": "form"})
            assert is_accepted(topic, extended)
            assert validator_of(topic).is_valid(extended)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _as_both_see_it(value: Any) -> Any:
    """A float without fraction is an integer in JSON Schema and in Python's parser is not; see `$comment`.

    A lone surrogate is no text at all, so it has no UTF-8 to be sent in.
    """
    if isinstance(value, float) and value.is_integer():
        return value + 0.5 if abs(value) < 2**50 else int(value)
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode()
    if isinstance(value, list):
        return [_as_both_see_it(part) for part in value]
    if isinstance(value, dict):
        return {_as_both_see_it(name): _as_both_see_it(part) for name, part in value.items()}
    return value


@settings(max_examples=300)
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_they_agree_on_several_mistakes_at_once(topic: str, data: st.DataObject) -> None:
    value = example_of(topic)["value"]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(paths_of(value))))
        known = st.sampled_from(list(replacements(at(value, path))))
        value = put(value, path, data.draw(known | _json.map(_as_both_see_it)))
    assert_agreed(topic, value, value)
