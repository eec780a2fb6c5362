"""What chaos puts on topics: good events again, and forms that no consumer takes."""

from __future__ import annotations

import pytest

from mamapost.chaos.evidence import INJECTED_HEADER
from mamapost.chaos.messages import PERSONAL, Wire, duplicates, poison, reordered
from mamapost.scenario.dice import Dice
from shared.contracts.envelope import Envelope, Undecodable, decode
from shared.contracts.examples import EXAMPLES
from tests.unit.chaos.story import Story
from tests.unit.matching.wire import seeker_registered


def read(wire: Wire) -> Envelope:
    return decode(wire.topic, wire.key, wire.headers, wire.value)


def test_duplicates_are_the_same_events_and_say_who_sent_them() -> None:
    events = list(EXAMPLES.values())
    wires = list(duplicates(events, Dice(1)))
    assert wires
    for wire in wires:
        assert read(wire) in events
        assert INJECTED_HEADER in dict(wire.headers)


def test_versions_come_backwards() -> None:
    story = Story()
    events = [story.envelope(seeker_registered(1, version=version)) for version in (1, 2, 3)]
    events.append(story.envelope(seeker_registered(2)))
    wires = list(reordered(events, Dice(1)))
    assert [read(wire).event.entity_version for wire in wires] == [3, 2, 1]


def test_poison_has_five_forms_that_nobody_can_use() -> None:
    wires = list(poison(list(EXAMPLES.values()), Dice(1)))
    reasons = set()
    for wire in wires:
        assert INJECTED_HEADER in dict(wire.headers)
        with pytest.raises(Undecodable) as raised:
            read(wire)
        reasons.add(raised.value.reason)
        assert PERSONAL not in str(raised.value)
    assert len(wires) == 5
    assert reasons >= {"not-json", "missing-header", "bad-header"}
