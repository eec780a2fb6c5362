"""Who plays in the story, and when it happens: ids and times that do not change."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from shared.contracts.fields import Event, WeekSpan
from shared.kernel.ids import PREFIXES

Told = tuple[tuple[Event, datetime], ...]
"""Events, each with the moment of the change, which becomes `ce_time`."""

CITY = "370600"
AREA = "370602001"


def id_of(entity: str, name: str = "1") -> str:
    """The id of an entity in the story, by its kind and a name of its own; real ids are random."""
    return f"{PREFIXES[entity]}-{hashlib.sha256(f'{entity} {name}'.encode()).hexdigest()[:32]}"


SEEKER = id_of("seeker")
EMPLOYER = id_of("employer")
COMMUNITY = id_of("community")
STATION = id_of("station")
SHUTTLE = id_of("shuttle")
POST = id_of("post")
PLACEMENT = id_of("placement")
SHIFT = id_of("shift")
COURSE = id_of("course")
ENROLMENT = id_of("enrolment")
CERTIFICATE = id_of("certificate")
AGREEMENT = id_of("agreement")
OFFER = id_of("offer")


def at(day: int, time: str) -> datetime:
    """An instant of March 2026, by the clock of Yantai (UTC+8)."""
    hour, minute = map(int, time.split(":"))
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


def weekdays(start: str, to: str) -> tuple[WeekSpan, ...]:
    """The same hours from Monday to Friday."""
    return tuple(WeekSpan(day=day, start=start, to=to) for day in range(1, 6))
