"""The engine equals the definition, always (promise 6)."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.matching.domain import (
    BEST_POSTS,
    Certificate,
    Fact,
    Limits,
    Placement,
    Policy,
    Programme,
    Schedule,
    Shift,
    Station,
    Verdict,
    Weights,
    best_posts,
    explain,
    policy_id_of,
    rank_post,
    view_of,
)
from services.matching.domain.state import ShiftVerdict
from services.matching.engine import Engine, Sizes
from services.matching.engine.shard import REPLACED_LEAST
from tests.unit.matching.cities import FACILITIES, NOW, YANTAI, crowded_facts, facts, post, seeded_city, seeker
from tests.unit.matching.wire import id_of

Rankings = dict[str, list[tuple[str, int, tuple[int, ...]]]]
SEEKER, POST = id_of("skr", 1), id_of("pst", 1)
EXAMPLES = int(os.environ.get("MAMAPOST_EXAMPLES", "150"))
"""Generated histories; the long run of `make properties` sets 10,000."""

SHOWN = 3
SHORT = Sizes(tops=SHOWN, tops_kept=4, bests=2, bests_kept=3)
"""Few places and little slack, so that a handful of seekers meets every edge."""


def _defined(
    programme: Programme, at: datetime, shown: int
) -> tuple[Rankings, Rankings, dict[tuple[str, str], Verdict]]:
    """Every ranking, every seeker's list and every verdict by the definition."""
    view = view_of(programme, at)
    rankings, lists, verdicts = {}, {}, {}
    for post_id, opening in view.openings.items():
        policy = view.policy_of(programme.of_kind("post")[post_id].city)
        rankings[post_id] = [tuple(r) for r in rank_post(policy, opening, view.candidates.values(), shown)]
        for seeker_id, candidate in view.candidates.items():
            verdicts[post_id, seeker_id] = explain(policy, candidate, opening, view.day)
    for seeker_id, candidate in view.candidates.items():
        policy = view.policy_of(programme.of_kind("seeker")[seeker_id].city)
        lists[seeker_id] = [tuple(r) for r in best_posts(policy, candidate, view.openings.values())]
    return rankings, lists, verdicts  # type: ignore[return-value]  # NamedTuples, compared as tuples


def _defined_rankings(programme: Programme, shown: int = SHOWN) -> Rankings:
    view = view_of(programme, NOW)
    policy = view.policy_of(YANTAI)
    candidates = list(view.candidates.values())
    return {
        id_: [tuple(place) for place in rank_post(policy, opening, candidates, shown)]  # type: ignore[misc]
        for id_, opening in view.openings.items()
    }


def _rankings(engine: Engine, programme: Programme, shown: int) -> Rankings:
    return {id_: [tuple(r) for r in engine.ranking(id_, shown)] for id_ in programme.of_kind("post")}  # type: ignore[misc]


def _assert_equal(engine: Engine, programme: Programme, at: datetime, shown: int) -> None:
    rankings, lists, verdicts = _defined(programme, at, 2 * shown)
    assert _rankings(engine, programme, shown) == {id_: places[:shown] for id_, places in rankings.items()}
    assert _rankings(engine, programme, 2 * shown) == rankings, "beyond the places that are kept"
    listed = SHORT.bests if shown == SHOWN else BEST_POSTS
    for seeker_id, expected in lists.items():
        assert [tuple(r) for r in engine.best_posts(seeker_id)] == expected[:listed]
    view = view_of(programme, at)
    assert {id_: engine.candidate(id_) for id_ in view.candidates} == view.candidates
    assert {id_: engine.opening(id_) for id_ in view.openings} == view.openings
    for (post_id, seeker_id), verdict in verdicts.items():
        assert engine.why(post_id, seeker_id) == verdict


Step = list[Fact] | timedelta | Literal["restart", "policies"]

steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.lists(facts, min_size=1, max_size=40),
        st.lists(facts, min_size=1, max_size=3),
        st.sampled_from((timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=7, hours=3))),
        st.just("restart"),
        st.just("policies"),
    ),
    max_size=12,
)


def _restarted(engine: Engine, at: datetime, sizes: Sizes) -> Engine:
    """Another engine with what the first had dumped."""
    fresh = Engine(at, sizes=sizes)
    for city in engine.cities():
        fresh.restore(city, {name: array.copy() for name, array in engine.dump(city).items()})
    return fresh


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_engine_equals_the_definition_after_every_step(steps: list[Step]) -> None:
    at, engine, programme = NOW, Engine(NOW, sizes=SHORT), Programme()
    for step in steps:
        before = _rankings(engine, programme, SHOWN)
        changed: set[str] = set()
        if isinstance(step, timedelta):
            at += step
            changed = engine.advance(at)
        elif isinstance(step, list):
            changed = engine.apply(step)
            for fact in step:
                programme.learn(fact)
        elif step == "restart":
            engine = _restarted(engine, at, SHORT)
        changed |= engine.await_policies()
        _assert_equal(engine, programme, at, SHOWN)
        after = _rankings(engine, programme, SHOWN)
        assert {id_ for id_ in after if after[id_] != before.get(id_, [])} <= changed


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(facts, max_size=60), st.randoms(use_true_random=False))
def test_order_and_repetition_leave_no_trace(given_: list[Fact], rng: random.Random) -> None:
    newest = {(fact.kind, fact.id, fact.version): fact for fact in given_}
    unique = list(newest.values())
    shuffled = unique + unique[::2]
    rng.shuffle(shuffled)
    one, many, programme = Engine(NOW, sizes=SHORT), Engine(NOW, sizes=SHORT), Programme.of(unique)
    one.apply(unique)
    for fact in shuffled:
        many.apply([fact])
    one.await_policies()
    many.await_policies()
    assert _rankings(one, programme, SHOWN) == _rankings(many, programme, SHOWN)
    _assert_equal(many, programme, NOW, SHOWN)


@pytest.mark.parametrize("seed", range(16))
def test_lists_that_overflow_and_run_short_stay_right(seed: int) -> None:
    sizes = SHORT._replace(tops_kept=4 + seed % 3)
    engine, programme = Engine(NOW, sizes=sizes), Programme()
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
        if number % 97 == 0:
            engine = _restarted(engine, NOW, sizes)


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


@pytest.mark.parametrize("seed", range(3))
def test_posts_whose_terms_change_stay_right(seed: int) -> None:
    """Pay, overlap, seats and facilities, of the post or its station: lists are moved, not made anew."""
    rng = random.Random(seed)
    engine, programme = Engine(NOW, sizes=SHORT), Programme()

    def learn(facts_: list[Fact]) -> set[str]:
        for fact in facts_:
            programme.learn(fact)
        return engine.apply(facts_)

    held = {
        id_of("pst", n): post(station_id=id_of("stn", n) if n % 2 else None, seats=2, skills_required=frozenset())
        for n in range(6)
    }
    learn([Fact("station", id_of("stn", n), 1, YANTAI, Station(True, frozenset())) for n in range(6)])
    learn([Fact("post", id_, 1, YANTAI, one) for id_, one in held.items()])
    for n in range(25):
        wanted = frozenset(rng.sample(FACILITIES, rng.randint(0, 2)))
        woman = seeker(facilities=wanted, pay_floor_fen=rng.choice((0, 1500, 1700)))
        learn([Fact("seeker", id_of("skr", n), 1, YANTAI, woman)])
    learn(
        [Fact("placement", id_of("plc", n), 1, YANTAI, Placement(id_of("pst", n), id_of("skr", n), 0)) for n in (1, 2)]
    )
    before = _defined_rankings(programme)
    for version in range(2, 70):
        id_ = rng.choice(list(held))
        offered = frozenset(rng.sample(FACILITIES, rng.randint(0, 3)))
        term = rng.choice(
            (
                {"expected_hourly_fen": rng.choice((1400, 1600, 1800, 3500))},
                {"facilities": offered},
                {"min_minutes": rng.choice((300, 600, 960))},
                {"seats": rng.randint(1, 2)},
            )
        )
        if rng.random() < 0.2:
            fact = Fact(
                "station", id_of("stn", rng.randrange(6)), version, YANTAI, Station(rng.random() < 0.8, offered)
            )
        else:
            held[id_] = structs.replace(held[id_], **term)
            fact = Fact("post", id_, version, YANTAI, held[id_])
        changed = learn([fact])
        after = _defined_rankings(programme)
        assert {one for one in after if after[one] != before.get(one, [])} <= changed
        before = after
        _assert_equal(engine, programme, NOW, SHOWN)


