"""HTTP of training."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.training import metrics
from services.training.domain import Certificate, Course, Participation, Result, RevocationReason
from services.training.errors import CourseUnknown
from services.training.ports import TrainingReads, TrainingStore
from services.training.use_cases import ScheduleCourse, assess, certify, enrol, revoke, schedule_course
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Area, City, Slug
from shared.kernel.clock import Clock
from shared.kernel.errors import Fault
from shared.kernel.ids import ID_PATTERN, NewId
from shared.runtime.commands import Accepted, CommandRunner
from shared.runtime.mongo import Session
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import EntityPath, reading, writing

EntityId = Annotated[str, Field(pattern=ID_PATTERN, max_length=40)]
Work = Callable[[TrainingStore, datetime], Awaitable[Envelope]]


def _in_utc(instant: datetime) -> datetime:
    """UTC, to the millisecond that the database keeps."""
    try:
        at = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment between the years 1 and 9999") from None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Body(BaseModel):
    """A command's body; a field that nobody knows is refused, since it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CourseBody(Body):
    """A course to be held."""

    city: City
    area: Area
    station_id: EntityId | None = None
    skill: Slug
    level: Annotated[int, Field(strict=True, description="1..5")]
    seats: Annotated[int, Field(strict=True, description="1..500")]
    starts_at: Moment
    ends_at: Moment
    child_care: bool


class EnrolmentBody(Body):
    """Who takes the seat."""

    seeker_id: EntityId


class AssessmentBody(Body):
    """How it went."""

    result: Result


class CertificateBody(Body):
    """Which passed exam earns it, and for how long."""

    enrolment_id: EntityId
    valid_until: Annotated[date | None, Field(description="Last valid day; absent: for life.")] = None


class RevocationBody(Body):
    """Why it is taken back."""

    reason: RevocationReason


class CourseView(BaseModel):
    """A course and the seats that are left."""

    course_id: str
    version: int
    city: str
    area: str
    station_id: str | None = None
    skill: str
    level: int
    seats: int
    seats_left: int
    starts_at: datetime
    ends_at: datetime
    child_care: bool
    scheduled_at: datetime


class CertificateView(BaseModel):
    """A certificate; `revoked` names the reason, absent while it stands."""

    certificate_id: str
    version: int
    seeker_id: str
    city: str
    skill: str
    level: int
    valid_until: date | None = None
    course_id: str
    certified_at: datetime
    revoked: RevocationReason | None = None
    revoked_at: datetime | None = None


