"""Commands that are wrong on purpose, each with the refusal that is expected (issue 2, "Bad input")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import TypeVar

from mamapost.scenario.model import Body, Command, Refusal
from mamapost.scenario.yantai.cast import (
    Community,
    Employer,
    Placing,
    Post,
    Station,
    Woman,
    civil,
    spans,
    years_before,
)
from mamapost.scenario.yantai.money import PURPOSES, Agreement, Pair, settlement, spending
from mamapost.scenario.yantai.training import Course, Enrolment
from mamapost.scenario.yantai.work import Correction, Shift
from shared.kernel.clock import month_of

T = TypeVar("T")

NOBODY = "0" * 32
"""The digits of an id that no server gives."""

NIGHT = [{"day": 7, "from": "02:00", "to": "04:00"}]
"""Hours that no post has."""

FAR = date(2099, 1, 1)


class Refusals:
    """Makes bad commands with numbered refs."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def row(self, path: str, body: Body, code: str, field: str) -> Command:
        """A bad row of an upload."""
        return Command(f"bad:{next(self._numbers)}", path, body, refusal=Refusal(code, field))

    def single(self, path: str, body: Body, status: int, code: str, field: str) -> Command:
        """A bad command of its own."""
        return Command(f"bad:{next(self._numbers)}", path, body, refusal=Refusal(code, field, status))


def first(items: Iterable[T]) -> list[T]:
    """The first item as a list, or nothing: at a small scale not every situation exists."""
    return [item for item, _ in zip(items, range(1), strict=False)]


def seeker_rows(bad: Refusals, good: Body, month: date) -> tuple[list[Command], list[Command]]:
    """Rows for NDJSON, and rows for CSV."""
    path = "/seekers/bulk"
    person: Body = good["person"]

    def row(changes: Body, code: str, field: str) -> Command:
        return bad.row(path, {**good, **changes}, code, field)

    twelve = [{"birth_date": years_before(month, 12).isoformat()}]
    sixty = years_before(month, 60).isoformat()
    without_person = {name: value for name, value in good.items() if name != "person"}
    return [
        row({"person": {**person, "children": twelve, "birth_date": "1990-05-05"}}, "child-too-old", _CHILD),
        row({"person": {**person, "birth_date": sixty}}, "not-of-working-age", "person.birth_date"),
        row({"area": "110101"}, "area-outside-city", "area"),
        row({"kinds": ["night-watch"]}, "invalid", "kinds.0"),
        row({"free": []}, "hours-invalid", "free"),
        row({"registered_on": FAR.isoformat()}, "registered-on-invalid", "registered_on"),
        bad.row(path, without_person, "invalid", "person"),
    ], [
        row({"commute_km": 0}, "invalid", "commute_km"),
        row({"home": {"lat": 91.5, "lon": 121.4}}, "invalid", "home.lat"),
    ]


_CHILD = "person.children.0.birth_date"


def post_rows(bad: Refusals, posts: Sequence[Post], closed_station: Station, month: date) -> list[Command]:
    path = "/posts/bulk"
    good = posts[0].body
    hourly = {"per": "hour", "fen": 2_200}
    on_site: Body = {
        **{name: value for name, value in good.items() if name not in ("station_id", "location")},
        "kind": "elastic",
        "hours": [{"day": 1, "from": "09:00", "to": "12:00"}],
        "min_minutes": 60,
        "pay": hourly,
        "location": {"lat": 37.54, "lon": 121.39},
    }
    nowhere = {name: value for name, value in on_site.items() if name != "location"}

    def row(changes: Body, code: str, field: str) -> Command:
        return bad.row(path, {**on_site, **changes}, code, field)

    return [
        row({"employer_id": f"emp-{NOBODY}"}, "employer-unknown", "employer_id"),
        row({"station_id": f"stn-{NOBODY}"}, "station-unknown", "station_id"),
        row({"station_id": f"@{closed_station.ref}"}, "station-not-accepted", "station_id"),
        bad.row(path, nowhere, "post-incomplete", "location"),
        row({"min_minutes": 240}, "post-incomplete", "min_minutes"),
        row({"pay": {"per": "piece", "fen": 120}}, "pay-invalid", "pay.expected_hourly_fen"),
        row({"closes_at": civil(month, 0)}, "date-out-of-range", "closes_at"),
        row({"seats": 0}, "invalid", "seats"),
        row({"hours": [{"day": 1, "from": "09:10", "to": "12:00"}]}, "invalid", "hours.0.from"),
        row({"hours": [{"day": 1, "from": "12:00", "to": "09:00"}]}, "hours-invalid", "hours.0.to"),
    ]


