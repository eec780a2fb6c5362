"""Ways to spoil a JSON value: at every place of it, with everything that could stand there by mistake."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

GONE = object()
"""Stands for: leave the place out."""

_ANY_TYPE: tuple[Any, ...] = (None, True, False, 0, 1, -1, 5.5, -0.1, 2**31, 2**63, 10**20, "", "x", "5", "yes", [], {})
_TEXTS = (
    "2026-02-30",
    "2026-03-02",
    "20260302",
    "2026-W10-1",
    "1700000000",
    "2026-03-02T01:00:00Z",
    "2026-03-02 01:00:00.000Z",
    "2026-03-02T01:00:00.000+08:00",
    "2026-03-02T01:00:00.000Z",
    "2026-02-30T01:00:00.000Z",
    "0000-01-01T00:00:00.000Z",
    "9999-12-31T23:59:60.000Z",
    "24:00",
    "08:15",
    "a" * 40,
    "a" * 41,
    "３70600",
    "\x00",
)


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, outermost first."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from paths_of(part, (*path, name))


def at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return value


def replacements(value: Any) -> Iterator[Any]:
    """What to put in the place of a value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | list | dict):
        yield from _ANY_TYPE
    elif isinstance(value, str):
        yield from _ANY_TYPE
        yield from _TEXTS
        yield from (value + "\n", "\n" + value, value + " ", value.upper(), value[:-1], value + "0", [value])
    elif isinstance(value, int | float):
        yield from _ANY_TYPE
        yield from (-value, value + 1, value * 1_000, value * 10**9, str(value), value + 0.5, [value])
    elif isinstance(value, list):
        yield from (
            None,
            {},
            "x",
            1,
            [],
            [None],
            [[]],
            [1],
            ["x"],
            value * 2,
            value * 200,
            [*value, None],
            {"0": value},
        )
    else:
        yield from (None, [], [value], "x", 1, {}, json.dumps(value), {**value, "unknown": {"deep": [1]}})
        for name in value:
            renamed = {("start" if key == "from" else key.title()) if key == name else key: value[key] for key in value}
            yield renamed
    yield GONE


def bounds_of(schema: Any) -> set[Any]:
    """Every number on and just beyond a bound of a schema."""
    found: set[Any] = set()
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name in ("minimum", "maximum"):
                found |= {part - 1, part, part + 1, part - 0.000_001, part + 0.000_001}
            else:
                found |= bounds_of(part)
    elif isinstance(schema, list):
        for part in schema:
            found |= bounds_of(part)
    return found


def put(value: Any, path: Path, replacement: Any) -> Any:
    """The value with another part at a place; itself where the place no longer exists."""
    if not path:
        return {} if replacement is GONE else replacement
    spoiled = copy.deepcopy(value)
    try:
        parent = at(spoiled, path[:-1])
        if replacement is GONE:
            del parent[path[-1]]
        else:
            parent[path[-1]] = replacement
    except (KeyError, IndexError, TypeError):
        # An earlier mutation took the place away.
        return value
    return spoiled
