"""What changes after the month: profiles, posts, withdrawals, closings, supervision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body, Command
from mamapost.scenario.yantai.cast import Employer, Placing, Post, Woman, civil, counted, degrees, near, point, spans
from mamapost.scenario.yantai.facts import FACILITIES, SKILLS
from mamapost.scenario.yantai.women import HOME_SPREAD, SKILL_NAMES, free_hours, phone

CHANGED_SEEKERS = 100
CHANGED_POSTS = 50
WITHDRAWN = 50
WITHDRAWN_PLACED_PERCENT = 12
CLOSED = 100


def seeker_changes(dice: Dice, scale: float, women: Sequence[Woman]) -> list[Command]:
    """A new timetable, a new flat, another number, a skill, a wish."""
    changed = dice.sample(women, counted(CHANGED_SEEKERS, scale, 4))
    return [
        Command(f"{woman.ref}/change", f"/seekers/@{woman.ref}/change", _seeker_change(dice, index, woman))
        for index, woman in enumerate(changed)
    ]


def _seeker_change(dice: Dice, index: int, woman: Woman) -> Body:
    match index % 6:
        case 0:
            return {"free": spans(free_hours(dice))}
        case 1:
            home = degrees(*near(dice, woman.district.lat, woman.district.lon, HOME_SPREAD))
            area = f"{woman.district.code}{dice.between(1, 12):03d}"
            return {"home": point(home), "area": area, "person": {"address": f"示例路{dice.between(1, 400)}号"}}
        case 2:
            return {"pay_floor_fen": dice.between(24, 44) * 50, "commute_km": dice.pick((3, 5, 8, 12, 25))}
        case 3:
            skills = woman.skills | {dice.weighted(SKILLS)}
            return {"skills": [name for name in SKILL_NAMES if name in skills]}
        case 4:
            return {"kinds": dice.pick((["mobile"], ["elastic", "mobile"], ["team", "elastic", "new-form"]))}
        case _:
            return {"person": {"phone": phone(50_000_000 + index)}, "facilities": [dice.pick(FACILITIES)]}


def post_changes(dice: Dice, posts: Sequence[Post], scale: float, usable_until: date) -> list[Command]:
    """Better pay, more seats, urgent, another closing time, a facility."""
    changed = dice.sample(posts, counted(CHANGED_POSTS, scale, 3))
    return [
        Command(f"{post.ref}/change", f"/posts/@{post.ref}/change", _post_change(dice, index, post, usable_until))
        for index, post in enumerate(changed)
    ]


def _post_change(dice: Dice, index: int, post: Post, usable_until: date) -> Body:
    match index % 5:
        case 0:
            raised = post.fen + max(post.fen // 10, 1)
            pay: Body = {"per": post.per, "fen": raised}
            if post.per == "piece":
                pay["expected_hourly_fen"] = raised * post.pieces_an_hour
            return {"pay": pay}
        case 1:
            return {"seats": post.seats + dice.between(1, 5)}
        case 2:
            return {"urgent": not post.body["urgent"], "min_minutes": post.min_minutes // 60 * 30}
        case 3:
            return {"closes_at": civil(usable_until + timedelta(days=dice.between(3, 40)), 12 * 60)}
        case _:
            return {"facilities": [dice.pick(FACILITIES)], "skills_required": []}


def withdrawals(dice: Dice, scale: float, women: Sequence[Woman], made: Sequence[Placing]) -> list[Command]:
    """Women who no longer look; a few of them hold a placement, which ends with it."""
    placed = {placing.woman.ref for placing in made}
    total = counted(WITHDRAWN, scale, 3)
    leaving = dice.sample(
        [placing for placing in made if placing.running], max(total * WITHDRAWN_PLACED_PERCENT // 100, 1)
    )
    for placing in made:
        placing.withdrawn = any(placing.woman is left.woman for left in leaving)
    gone = list({placing.woman.ref: placing.woman for placing in leaving}.values())
    gone += dice.sample([woman for woman in women if woman.ref not in placed], total - len(gone))
    return [
        Command(
            f"{woman.ref}/withdraw",
            f"/seekers/@{woman.ref}/withdraw",
            {"reason": dice.weighted((("own-wish", 40), ("found-work", 45), ("moved-away", 15)))},
        )
        for woman in gone
    ]


def closings(dice: Dice, scale: float, posts: Sequence[Post]) -> list[Command]:
    """Full posts are closed as filled, others because they expired or were withdrawn."""
    closed = dice.sample(posts, counted(CLOSED, scale, 3))
    return [
        Command(
            f"{post.ref}/close",
            f"/posts/@{post.ref}/close",
            {"reason": "filled" if post.taken >= post.seats else dice.pick(("expired", "withdrawn"))},
        )
        for post in closed
    ]


def suspended(dice: Dice, employers: Sequence[Employer], made: Sequence[Placing]) -> tuple[Employer, list[Command]]:
    """Supervision stops one employer that has women at work: a labour contract is missing."""
    working = {placing.post.employer.ref for placing in made}
    employer = dice.pick([one for one in employers if one.ref in working] or list(employers))
    command = Command(f"{employer.ref}/suspend", f"/employers/@{employer.ref}/suspend", {"reason": "contract-missing"})
    return employer, [command]
