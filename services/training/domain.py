"""Courses are free and have seats; a passed exam earns a certificate, which matching counts as a held skill.

Participations (人次) and persons (人) are different counts and are never added (FACTS.md, Skill, source Z).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from shared.kernel.errors import Fault

Result = Literal["passed", "failed", "absent"]
RevocationReason = Literal["issued-in-error", "misconduct", "superseded"]

LONGEST = timedelta(days=366)
"""From start to end of a course: a year; longer ones are schooling, which others provide."""

LEVELS = range(1, 6)
"""Levels of a skill, 1 to 5, as the national vocational grades have five."""

SEATS_MAX = 500
"""Seats of a course: the largest hall of a station's community."""


@dataclass(frozen=True, slots=True)
class Seeker:
    """What training knows of a woman: that she is there. Follows the versions of the registry's events."""

    seeker_id: str
    city: str
    version: int
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Course:
    """A course.

    Attributes:
        version: counts its published states.
        taken: seats taken; not published, so it does not raise the version.
    """

    course_id: str
    version: int
    city: str
    area: str
    station_id: str | None
    skill: str
    level: int
    seats: int
    taken: int
    starts_at: datetime
    ends_at: datetime
    child_care: bool
    scheduled_at: datetime

    @property
    def seats_left(self) -> int:
        return self.seats - self.taken


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A seat taken.

    Attributes:
        starts_at: of its course; from then on the seat counts as a participation.
        certificate_id: what a passed exam earned, once.
    """

    enrolment_id: str
    version: int
    course_id: str
    seeker_id: str
    city: str
    starts_at: datetime
    made_at: datetime
    result: Result | None = None
    assessed_at: datetime | None = None
    certificate_id: str | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A skill at a level, proven.

    Attributes:
        valid_until: last valid day; `None` for life.
    """

    certificate_id: str
    version: int
    seeker_id: str
    city: str
    skill: str
    level: int
    valid_until: date | None
    course_id: str
    certified_at: datetime
    revoked: RevocationReason | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Participation:
    """How many seats were used, and by how many women. There is no sum of the two.

    Attributes:
        participations: 人次: seats in courses that have begun, without those marked absent.
        persons: 人: different women among them.
    """

    participations: int
    persons: int


def faults_of_course(level: int, seats: int, starts_at: datetime, ends_at: datetime, now: datetime) -> list[Fault]:
    """What is wrong with a course as it is scheduled; empty if nothing is."""
    faults: list[Fault] = []
    if level not in LEVELS:
        faults.append(Fault("level", f"{LEVELS[0]}..{LEVELS[-1]}"))
    if not 1 <= seats <= SEATS_MAX:
        faults.append(Fault("seats", f"1..{SEATS_MAX}"))
    if not timedelta(0) < ends_at - starts_at <= LONGEST:
        faults.append(Fault("ends_at", f"after starts_at, at most {LONGEST.days} days"))
    elif ends_at <= now:
        faults.append(Fault("ends_at", "a moment to come; nobody could enrol any more"))
    return faults
