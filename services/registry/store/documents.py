"""Entities as documents: field by field, under the same names, what is absent being left out.

Weeks are text (`1 09:00-11:30;…`, since 336 bits fit no BSON number), days ISO text, places `{lat, lon}`, and an
occupancy is its 336 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from services.registry.domain.hours import mask_of_text, text_of
from services.registry.domain.occupancy import Occupancy
from services.registry.domain.people import Person, Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Pay, Post
from services.registry.domain.shifts import Pieces, Shift
from services.registry.ports import Entity
from shared.kernel.geo import Place
from shared.runtime.mongo import Document

E = TypeVar("E", Community, Station, Shuttle, Employer, Seeker, Post, Placement, Shift)
Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""From the entity's value to the document's, and back. Never called with `None`."""

COLLECTIONS: dict[type[Entity], str] = {
    Community: "communities",
    Station: "stations",
    Shuttle: "shuttles",
    Employer: "employers",
    Seeker: "seekers",
    Post: "posts",
    Placement: "placements",
    Shift: "shifts",
}
PERSONS = "persons"

BESIDE = "beside"
"""Where a placement that runs keeps what it holds for her child, sealed: that she uses child care tells of children."""

SEALED = frozenset({"child_care_station_id"})
"""Fields that no document holds in the clear."""

BESIDE_BYTES = 40
"""Length of what is sealed: a longest id, or as many spaces. Every placement has it, with or without a place."""

# A city has some hundred patterns of hours, and each is read and written thousands of times.
_week: Codec = (lru_cache(maxsize=4096)(text_of), lru_cache(maxsize=4096)(mask_of_text))
_day: Codec = (date.isoformat, date.fromisoformat)
_place: Codec = (lambda place: {"lat": place.lat, "lon": place.lon}, lambda held: Place(held["lat"], held["lon"]))
_words: Codec = (list, tuple)
_occupancy: Codec = (lambda held: held.counts, Occupancy)

CODECS: dict[str, Codec] = {
    "free": _week,
    "hours": _week,
    "eligible_until": _day,
    "starts_on": _day,
    "ends_on": _day,
    "home": _place,
    "location": _place,
    "skills": _words,
    "skills_required": _words,
    "skills_desired": _words,
    "kinds": _words,
    "facilities": _words,
    "pay": (asdict, lambda held: Pay(**held)),
    "child_care_held": _occupancy,
    "seats_held": _occupancy,
    "pieces": (asdict, lambda held: Pieces(**held)),
}
"""Fields that are not stored as they are; a name means the same in every entity."""

_NAMES = {entity: tuple(field.name for field in fields(entity)) for entity in COLLECTIONS}
_REQUIRED = {
    entity: tuple(field.name for field in fields(entity) if field.default is MISSING) for entity in COLLECTIONS
}
"""Fields that are absent in a document when they are `None`; any other absent field has its default, also where the
document is older than the field."""


def document_of(entity: Entity) -> Document:
    """An entity as a document. A placement also says `active`, as an index can only ask for what is there."""
    held: Document = {}
    for name in _NAMES[type(entity)]:
        value = getattr(entity, name)
        if value is None or name in SEALED:
            continue
        codec = CODECS.get(name)
        held["_id" if name == "id" else name] = value if codec is None else codec[0](value)
    if isinstance(entity, Placement):
        held["active"] = entity.ended is None
    return held


def entity_of(kind: type[E], held: Document) -> E:
    """The entity in a document."""
    values: dict[str, Any] = dict.fromkeys(_REQUIRED[kind])
    for name in _NAMES[kind]:
        if name in held:
            codec = CODECS.get(name)
            values[name] = held[name] if codec is None else codec[1](held[name])
    return kind(**{**values, "id": held["_id"]})


def as_loaded(entity: Entity) -> Document:
    """Filter that matches an entity only while it is as it was loaded."""
    if isinstance(entity, Shift):
        return {"_id": entity.id, "revision": entity.revision}
    if isinstance(entity, Station) and entity.lock == 0:
        # Stored before stations had a lock; `None` is also what a query calls absent.
        return {"_id": entity.id, "version": entity.version, "lock": {"$in": [0, None]}}
    if isinstance(entity, Station | Shuttle | Seeker | Post | Placement):
        return {"_id": entity.id, "version": entity.version, "lock": entity.lock}
    return {"_id": entity.id, "version": entity.version}


def bytes_of_beside(placement: Placement) -> bytes:
    """What a placement holds for her child, to be sealed; of one length, so that the seal does not show it."""
    return (placement.child_care_station_id or "").ljust(BESIDE_BYTES).encode("ascii")


def beside_of_bytes(data: bytes) -> Document:
    """The fields of a placement in such a text."""
    station_id = data.decode("ascii").strip()
    return {"child_care_station_id": station_id} if station_id else {}


def bytes_of_person(person: Person) -> bytes:
    """A person as JSON, to be sealed."""
    return orjson.dumps(
        {
            "name": person.name,
            "phone": person.phone,
            "birth_date": person.birth_date,
            "address": person.address,
            "home": [person.home.lat, person.home.lon],
            "children": person.children,
        }
    )


def person_of_bytes(data: bytes) -> Person:
    """The person in such JSON."""
    held = orjson.loads(data)
    return Person(
        name=held["name"],
        phone=held["phone"],
        birth_date=date.fromisoformat(held["birth_date"]),
        address=held["address"],
        home=Place(*held["home"]),
        children=tuple(date.fromisoformat(child) for child in held["children"]),
    )
