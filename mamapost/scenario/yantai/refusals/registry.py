"""Bad commands to the registry, after the month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from mamapost.scenario.model import Body, Command
from mamapost.scenario.yantai.cast import (
    Employer,
    Placing,
    Post,
    Woman,
    spans,
    years_before,
)
from mamapost.scenario.yantai.refusals.making import FAR, NIGHT, NOBODY, YOUNGEST, Refusals, first
from mamapost.scenario.yantai.work import Correction, Shift


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
    enlarged: set[str]
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
    """Whether every seat is still held, and none was added."""
    held = sum(placing.post is post and placing.running for placing in after.made)
    return after.open(post) and post.ref not in after.enlarged and held >= post.seats


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
        bad.single(seeker, {"person": born}, 422, "child-too-old", YOUNGEST),
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