def shift_rows(bad: Refusals, recorded: Sequence[Shift]) -> list[tuple[Shift, Command]]:
    """Rows that go to the end of the upload that the shift is in."""
    path = "/shifts/bulk"
    shift = next(shift for shift in recorded if shift.verdict == "attended")
    good: Body = {"placement_id": f"@{shift.placing.ref}", **shift.body()}
    day_before = shift.placing.starts_on - timedelta(days=1)
    early = {"started_at": civil(day_before, shift.first), "ended_at": civil(day_before, shift.last)}
    future = {"started_at": civil(FAR, shift.first), "ended_at": civil(FAR, shift.last)}
    turned = {"started_at": good["ended_at"], "ended_at": good["started_at"]}
    without = {name: value for name, value in good.items() if name != "pieces"}
    wrong_pieces = without if "pieces" in good else {**good, "pieces": {"accepted": 5, "rejected": 0}}
    rows = [
        ({**good, **early}, "shift-before-placement", "started_at"),
        (good, "shift-overlap", "started_at"),
        (wrong_pieces, "pieces-invalid", "pieces"),
        ({**good, "placement_id": f"plc-{NOBODY}"}, "placement-unknown", "placement_id"),
        ({**good, **turned}, "shift-times-invalid", "ended_at"),
        ({**good, **future}, "shift-times-invalid", "ended_at"),
        ({**good, "verdict": "asleep"}, "invalid", "verdict"),
        ({**without, "verdict": "no-show", "output_fen": 100}, "no-show-with-output", "output_fen"),
    ]
    return [(shift, bad.row(path, body, code, field)) for body, code, field in rows]


@dataclass(frozen=True, slots=True)
class After:
    """What is so after the month, where the registry's refusals look for their situations."""

    month: date
    women: Sequence[Woman]
    posts: Sequence[Post]
    made: Sequence[Placing]
    recorded: Sequence[Shift]
    corrected: Sequence[Correction]
    withdrawn: set[str]
    closed: set[str]
    suspended: Employer

    def open(self, post: Post) -> bool:
        return post.ref not in self.closed and post.employer is not self.suspended

    @property
    def running(self) -> list[Placing]:
        return [placing for placing in self.made if placing.running and self.open(placing.post)]


def registry_singles(bad: Refusals, after: After) -> list[Command]:
    return [*_placements(bad, after), *_ended(bad, after), *_entities(bad, after)]


def _placements(bad: Refusals, after: After) -> list[Command]:
    placed = {placing.woman.ref for placing in after.made}
    woman = next(one for one in after.women if one.ref not in placed | after.withdrawn)
    start = after.month.isoformat()

    def make(post: str, seeker: str, status: int, code: str, field: str, **given: object) -> Command:
        body = {"post_id": post, "seeker_id": seeker, "starts_on": start, **given}
        return bad.single("/placements", body, status, code, field)

    someone = f"@{woman.ref}"
    found: list[Command] = []
    own_time = [post for post in after.posts if after.open(post) and not post.hours and post.taken < post.seats]
    set_hours = [post for post in after.posts if after.open(post) and post.hours and post.taken < post.seats]
    for placing in first(placing for placing in after.running if placing.hours):
        hours = spans(placing.hours)
        for post in first(post for post in own_time if post.ref not in placing.woman.posts):
            at = f"@{placing.woman.ref}"
            found.append(make(f"@{post.ref}", at, 409, "hours-overlap", "hours", hours=hours))
    for placing in first(placing for placing in after.running if placing.post.taken < placing.post.seats):
        at = f"@{placing.woman.ref}"
        found.append(make(f"@{placing.post.ref}", at, 409, "already-placed", "post_id"))
    for post in first(set_hours):
        at = f"@{post.ref}"
        found.append(make(at, someone, 422, "date-out-of-range", "starts_on", starts_on=FAR.isoformat()))
        found.append(make(at, someone, 422, "hours-outside-post", "hours", hours=NIGHT))
        found.append(make(at, f"skr-{NOBODY}", 404, "seeker-unknown", "seeker_id"))
        for ref in first(sorted(after.withdrawn)):
            found.append(make(at, f"@{ref}", 409, "seeker-withdrawn", "seeker_id"))
    found.append(make(f"pst-{NOBODY}", someone, 404, "post-unknown", "post_id"))
    for ref in first(sorted(after.closed)):
        found.append(make(f"@{ref}", someone, 409, "post-closed", "post_id"))
    for post in first(post for post in after.posts if _full(post, after)):
        found.append(make(f"@{post.ref}", someone, 409, "no-seat-left", "post_id"))
    for post in first(
        post for post in after.posts if post.employer is after.suspended and post.ref not in after.closed
    ):
        found.append(make(f"@{post.ref}", someone, 409, "employer-suspended", "post_id"))
    return found


