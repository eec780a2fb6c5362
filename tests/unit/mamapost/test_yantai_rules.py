"""Everything that is to be accepted obeys the rules, judged anew from the bodies alone."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from pydantic import BaseModel

from mamapost.scenario.model import Scenario
from mamapost.scenario.references import resolve
from mamapost.scenario.yantai import generate
from services.registry.use_cases import commands as registry
from services.revenue.api.commands import AgreementBody
from services.revenue.api.funds import DeclineBody, SpendingRequestBody
from services.revenue.api.grants import GrantBody, SourceBody
from services.revenue.api.payouts import PayoutsBody
from services.revenue.api.settling import ReversalBody, SettlementBody
from services.training.api import AssessmentBody, CertificateBody, CourseBody, EnrolmentBody
from tests.unit.mamapost.conftest import MONTH
from tests.unit.mamapost.plain import Programme, Slots, good, metres, rounded, slots, stage

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="session", params=["full", *SEEDS])
def played(request: pytest.FixtureRequest, programme: Programme) -> Programme:
    """The full programme, and small ones of other seeds."""
    return programme if request.param == "full" else Programme(generate(request.param, 0.06, MONTH))


def test_every_placement_fits(played: Programme) -> None:
    seats: Counter[str] = Counter()
    for ref, placement in played.placements.items():
        seeker, post = played.seekers[placement["seeker_id"][1:]], played.post_of(ref)
        seats[placement["post_id"]] += 1
        assert post["kind"] in seeker["kinds"]
        assert post["pay"].get("expected_hourly_fen", post["pay"]["fen"]) >= seeker["pay_floor_fen"]
        assert played.skills[placement["seeker_id"][1:]] >= set(post["skills_required"])
        where = post.get("location")
        if where is None and "station_id" in post and post["kind"] in ("elastic", "team"):
            where = played.stations[post["station_id"][1:]]["location"]
        assert (where is None) == (post["kind"] in ("mobile", "new-form"))
        if where is not None:
            assert metres(rounded(seeker["home"]), where) <= seeker["commute_km"] * 1000 + 1
        children = [date.fromisoformat(child["birth_date"]) for child in seeker["person"]["children"]]
        assert date.fromisoformat(placement["starts_on"]) < max(children) + timedelta(days=12 * 365)
    assert all(count <= played.posts[post[1:]]["seats"] for post, count in seats.items())


def test_hours_lie_within_the_post_and_her_free_time(played: Programme) -> None:
    for ref, placement in played.placements.items():
        free, post = slots(played.seekers[placement["seeker_id"][1:]]["free"]), played.post_of(ref)
        offered = slots(post["hours"])
        hours = slots(placement["hours"]) if "hours" in placement else offered
        assert hours <= free
        if offered:
            assert hours
            assert hours <= offered
            assert len(offered & free) * 30 >= post["min_minutes"]


def test_no_woman_is_in_two_places(played: Programme) -> None:
    held: defaultdict[str, list[tuple[str, Slots]]] = defaultdict(list)
    for ref, placement in played.placements.items():
        hours = slots(placement.get("hours", played.post_of(ref)["hours"]))
        for post, others in held[placement["seeker_id"]]:
            assert post != placement["post_id"]
            assert not hours & others
        held[placement["seeker_id"]].append((placement["post_id"], hours))
    spans: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for shift in played.recorded.values():
        seeker = played.placements[shift.placement]["seeker_id"]
        spans[seeker].append((shift.body["started_at"], shift.body["ended_at"]))
    for times in spans.values():
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(times)))


def test_some_women_hold_two_posts(programme: Programme) -> None:
    women = Counter(placement["seeker_id"] for placement in programme.placements.values())
    assert sum(count > 1 for count in women.values()) > 10


def test_shifts_are_worked_on_her_days_during_her_placement(played: Programme) -> None:
    for shift in [*played.recorded.values(), *played.shifts.values()]:
        placement, post = played.placements[shift.placement], played.post_of(shift.placement)
        hours = slots(placement.get("hours", post["hours"]))
        assert date.fromisoformat(placement["starts_on"]) <= shift.day <= played.ends.get(shift.placement, date.max)
        start, end = (datetime.fromisoformat(shift.body[name]) for name in ("started_at", "ended_at"))
        assert timedelta(0) < end - start <= timedelta(hours=6)
        assert shift.day.isoweekday() in {day for day, _ in hours} or not hours
        assert ("pieces" in shift.body) == (post["pay"]["per"] == "piece" and shift.body["verdict"] != "no-show")
        assert "output_fen" not in shift.body or shift.body["verdict"] != "no-show"


def test_a_month_gives_what_the_programme_reports(programme: Programme) -> None:
    pay: defaultdict[str, int] = defaultdict(int)
    for shift in programme.shifts.values():
        pay[programme.placements[shift.placement]["seeker_id"]] += programme.wage(shift)
    yuan = [fen / 100 for fen in pay.values()]
    assert 1_800 <= statistics.mean(yuan) <= 2_500
    assert 1_800 <= statistics.median(yuan) <= 2_500
    assert sum(amount > 3_000 for amount in yuan) > 20
    assert 18 <= len(programme.recorded) / len(programme.placements) <= 22


def test_verdicts_and_corrections_are_varied(full: Scenario, programme: Programme) -> None:
    verdicts = Counter(shift.body["verdict"] for shift in programme.recorded.values())
    assert verdicts["no-show"] > 200
    assert verdicts["left-early"] > 500
    revisions = [command.body["revision"] for command in stage(full, "corrections")]
    assert set(revisions) == {1}
    assert {command.body["revision"] for command in stage(full, "corrections-again")} == {2}
    again = {command.ref.partition("/")[0] for command in stage(full, "corrections-again")}
    assert again <= {command.ref.partition("/")[0] for command in stage(full, "corrections")}


def test_every_pair_that_owes_is_settled_and_funds_cover_what_is_spent(full: Scenario, programme: Programme) -> None:
    sums = programme.rebates()
    assert settled(full, "settlements") == dict.fromkeys(sums, "2026-10")
    funds: defaultdict[str, int] = defaultdict(int)
    for (_, community), amount in sums.items():
        funds[community] += amount // 10_000
    assert 40_000_00 <= sum(funds.values()) <= 80_000_00  # 60,000 yuan in all (FACTS.md, Money, Y)
    assert len(funds) == 11
    for body in good(full, "grants").values():
        if "employer_id" not in body:
            funds[body["community_id"][1:]] += body["amount_fen"]
    for command in stage(full, "spending-requests"):
        funds[command.path.split("/")[2][1:]] -= command.body["amount_fen"]
    assert min(funds.values()) > 0


def settled(scenario: Scenario, name: str) -> dict[tuple[str, str], str]:
    """Months by pair that a stage settles."""
    return {
        (body["employer_id"][1:], body["community_id"][1:]): body["month"] for body in good(scenario, name).values()
    }


def test_accruals_are_announced_where_they_are_owed(full: Scenario, programme: Programme) -> None:
    for command in stage(full, "shifts"):
        if command.refusal is None:
            shift = programme.recorded[command.ref]
            assert command.accrues == (programme.base_fen(shift) > 0)
            assert command.suspended == (programme.agreement_of(shift) in programme.late)


def test_some_signed_late_and_some_have_tiers_that_their_month_passes(played: Programme) -> None:
    bases: Counter[str | None] = Counter()
    for shift in played.shifts.values():
        bases[played.agreement_of(shift)] += played.base_fen(shift)
    assert any(bases[ref] for ref in played.late)
    tiered = {ref: body["tiers"] for ref, body in played.agreements.items() if "tiers" in body}
    assert any(bases[ref] > tiers[0]["from_fen"] for ref, tiers in tiered.items())
    for ref, tiers in tiered.items():
        rates = [played.agreements[ref]["rate_bp"], *(tier["rate_bp"] for tier in tiers)]
        assert 500 <= rates[0] < rates[1] < rates[2] <= 1500
        assert 0 < tiers[0]["from_fen"] < tiers[1]["from_fen"]


def test_what_is_reversed_is_settled_again_after_its_corrections(full: Scenario, programme: Programme) -> None:
    undone = {command.path.split("/")[2][1:] for command in stage(full, "reversed-settlements")}
    of_refs = {ref: body for ref, body in good(full, "settlements").items() if ref in undone}
    assert [*of_refs.values()] == [*good(full, "settlements-again").values()]
    pairs = {(body["employer_id"], body["community_id"][1:]) for body in of_refs.values()}
    for command in stage(full, "late-corrections"):
        post = programme.post_of(programme.shifts[command.ref.partition("/")[0]].placement)
        assert (post["employer_id"], programme.community_of[post["station_id"][1:]]) in pairs


def test_a_request_is_approved_or_declined(full: Scenario) -> None:
    asked = set(good(full, "spending-requests"))
    approved = {command.ref.partition("/")[0] for command in stage(full, "spendings")}
    declined = {command.ref.partition("/")[0] for command in stage(full, "declined-spendings")}
    assert declined
    assert approved | declined == asked
    assert not approved & declined


def test_a_source_gives_less_than_its_limit(full: Scenario) -> None:
    given: Counter[str] = Counter()
    for command in stage(full, "grants"):
        given[command.path.split("/")[2][1:]] += command.body["amount_fen"]
    for ref, body in good(full, "funding-sources").items():
        assert 0 < given[ref] < body["limit_fen"]


def test_some_agreement_was_renewed_in_mid_month(programme: Programme) -> None:
    pairs = Counter((body["employer_id"], body["community_id"]) for body in programme.agreements.values())
    assert max(pairs.values()) == 2


def test_withdrawn_and_closed_stay_untouched_by_later_commands(full: Scenario) -> None:
    gone = {command.ref.partition("/")[0] for command in stage(full, "withdrawals")}
    closed = {command.ref.partition("/")[0] for command in stage(full, "closed-posts")}
    assert not gone & {command.ref.partition("/")[0] for command in stage(full, "changed-seekers")}
    assert not closed & {command.ref.partition("/")[0] for command in stage(full, "changed-posts")}


def test_bodies_have_the_form_that_the_services_take() -> None:
    """The request models are the services' own, so a drift between the two is seen here first."""
    scenario = generate(1, 0.03, MONTH)
    models: dict[str, type[BaseModel]] = {
        "communities": registry.RegisterCommunity,
        "stations": registry.RegisterStation,
        "employers": registry.RegisterEmployer,
        "seekers": registry.RegisterSeeker,
        "posts": registry.OpenPost,
        "placements": registry.MakePlacement,
        "shifts": registry.RecordShift,
        "corrections": registry.CorrectShift,
        "corrections-again": registry.CorrectShift,
        "ended-placements": registry.EndPlacement,
        "changed-seekers": registry.ChangeSeeker,
        "changed-posts": registry.ChangePost,
        "withdrawals": registry.WithdrawSeeker,
        "closed-posts": registry.ClosePost,
        "accepted-stations": registry.AcceptStation,
        "suspensions": registry.SuspendEmployer,
        "agreements": AgreementBody,
        "late-agreements": AgreementBody,
        "settlements": SettlementBody,
        "reversed-settlements": ReversalBody,
        "settlements-again": SettlementBody,
        "late-corrections": registry.CorrectShift,
        "funding-sources": SourceBody,
        "grants": GrantBody,
        "declined-spendings": DeclineBody,
        "payout-batches": PayoutsBody,
        "spending-requests": SpendingRequestBody,
        "courses": CourseBody,
        "enrolments": EnrolmentBody,
        "assessments": AssessmentBody,
        "certificates": CertificateBody,
    }
    prefixes = {"seeker": "skr", "employer": "emp", "station": "stn", "community": "com", "post": "pst"}
    ids = {
        command.ref: f"{prefixes.get(command.ref.partition(':')[0], 'ent')}-{index:032x}"
        for one in scenario.stages
        for index, command in enumerate(one.commands)
        if command.makes_entity
    }
    for name, model in models.items():
        for body in good(scenario, name).values():
            model.model_validate(resolve(body, ids))


def test_a_post_that_got_more_seats_is_not_taken_for_a_full_one() -> None:
    stages = {stage.name: stage.commands for stage in generate(52, 0.02, date(2026, 10, 1)).stages}
    enlarged = {"@" + change.ref.partition("/")[0] for change in stages["changed-posts"] if "seats" in change.body}
    full = {
        command.body["post_id"]
        for command in stages["bad-registry"]
        if command.refusal is not None and command.refusal.code == "no-seat-left"
    }
    assert enlarged
    assert full.isdisjoint(enlarged)
