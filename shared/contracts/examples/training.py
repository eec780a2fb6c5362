"""Examples of the events of training: a course, and what came of it."""

from __future__ import annotations

from datetime import date

from shared.contracts import training
from shared.contracts.examples.story import AREA, CERTIFICATE, CITY, COURSE, ENROLMENT, SEEKER, STATION, Told, at

TOLD: Told = (
    (
        training.CourseScheduled(
            course_id=COURSE,
            version=1,
            city=CITY,
            area=AREA,
            station_id=STATION,
            skill="garment-finishing",
            level=1,
            seats=20,
            starts_at=at(4, "08:30"),
            ends_at=at(6, "11:30"),
            child_care=True,
            scheduled_at=at(3, "11:00"),
        ),
        at(3, "11:00"),
    ),
    (
        training.EnrolmentMade(
            enrolment_id=ENROLMENT,
            version=1,
            course_id=COURSE,
            seeker_id=SEEKER,
            city=CITY,
            made_at=at(3, "11:20"),
        ),
        at(3, "11:20"),
    ),
    (
        training.EnrolmentAssessed(
            enrolment_id=ENROLMENT,
            version=2,
            course_id=COURSE,
            seeker_id=SEEKER,
            city=CITY,
            result="passed",
            assessed_at=at(6, "11:40"),
        ),
        at(6, "11:40"),
    ),
    (
        training.SkillCertified(
            certificate_id=CERTIFICATE,
            version=1,
            seeker_id=SEEKER,
            city=CITY,
            skill="garment-finishing",
            level=1,
            valid_until=date(2028, 3, 31),
            course_id=COURSE,
            certified_at=at(6, "14:00"),
        ),
        at(6, "14:00"),
    ),
    (
        training.SkillRevoked(
            certificate_id=CERTIFICATE,
            version=2,
            seeker_id=SEEKER,
            city=CITY,
            reason="superseded",
            revoked_at=at(30, "09:00"),
        ),
        at(30, "09:00"),
    ),
)