def test_shifts_that_are_too_old_leave_no_rows() -> None:
    """A year on they are forgotten; told again they change nothing, and newer ones count."""
    engine, programme, at = Engine(NOW, sizes=SHORT), Programme(), NOW
    city = [Fact("seeker", id_of("skr", n), 1, YANTAI, seeker()) for n in range(5)]
    city += [Fact("post", id_of("pst", n), 1, YANTAI, post()) for n in range(2)]

    def shift(number: int) -> Fact:
        day = NOW.date() + timedelta(days=number // 2)
        verdict: ShiftVerdict = "no-show" if number % 3 else "attended"
        return Fact("shift", id_of("sft", number), 1, YANTAI, Shift(id_of("skr", number % 5), verdict, day))

    for facts_ in (city, [shift(number) for number in range(700)]):
        engine.apply(facts_)
        for fact in facts_:
            programme.learn(fact)
    full = len(engine.dump(YANTAI)["shifts"])
    for days in (364, 365, 600, 690, 714):
        at = NOW + timedelta(days=days)
        engine.advance(at)
        again = [shift(number) for number in (0, 1, 350, 699)]
        engine.apply(again)
        _assert_equal(engine, programme, at, SHOWN)
    assert full == 700
    assert len(engine.dump(YANTAI)["shifts"]) < full // 2
    _assert_equal(_restarted(engine, at, SHORT), programme, at, SHOWN)


def test_a_fact_that_is_not_newer_changes_nothing() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("seeker", SEEKER, 2, YANTAI, seeker()), Fact("post", POST, 1, YANTAI, post())])
    shown = engine.ranking(POST)
    assert [place.seeker_id for place in shown] == [SEEKER]
    assert engine.apply([Fact("seeker", SEEKER, 2, YANTAI, None), Fact("seeker", SEEKER, 1, YANTAI, None)]) == set()
    assert engine.ranking(POST) == shown
    assert engine.version_of("seeker", SEEKER) == 2
    assert engine.version_of("seeker", id_of("skr", 2)) == 0


def test_a_removed_entity_is_not_brought_back_by_an_older_event() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("post", POST, 3, YANTAI, None), Fact("seeker", SEEKER, 1, YANTAI, seeker())])
    assert engine.apply([Fact("post", POST, 2, YANTAI, post())]) == set()
    assert engine.ranking(POST) == []


def test_unknown_entities_are_named_as_unknown() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("seeker", SEEKER, 1, YANTAI, seeker()), Fact("post", POST, 1, YANTAI, post())])
    assert engine.city_of("post", id_of("aa", 1)) is None
    for ask in (
        lambda: engine.ranking(id_of("pst", 9)),
        lambda: engine.ranking(id_of("aa", 9)),
        lambda: engine.ranking(SEEKER),
        lambda: engine.best_posts(id_of("skr", 9)),
        lambda: engine.why(id_of("pst", 9), id_of("skr", 9)),
    ):
        with pytest.raises(KeyError):
            ask()


