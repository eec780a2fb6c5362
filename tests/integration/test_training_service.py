"""Training on real engines: from a seeker's event to a certificate's, over HTTP and the broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local.engines import Engines
from services.training.app import create
from services.training.domain import Seeker
from services.training.store import MongoTraining
from shared.contracts.envelope import decode
from shared.contracts.training import SkillCertified
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import YANTAI, seeker_registered, seeker_withdrawn
from tests.integration.serving import Client, producing, served, without_broker

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
COURSE = {
    "city": YANTAI,
    "area": "370602",
    "skill": "elder-care",
    "level": 2,
    "seats": 3,
    "starts_at": "2026-03-09T09:00:00+08:00",
    "ends_at": "2026-03-20T17:00:00+08:00",
    "child_care": True,
}


class Days:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
async def mongo(settings: Settings) -> AsyncIterator[Mongo]:
    connected = Mongo.connect(settings, "training")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
async def training(settings: Settings, mongo: Mongo, days: Days) -> AsyncIterator[Client]:
    async with served(create(without_broker(settings), days)) as client:
        yield client


async def know(mongo: Mongo, count: int) -> list[str]:
    """Women that training has heard of."""
    women = [new_id("seeker") for _ in range(count)]
    events = EventLog(mongo.db, "training")
    await mongo.transaction(
        lambda session: MongoTraining(mongo.db, events, session).note_seekers(
            [Seeker(woman, YANTAI, 1, withdrawn=False) for woman in women]
        )
    )
    return women


async def test_from_registration_to_certificate(fresh_broker: Engines, settings: Settings, mongo: Mongo) -> None:
    days = Days()
    async with producing(settings, "registry") as registry, served(create(settings, days), bus=True) as training:
        woman, withdrawn = seeker_registered(), seeker_registered()
        course = (await training.accepted("/courses", COURSE))["id"]
        problem = await training.refused(f"/courses/{course}/enrolments", {"seeker_id": woman.seeker_id}, 422)
        assert (problem["retryable"], problem["errors"][0]["field"]) == (True, "seeker_id")

        await registry.tell([seeker_withdrawn(withdrawn.seeker_id, 2), woman, withdrawn])
        # Between topics there is no order: her registration may come first, and her withdrawal after it.
        gone = {"_id": withdrawn.seeker_id, "withdrawn": True}
        await eventually(lambda: counted(mongo, 1, gone), "training knows that one woman has withdrawn")
        await eventually(lambda: counted(mongo, 2, {}), "training knows both women")
        enrolment = await training.accepted(f"/courses/{course}/enrolments", {"seeker_id": woman.seeker_id})
        await training.refused(f"/courses/{course}/enrolments", {"seeker_id": withdrawn.seeker_id}, 409)
        days.now += timedelta(days=20)
        await training.accepted(f"/enrolments/{enrolment['id']}/assess", {"result": "passed"})
        accepted = await training.accepted("/certificates", {"enrolment_id": enrolment["id"]})

        async def published() -> bool:
            return await mongo.db["events"].count_documents({"published": {"$gt": 0}}) == 4

        await eventually(published, "all four events are on their topics")
        stored = await mongo.db["events"].find_one({"_id": accepted["event_id"]})
        assert stored
        headers = [(name, value.encode()) for name, value in stored["headers"].items()]
        event = decode("skill-certified", stored["entity_id"].encode(), headers, stored["value"]).event
        assert isinstance(event, SkillCertified)
        assert (event.seeker_id, event.skill, event.level) == (woman.seeker_id, "elder-care", 2)
        [certificate] = await training.all(f"/seekers/{woman.seeker_id}/certificates")
        assert certificate["certificate_id"] == accepted["id"]


async def counted(mongo: Mongo, count: int, query: dict[str, Any]) -> bool:
    return await mongo.db["seekers"].count_documents(query) == count


async def test_seats_hold_against_a_crowd(training: Client, mongo: Mongo) -> None:
    women = await know(mongo, 8)
    course = (await training.accepted("/courses", COURSE))["id"]

    async def enrol(woman: str) -> int:
        while True:
            response = await training.post(f"/courses/{course}/enrolments", {"seeker_id": woman})
            if response.status_code != 503:
                return response.status_code

    statuses = Counter(await asyncio.gather(*(enrol(woman) for woman in women)))
    assert statuses == {201: 3, 409: 5}
    assert (await training.get(f"/courses/{course}"))["seats_left"] == 0
    assert await mongo.db["enrolments"].count_documents({}) == 3


async def test_one_woman_in_a_crowd_of_requests_takes_one_seat(training: Client, mongo: Mongo) -> None:
    [woman] = await know(mongo, 1)
    course = (await training.accepted("/courses", COURSE))["id"]
    answers = await asyncio.gather(
        *(training.post(f"/courses/{course}/enrolments", {"seeker_id": woman}) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers)[:1] == [201]
    assert await mongo.db["enrolments"].count_documents({}) == 1
    assert (await training.get(f"/courses/{course}"))["seats_left"] == 2


async def test_a_retried_command_is_answered_once(training: Client, mongo: Mongo) -> None:
    first = await training.accepted("/courses", COURSE, key="the-same-key")
    assert await training.accepted("/courses", COURSE, key="the-same-key") == first
    other = await training.post("/courses", {**COURSE, "seats": 4}, key="the-same-key")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await mongo.db["courses"].count_documents({}) == 1


async def test_participations_and_persons_are_different_counts(training: Client, mongo: Mongo, days: Days) -> None:
    one, two, three = await know(mongo, 3)
    courses = [(await training.accepted("/courses", COURSE))["id"] for _ in range(2)]
    later = {**COURSE, "starts_at": "2026-06-01T09:00:00+08:00", "ends_at": "2026-06-02T09:00:00+08:00"}
    courses.append((await training.accepted("/courses", later))["id"])
    for course, woman in ((0, one), (1, one), (0, two), (2, two), (1, three)):
        enrolment = await training.accepted(f"/courses/{courses[course]}/enrolments", {"seeker_id": woman})
    days.now += timedelta(days=20)
    await training.accepted(f"/enrolments/{enrolment['id']}/assess", {"result": "absent"})
    counted = await training.get("/participation", city=YANTAI)
    assert counted == {"city": YANTAI, "participations": 3, "persons": 2}
    assert await training.get("/participation", city="370700") == {
        "city": "370700", "participations": 0, "persons": 0,
    }  # fmt: skip


async def test_lists_come_in_pages(training: Client) -> None:
    made = {(await training.accepted("/courses", COURSE))["id"] for _ in range(5)}
    assert {course["course_id"] for course in await training.all("/courses", limit=2, city=YANTAI)} == made
    assert await training.all("/courses", city="370700") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**COURSE, "city": "37"}, "city"),
        ({**COURSE, "level": 6}, "level"),
        ({**COURSE, "seats": "3"}, "seats"),
        ({**COURSE, "skill": "Elder Care"}, "skill"),
        ({**COURSE, "starts_at": "2026-03-09T09:00:00"}, "starts_at"),
        ({**COURSE, "starts_at": "0001-01-01T00:00:00+14:00"}, "starts_at"),
        ({**COURSE, "ends_at": "9999-12-31T23:59:59-12:00"}, "ends_at"),
        ({**COURSE, "teacher": "someone"}, "teacher"),
        ({}, "city"),
    ],
)
async def test_bad_courses_are_refused_by_field(training: Client, body: dict[str, Any], field: str) -> None:
    problem = await training.refused("/courses", body, 422)
    assert field in [error["field"] for error in problem["errors"]]
    assert await training.all("/courses") == []


async def test_unknown_paths_are_not_found(training: Client) -> None:
    assert (await training.refused(f"/courses/{new_id('course')}/enrolments", {"seeker_id": new_id("seeker")}, 404))[
        "code"
    ] == "course-unknown"
    await training.refused(f"/enrolments/{new_id('enrolment')}/assess", {"result": "passed"}, 404)
    await training.refused(f"/certificates/{new_id('certificate')}/revoke", {"reason": "misconduct"}, 404)
    assert (await training.http.get(f"/courses/{new_id('course')}")).status_code == 404
