"""Bad commands to training and revenue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from mamapost.scenario.model import Body, Command
from mamapost.scenario.yantai.cast import Community
from mamapost.scenario.yantai.gifts import Source
from mamapost.scenario.yantai.money import PURPOSES, Agreement, settlement, spending
from mamapost.scenario.yantai.refusals.making import FAR, NOBODY, Refusals, first
from mamapost.scenario.yantai.training import Course, Enrolment
from mamapost.scenario.yantai.work import Pair
from shared.kernel.clock import month_of


def training_singles(bad: Refusals, held: Sequence[Course], taken: Sequence[Enrolment]) -> list[Command]:
    course = held[0]
    enrolment = taken[0]
    again = {"seeker_id": f"@{enrolment.woman.ref}"}
    seats = f"/courses/@{enrolment.course.ref}/enrolments"
    certificate: Body = {"enrolment_id": f"@{enrolment.ref}"}
    found = [
        bad.single(seats, again, 409, "already-enrolled", "seeker_id"),
        bad.single(seats, {"seeker_id": f"skr-{NOBODY}"}, 422, "seeker-unknown", "seeker_id"),
        bad.single("/courses", {**course.body, "level": 6}, 422, "course-invalid", "level"),
        bad.single("/courses", {**course.body, "ends_at": course.body["starts_at"]}, 422, "course-invalid", "ends_at"),
        bad.single(
            f"/enrolments/@{enrolment.ref}/assess", {"result": "passed"}, 409, "already-assessed", "enrolment_id"
        ),
        bad.single("/certificates", certificate, 409, "already-certified", "enrolment_id"),
        bad.single(
            "/certificates", {**certificate, "valid_until": "2001-01-01"}, 422, "validity-invalid", "valid_until"
        ),
    ]
    for failed in first(one for one in taken if one.result == "failed"):
        body = {"enrolment_id": f"@{failed.ref}"}
        found.append(bad.single("/certificates", body, 409, "not-passed", "enrolment_id"))
    return found


def agreement_singles(bad: Refusals, signed: Sequence[Agreement]) -> list[Command]:
    good = signed[0].body
    until = (signed[0].valid_from - timedelta(days=1)).isoformat()

    def sign(changes: Body, status: int, code: str, field: str) -> Command:
        return bad.single("/agreements", {**good, **changes}, status, code, field)

    def tier(from_fen: int, rate_bp: int) -> Body:
        return {"from_fen": from_fen, "rate_bp": rate_bp}

    return [
        sign({"rate_bp": 499}, 422, "agreement-invalid", "rate_bp"),
        sign({"rate_bp": 1_501}, 422, "agreement-invalid", "rate_bp"),
        sign({"valid_until": until}, 422, "agreement-invalid", "valid_until"),
        sign({"employer_id": f"emp-{NOBODY}"}, 422, "party-unknown", "employer_id"),
        sign({"tiers": [tier(9_000, 700), tier(8_000, 900)]}, 422, "agreement-invalid", "tiers.1.from_fen"),
        sign({"tiers": [tier(9_000, 1_600)]}, 422, "agreement-invalid", "tiers.0.rate_bp"),
        sign({}, 409, "agreement-overlaps", "valid_from"),
    ]


def settlement_singles(
    bad: Refusals, settled: Sequence[Pair], outsider: Community | None, funds_fen: dict[str, int], month: date
) -> list[Command]:
    """Refused once the month was settled.

    Args:
        outsider: a community without agreements.
    """
    found: list[Command] = []
    for pair in first(settled):
        closed = settlement(pair, month)
        found.append(bad.single("/settlements", closed, 409, "already-settled", "month"))
        running = {**closed, "month": month_of(FAR)}
        found.append(bad.single("/settlements", running, 422, "month-not-over", "month"))
        if outsider is not None:
            nothing = {**closed, "community_id": f"@{outsider.ref}"}
            found.append(bad.single("/settlements", nothing, 422, "no-agreement", "employer_id"))
        community, fund = pair[1], funds_fen.get(pair[1], 0)
        path = f"/communities/@{community}/spending-requests"
        good = spending(0, PURPOSES[0], 100)
        too_much = {**good, "amount_fen": fund + 1}
        found += [
            bad.single(path, too_much, 409, "fund-too-small", "amount_fen"),
            bad.single(path, {**good, "category": "banquet"}, 422, "spending-invalid", "category"),
            bad.single(path, {**good, "receipt": "R0lGODlh"}, 422, "spending-invalid", "receipt"),
            bad.single("/spending-requests/@spending:1/approve", {}, 403, "self-approval", "Authorization"),
            bad.single(path, {**good, "amount_fen": 0}, 422, "spending-invalid", "amount_fen"),
        ]
    return found


def undone_singles(bad: Refusals, undone: Sequence[str], declined: Sequence[str]) -> list[Command]:
    """What was undone is not undone again, and what was declined is not paid.

    Args:
        undone: refs of reversed settlements.
        declined: refs of declined spending requests.
    """
    why = {"reason": "once more"}
    return [
        *(
            bad.single(f"/settlements/@{ref}/reverse", why, 409, "already-reversed", "settlement_id")
            for ref in first(undone)
        ),
        *(
            bad.single(f"/spending-requests/@{ref}/decline", why, 409, "request-declined", "spending_id")
            for ref in first(declined)
        ),
    ]


def gift_singles(bad: Refusals, sources: Sequence[Source]) -> list[Command]:
    """A source gives on its days, up to its limit, and a subsidy for an employer."""
    found: list[Command] = []
    for source in sources:
        for gift in first(source.gifts):
            path = f"/funding-sources/@{source.ref}/grants"
            too_much = {**gift.body, "amount_fen": source.body["limit_fen"]}
            found.append(bad.single(path, too_much, 409, "source-exhausted", "amount_fen"))
            too_late = {**gift.body, "granted_on": FAR.isoformat()}
            found.append(bad.single(path, too_late, 422, "grant-invalid", "granted_on"))
            if "employer_id" in gift.body:
                for_nobody = {name: value for name, value in gift.body.items() if name != "employer_id"}
                found.append(bad.single(path, for_nobody, 422, "grant-invalid", "employer_id"))
    return found


def payout_singles(bad: Refusals, ordered: Sequence[Command]) -> list[Command]:
    """What was ordered from the bank is not ordered again."""
    return [bad.single(one.path, one.body, 409, "nothing-due", "city") for one in ordered]
