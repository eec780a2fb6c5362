"""Bodies for every command of a service, made from its OpenAPI, with a canary in each field that can tell of a person.

A field that nobody here knows gets a canary if any text may stand in it; else the test that makes it fails, and whoever
added the field has to say what belongs there. So no new personal field is forgotten.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from tests.integration.canaries import Aviary
from tests.integration.registry_desk import TODAY, YESTERDAY
from tests.unit.registry.city import MORNINGS, YANTAI

MOTHERS = range(1985, 1996)
CHILDREN = range(2017, 2024)
HOME = {"lat": 37, "lon": 121}
"""Whole degrees of what is exact to the door."""

NAMES_OF_INSTITUTIONS = {
    "RegisterCommunity": "communities",
    "RegisterStation": "stations",
    "RegisterEmployer": "employers",
    "RegisterShuttle": "shuttles",
    "ChangeShuttle": "shuttles",
}
"""Forms whose name is that of no person, and the registry's collection where it stands in the clear."""

FOR_THE_PUBLIC = {
    ("SignatoriesBody", "federation"): "agreements",
    ("SignatoriesBody", "employer"): "agreements",
    ("SignatoriesBody", "community"): "agreements",
    ("SourceBody", "giver"): "sources",
    ("SpendingRequestBody", "purpose"): "spendings",
    ("SpendingRequestBody", "receipt"): "receipts",
    ("DeclineBody", "reason"): "spendings",
}
"""Texts of revenue that are public by the programme's nature (who signed for an office, what a fund paid for and why
not), with the collection where they stand. They are written by a desk that is told to name no person, so nobody can say
that none is in them: they must be nowhere else, and on no topic."""

OPEN: Mapping[str, Any] = {
    "city": YANTAI,
    "area": "370602001",
    "location": {"lat": 37.54, "lon": 121.38},
    "commute_km": 20,
    "free": MORNINGS,
    "hours": MORNINGS,
    "skills": ["knitting"],
    "trade": "knitting",
    "skills_required": ["knitting"],
    "skills_desired": ["packing"],
    "facilities": [],
    "pay": {"per": "hour", "fen": 1800},
    "pay_floor_fen": 1000,
    "min_minutes": 60,
    "seats": 9,
    "child_care_places": 4,
    "production_accepted": True,
    "child_care": True,
    "urgent": False,
    "revision": 1,
    "registered_on": str(YESTERDAY),
    "starts_on": str(TODAY - timedelta(days=60)),
    "ends_on": str(TODAY),
    "started_at": f"{YESTERDAY}T08:30:00+08:00",
    "ended_at": f"{YESTERDAY}T11:30:00+08:00",
    "skill": "knitting",
    "level": 2,
    "base": "wages",
    "rate_bp": 800,
    "amount_fen": 600,
    "limit_fen": 90_000,
    "month": f"{TODAY:%Y-%m}",
    "offers_per_seat": 1,
    "expires_in_minutes": 60,
    "category": "lighting",
}
"""Fields that say nothing of a person, or what is published of her (docs/events.md)."""

LEFT_OUT = frozenset({"pieces", "output_fen", "closes_at"})
"""Optional fields of other kinds of post than this one."""


class Forms:
    """What can be said to a service.

    Args:
        document: its OpenAPI.
        aviary: where the canaries of what is made come from.
    """

    def __init__(self, document: Mapping[str, Any], aviary: Aviary) -> None:
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self._aviary = aviary
        self.commands: dict[str, str | None] = {
            path: _form_of(operations["post"]) for path, operations in document["paths"].items() if "post" in operations
        }
        """Form of each command, by path; `None` where rows are uploaded."""
        self.reads = [path for path, operations in document["paths"].items() if "get" in operations]

    def body(self, form: str, ids: Mapping[str, str]) -> dict[str, Any]:
        """A good body with every field.

        Args:
            ids: of the entities that it may name, by field.
        """
        return self._object(form, form, ids)

    def _object(self, form: str, path: str, ids: Mapping[str, str]) -> dict[str, Any]:
        return {
            name: self._value(schema, form, f"{path}.{name}", name, ids)
            for name, schema in self._schemas[form]["properties"].items()
            if name not in LEFT_OUT
        }

    def _value(self, schema: Mapping[str, Any], form: str, path: str, name: str, ids: Mapping[str, str]) -> Any:
        if "anyOf" in schema:
            schema = next(option for option in schema["anyOf"] if option != {"type": "null"})
        if name == "home":
            return {axis: self._aviary.degrees(f"{path}.{axis}", whole) for axis, whole in HOME.items()}
        if name == "phone":
            return self._aviary.phone(path)
        if name == "birth_date":
            return self._aviary.day(path, CHILDREN if form == "Child" else MOTHERS)
        if name in ids:
            return ids[name]
        if name in OPEN:
            return OPEN[name]
        if name == "receipt":
            scanned = f"%PDF-1.4 {self._aviary.text(path, FOR_THE_PUBLIC[form, name])}"
            return base64.b64encode(scanned.encode()).decode()
        if "$ref" in schema:
            inner = schema["$ref"].rpartition("/")[2]
            return self._object(inner, path, ids)
        if "enum" in schema or "const" in schema:
            return schema.get("const") or schema["enum"][0]
        if schema["type"] == "array":
            return [self._value(schema["items"], form, path, "", ids)]
        free = schema["type"] == "string" and not {"pattern", "format"} & schema.keys()
        assert free, f"{path}: say in {__name__} what belongs here, a canary if it can tell of a person: {schema}"
        open_in = NAMES_OF_INSTITUTIONS.get(form) if name == "name" else FOR_THE_PUBLIC.get((form, name))
        return self._aviary.text(path, open_in)


def _form_of(operation: Mapping[str, Any]) -> str | None:
    content = operation.get("requestBody", {}).get("content", {})
    reference: str | None = content.get("application/json", {}).get("schema", {}).get("$ref")
    return reference.rpartition("/")[2] if reference else None


def spoilt(body: Mapping[str, Any], aviary: Aviary, what: str) -> Iterator[dict[str, Any]]:
    """The body with a canary in the place of each of its fields in turn, and with a field that there is not."""
    for path in _leaves(body):
        changed = copy.deepcopy(dict(body))
        *outer, last = path
        place: Any = changed
        for step in outer:
            place = place[step]
        place[last] = (
            aviary.text(f"{what} with the wrong {'.'.join(map(str, path))}") * 80
        )  # longer than any field takes
        yield changed
    yield {**body, aviary.code(f"{what} with a wrong name"): aviary.text(f"{what} with a field too many")}


def _leaves(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(part, dict | list) and part:
        for step, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _leaves(inner, (*path, step))
    elif path:
        yield path
