"""The order in which events leave: versions of an entity ascend, whatever the clocks said."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.relay import in_order

EVENTS = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.sampled_from("abc"), st.integers(1, 9)), unique=True, max_size=20
)


def documents(events: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [{"topic": topic, "entity_id": entity_id, "version": version} for topic, entity_id, version in events]


@given(EVENTS)
def test_versions_of_each_entity_ascend_and_nothing_is_lost(events: list[tuple[str, str, int]]) -> None:
    batch = documents(events)
    ordered = in_order(batch)
    assert sorted(map(repr, ordered)) == sorted(map(repr, batch))
    for topic, entity_id, _ in events:
        versions = [e["version"] for e in ordered if (e["topic"], e["entity_id"]) == (topic, entity_id)]
        assert versions == sorted(versions)


@given(EVENTS)
def test_entities_keep_their_places(events: list[tuple[str, str, int]]) -> None:
    batch = documents(events)
    places = [(event["topic"], event["entity_id"]) for event in batch]
    assert [(event["topic"], event["entity_id"]) for event in in_order(batch)] == places
