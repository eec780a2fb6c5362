"""`TrainingStore` and `TrainingReads` on MongoDB."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import date, datetime

from pymongo import ASCENDING, IndexModel, UpdateOne

from services.training.domain import Certificate, Course, Enrolment, Participation, Seeker
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.messaging import events
from shared.messaging.events import EventLog
from shared.runtime import commands
from shared.runtime.migrations import Step
from shared.runtime.mongo import Database, Document, Session

_INDEXES: dict[str, list[IndexModel]] = {
    "seekers": [],
    "courses": [IndexModel([("city", ASCENDING), ("_id", ASCENDING)], name="city")],
    "enrolments": [
        # Once per course.
        IndexModel([("course_id", ASCENDING), ("seeker_id", ASCENDING)], name="once", unique=True),
        # Counts of a city.
        IndexModel([("city", ASCENDING), ("starts_at", ASCENDING)], name="participation"),
    ],
    "certificates": [IndexModel([("seeker_id", ASCENDING), ("_id", ASCENDING)], name="seeker")],
}


STEPS = (
    Step(
        "collections and indexes of the first release",
        {**_INDEXES, "events": events.INDEXES, "command_answers": commands.INDEXES},
    ),
)
"""How training's database came to be what it is; steps are added at the end and never changed."""


class MongoTraining:
    """One transaction's view; made anew for each attempt."""

    def __init__(self, db: Database, events: EventLog, session: Session) -> None:
        self._db = db
        self._events = events
        self._session = session

    async def note_seekers(self, seekers: Collection[Seeker]) -> None:
        # By the pipeline each write itself keeps what is newer: nothing has to be read before.
        changes = [
            UpdateOne({"_id": seeker.seeker_id}, [_newer(_seeker_document(seeker))], upsert=True) for seeker in seekers
        ]
        if changes:
            await self._db["seekers"].bulk_write(changes, ordered=False, session=self._session)

    async def seeker(self, seeker_id: str) -> Seeker | None:
        found = await self._find("seekers", seeker_id)
        return Seeker(found["_id"], found["city"], found["version"], found["withdrawn"]) if found else None

    async def course(self, course_id: str) -> Course | None:
        found = await self._find("courses", course_id)
        return _course_of(found) if found else None

    async def add_course(self, course: Course) -> None:
        await self._insert("courses", course.course_id, _course_document(course))

    async def take_seat(self, course_id: str) -> None:
        await self._db["courses"].update_one({"_id": course_id}, {"$inc": {"taken": 1}}, session=self._session)

    async def is_enrolled(self, course_id: str, seeker_id: str) -> bool:
        found = await self._db["enrolments"].find_one(
            {"course_id": course_id, "seeker_id": seeker_id}, {"_id": 1}, session=self._session
        )
        return found is not None

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        found = await self._find("enrolments", enrolment_id)
        return Enrolment(enrolment_id=found.pop("_id"), **found) if found else None

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        await self._insert("enrolments", enrolment.enrolment_id, _without_id(asdict(enrolment), "enrolment_id"))

    async def save_enrolment(self, enrolment: Enrolment) -> None:
        await self._replace("enrolments", enrolment.enrolment_id, _without_id(asdict(enrolment), "enrolment_id"))

    async def certificate(self, certificate_id: str) -> Certificate | None:
        found = await self._find("certificates", certificate_id)
        return _certificate_of(found) if found else None

    async def add_certificate(self, certificate: Certificate) -> None:
        await self._insert("certificates", certificate.certificate_id, _certificate_document(certificate))

    async def save_certificate(self, certificate: Certificate) -> None:
        await self._replace("certificates", certificate.certificate_id, _certificate_document(certificate))

    async def publish(self, event: Event, at: datetime) -> Envelope:
        [envelope] = await self._events.append(self._session, [event], at)
        return envelope

    async def _find(self, collection: str, key: str) -> Document | None:
        return await self._db[collection].find_one({"_id": key}, session=self._session)

    async def _insert(self, collection: str, key: str, document: Document) -> None:
        await self._db[collection].insert_one({"_id": key, **document}, session=self._session)

    async def _replace(self, collection: str, key: str, document: Document) -> None:
        await self._db[collection].replace_one({"_id": key}, document, session=self._session)


class MongoReads:
    """Reads outside transactions; each sees what is committed when it runs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def courses(self, city: str | None, skill: str | None, after: str, limit: int) -> list[Course]:
        wanted: Document = {"_id": {"$gt": after}}
        if city is not None:
            wanted["city"] = city
        if skill is not None:
            wanted["skill"] = skill
        cursor = self._db["courses"].find(wanted).sort("_id", ASCENDING).limit(limit)
        return [_course_of(document) for document in await cursor.to_list(limit)]

    async def course(self, course_id: str) -> Course | None:
        found = await self._db["courses"].find_one({"_id": course_id})
        return _course_of(found) if found else None

    async def certificates(self, seeker_id: str, after: str, limit: int) -> list[Certificate]:
        cursor = self._db["certificates"].find({"seeker_id": seeker_id, "_id": {"$gt": after}})
        documents = await cursor.sort("_id", ASCENDING).limit(limit).to_list(limit)
        return [_certificate_of(document) for document in documents]

    async def participation(self, city: str, now: datetime) -> Participation:
        taken_part = {"city": city, "starts_at": {"$lte": now}, "result": {"$ne": "absent"}}
        counts = await (
            self._db["enrolments"]
            .aggregate(
                [
                    {"$match": taken_part},
                    {"$group": {"_id": "$seeker_id", "times": {"$sum": 1}}},
                    {"$group": {"_id": None, "persons": {"$sum": 1}, "participations": {"$sum": "$times"}}},
                ],
                allowDiskUse=True,
            )
            .to_list(1)
        )
        return Participation(counts[0]["participations"], counts[0]["persons"]) if counts else Participation(0, 0)


def _seeker_document(seeker: Seeker) -> Document:
    return {"city": seeker.city, "version": seeker.version, "withdrawn": seeker.withdrawn}


def _newer(document: Document) -> Document:
    """Stage of an update that sets these fields, unless the version that stands there is as new."""
    is_older = {"$lt": [{"$ifNull": ["$version", 0]}, document["version"]]}
    return {"$set": {name: {"$cond": [is_older, {"$literal": value}, f"${name}"]} for name, value in document.items()}}


def _without_id(document: Document, name: str) -> Document:
    del document[name]
    return document


def _course_document(course: Course) -> Document:
    return _without_id(asdict(course), "course_id")


def _course_of(document: Document) -> Course:
    return Course(course_id=document.pop("_id"), **document)


def _certificate_document(certificate: Certificate) -> Document:
    document = _without_id(asdict(certificate), "certificate_id")
    document["valid_until"] = certificate.valid_until.isoformat() if certificate.valid_until else None
    return document


def _certificate_of(document: Document) -> Certificate:
    until = document.pop("valid_until")
    return Certificate(
        certificate_id=document.pop("_id"), valid_until=date.fromisoformat(until) if until else None, **document
    )
