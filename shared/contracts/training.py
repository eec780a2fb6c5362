"""Events of training: courses, enrolments, assessments, certificates."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.fields import OPEN, Area, City, Day, Event, Flag, Instant, OpenId, PseudonymId, Slug, Version


class TrainingEvent(Event):
    """Published by training."""

    source: ClassVar[str] = "training"


class CourseScheduled(TrainingEvent):
    """A free course was scheduled at a station."""

    topic: ClassVar[str] = "course-scheduled"
    entity: ClassVar[str] = "course_id"

    course_id: OpenId
    version: Version
    city: City
    area: Area
    station_id: OpenId | None = None
    skill: Slug
    level: Annotated[int, Field(ge=1, le=5), OPEN]
    seats: Annotated[int, Field(ge=1, le=500), OPEN]
    starts_at: Instant
    ends_at: Instant
    child_care: Flag
    scheduled_at: Instant


class EnrolmentMade(TrainingEvent):
    """A seeker took a seat in a course."""

    topic: ClassVar[str] = "enrolment-made"
    entity: ClassVar[str] = "enrolment_id"

    enrolment_id: PseudonymId
    version: Version
    course_id: OpenId
    seeker_id: PseudonymId
    city: City
    made_at: Instant


class EnrolmentAssessed(TrainingEvent):
    """The exam at the end of a course; shares the version count of `enrolment-made`."""

    topic: ClassVar[str] = "enrolment-assessed"
    entity: ClassVar[str] = "enrolment_id"

    enrolment_id: PseudonymId
    version: Version
    course_id: OpenId
    seeker_id: PseudonymId
    city: City
    result: Annotated[Literal["passed", "failed", "absent"], OPEN]
    assessed_at: Instant


class SkillCertified(TrainingEvent):
    """A seeker holds a skill, proven by a certificate."""

    topic: ClassVar[str] = "skill-certified"
    entity: ClassVar[str] = "certificate_id"

    certificate_id: PseudonymId
    version: Version
    seeker_id: PseudonymId
    city: City
    skill: Slug
    level: Annotated[int, Field(ge=1, le=5), OPEN]
    valid_until: Annotated[Day | None, Field(description="Last valid day; absent: for life.")] = None
    course_id: OpenId | None = None
    certified_at: Instant


class SkillRevoked(TrainingEvent):
    """A certificate no longer counts; shares the version count of `skill-certified`."""

    topic: ClassVar[str] = "skill-revoked"
    entity: ClassVar[str] = "certificate_id"

    certificate_id: PseudonymId
    version: Version
    seeker_id: PseudonymId
    city: City
    reason: Annotated[Literal["issued-in-error", "misconduct", "superseded"], OPEN]
    revoked_at: Instant
