"""Identifiers: random, typed by a prefix, meaningless to a reader.

A seeker's id is a pseudonym: nothing about her may lead to it, so it is random (122 bits), never a hash.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

ID_PATTERN = r"^[a-z]{2,4}-[0-9a-f]{32}$"
"""Shape of every id, e.g. `skr-9f…`: prefix, hyphen, 32 hexadecimal digits."""

PREFIXES = {
    "seeker": "skr",
    "employer": "emp",
    "station": "stn",
    "shuttle": "shl",
    "community": "com",
    "post": "pst",
    "placement": "plc",
    "shift": "sft",
    "course": "crs",
    "enrolment": "enr",
    "certificate": "crt",
    "agreement": "agr",
    "entry": "ent",
    "settlement": "stl",
    "spending": "spd",
    "batch": "bat",
    "payout": "pay",
    "source": "src",
    "grant": "grt",
    "offer": "ofr",
    "event": "evt",
    "policy": "pol",
}

NewId = Callable[[str], str]
"""Makes a new id for a kind of entity, e.g. `new_id("seeker")`; passed in, so that tests can make them predictable."""


def new_id(entity: str) -> str:
    """A fresh random id of an entity kind.

    Raises:
        KeyError: the kind is not in `PREFIXES`.
    """
    return f"{PREFIXES[entity]}-{uuid.uuid4().hex}"