def test_a_post_is_known_in_its_city_until_that_is_dropped() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("seeker", SEEKER, 1, YANTAI, seeker()), Fact("post", POST, 1, YANTAI, post())])
    assert [engine.city_of("post", POST) for _ in range(2)] == [YANTAI, YANTAI]
    engine.drop(YANTAI)
    assert engine.city_of("post", POST) is None
    engine.apply([Fact("post", POST, 1, "370700", post())])
    assert engine.city_of("post", POST) == "370700"


def test_queues_of_what_ends_do_not_grow_with_each_version() -> None:
    engine = Engine(NOW)
    engine.apply([Fact("seeker", SEEKER, 1, YANTAI, seeker(skills=frozenset()))])
    ends = [NOW + timedelta(days=days) for days in (3, 2)]
    for version in range(1, 500):
        end = ends[version % 2]
        certificate = Certificate(SEEKER, "baking", end.date())
        engine.apply([
            Fact("post", POST, version, YANTAI, post(closes_at=end, skills_required=frozenset({"baking"}))),
            Fact("certificate", id_of("crt", 1), version, YANTAI, certificate),
        ])  # fmt: skip
    shard = engine._shards[YANTAI]
    assert max(len(shard.closing), len(shard._ending)) <= 2 + REPLACED_LEAST
    assert [place.seeker_id for place in engine.ranking(POST)] == [SEEKER]
    assert engine.advance(ends[1] + timedelta(minutes=1)) == {POST}, "the last version's end"
    assert engine.ranking(POST) == []


def test_where_a_seeker_is_placed() -> None:
    engine = Engine(NOW)
    assert engine.posts_of(SEEKER) is None
    engine.apply([Fact("seeker", SEEKER, 1, YANTAI, seeker()), Fact("post", POST, 1, YANTAI, post())])
    assert not engine.posts_of(SEEKER)
    engine.apply([Fact("placement", id_of("plc", 1), 1, YANTAI, Placement(POST, SEEKER, 1))])
    assert engine.posts_of(SEEKER) == [POST]
    engine.apply([Fact("seeker", SEEKER, 2, YANTAI, None)])
    assert engine.posts_of(SEEKER) is None


def test_a_post_closes_when_its_time_has_passed() -> None:
    engine = Engine(NOW)
    closes_at = NOW + timedelta(minutes=5)
    engine.apply(
        [Fact("seeker", SEEKER, 1, YANTAI, seeker()), Fact("post", POST, 1, YANTAI, post(closes_at=closes_at))]
    )
    assert engine.advance(closes_at - timedelta(milliseconds=1)) == set()
    assert engine.ranking(POST)
    assert engine.advance(closes_at) == {POST}
    assert engine.ranking(POST) == []


def test_a_large_city_takes_up_a_policy_beside_its_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranked by the old policy, which is named, until the new lists are there, with what was learnt meanwhile."""
    monkeypatch.setattr("services.matching.engine.engine.AT_ONCE", 0)
    city = seeded_city(7, 200, 30)
    engine, programme = Engine(NOW), Programme.of(city)
    engine.apply(city)
    policy = Policy(YANTAI, 1, NOW.date(), Weights(0, 60, 0, 20, 0, 0, 20), Limits(8_000, 13))
    adopted = Fact("policy", policy_id_of(YANTAI), 1, YANTAI, Schedule((policy,)))
    later = [Fact(fact.kind, fact.id, 2, fact.city, fact.state) for fact in seeded_city(8, 200, 30)[:150]]
    changed: set[str] = set()
    for facts_ in ([adopted], later[:100], later[100:]):
        changed |= engine.apply(facts_)
        for fact in facts_:
            programme.learn(fact)
        named = engine.policy_of(YANTAI)
        view = view_of(programme, NOW)
        for post_id, opening in view.openings.items():
            assert engine.ranking(post_id) == rank_post(named, opening, view.candidates.values())
    assert changed | engine.await_policies() >= set(engine.ids("post"))
    assert engine.policy_of(YANTAI) == policy
    _assert_equal(engine, programme, NOW, 50)
