"""The compatibility checker is sound: what it lets through breaks nobody, and what it refuses is shown by an event."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mamapost.contracts.compatibility import Breach, compare, written_by
from mamapost.contracts.validation import validator_for
from shared.contracts.golden import schema_of
from shared.contracts.topics import TOPICS
from tests.contract.schemas import example_of
from tests.unit.contracts.schema_values import Schema, changed, objects, values_of

EXAMPLES = int(os.environ.get("MAMAPOST_EXAMPLES", "40"))
"""For each property; `make contracts-properties` asks for more."""

POST: Schema = schema_of(TOPICS["post-opened"])

quick = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def assert_shown(breach: Breach, old: Schema, new: Schema) -> None:
    """The event of a breach is written by one side and rejected by the other, as validators see it."""
    assert breach.event is not None
    writer, reader = (old, written_by(new)) if breach.direction == "backward" else (new, old)
    validator_for(written_by(writer)).validate(breach.event)
    assert not validator_for(reader).is_valid(breach.event)


def assert_sound(old: Schema, new: Schema, data: st.DataObject) -> bool:
    """Returns whether the change is let through."""
    verdict = compare(old, new)
    for breach in verdict.breaches:
        if breach.event is not None:
            assert_shown(breach, old, new)
    if verdict.is_compatible:
        for writer, reader in ((old, written_by(new)), (new, old)):
            events = values_of(writer)
            for _ in range(3 if not events.is_empty else 0):
                event = data.draw(events)
                assert validator_for(written_by(writer)).is_valid(event), "the generator and the validator disagree"
                assert validator_for(reader).is_valid(event), event
    return verdict.is_compatible


@quick
@given(objects(), st.data())
def test_a_changed_schema(schema: Schema, data: st.DataObject) -> None:
    assert_sound(schema, data.draw(changed(schema)), data)


@quick
@given(objects(), objects(), st.data())
def test_any_two_schemas(old: Schema, new: Schema, data: st.DataObject) -> None:
    assert_sound(old, new, data)


@settings(quick, max_examples=max(EXAMPLES // 4, 1))
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_a_changed_schema_of_a_topic(topic: str, data: st.DataObject) -> None:
    old = schema_of(TOPICS[topic])
    assert_sound(old, data.draw(changed(old)), data)


@quick
@given(objects(), st.data())
def test_an_optional_field_may_always_be_added(schema: Schema, data: st.DataObject) -> None:
    part = data.draw(objects(1))
    new = copy.deepcopy(schema)
    new["properties"]["later"] = part
    verdict = compare(schema, new)
    assert verdict.is_compatible
    assert [(change.path, change.told) for change in verdict.changes] == [("later", "optional field added")]


@quick
@given(objects(), st.data())
def test_a_field_that_producers_write_cannot_go_or_be_asked_anew(schema: Schema, data: st.DataObject) -> None:
    assume(schema["properties"] and not values_of(schema).is_empty)
    name = data.draw(st.sampled_from(sorted(schema["properties"])))
    assume(not values_of(schema["properties"][name]).is_empty)
    smaller = copy.deepcopy(schema)
    del smaller["properties"][name]
    smaller["required"] = [other for other in smaller["required"] if other != name]
    assert not compare(schema, smaller).is_compatible
    asking = copy.deepcopy(schema)
    asking["properties"]["later"] = {"type": "boolean"}
    asking["required"] = [*asking["required"], "later"]
    assert not compare(schema, asking).is_compatible


def with_change(path: str, value: Any) -> Schema:
    """The schema of `post-opened` with one thing in it changed; a path like `properties.kind.enum`."""
    new = copy.deepcopy(POST)
    *parents, last = path.split(".")
    place: Any = new
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


REFUSED = [
    ("properties.kind.enum", ["elastic", "team", "mobile"], {("backward", "kind")}),
    ("properties.kind.enum", ["elastic", "team", "mobile", "new-form", "shared"], {("forward", "kind")}),
    ("properties.seats.maximum", 10, {("backward", "seats")}),
    ("properties.seats.maximum", None, {("forward", "seats")}),
    ("properties.trade.maxLength", 30, {("backward", "trade")}),
    ("properties.hours.maxItems", 3, {("backward", "hours")}),
    ("properties.city.pattern", "^[1-9][0-9]{4}0$", {("backward", "city")}),
    ("properties.closes_at", None, {("backward", "closes_at")}),
    ("properties.seats", {"type": "string"}, {("backward", "seats"), ("forward", "seats")}),
    ("properties.seats", {"type": "number", "minimum": 1, "maximum": 1000}, {("forward", "seats")}),
    ("$defs.Pay.properties.per.enum", ["hour"], {("backward", "pay.per")}),
    ("$defs.WeekSpan.properties.day.maximum", 5, {("backward", "hours[].day")}),
    ("required", [*POST["required"], "closes_at"], {("backward", "closes_at")}),
    ("required", [name for name in POST["required"] if name != "trade"], {("forward", "trade")}),
    ("properties.closes_at", POST["properties"]["opened_at"], {("backward", "closes_at")}),
    ("properties.opened_at.format", None, {("forward", "opened_at")}),
]


@pytest.mark.parametrize(("path", "value", "expected"), REFUSED)
def test_what_breaks_somebody_is_refused_and_shown(path: str, value: Any, expected: set[tuple[str, str]]) -> None:
    new = with_change(path, value)
    verdict = compare(POST, new)
    assert {(breach.direction, breach.path) for breach in verdict.breaches} == expected
    assert verdict.changes == ()
    for breach in verdict.breaches:
        assert_shown(breach, POST, new)


ACCEPTED = [
    ("properties.seats.description", "How many at a time.", "seats", "an annotation"),
    ("properties.seats", {"type": "integer", "exclusiveMinimum": 0, "maximum": 1000}, "seats", "the same values"),
    ("properties.kind.enum", ["team", "elastic", "new-form", "mobile"], "kind", "the same values"),
    ("properties.city.pattern", "^[1-9][0-9][0-9]{4}$", "city", "the same values"),
    ("properties.tags", {"type": "array", "items": {"type": "string"}}, "tags", "older events lack it"),
    ("$defs.Pay.properties.tip_fen", {"type": "integer"}, "pay.tip_fen", "older events lack it"),
    ("x-topic.retention_ms", -1, "", "the promise is kept"),
]


@pytest.mark.parametrize(("path", "value", "place", "rule"), ACCEPTED)
def test_what_breaks_nobody_is_let_through_with_its_rule(path: str, value: Any, place: str, rule: str) -> None:
    old = with_change("x-topic.retention_ms", 5) if path.startswith("x-topic") else POST
    verdict = compare(old, with_change(path, value))
    assert verdict.breaches == ()
    assert {change.path for change in verdict.changes} == {place}
    # A field that is written anew loses its description and class too, which are annotations.
    assert any(change.rule.startswith(rule) for change in verdict.changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "employer_id"),
        ("partitions", 12),
        ("access", "restricted"),
        ("owner", "matching"),
        ("retention_ms", 1000),
    ],
)
def test_a_promise_that_is_taken_back_is_refused(name: str, value: Any) -> None:
    (breach,) = compare(POST, with_change(f"x-topic.{name}", value)).breaches
    assert breach.direction == "promise"
    assert breach.told.startswith(f"{name}: ")


def test_a_keyword_that_is_not_judged_must_stay_as_it_is() -> None:
    strange = with_change("properties.seats.multipleOf", 2)
    assert compare(strange, copy.deepcopy(strange)).is_compatible
    assert not compare(POST, strange).is_compatible
    recursive = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"type": "object", "properties": {"t": {"$ref": "#/$defs/Tree"}}}},
    }
    other = json.loads(json.dumps(recursive).replace('"t"', '"u"'))
    assert not compare(recursive, other).is_compatible


def test_an_example_is_written_by_its_schema() -> None:
    """Otherwise the checker would speak of events that nobody writes."""
    for topic in TOPICS:
        validator_for(written_by(schema_of(TOPICS[topic]))).validate(example_of(topic)["value"])
