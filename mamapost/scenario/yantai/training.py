"""A course for each skill that the programme teaches, and the women who passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import Station, Woman, civil, counted
from mamapost.scenario.yantai.facts import CITY, COURSE_SKILLS

PARTICIPANTS = 22
"""Of one course: "20 sessions, about 500 participations" (FACTS.md, Skill)."""

REVOKED = 3
"""Certificates that were issued in error."""


@dataclass(frozen=True, slots=True)
class Course:
    ref: str
    skill: str
    body: Body


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A seat in a course.

    Attributes:
        result: of the exam; `None` if it was never assessed.
        valid_until: last day of her certificate; `None` for life, or without one.
    """

    ref: str
    course: Course
    woman: Woman
    result: str | None
    certificate: str | None
    valid_until: date | None


def courses(dice: Dice, scale: float, month: date, usable_until: date, stations: Sequence[Station]) -> list[Course]:
    """Afternoons in a station. A course runs on: it has begun when the scenario is played, so that exams can be held,
    and has not ended, so that seats can be taken."""
    found = []
    hosts = [station for station in stations if station.accepted]
    for number, skill in enumerate(COURSE_SKILLS, 1):
        station = hosts[number % len(hosts)]
        first = month + timedelta(days=dice.between(2, 20))
        last = usable_until + timedelta(days=dice.between(10, 30))
        body: Body = {
            "city": CITY,
            "area": station.community.body["area"],
            "station_id": f"@{station.ref}",
            "skill": skill,
            "level": dice.between(1, 3),
            "seats": counted(PARTICIPANTS, scale, 2) + dice.between(0, 8),
            "starts_at": civil(first, 13 * 60 + 30),
            "ends_at": civil(last, 16 * 60 + 30),
            "child_care": True,
        }
        found.append(Course(f"course:{number}", skill, body))
    return found


def enrolments(
    dice: Dice, scale: float, month: date, held: Sequence[Course], women: Sequence[Woman]
) -> list[Enrolment]:
    """Women who lack the skill take the course; who is certified holds it from then on.

    The order goes round the courses, so that the seats of one course are not all taken at the same moment.
    """
    size = counted(PARTICIPANTS, scale, 2)
    queue = iter(dice.shuffled(women))
    found: list[Enrolment] = []
    for _ in range(size):
        for course in held:
            woman = next(one for one in queue if course.skill not in one.skills)
            number = len(found) + 1
            result = dice.weighted(((None, 4), ("absent", 6), ("failed", 14), ("passed", 76)))
            certified = result == "passed" and (number <= len(held) or dice.chance(92))
            if number == 1:
                result, certified = "passed", True
            valid_until = date(month.year + 3, 12, 31) if certified and dice.chance(40) else None
            if certified:
                woman.skills.add(course.skill)
            certificate = f"certificate:{number}" if certified else None
            found.append(Enrolment(f"enrolment:{number}", course, woman, result, certificate, valid_until))
    return found
