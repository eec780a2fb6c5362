"""Courses, seats, exams, certificates: who may, once, and in which order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.training import errors
from services.training.domain import Result, Seeker
from services.training.use_cases import ScheduleCourse, assess, certify, enrol, revoke, schedule_course
from shared.contracts.fields import Event
from shared.contracts.training import CourseScheduled, EnrolmentAssessed, SkillCertified, SkillRevoked
from shared.kernel.ids import PREFIXES
from tests.unit.training.memory import MemoryTraining

CITY = "370600"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
BEGUN = NOW + timedelta(days=8)
OVER = NOW + timedelta(days=40)
WOMEN = tuple(f"skr-{n:032x}" for n in range(4))
_counter = itertools.count()

COURSE = ScheduleCourse(
    city=CITY,
    area="370602",
    station_id=None,
    skill="elder-care",
    level=2,
    seats=2,
    starts_at=NOW + timedelta(days=7),
    ends_at=NOW + timedelta(days=21),
    child_care=True,
)


def new_id(entity: str) -> str:
    return f"{PREFIXES[entity]}-{next(_counter):032x}"


@pytest.fixture
async def store() -> MemoryTraining:
    made = MemoryTraining()
    await made.note_seekers([Seeker(seeker_id, CITY, 1, withdrawn=False) for seeker_id in WOMEN])
    return made


async def scheduled(store: MemoryTraining, **given: Any) -> str:
    envelope = await schedule_course(replace(COURSE, **given), store=store, now=NOW, new_id=new_id)
    return envelope.event.entity_id


async def enrolled(store: MemoryTraining, course_id: str, woman: str = WOMEN[0], now: datetime = NOW) -> str:
    return (await enrol(course_id, woman, store=store, now=now, new_id=new_id)).event.entity_id


async def assessed(store: MemoryTraining, result: Result) -> str:
    enrolment_id = await enrolled(store, await scheduled(store))
    await assess(enrolment_id, result, store=store, now=BEGUN)
    return enrolment_id


async def certified(store: MemoryTraining) -> SkillCertified:
    envelope = await certify(await assessed(store, "passed"), None, store=store, now=OVER, new_id=new_id)
    assert isinstance(envelope.event, SkillCertified)
    return envelope.event


def last(store: MemoryTraining) -> Event:
    return store.events[-1]


async def test_a_course_is_announced(store: MemoryTraining) -> None:
    course_id = await scheduled(store)
    event = last(store)
    assert isinstance(event, CourseScheduled)
    assert (event.course_id, event.skill, event.level, event.seats) == (course_id, "elder-care", 2, 2)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"level": 0}, "level"),
        ({"level": 6}, "level"),
        ({"seats": 0}, "seats"),
        ({"seats": 501}, "seats"),
        ({"ends_at": COURSE.starts_at}, "ends_at"),
        ({"ends_at": COURSE.starts_at + timedelta(days=366, milliseconds=1)}, "ends_at"),
        ({"starts_at": NOW - timedelta(days=2), "ends_at": NOW}, "ends_at"),
        ({"starts_at": datetime(9999, 12, 31, tzinfo=UTC), "ends_at": NOW}, "ends_at"),
    ],
)
async def test_a_course_that_cannot_be_held(store: MemoryTraining, given: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.CourseInvalid) as caught:
        await scheduled(store, **given)
    assert [fault.field for fault in caught.value.faults] == [field]
    assert (store.courses, store.events) == ({}, [])


async def test_seats_run_out(store: MemoryTraining) -> None:
    course_id = await scheduled(store)
    await enrolled(store, course_id, WOMEN[0])
    await enrolled(store, course_id, WOMEN[1])
    with pytest.raises(errors.CourseFull):
        await enrolled(store, course_id, WOMEN[2])
    assert store.courses[course_id].seats_left == 0


async def test_a_seat_once_per_course(store: MemoryTraining) -> None:
    course_id = await scheduled(store)
    await enrolled(store, course_id)
    with pytest.raises(errors.AlreadyEnrolled):
        await enrolled(store, course_id)
    assert store.courses[course_id].taken == 1
    await enrolled(store, await scheduled(store))


async def test_a_course_takes_women_until_it_ends(store: MemoryTraining) -> None:
    course_id = await scheduled(store)
    await enrolled(store, course_id, WOMEN[0], COURSE.ends_at - timedelta(milliseconds=1))
    with pytest.raises(errors.CourseOver):
        await enrolled(store, course_id, WOMEN[1], COURSE.ends_at)


async def test_who_may_enrol(store: MemoryTraining) -> None:
    course_id = await scheduled(store)
    stranger = "skr-" + "9" * 32
    with pytest.raises(errors.SeekerUnknown) as caught:
        await enrolled(store, course_id, stranger)
    assert caught.value.retryable
    assert caught.value.faults[0].field == "seeker_id"
    await store.note_seekers([Seeker(WOMEN[0], CITY, 2, withdrawn=True), Seeker(stranger, "370700", 1, False)])
    with pytest.raises(errors.SeekerWithdrawn):
        await enrolled(store, course_id, WOMEN[0])
    with pytest.raises(errors.SeekerElsewhere):
        await enrolled(store, course_id, stranger)
    with pytest.raises(errors.CourseUnknown):
        await enrolled(store, "crs-" + "9" * 32)
    assert store.enrolments == {}


async def test_old_news_of_a_seeker_change_nothing(store: MemoryTraining) -> None:
    await store.note_seekers([Seeker(WOMEN[0], CITY, 3, withdrawn=True), Seeker(WOMEN[0], CITY, 2, withdrawn=False)])
    with pytest.raises(errors.SeekerWithdrawn):
        await enrolled(store, await scheduled(store))


@pytest.mark.parametrize("result", ["passed", "failed", "absent"])
async def test_an_assessment_happens_once(store: MemoryTraining, result: Result) -> None:
    enrolment_id = await assessed(store, result)
    event = last(store)
    assert isinstance(event, EnrolmentAssessed)
    assert (event.result, event.version) == (result, 2)
    with pytest.raises(errors.AlreadyAssessed):
        await assess(enrolment_id, "passed", store=store, now=BEGUN)


async def test_no_exam_before_the_course_begins(store: MemoryTraining) -> None:
    enrolment_id = await enrolled(store, await scheduled(store))
    with pytest.raises(errors.NotBegun):
        await assess(enrolment_id, "passed", store=store, now=COURSE.starts_at - timedelta(milliseconds=1))
    with pytest.raises(errors.EnrolmentUnknown):
        await assess("enr-" + "9" * 32, "passed", store=store, now=BEGUN)


async def test_a_certificate_takes_skill_and_level_of_the_course(store: MemoryTraining) -> None:
    event = await certified(store)
    assert (event.skill, event.level, event.seeker_id, event.valid_until) == ("elder-care", 2, WOMEN[0], None)


@pytest.mark.parametrize("result", ["failed", "absent"])
async def test_only_a_passed_exam_earns_one(store: MemoryTraining, result: Result) -> None:
    with pytest.raises(errors.NotPassed):
        await certify(await assessed(store, result), None, store=store, now=OVER, new_id=new_id)
    unassessed = await enrolled(store, await scheduled(store))
    with pytest.raises(errors.NotPassed):
        await certify(unassessed, None, store=store, now=OVER, new_id=new_id)
    assert store.certificates == {}


async def test_it_is_earned_once(store: MemoryTraining) -> None:
    await certified(store)
    [enrolment_id] = store.enrolments
    with pytest.raises(errors.AlreadyCertified):
        await certify(enrolment_id, None, store=store, now=OVER, new_id=new_id)
    with pytest.raises(errors.EnrolmentInvalid):
        await certify("enr-" + "9" * 32, None, store=store, now=OVER, new_id=new_id)


async def test_it_is_valid_today_at_least(store: MemoryTraining) -> None:
    enrolment_id = await assessed(store, "passed")
    late_evening = datetime(2026, 4, 11, 16, 30, tzinfo=UTC)  # 12 April in China
    with pytest.raises(errors.ValidityInvalid) as caught:
        await certify(enrolment_id, date(2026, 4, 11), store=store, now=late_evening, new_id=new_id)
    assert caught.value.faults[0].field == "valid_until"
    await certify(enrolment_id, date(2026, 4, 12), store=store, now=late_evening, new_id=new_id)


async def test_a_certificate_is_revoked_once(store: MemoryTraining) -> None:
    event = await certified(store)
    await revoke(event.certificate_id, "issued-in-error", store=store, now=OVER)
    revoked = last(store)
    assert isinstance(revoked, SkillRevoked)
    assert (revoked.version, revoked.seeker_id, revoked.reason) == (2, WOMEN[0], "issued-in-error")
    with pytest.raises(errors.AlreadyRevoked):
        await revoke(event.certificate_id, "misconduct", store=store, now=OVER)
    with pytest.raises(errors.CertificateUnknown):
        await revoke("crt-" + "9" * 32, "misconduct", store=store, now=OVER)
