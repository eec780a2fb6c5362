"""A store in memory, one writer at a time."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.training.domain import Certificate, Course, Enrolment, Seeker
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event


@dataclass
class MemoryTraining:
    """`TrainingStore` in dictionaries."""

    seekers: dict[str, Seeker] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    _event_ids: itertools.count[int] = field(default_factory=itertools.count)

    async def note_seekers(self, seekers: Collection[Seeker]) -> None:
        for seeker in seekers:
            known = self.seekers.get(seeker.seeker_id)
            if known is None or known.version < seeker.version:
                self.seekers[seeker.seeker_id] = seeker

    async def seeker(self, seeker_id: str) -> Seeker | None:
        return self.seekers.get(seeker_id)

    async def course(self, course_id: str) -> Course | None:
        return self.courses.get(course_id)

    async def add_course(self, course: Course) -> None:
        self.courses[course.course_id] = course

    async def take_seat(self, course_id: str) -> None:
        course = self.courses[course_id]
        self.courses[course_id] = replace(course, taken=course.taken + 1)

    async def is_enrolled(self, course_id: str, seeker_id: str) -> bool:
        return any((e.course_id, e.seeker_id) == (course_id, seeker_id) for e in self.enrolments.values())

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        return self.enrolments.get(enrolment_id)

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        self.enrolments[enrolment.enrolment_id] = enrolment

    async def save_enrolment(self, enrolment: Enrolment) -> None:
        self.enrolments[enrolment.enrolment_id] = enrolment

    async def certificate(self, certificate_id: str) -> Certificate | None:
        return self.certificates.get(certificate_id)

    async def add_certificate(self, certificate: Certificate) -> None:
        self.certificates[certificate.certificate_id] = certificate

    async def save_certificate(self, certificate: Certificate) -> None:
        self.certificates[certificate.certificate_id] = certificate

    async def publish(self, event: Event, at: datetime) -> Envelope:
        self.events.append(event)
        return Envelope(f"evt-{next(self._event_ids):032x}", at, event)
