"""The plan of faults is a function of the seed, and keeps to its rules."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mamapost.chaos.plan import LASTS_S, Fault, Kind, Timeline, plan

KINDS = st.dictionaries(
    st.sampled_from(list(LASTS_S)), st.lists(st.sampled_from(["one", "two", "three"]), min_size=1), max_size=4
)
TIMELINES = st.lists(
    st.builds(Timeline, st.text(min_size=1), KINDS, st.tuples(st.integers(1, 20), st.integers(20, 60))),
    max_size=4,
    unique_by=lambda timeline: timeline.name,
)


@given(seed=st.integers(), duration_s=st.integers(0, 600), timelines=TIMELINES)
def test_the_same_seed_plans_the_same(seed: int, duration_s: int, timelines: list[Timeline]) -> None:
    assert plan(seed, duration_s, timelines) == plan(seed, duration_s, timelines)


@given(seed=st.integers(), duration_s=st.integers(0, 600), timelines=TIMELINES)
def test_faults_come_in_order_and_end_in_time(seed: int, duration_s: int, timelines: list[Timeline]) -> None:
    faults = plan(seed, duration_s, timelines)
    assert [fault.number for fault in faults] == list(range(1, len(faults) + 1))
    assert all(one.begins_s <= other.begins_s for one, other in pairwise(faults))
    for fault in faults:
        first, last = LASTS_S[fault.kind]
        assert first <= fault.lasts_s <= last
        assert fault.begins_s + fault.lasts_s <= duration_s
        assert any(fault.target in timeline.kinds.get(fault.kind, ()) for timeline in timelines)


@given(seed=st.integers())
def test_a_timeline_does_one_thing_at_a_time_and_all_of_it(seed: int) -> None:
    kinds: dict[Kind, list[str]] = {"kill": ["one", "two"], "pause": ["one"]}
    timeline = Timeline("services", kinds, (5, 10))
    faults = plan(seed, 600, [timeline])
    assert all(one.begins_s + one.lasts_s + 5 <= other.begins_s for one, other in pairwise(faults))
    drawn: defaultdict[Kind, set[str]] = defaultdict(set)
    for fault in faults:
        drawn[fault.kind].add(fault.target)
    assert drawn == {kind: set(targets) for kind, targets in kinds.items()}


def test_another_seed_plans_otherwise_and_another_timeline_changes_nothing() -> None:
    one = Timeline("one", {"kill": ["part"]}, (5, 10))
    other = Timeline("other", {"kill": ["other"]}, (5, 10))
    assert plan(1, 300, [one]) != plan(2, 300, [one])

    def of(faults: list[Fault]) -> list[tuple[float, float]]:
        return [(fault.begins_s, fault.lasts_s) for fault in faults if fault.target == "part"]

    assert of(plan(1, 300, [one])) == of(plan(1, 300, [one, other]))
