"""The rules of matching, one by one, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.domain import (
    Certificate,
    DayFit,
    Employer,
    Fact,
    Failure,
    Limits,
    Parts,
    Placement,
    Policy,
    Post,
    Programme,
    Reason,
    Seeker,
    Shift,
    State,
    Station,
    Verdict,
    Weights,
    best_posts,
    describe,
    explain,
    policy_on,
    rank_post,
    score,
    view_of,
)
from services.matching.domain.rules import waiting_of
from shared.kernel.clock import civil_day
from shared.kernel.geo import Place, distance_m, vector_of
from shared.kernel.week import mask_of
from tests.unit.matching.cities import ELSEWHERE, NOW, YANTAI, facts, post, seeker

TODAY = civil_day(NOW)
POLICY = policy_on(YANTAI, TODAY)


def verdict(her: Seeker | None, it: Post | None, *others: Fact, city: str = YANTAI) -> Verdict:
    """The verdict on one seeker and one post, given some facts around them."""
    programme = Programme.of([Fact("seeker", "skr-1", 1, YANTAI, her), Fact("post", "pst-1", 1, city, it), *others])
    view = view_of(programme, NOW)
    return explain(POLICY, view.candidates["skr-1"], view.openings["pst-1"], view.day)


def fact(kind: Any, state: State | None, id_: str = "x", version: int = 1) -> Fact:
    return Fact(kind, id_, version, YANTAI, state)


def test_a_score_by_hand() -> None:
    her = seeker(
        home=vector_of(Place(37.47, 121.45)),
        free=mask_of([(day, "08:00", "10:30") for day in range(1, 6)]),
        facilities=frozenset({"nursing-room", "child-care-room", "shuttle-bus"}),
        skills=frozenset({"sewing", "packing"}),
        registered_at=NOW - timedelta(weeks=13),
    )
    it = post(skills_desired=frozenset({"packing", "knitting"}), facilities=frozenset({"nursing-room"}), station_id="s")
    result = verdict(
        her,
        it,
        fact("station", Station(True, frozenset({"child-care-room"})), "s"),
        fact("shift", Shift("skr-1", "attended", TODAY), "1"),
        fact("shift", Shift("skr-1", "left-early", TODAY), "2"),
        fact("shift", Shift("skr-1", "no-show", TODAY), "3"),
    )
    assert result.failures == ()
    assert result.parts == Parts(
        time_fit=30 * 666,  # 600 of 900 minutes
        distance=20 * 1000,  # at her door
        skills=15 * 500,  # packing, not knitting
        pay=10 * 200,  # 1800 against 1500
        facilities=10 * 666,  # the post's nursing room, the station's child care, no bus
        reliability=10 * 687,  # (2 + 1 + 8) / (6 + 10)
        waiting=5 * 500,  # 13 of 26 weeks
    )
    assert result.score == sum(result.parts)


def test_what_is_not_asked_for_counts_full() -> None:
    her = seeker(pay_floor_fen=0, registered_at=NOW + timedelta(days=30))
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
        (
            {"free": mask_of([(1, "08:00", "12:00"), (2, "11:00", "12:00")])},
            {"hours": mask_of([(1, "08:30", "11:30"), (2, "08:30", "11:30")]), "min_minutes": 300},
            [],
            Failure("hours-do-not-fit", 90, "minutes-a-week", days=(DayFit(1, 180, 180), DayFit(2, 180, 30))),
        ),
        ({"limit_m": 1000}, {}, [], Failure("too-far", 196, "metres", limit=1000, limit_of="seeker")),
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
    good, bad = (
        fact("shift", Shift("skr-1", "attended", TODAY)),
        fact("shift", Shift("skr-1", "no-show", TODAY), version=2),
    )
    once, corrected = verdict(seeker(), post(), good).parts, verdict(seeker(), post(), bad, good).parts
    assert once is not None
    assert corrected is not None
    assert (once.reliability, corrected.reliability) == (10 * 833, 10 * 666)


@pytest.mark.parametrize(
    ("waited", "weeks", "part"),
    [
        (timedelta(weeks=-9), 0, 0),
        (timedelta(weeks=1, milliseconds=-1), 0, 0),
        (timedelta(weeks=1), 1, 38),
        (timedelta(weeks=26, milliseconds=-1), 25, 961),
        (timedelta(weeks=26), 26, 1000),
        (timedelta(weeks=99), 99, 1000),
    ],
)
def test_waiting_counts_whole_weeks_from_her_own_instant(waited: timedelta, weeks: int, part: int) -> None:
    programme = Programme.of([fact("seeker", seeker(registered_at=NOW - waited), "skr-1")])
    candidate = view_of(programme, NOW).candidates["skr-1"]
    assert candidate is not None
    assert candidate.waited_weeks == weeks
    assert waiting_of(POLICY, candidate) == part


def test_a_shift_is_forgotten_after_a_year() -> None:
    last, gone = TODAY - timedelta(days=364), TODAY - timedelta(days=365)
    counted = verdict(seeker(), post(), fact("shift", Shift("skr-1", "no-show", last))).parts
    forgotten = verdict(seeker(), post(), fact("shift", Shift("skr-1", "no-show", gone))).parts
    assert counted is not None
    assert forgotten is not None
    assert (counted.reliability, forgotten.reliability) == (10 * 666, 10 * 800)
    assert forgotten == verdict(seeker(), post()).parts, "as if it had never been"


def test_a_city_may_bound_every_commute_and_the_weeks_of_waiting() -> None:
    near = replace(POLICY, limits=Limits(commute_max_m=4_000, waiting_full_weeks=10))
    programme = Programme.of(
        [
            fact("seeker", seeker(limit_m=10_000, registered_at=NOW - timedelta(weeks=5)), "skr-1"),
            fact("post", post(), "pst-1"),
            fact("post", post(location=vector_of(Place(37.5, 121.445))), "pst-2"),
        ]
    )
    view = view_of(programme, NOW)
    her, close, far = view.candidates["skr-1"], view.openings["pst-1"], view.openings["pst-2"]
    assert her is not None
    assert close is not None
    assert far is not None
    metres = distance_m(her.seeker.home, vector_of(Place(37.47, 121.45)))
    parts = score(near, her, close)
    assert parts is not None
    assert parts.distance == 20 * (1000 * (4_000 - metres) // 4_000), "distance is measured against what counts"
    assert parts.waiting == 5 * 500
    assert score(POLICY, her, far) is not None
    assert score(near, her, far) is None
    (failure,) = explain(near, her, far, TODAY).failures
    assert (failure.reason, failure.limit, failure.limit_of) == ("too-far", 4_000, "city")
    assert describe(failure) == "448 m beyond the city's limit of 4 km"


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"commute_max_m": 999}, "commute_max_m"),
        ({"commute_max_m": 100_001}, "commute_max_m"),
        ({"waiting_full_weeks": 0}, "waiting_full_weeks"),
        ({"waiting_full_weeks": 521}, "waiting_full_weeks"),
    ],
)
def test_limits_stay_in_their_ranges(limits: dict[str, int], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        Limits(**limits)


@settings(max_examples=150)
@given(st.lists(facts, max_size=40))
def test_score_and_explain_agree(given_: list[Fact]) -> None:
    view = view_of(Programme.of(given_), NOW)
    for candidate in view.candidates.values():
        for opening in view.openings.values():
            full = explain(POLICY, candidate, opening, view.day)
            assert (full.parts is None) == bool(full.failures)
            if candidate is not None and opening is not None:
                assert score(POLICY, candidate, opening) == full.parts
            if full.parts is not None:
                assert all(0 <= part <= 1000 * weight for part, weight in zip(full.parts, POLICY.weights, strict=True))


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
    ranked = rank_post(POLICY, view.openings["pst-1"], view.candidates.values())
    assert [place.seeker_id for place in ranked] == ["skr-2", "skr-3", "skr-1"]
    best = best_posts(POLICY, view.candidates["skr-1"], view.openings.values(), limit=2)
    assert [place.post_id for place in best] == ["pst-2", "pst-3"]


def test_the_policy_is_dated_and_a_city_may_have_its_own() -> None:
    even = Weights(40, 10, 10, 10, 10, 10, 10)
    policies = (
        Policy("*", 1, date(2026, 1, 1), POLICY.weights),
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


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure("withdrawn"), "she has withdrawn"),
        (Failure("post-closed"), "the post is closed"),
        (Failure("other-city"), "the post is in another city"),
        (Failure("employer-suspended"), "the employer is suspended"),
        (Failure("station-not-accepted"), "the production zone of the post's station is not accepted"),
        (Failure("no-seat-left", 2, "placements"), "all seats are taken; 2 placements would have to end"),
        (Failure("not-eligible", 1, "days"), "her eligibility ended 1 day ago"),
        (Failure("kind-not-wanted", names=("team",)), "she does not want posts of the kind team"),
        (Failure("pay-below-floor", 200, "fen-an-hour"), "pays 200 fen an hour less than she asks"),
        (Failure("skill-missing", 1, "skills", ("sewing",)), "the skill sewing is missing"),
        (
            Failure("skill-missing", 7, "skills", ("a", "b", "c", "d", "e", "f", "g")),
            "7 skills are missing: a, b, c, d, e and 2 more",
        ),
        (
            Failure("hours-do-not-fit", 90, "minutes-a-week", days=(DayFit(1, 180, 180), DayFit(2, 180, 30))),
            "90 minutes a week of overlap missing; Tuesday has 30 of 180 minutes",
        ),
        (
            Failure("hours-do-not-fit", 900, "minutes-a-week", days=tuple(DayFit(d, 180, 30 * d) for d in range(1, 6))),
            "900 minutes a week of overlap missing; Monday has 30 of 180 minutes; Tuesday has 60 of 180 minutes",
        ),
        (Failure("already-placed", 0, "minutes-a-week"), "she is already placed on this post"),
        (
            Failure("already-placed", 30, "minutes-a-week"),
            "a placement of hers takes 30 minutes a week of these hours",
        ),
        (
            Failure("too-far", 1_240, "metres", limit=5_000, limit_of="seeker"),
            "1,240 m beyond her limit of 5 km",
        ),
        (Failure("too-far", 1, "metres", limit=2_500, limit_of="city"), "1 m beyond the city's limit of 2,500 m"),
    ],
)
def test_a_failure_in_words(failure: Failure, said: str) -> None:
    assert describe(failure) == said


def test_every_reason_has_words() -> None:
    for reason in get_args(Reason):
        assert describe(Failure(reason, 3, names=("a",)))
