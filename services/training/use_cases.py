"""One function for each command; each loads, asks the domain, saves, and publishes one event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from services.training.domain import Certificate, Course, Enrolment, Result, RevocationReason, faults_of_course
from services.training.errors import (
    AlreadyAssessed,
    AlreadyCertified,
    AlreadyEnrolled,
    AlreadyRevoked,
    CertificateUnknown,
    CourseFull,
    CourseInvalid,
    CourseOver,
    CourseUnknown,
    EnrolmentInvalid,
    EnrolmentUnknown,
    NotBegun,
    NotPassed,
    SeekerElsewhere,
    SeekerUnknown,
    SeekerWithdrawn,
    ValidityInvalid,
)
from services.training.ports import TrainingStore
from shared.contracts.envelope import Envelope
from shared.contracts.training import CourseScheduled, EnrolmentAssessed, EnrolmentMade, SkillCertified, SkillRevoked
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class ScheduleCourse:
    """A course to be held."""

    city: str
    area: str
    station_id: str | None
    skill: str
    level: int
    seats: int
    starts_at: datetime
    ends_at: datetime
    child_care: bool


async def schedule_course(command: ScheduleCourse, *, store: TrainingStore, now: datetime, new_id: NewId) -> Envelope:
    """Announce a course.

    The station is not looked up: stations belong to the registry, and a course is also held where there is none.

    Raises:
        CourseInvalid.
    """
    faults = faults_of_course(command.level, command.seats, command.starts_at, command.ends_at, now)
    if faults:
        raise CourseInvalid(*faults)
    course = Course(
        course_id=new_id("course"),
        version=1,
        city=command.city,
        area=command.area,
        station_id=command.station_id,
        skill=command.skill,
        level=command.level,
        seats=command.seats,
        taken=0,
        starts_at=command.starts_at,
        ends_at=command.ends_at,
        child_care=command.child_care,
        scheduled_at=now,
    )
    await store.add_course(course)
    event = CourseScheduled(
        course_id=course.course_id,
        version=course.version,
        city=course.city,
        area=course.area,
        station_id=course.station_id,
        skill=course.skill,
        level=course.level,
        seats=course.seats,
        starts_at=course.starts_at,
        ends_at=course.ends_at,
        child_care=course.child_care,
        scheduled_at=now,
    )
    return await store.publish(event, now)


async def enrol(course_id: str, seeker_id: str, *, store: TrainingStore, now: datetime, new_id: NewId) -> Envelope:
    """Give a seeker a seat.

    Raises:
        CourseUnknown, SeekerUnknown, SeekerWithdrawn, SeekerElsewhere, CourseOver, AlreadyEnrolled, CourseFull.
    """
    course = await store.course(course_id)
    if course is None:
        raise CourseUnknown(Fault("course_id", "the id of a course"))
    await _check_seeker(seeker_id, course, store)
    if now >= course.ends_at:
        raise CourseOver(Fault("course_id", "a course that has not ended"))
    if await store.is_enrolled(course_id, seeker_id):
        raise AlreadyEnrolled(Fault("seeker_id", "a seeker without a seat in this course"))
    if course.seats_left < 1:
        raise CourseFull(Fault("course_id", "a course with a seat left"))
    await store.take_seat(course_id)
    enrolment = Enrolment(
        enrolment_id=new_id("enrolment"),
        version=1,
        course_id=course_id,
        seeker_id=seeker_id,
        city=course.city,
        starts_at=course.starts_at,
        made_at=now,
    )
    await store.add_enrolment(enrolment)
    event = EnrolmentMade(
        enrolment_id=enrolment.enrolment_id,
        version=enrolment.version,
        course_id=course_id,
        seeker_id=seeker_id,
        city=course.city,
        made_at=now,
    )
    return await store.publish(event, now)


async def _check_seeker(seeker_id: str, course: Course, store: TrainingStore) -> None:
    seeker = await store.seeker(seeker_id)
    if seeker is None:
        raise SeekerUnknown(Fault("seeker_id", "a registered seeker; if she was registered just now, retry"))
    if seeker.withdrawn:
        raise SeekerWithdrawn(Fault("seeker_id", "a seeker who has not withdrawn"))
    if seeker.city != course.city:
        raise SeekerElsewhere(Fault("seeker_id", "a seeker of the course's city"))


async def assess(enrolment_id: str, result: Result, *, store: TrainingStore, now: datetime) -> Envelope:
    """Record the outcome of a seat, once.

    Raises:
        EnrolmentUnknown, AlreadyAssessed, NotBegun.
    """
    enrolment = await store.enrolment(enrolment_id)
    if enrolment is None:
        raise EnrolmentUnknown(Fault("enrolment_id", "the id of an enrolment"))
    if enrolment.result is not None:
        raise AlreadyAssessed(Fault("enrolment_id", "an enrolment that was not assessed"))
    if now < enrolment.starts_at:
        raise NotBegun(Fault("enrolment_id", "an enrolment in a course that has begun"))
    assessed = replace(enrolment, version=enrolment.version + 1, result=result, assessed_at=now)
    await store.save_enrolment(assessed)
    event = EnrolmentAssessed(
        enrolment_id=enrolment_id,
        version=assessed.version,
        course_id=assessed.course_id,
        seeker_id=assessed.seeker_id,
        city=assessed.city,
        result=result,
        assessed_at=now,
    )
    return await store.publish(event, now)


async def certify(
    enrolment_id: str, valid_until: date | None, *, store: TrainingStore, now: datetime, new_id: NewId
) -> Envelope:
    """Give a passed seeker the certificate of her course, once.

    Raises:
        ValidityInvalid, EnrolmentInvalid, NotPassed, AlreadyCertified, CourseUnknown.
    """
    today = civil_day(now)
    if valid_until is not None and valid_until < today:
        raise ValidityInvalid(Fault("valid_until", f"{today} or later, or absent: for life"))
    enrolment = await store.enrolment(enrolment_id)
    if enrolment is None:
        raise EnrolmentInvalid(Fault("enrolment_id", "the id of an enrolment"))
    if enrolment.result != "passed":
        raise NotPassed(Fault("enrolment_id", "an enrolment whose exam was passed"))
    if enrolment.certificate_id is not None:
        raise AlreadyCertified(Fault("enrolment_id", "an enrolment without a certificate"))
    course = await store.course(enrolment.course_id)
    if course is None:
        raise CourseUnknown(Fault("enrolment_id", "an enrolment in a course that exists"))
    certificate = Certificate(
        certificate_id=new_id("certificate"),
        version=1,
        seeker_id=enrolment.seeker_id,
        city=enrolment.city,
        skill=course.skill,
        level=course.level,
        valid_until=valid_until,
        course_id=course.course_id,
        certified_at=now,
    )
    await store.add_certificate(certificate)
    await store.save_enrolment(replace(enrolment, certificate_id=certificate.certificate_id))
    event = SkillCertified(
        certificate_id=certificate.certificate_id,
        version=certificate.version,
        seeker_id=certificate.seeker_id,
        city=certificate.city,
        skill=certificate.skill,
        level=certificate.level,
        valid_until=valid_until,
        course_id=course.course_id,
        certified_at=now,
    )
    return await store.publish(event, now)


async def revoke(certificate_id: str, reason: RevocationReason, *, store: TrainingStore, now: datetime) -> Envelope:
    """Take a certificate back, once and for good.

    Raises:
        CertificateUnknown, AlreadyRevoked.
    """
    certificate = await store.certificate(certificate_id)
    if certificate is None:
        raise CertificateUnknown(Fault("certificate_id", "the id of a certificate"))
    if certificate.revoked is not None:
        raise AlreadyRevoked(Fault("certificate_id", "a certificate that stands"))
    revoked = replace(certificate, version=certificate.version + 1, revoked=reason, revoked_at=now)
    await store.save_certificate(revoked)
    event = SkillRevoked(
        certificate_id=certificate_id,
        version=revoked.version,
        seeker_id=revoked.seeker_id,
        city=revoked.city,
        reason=reason,
        revoked_at=now,
    )
    return await store.publish(event, now)
