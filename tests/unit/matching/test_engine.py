"""The engine equals the definition, always (promise 6)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.matching.domain import Fact, Programme, Verdict, best_posts, explain, policy_on, rank_post, view_of
from services.matching.engine import Engine, shard
from tests.unit.matching.cities import NOW, YANTAI, crowded_facts, facts, post, seeded_city, seeker

Rankings = dict[str, list[tuple[str, int, tuple[int, ...]]]]
SHOWN = 3


def _defined(
    programme: Programme, at: datetime, shown: int
) -> tuple[Rankings, Rankings, dict[tuple[str, str], Verdict]]:
    """Every ranking, every seeker's list and every verdict by the definition."""
    view = view_of(programme, at)
    rankings, lists, verdicts = {}, {}, {}
    for post_id, opening in view.openings.items():
        weights = policy_on(programme.of_kind("post")[post_id].city, view.day).weights
        rankings[post_id] = [tuple(r) for r in rank_post(weights, opening, view.candidates.values(), shown)]
        for seeker_id, candidate in view.candidates.items():
            verdicts[post_id, seeker_id] = explain(weights, candidate, opening, view.day)
    for seeker_id, candidate in view.candidates.items():
        weights = policy_on(programme.of_kind("seeker")[seeker_id].city, view.day).weights
        lists[seeker_id] = [tuple(r) for r in best_posts(weights, candidate, view.openings.values())]
    return rankings, lists, verdicts  # type: ignore[return-value]  # NamedTuples, compared as tuples


def _defined_rankings(programme: Programme, shown: int = SHOWN) -> Rankings:
    view = view_of(programme, NOW)
    weights = policy_on(YANTAI, view.day).weights
    candidates = list(view.candidates.values())
    return {
        id_: [tuple(place) for place in rank_post(weights, opening, candidates, shown)]  # type: ignore[misc]
        for id_, opening in view.openings.items()
    }


def _rankings(engine: Engine, programme: Programme, shown: int) -> Rankings:
    return {id_: [tuple(r) for r in engine.ranking(id_, shown)] for id_ in programme.of_kind("post")}  # type: ignore[misc]


def _assert_equal(engine: Engine, programme: Programme, at: datetime, shown: int) -> None:
    rankings, lists, verdicts = _defined(programme, at, shown)
    assert _rankings(engine, programme, shown) == rankings
    for seeker_id, expected in lists.items():
        assert [tuple(r) for r in engine.best_posts(seeker_id)] == expected
    for (post_id, seeker_id), verdict in verdicts.items():
        assert engine.why(post_id, seeker_id) == verdict