def _full(post: Post, after: After) -> bool:
    """Whether every seat is still held, whatever was changed since (changes only add seats, so none was made)."""
    held = sum(placing.post is post and placing.running for placing in after.made)
    return after.open(post) and held >= post.seats


def _ended(bad: Refusals, after: After) -> list[Command]:
    found: list[Command] = []
    for placing in first(placing for placing in after.made if placing.ends_on is not None and not placing.withdrawn):
        body: Body = {"reason": "own-wish", "ends_on": (after.month + timedelta(days=25)).isoformat()}
        found.append(bad.single(f"/placements/@{placing.ref}/end", body, 409, "placement-ended", "placement_id"))
    worked = {shift.placing.ref for shift in after.recorded}
    for placing in first(placing for placing in after.running if placing.ref in worked):
        body = {"reason": "employer", "ends_on": (placing.starts_on - timedelta(days=1)).isoformat()}
        found.append(bad.single(f"/placements/@{placing.ref}/end", body, 422, "shifts-after-end", "ends_on"))
    for correction in first(after.corrected):
        body = {"revision": 9, **correction.shift.body()}
        path = f"/shifts/@{correction.shift.ref}/correct"
        found.append(bad.single(path, body, 409, "stale-revision", "revision"))
    return found


def _entities(bad: Refusals, after: After) -> list[Command]:
    woman = next(one for one in after.women if one.ref not in after.withdrawn)
    seeker = f"/seekers/@{woman.ref}/change"
    employer = after.suspended
    on_site = {"area": employer.district.code, "kind": "new-form", "trade": "live-commerce", "seats": 1}
    twelve = [{"birth_date": years_before(after.month, 12).isoformat()}]
    born = {"birth_date": "1990-05-05", "children": twelve}
    found = [
        bad.single(seeker, {}, 422, "change-empty", "body"),
        bad.single(seeker, {"pay_flor_fen": 1_800}, 422, "invalid", "pay_flor_fen"),
        bad.single(seeker, {"person": born}, 422, "child-too-old", _CHILD),
        bad.single("/employers", {}, 422, "invalid", "city"),
        bad.single("/employers", {**employer.body, "name": "长" * 101}, 422, "invalid", "name"),
        bad.single(
            "/stations",
            {
                "community_id": f"com-{NOBODY}",
                "location": {"lat": 37.5, "lon": 121.4},
                "production_accepted": True,
                "name": "示例驿站",
            },
            404,
            "community-unknown",
            "community_id",
        ),
        bad.single(
            "/posts",
            {"employer_id": f"@{employer.ref}", "pay": {"per": "hour", "fen": 2_500}, **on_site},
            409,
            "employer-suspended",
            "employer_id",
        ),
        bad.single(
            f"/employers/@{employer.ref}/suspend", {"reason": "safety"}, 409, "employer-suspended", "employer_id"
        ),
    ]
    for ref in first(sorted(after.withdrawn)):
        path = f"/seekers/@{ref}/withdraw"
        found.append(bad.single(path, {"reason": "own-wish"}, 409, "seeker-withdrawn", "seeker_id"))
    for ref in first(sorted(after.closed)):
        found.append(bad.single(f"/posts/@{ref}/close", {"reason": "expired"}, 409, "post-closed", "post_id"))
    for post in first(post for post in after.posts if after.open(post) and _held(post, after) > 1):
        found.append(bad.single(f"/posts/@{post.ref}/change", {"seats": 1}, 409, "seats-taken", "seats"))
    return found


def _held(post: Post, after: After) -> int:
    return sum(placing.post is post and placing.running for placing in after.made)


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

    return [
        sign({"rate_bp": 499}, 422, "agreement-invalid", "rate_bp"),
        sign({"rate_bp": 1_501}, 422, "agreement-invalid", "rate_bp"),
        sign({"valid_until": until}, 422, "agreement-invalid", "valid_until"),
        sign({"employer_id": f"emp-{NOBODY}"}, 422, "party-unknown", "employer_id"),
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
        community, fund = pair[1], funds_fen[pair[1]]
        path = f"/communities/@{community}/spendings"
        good = spending(0, PURPOSES[0], 100)
        too_much = {**good, "amount_fen": fund + 1}
        found += [
            bad.single(path, too_much, 409, "fund-too-small", "amount_fen"),
            bad.single(path, {**good, "category": "banquet"}, 422, "spending-invalid", "category"),
            bad.single(path, {**good, "receipt_hash": "0f" * 31}, 422, "spending-invalid", "receipt_hash"),
            bad.single(path, {**good, "amount_fen": 0}, 422, "spending-invalid", "amount_fen"),
        ]
    return found