class ParticipationView(BaseModel):
    """Two counts that are never added."""

    city: str
    participations: Annotated[int, Field(description="人次: seats in courses that have begun, without the absent.")]
    persons: Annotated[int, Field(description="人: different women among them.")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the composition root hands to the routes.

    Attributes:
        store: the store inside the transaction of a session.
    """

    runner: CommandRunner
    store: Callable[[Session], TrainingStore]
    reads: TrainingReads
    clock: Clock
    new_id: NewId

    async def run(self, request: Request, command: str, work: Work) -> tuple[Response, bool]:
        """Run a command and answer 201 `Accepted`; also whether it did something anew."""

        async def once(session: Session) -> Accepted:
            return Accepted.of(await work(self.store(session), self.clock()))

        response, answer = await self.runner.counted(request, command, once)
        return response, answer is not None


def routers(desk: Desk) -> list[APIRouter]:
    """All routes."""
    return [_course_commands(desk), _certificate_commands(desk), _reads(desk)]


def _course_commands(desk: Desk) -> APIRouter:
    write = writing("courses")

    @write.post("/courses", status_code=201, response_model=Accepted)
    async def schedule(request: Request, body: CourseBody) -> Response:
        """Announce a course."""
        command = ScheduleCourse(**body.model_dump())
        response, _ = await desk.run(
            request,
            "schedule-course",
            lambda store, now: schedule_course(command, store=store, now=now, new_id=desk.new_id),
        )
        return response

    @write.post("/courses/{course_id}/enrolments", status_code=201, response_model=Accepted)
    async def take_seat(request: Request, course_id: EntityPath, body: EnrolmentBody) -> Response:
        """Give a seeker a seat."""
        response, _ = await desk.run(
            request,
            "enrol",
            lambda store, now: enrol(course_id, body.seeker_id, store=store, now=now, new_id=desk.new_id),
        )
        return response

    @write.post("/enrolments/{enrolment_id}/assess", status_code=201, response_model=Accepted)
    async def record_result(request: Request, enrolment_id: EntityPath, body: AssessmentBody) -> Response:
        """Record the outcome of a seat, once."""
        response, anew = await desk.run(
            request, "assess", lambda store, now: assess(enrolment_id, body.result, store=store, now=now)
        )
        if anew:
            metrics.RESULTS.labels(body.result).inc()
        return response

    return write


def _certificate_commands(desk: Desk) -> APIRouter:
    write = writing("certificates")

    @write.post("/certificates", status_code=201, response_model=Accepted)
    async def issue(request: Request, body: CertificateBody) -> Response:
        """Certify the skill and level of the course whose exam was passed."""
        response, _ = await desk.run(
            request,
            "certify",
            lambda store, now: certify(body.enrolment_id, body.valid_until, store=store, now=now, new_id=desk.new_id),
        )
        return response

    @write.post("/certificates/{certificate_id}/revoke", status_code=201, response_model=Accepted)
    async def take_back(request: Request, certificate_id: EntityPath, body: RevocationBody) -> Response:
        """Take a certificate back."""
        response, _ = await desk.run(
            request, "revoke", lambda store, now: revoke(certificate_id, body.reason, store=store, now=now)
        )
        return response

    return write


def _reads(desk: Desk) -> APIRouter:
    read = reading("courses")

    @read.get("/courses", response_model_exclude_none=True)
    async def list_courses(
        city: City | None = None,
        skill: Annotated[Slug | None, Query()] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[CourseView]:
        """The courses."""
        found = await desk.reads.courses(city, skill, decode_cursor("courses", cursor) or "", limit + 1)
        more = len(found) > limit
        return Page(
            items=[course_view(course) for course in found[:limit]],
            next=encode_cursor("courses", found[limit - 1].course_id) if more else None,
        )

    @read.get("/courses/{course_id}", response_model_exclude_none=True)
    async def get_course(course_id: EntityPath) -> CourseView:
        """One course."""
        found = await desk.reads.course(course_id)
        if found is None:
            raise CourseUnknown(Fault("course_id", "the id of a course"))
        return course_view(found)

    @read.get("/seekers/{seeker_id}/certificates", response_model_exclude_none=True)
    async def list_certificates(
        seeker_id: EntityPath, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> Page[CertificateView]:
        """A seeker's certificates, the revoked ones too; empty for one whom training does not know."""
        after = decode_cursor("certificates", cursor) or ""
        found = await desk.reads.certificates(seeker_id, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[certificate_view(certificate) for certificate in found[:limit]],
            next=encode_cursor("certificates", found[limit - 1].certificate_id) if more else None,
        )

    @read.get("/participation")
    async def get_participation(city: City) -> ParticipationView:
        """Participations and persons of a city's courses."""
        return participation_view(city, await desk.reads.participation(city, desk.clock()))

    return read


def course_view(course: Course) -> CourseView:
    return CourseView(
        course_id=course.course_id,
        version=course.version,
        city=course.city,
        area=course.area,
        station_id=course.station_id,
        skill=course.skill,
        level=course.level,
        seats=course.seats,
        seats_left=course.seats_left,
        starts_at=course.starts_at,
        ends_at=course.ends_at,
        child_care=course.child_care,
        scheduled_at=course.scheduled_at,
    )


def certificate_view(certificate: Certificate) -> CertificateView:
    return CertificateView(
        certificate_id=certificate.certificate_id,
        version=certificate.version,
        seeker_id=certificate.seeker_id,
        city=certificate.city,
        skill=certificate.skill,
        level=certificate.level,
        valid_until=certificate.valid_until,
        course_id=certificate.course_id,
        certified_at=certificate.certified_at,
        revoked=certificate.revoked,
        revoked_at=certificate.revoked_at,
    )


def participation_view(city: str, counts: Participation) -> ParticipationView:
    return ParticipationView(city=city, participations=counts.participations, persons=counts.persons)