@pytest.fixture
def _short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few places and little slack, so that a handful of seekers meets every edge."""
    monkeypatch.setattr(shard, "TOP_SEEKERS", SHOWN)
    monkeypatch.setattr(shard, "LIST_MAX", 4)


steps = st.lists(
    st.one_of(
        st.lists(facts, min_size=1, max_size=40),
        st.lists(facts, min_size=1, max_size=3),
        st.sampled_from((timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))),
    ),
    max_size=12,
)


@pytest.mark.usefixtures("_short_lists")
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps)
def test_engine_equals_the_definition_after_every_step(steps: list[list[Fact] | timedelta]) -> None:
    at, engine, programme = NOW, Engine(NOW), Programme()
    for step in steps:
        before = _rankings(engine, programme, SHOWN)
        if isinstance(step, timedelta):
            at += step
            changed = engine.advance(at)
        else:
            changed = engine.apply(step)
            for fact in step:
                programme.learn(fact)
        _assert_equal(engine, programme, at, SHOWN)
        after = _rankings(engine, programme, SHOWN)
        assert {id_ for id_ in after if after[id_] != before.get(id_, [])} <= changed


@pytest.mark.usefixtures("_short_lists")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(facts, max_size=60), st.randoms(use_true_random=False))
def test_order_and_repetition_leave_no_trace(given_: list[Fact], rng: object) -> None:
    newest = {(fact.kind, fact.id, fact.version): fact for fact in given_}
    unique = list(newest.values())
    shuffled = unique + unique[::2]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, many, programme = Engine(NOW), Engine(NOW), Programme.of(unique)
    one.apply(unique)
    for fact in shuffled:
        many.apply([fact])
    assert _rankings(one, programme, SHOWN) == _rankings(many, programme, SHOWN)
    _assert_equal(many, programme, NOW, SHOWN)


@pytest.mark.usefixtures("_short_lists")
@pytest.mark.parametrize("seed", range(16))
def test_lists_that_overflow_and_run_short_stay_right(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "LIST_MAX", 4 + seed % 3)
    engine, programme = Engine(NOW), Programme()
    city = crowded_facts(seed, 500)
    # Posts first, and enough of everything, so that single changes are really single.
    engine.apply(city[:120])
    for fact in city[:120]:
        programme.learn(fact)
    before = _defined_rankings(programme)
    for number, fact in enumerate(city[120:]):
        changed = engine.apply([fact])
        programme.learn(fact)
        after = _defined_rankings(programme)
        assert _rankings(engine, programme, SHOWN) == after, number
        assert {id_ for id_ in after if after[id_] != before.get(id_, [])} <= changed
        before = after


def test_a_seeded_city_equals_the_definition_through_many_small_changes() -> None:
    """Real list lengths: 400 seekers, 60 posts, one fact at a time, compared every 40 changes."""
    city = seeded_city(7, 400, 60)
    engine, programme = Engine(NOW), Programme.of(city)
    engine.apply(city)
    later = seeded_city(8, 400, 60)
    for number, fact in enumerate(later):
        state = None if number % 5 == 0 and fact.kind == "seeker" else fact.state
        newer = Fact(fact.kind, fact.id, 2, fact.city, state)
        engine.apply([newer])
        programme.learn(newer)
        if number % 40 == 0:
            assert _rankings(engine, programme, 50) == _defined_rankings(programme, 50)
    _assert_equal(engine, programme, NOW, 50)


def test_a_fact_that_is_not_newer_changes_nothing() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("seeker", "skr-1", 2, YANTAI, seeker()), Fact("post", "pst-1", 1, YANTAI, post())])
    shown = engine.ranking("pst-1")
    assert [place.seeker_id for place in shown] == ["skr-1"]
    assert engine.apply([Fact("seeker", "skr-1", 2, YANTAI, None), Fact("seeker", "skr-1", 1, YANTAI, None)]) == set()
    assert engine.ranking("pst-1") == shown
    assert engine.version_of("seeker", "skr-1") == 2
    assert engine.version_of("seeker", "skr-2") == 0


def test_a_removed_entity_is_not_brought_back_by_an_older_event() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("post", "pst-1", 3, YANTAI, None), Fact("seeker", "skr-1", 1, YANTAI, seeker())])
    assert engine.apply([Fact("post", "pst-1", 2, YANTAI, post())]) == set()
    assert engine.ranking("pst-1") == []


def test_unknown_entities_are_named_as_unknown() -> None:
    engine = Engine(NOW)
    for ask in (
        lambda: engine.ranking("pst-9"),
        lambda: engine.best_posts("skr-9"),
        lambda: engine.why("pst-9", "skr-9"),
    ):
        with pytest.raises(KeyError):
            ask()


def test_a_post_closes_when_its_time_has_passed() -> None:
    engine = Engine(NOW)
    closes_at = NOW + timedelta(minutes=5)
    engine.apply(
        [Fact("seeker", "skr-1", 1, YANTAI, seeker()), Fact("post", "pst-1", 1, YANTAI, post(closes_at=closes_at))]
    )
    assert engine.advance(closes_at - timedelta(milliseconds=1)) == set()
    assert engine.ranking("pst-1")
    assert engine.advance(closes_at) == {"pst-1"}
    assert engine.ranking("pst-1") == []
