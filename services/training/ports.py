"""What the use cases need of a store. Two implementations: MongoDB (`store`), and memory (the unit tests)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from services.training.domain import Certificate, Course, Enrolment, Participation, Seeker
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event


class TrainingStore(Protocol):
    """The store inside one transaction: what was read is still so at the commit, or the transaction runs again."""

    async def note_seekers(self, seekers: Collection[Seeker]) -> None:
        """Remember who there is; a version that is not newer changes nothing."""
        ...

    async def seeker(self, seeker_id: str) -> Seeker | None: ...

    async def course(self, course_id: str) -> Course | None: ...

    async def add_course(self, course: Course) -> None: ...

    async def take_seat(self, course_id: str) -> None:
        """One seat fewer; two of these in one course conflict."""
        ...

    async def is_enrolled(self, course_id: str, seeker_id: str) -> bool: ...

    async def enrolment(self, enrolment_id: str) -> Enrolment | None: ...

    async def add_enrolment(self, enrolment: Enrolment) -> None: ...

    async def save_enrolment(self, enrolment: Enrolment) -> None: ...

    async def certificate(self, certificate_id: str) -> Certificate | None: ...

    async def add_certificate(self, certificate: Certificate) -> None: ...

    async def save_certificate(self, certificate: Certificate) -> None: ...

    async def publish(self, event: Event, at: datetime) -> Envelope:
        """Put an event into the outbox."""
        ...


class TrainingReads(Protocol):
    """What readers ask, outside transactions. Lists come by id."""

    async def courses(self, city: str | None, skill: str | None, after: str, limit: int) -> Sequence[Course]: ...

    async def course(self, course_id: str) -> Course | None: ...

    async def certificates(self, seeker_id: str, after: str, limit: int) -> Sequence[Certificate]: ...

    async def participation(self, city: str, now: datetime) -> Participation: ...
