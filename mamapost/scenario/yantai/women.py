"""The women who were canvassed. All personal data is made up, and plainly so: names are `测试0001`, telephone numbers
begin with +000, which is no country."""

from __future__ import annotations

from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import (
    Woman,
    counted,
    degrees,
    near,
    point,
    sorted_list,
    spans,
    years_before,
)
from mamapost.scenario.yantai.facts import (
    CITY,
    DISTRICTS,
    FACILITIES,
    SATURDAYS,
    SCHOOL_DAYS,
    SEEKERS,
    SKILLS,
    Kind,
)
from shared.kernel.geo import coarse
from shared.kernel.week import mask_of

HOME_SPREAD = 80_000
"""Millionths of a degree, about 8 km."""

REGISTERED_DAYS = 540
"""The canvass of the paper ledger began a year and a half before."""

KINDS: tuple[tuple[Kind, int], ...] = (("elastic", 70), ("team", 55), ("mobile", 55), ("new-form", 30))
"""Of a hundred women, how many accept each kind."""

SKILL_NAMES = tuple(name for name, _ in SKILLS)


def women(dice: Dice, scale: float, month: date, usable_until: date) -> list[Woman]:
    """Women aged 20 to 45 whose youngest child is under 12 until after the scenario can be played."""
    return [_woman(dice, number, month, usable_until) for number in range(1, counted(SEEKERS, scale, 20) + 1)]


def _woman(dice: Dice, number: int, month: date, usable_until: date) -> Woman:
    district = dice.weighted([(district, district.weight) for district in DISTRICTS])
    home = degrees(*near(dice, district.lat, district.lon, HOME_SPREAD))
    free = free_hours(dice)
    skills = {dice.weighted(SKILLS) for _ in range(dice.weighted(((0, 20), (1, 40), (2, 28), (3, 12))))}
    kinds = frozenset(kind for kind, percent in KINDS if dice.chance(percent)) or frozenset[Kind]({"elastic"})
    born = years_before(month, dice.between(20, 44)) - timedelta(days=dice.below(300))
    children = _children(dice, born, month, usable_until)
    commute_km = dice.weighted(((2, 6), (3, 12), (5, 28), (8, 26), (12, 18), (20, 10)))
    floor = dice.between(28, 46) * 50
    wanted = {facility for facility in FACILITIES if dice.chance(18)}
    body: Body = {
        "city": CITY,
        "area": f"{district.code}{dice.between(1, 12):03d}",
        "home": point(home),
        "commute_km": commute_km,
        "free": spans(free),
        "skills": sorted_list(skills, SKILL_NAMES),
        "kinds": [kind for kind, _ in KINDS if kind in kinds],
        "facilities": sorted_list(wanted, FACILITIES),
        "pay_floor_fen": floor,
    }
    if not dice.chance(5):  # who came to the window in person is registered today
        first = max(month - timedelta(days=REGISTERED_DAYS), max(children) + timedelta(days=30))
        last = month - timedelta(days=1)
        body["registered_on"] = (first + timedelta(days=dice.below((last - first).days + 1))).isoformat()
    body["person"] = {
        "name": f"测试{number:04d}",
        "phone": phone(number),
        "birth_date": born.isoformat(),
        "address": f"示例路{dice.between(1, 400)}号{dice.between(1, 30)}单元{number:04d}室",
        "children": [{"birth_date": child.isoformat()} for child in children],
    }
    return Woman(f"seeker:{number}", district, coarse(home), commute_km, free, skills, kinds, floor, body)


def phone(number: int) -> str:
    """A telephone number that cannot be anyone's."""
    return f"+000-{number // 10_000:04d}-{number % 10_000:04d}"


def free_hours(dice: Dice) -> int:
    """Hours around the school run: Monday to Friday, perhaps less one day, perhaps Saturday."""
    weekdays = dice.weighted(SCHOOL_DAYS)
    without = dice.between(1, 5) if dice.chance(20) else 0
    hours = [(day, start, end) for day in range(1, 6) if day != without for start, end in weekdays]
    hours += [(6, start, end) for start, end in dice.weighted(SATURDAYS)]
    return mask_of(hours)


def _children(dice: Dice, born: date, month: date, usable_until: date) -> list[date]:
    """Birth dates, eldest first. A few youngest children turn 12 within weeks after the scenario can be played."""
    adult = years_before(born, -18)
    earliest = max(years_before(usable_until, 12) + timedelta(days=2), adult)
    latest = month - timedelta(days=180)
    if dice.chance(3) and earliest > adult:
        latest = min(latest, earliest + timedelta(days=60))
    youngest = earliest + timedelta(days=dice.below((latest - earliest).days + 1))
    children = [youngest]
    for _ in range(dice.weighted(((0, 48), (1, 45), (2, 7)))):
        elder = children[0] - timedelta(days=dice.between(450, 2_200))
        if elder >= adult:
            children.insert(0, elder)
    return children
