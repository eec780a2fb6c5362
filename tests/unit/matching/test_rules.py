"""The rules of matching, one by one, by hand."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.domain import (
    Certificate,
    Employer,
    Fact,
    Failure,
    Parts,
    Placement,
    Policy,
    Post,
    Programme,
    Seeker,
    Shift,
    State,
    Station,
    Verdict,
    Weights,
    best_posts,
    explain,
    policy_on,
    rank_post,
    score,
    view_of,
)
from services.matching.engine.columns import PostColumns, SeekerColumns
from services.matching.engine.kernel import _distance
from shared.kernel.clock import civil_day
from shared.kernel.geo import Place, distance_m, vector_of
from shared.kernel.week import mask_of
from tests.unit.matching.cities import ELSEWHERE, NOW, YANTAI, facts, post, seeker

TODAY = civil_day(NOW)
WEIGHTS = policy_on(YANTAI, TODAY).weights


def verdict(her: Seeker | None, it: Post | None, *others: Fact, city: str = YANTAI) -> Verdict:
    """The verdict on one seeker and one post, given some facts around them."""
    programme = Programme.of([Fact("seeker", "skr-1", 1, YANTAI, her), Fact("post", "pst-1", 1, city, it), *others])
    view = view_of(programme, NOW)
    return explain(WEIGHTS, view.candidates["skr-1"], view.openings["pst-1"], view.day)


def fact(kind: Any, state: State | None, id_: str = "x", version: int = 1) -> Fact:
    return Fact(kind, id_, version, YANTAI, state)


def test_a_score_by_hand() -> None:
    her = seeker(
        home=vector_of(Place(37.47, 121.45)),
        free=mask_of([(day, "08:00", "10:30") for day in range(1, 6)]),
        facilities=frozenset({"nursing-room", "child-care-room", "shuttle-bus"}),
        skills=frozenset({"sewing", "packing"}),
        registered_on=TODAY - timedelta(days=90),
    )
    it = post(skills_desired=frozenset({"packing", "knitting"}), facilities=frozenset({"nursing-room"}), station_id="s")
    result = verdict(
        her,
        it,
        fact("station", Station(True, frozenset({"child-care-room"})), "s"),
        fact("shift", Shift("skr-1", "attended"), "1"),
        fact("shift", Shift("skr-1", "left-early"), "2"),
        fact("shift", Shift("skr-1", "no-show"), "3"),
    )
    assert result.failures == ()
    assert result.parts == Parts(
        time_fit=30 * 666,  # 600 of 900 minutes
        distance=20 * 1000,  # at her door
        skills=15 * 500,  # packing, not knitting
        pay=10 * 200,  # 1800 against 1500
        facilities=10 * 666,  # the post's nursing room, the station's child care, no bus
        reliability=10 * 687,  # (2 + 1 + 8) / (6 + 10)
        waiting=5 * 500,  # 90 of 180 days
    )
    assert result.score == sum(result.parts)


def test_what_is_not_asked_for_counts_full() -> None:
    her = seeker(pay_floor_fen=0, registered_on=TODAY + timedelta(days=3))
    it = post(location=None, hours=0, min_minutes=600, skills_required=frozenset(), skills_desired=frozenset())
    result = verdict(her, it)
    assert result.parts == Parts(30_000, 20_000, 15_000, 10_000, 10_000, 8_000, 0)


@pytest.mark.parametrize(
    ("her", "it", "others", "failure"),
    [
        (None, {}, [], Failure("withdrawn")),
        ({}, None, [], Failure("post-closed")),
        ({}, {"closes_at": NOW}, [], Failure("post-closed")),
        ({"eligible_until": TODAY - timedelta(days=2)}, {}, [], Failure("not-eligible", 2, "days")),
        ({}, {"kind": "team"}, [], Failure("kind-not-wanted", names=("team",))),
        ({"pay_floor_fen": 1801}, {}, [], Failure("pay-below-floor", 1, "fen-an-hour")),
        (
            {},
            {"skills_required": frozenset({"sewing", "b", "a"})},
            [],
            Failure("skill-missing", 2, "skills", ("a", "b")),
        ),
        ({}, {"min_minutes": 930}, [], Failure("hours-do-not-fit", 30, "minutes-a-week")),
        ({"limit_m": 1000}, {}, [], Failure("too-far", 196, "metres")),
        ({}, {"employer_id": "e"}, [fact("employer", Employer(False), "e")], Failure("employer-suspended")),
        ({}, {"station_id": "s"}, [], Failure("station-not-accepted")),
        (
            {},
            {"station_id": "s"},
            [fact("station", Station(False, frozenset()), "s")],
            Failure("station-not-accepted"),
        ),
        (
            {},
            {"seats": 1},
            [fact("placement", Placement("pst-1", "skr-2", 0))],
            Failure("no-seat-left", 1, "placements"),
        ),
        (
            {},
            {},
            [fact("placement", Placement("pst-2", "skr-1", mask_of([(1, "11:00", "13:00")])))],
            Failure("already-placed", 30, "minutes-a-week"),
        ),
        ({}, {}, [fact("placement", Placement("pst-1", "skr-1", 0))], Failure("already-placed", 0, "minutes-a-week")),
    ],
)
def test_each_filter_says_why_and_by_how_much(
    her: dict[str, Any] | None, it: dict[str, Any] | None, others: list[Fact], failure: Failure
) -> None:
    result = verdict(None if her is None else seeker(**her), None if it is None else post(**it), *others)
    assert result.parts is None
    assert result.failures == (failure,)


def test_every_failed_filter_is_named_not_only_the_first() -> None:
    result = verdict(seeker(kinds=frozenset({"team"}), pay_floor_fen=9999, limit_m=1), post(min_minutes=5000))
    assert [failure.reason for failure in result.failures] == [
        "kind-not-wanted",
        "pay-below-floor",
        "hours-do-not-fit",
        "too-far",
    ]


def test_a_post_of_another_city_is_never_hers() -> None:
    assert [f.reason for f in verdict(seeker(), post(), city=ELSEWHERE).failures] == ["other-city"]


@pytest.mark.parametrize(
    ("certificates", "held"),
    [
        ([Certificate("skr-1", "care", None)], True),
        ([Certificate("skr-1", "care", TODAY)], True),
        ([Certificate("skr-1", "care", TODAY - timedelta(days=1))], False),
        ([Certificate("skr-2", "care", None)], False),
        ([Certificate("skr-1", "care", TODAY - timedelta(days=1)), Certificate("skr-1", "care", None)], True),
    ],
)
def test_a_certificate_counts_while_it_is_valid(certificates: list[Certificate], held: bool) -> None:
    known = [fact("certificate", certificate, str(n)) for n, certificate in enumerate(certificates)]
    result = verdict(seeker(), post(skills_required=frozenset({"care"})), *known)
    assert (result.parts is not None) == held


def test_a_revoked_certificate_and_an_ended_placement_no_longer_count() -> None:
    revoked = [fact("certificate", Certificate("skr-1", "care", None)), fact("certificate", None, version=2)]
    assert verdict(seeker(), post(skills_required=frozenset({"care"})), *revoked).parts is None
    ended = [fact("placement", Placement("pst-1", "skr-2", 0)), fact("placement", None, version=2)]
    assert verdict(seeker(), post(seats=1), *ended).parts is not None


def test_a_corrected_shift_replaces_the_verdict() -> None:
    good, bad = fact("shift", Shift("skr-1", "attended")), fact("shift", Shift("skr-1", "no-show"), version=2)
    once, corrected = verdict(seeker(), post(), good).parts, verdict(seeker(), post(), bad, good).parts
    assert once is not None
    assert corrected is not None
    assert (once.reliability, corrected.reliability) == (10 * 833, 10 * 666)


@settings(max_examples=150, deadline=None)
@given(st.lists(facts, max_size=40))
def test_score_and_explain_agree(given_: list[Fact]) -> None:
    view = view_of(Programme.of(given_), NOW)
    for candidate in view.candidates.values():
        for opening in view.openings.values():
            full = explain(WEIGHTS, candidate, opening, view.day)
            assert (full.parts is None) == bool(full.failures)
            if candidate is not None and opening is not None:
                assert score(WEIGHTS, candidate, opening) == full.parts
            if full.parts is not None:
                assert all(0 <= part <= 1000 * weight for part, weight in zip(full.parts, WEIGHTS, strict=True))


def test_ties_go_to_the_earlier_registration_then_to_the_id() -> None:
    early = NOW - timedelta(hours=2)
    programme = Programme.of(
        [
            fact("seeker", seeker(registered_at=NOW), "skr-1"),
            fact("seeker", seeker(registered_at=early), "skr-3"),
            fact("seeker", seeker(registered_at=early), "skr-2"),
            fact("post", post(opened_at=NOW), "pst-1"),
            fact("post", post(opened_at=early), "pst-3"),
            fact("post", post(opened_at=early), "pst-2"),
        ]
    )
    view = view_of(programme, NOW)
    ranked = rank_post(WEIGHTS, view.openings["pst-1"], view.candidates.values())
    assert [place.seeker_id for place in ranked] == ["skr-2", "skr-3", "skr-1"]
    best = best_posts(WEIGHTS, view.candidates["skr-1"], view.openings.values(), limit=2)
    assert [place.post_id for place in best] == ["pst-2", "pst-3"]


def test_the_policy_is_dated_and_a_city_may_have_its_own() -> None:
    even = Weights(40, 10, 10, 10, 10, 10, 10)
    policies = (
        Policy("*", 1, date(2026, 1, 1), WEIGHTS),
        Policy("*", 2, date(2026, 7, 1), even),
        Policy(YANTAI, 1, date(2026, 3, 1), even),
    )
    assert policy_on(ELSEWHERE, date(2026, 6, 30), policies).version == 1
    assert policy_on(ELSEWHERE, date(2026, 7, 1), policies).version == 2
    assert policy_on(YANTAI, date(2026, 2, 28), policies).city == "*"
    assert policy_on(YANTAI, date(2026, 7, 1), policies).city == YANTAI
    with pytest.raises(LookupError):
        policy_on(YANTAI, date(2025, 12, 31), policies)
    with pytest.raises(ValueError, match="sum to 100"):
        Policy("*", 1, date(2026, 1, 1), Weights(1, 1, 1, 1, 1, 1, 1))


def test_vector_distances_are_the_scalar_ones_bit_for_bit() -> None:
    rng = random.Random(3)
    homes = [vector_of(Place(37.2 + rng.random(), 121 + rng.random())) for _ in range(5000)]
    seekers, posts = SeekerColumns(), PostColumns()
    seekers.home = np.array(homes, dtype=np.float64).T.copy()
    seekers.limit = np.full(len(homes), 100_000, np.int64)
    place = vector_of(Place(37.46, 121.44))
    posts.place[:, 0], posts.placed[0] = place, True
    metres, _ = _distance(seekers, posts, np.arange(len(homes)), np.array([0]))
    assert metres.tolist() == [distance_m(home, place) for home in homes]
