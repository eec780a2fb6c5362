"""The plan of faults is a function of the seed, and keeps to its rules."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from mamapost.chaos.plan import LASTS_S, Kind, Timeline, plan

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
def test_each_timeline_keeps_to_its_rules_and_to_the_time(
    seed: int, duration_s: int, timelines: list[Timeline]
) -> None:
    planned = plan(seed, duration_s, timelines)
    assert len(planned) == len(timelines)
    for timeline, faults in zip(timelines, planned, strict=True):
        assert [fault.number for fault in faults] == list(range(1, len(faults) + 1))
        assert sum(fault.pause_s + fault.lasts_s for fault in faults) <= duration_s + 0.01
        for fault in faults:
            first, last = LASTS_S[fault.kind]
            assert first <= fault.lasts_s <= last
            assert fault.timeline == timeline.name
            assert fault.target in timeline.kinds[fault.kind]
        shortest, longest = timeline.pause_s
        assert all(shortest <= fault.pause_s <= longest for fault in faults[1:])


@given(seed=st.integers())
def test_in_time_a_timeline_does_all_that_it_can(seed: int) -> None:
    kinds: dict[Kind, list[str]] = {"kill": ["one", "two"], "pause": ["one"]}
    [faults] = plan(seed, 1200, [Timeline("services", kinds, (5, 10))])
    drawn: defaultdict[Kind, set[str]] = defaultdict(set)
    for fault in faults:
        drawn[fault.kind].add(fault.target)
    assert drawn == {kind: set(targets) for kind, targets in kinds.items()}


def test_another_seed_plans_otherwise_and_another_timeline_changes_nothing() -> None:
    one = Timeline("one", {"kill": ["part"]}, (5, 10))
    other = Timeline("other", {"kill": ["other"]}, (5, 10))
    assert plan(1, 300, [one]) != plan(2, 300, [one])
    assert plan(1, 300, [one])[0] == plan(1, 300, [other, one])[1]
    assert plan(1, 600, [one])[0][:5] == plan(1, 300, [one])[0][:5]
