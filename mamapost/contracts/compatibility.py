"""Is a changed event schema compatible with one that was released? In both directions; if not, an event shows it.

*Backward*: whoever reads with the new schema takes every event that the old one lets a producer write, and knows all of
its fields. *Forward*: whoever still reads with the old schema takes every event that the new one lets a producer write.
A producer writes the fields that its schema names and no others; a reader ignores fields that it does not know.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mamapost.contracts.sets import Schema, Schemas, gaps, is_annotation
from mamapost.contracts.validation import validator_for

Direction = Literal["backward", "forward", "promise"]


@dataclass(frozen=True, slots=True)
class Breach:
    """One reason why a change is refused.

    Attributes:
        path: the field; empty: the event as a whole.
        told: what differs, in words.
        event: one that a side writes and the other rejects, held against both by a validator; `None` where the change
            could not be shown to be harmless, and no event was found that shows the harm.
    """

    direction: Direction
    path: str
    told: str
    event: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that breaks nobody, with the rule that says why."""

    path: str
    told: str
    rule: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a change: reasons to refuse it, or else why each difference is harmless."""

    breaches: tuple[Breach, ...]
    changes: tuple[Change, ...]

    @property
    def is_compatible(self) -> bool:
        return not self.breaches


def written_by(schema: Schema) -> Schema:
    """The schema of what its producers write: no field that it does not name."""
    closed = copy.deepcopy(schema)
    for part in _objects(closed):
        part["additionalProperties"] = False
    return closed


def _objects(part: Any) -> Iterator[Schema]:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict) and part.get("type", "object") == "object":
            yield part
            yield from (found for inner in part["properties"].values() for found in _objects(inner))
        for name, inner in part.items():
            if name == "$defs":
                yield from (found for definition in inner.values() for found in _objects(definition))
            elif name in ("items", "anyOf"):
                yield from _objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _objects(inner)


def compare(old: Schema, new: Schema) -> Verdict:
    """Judge the change of a schema from `old`, which was released, to `new`."""
    breaches = [*_breaches("backward", old, new), *_breaches("forward", new, old), *_broken_promises(old, new)]
    return Verdict(tuple(breaches), () if breaches else tuple(_changes(old, new)))


def _breaches(direction: Direction, writer: Schema, reader: Schema) -> Iterator[Breach]:
    is_backward = direction == "backward"
    written = validator_for(written_by(writer))
    read = validator_for(written_by(reader) if is_backward else reader)
    seen = set()
    for gap in gaps(Schemas(writer), writer, Schemas(reader), reader, closed=is_backward):
        event = next((value for value in gap.values if written.is_valid(value) and not read.is_valid(value)), None)
        if (gap.path, gap.rule) not in seen:
            seen.add((gap.path, gap.rule))
            yield Breach(direction, gap.path, f"{gap.rule}: {gap.told}", event)


# --- promises beside the schema ---------------------------------------------------------------------------------------

_KEPT: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    **{
        name: (lambda old, new: old == new, told)
        for name, told in {
            "name": "events would stand on another topic",
            "owner": "ce_source would be another, and readers check it",
            "key": "order and compaction follow the key",
            "order": "readers tell old from new by it",
            "partitions": "cities would move to other partitions",
            "partitioned_by": "cities would move to other partitions",
            "dead_letters": "who watches them would see none",
        }.items()
    },
    "access": (lambda old, new: old == new or new == "open", "who reads it today would be shut out"),
    "compacted": (lambda old, new: old or not new, "versions that readers rely on would be removed"),
    "retention_ms": (lambda old, new: new == -1 or 0 <= old <= new, "events would be removed sooner than promised"),
    "max_message_bytes": (lambda old, new: new == old, "one side would write what the other rejects"),
}
"""Promises in `x-topic`: which changes keep them, and what the others break."""


def _broken_promises(old: Schema, new: Schema) -> Iterator[Breach]:
    before, after = old.get("x-topic", {}), new.get("x-topic", {})
    for name, (is_kept, told) in _KEPT.items():
        if name in before and (name not in after or not is_kept(before[name], after[name])):
            yield Breach("promise", "", f"{name}: {before[name]} became {after.get(name, 'absent')}; {told}")


# --- harmless differences ---------------------------------------------------------------------------------------------


def _changes(old: Schema, new: Schema) -> Iterator[Change]:
    before, after = dict(_places(Schemas(old), old)), dict(_places(Schemas(new), new))
    for path in [*before, *(path for path in after if path not in before)]:
        if path not in before:
            is_part = any(path.startswith((f"{other}.", f"{other}[")) for other in after if other not in before)
            if not is_part:
                yield Change(path, "optional field added", "older events lack it, older readers ignore it")
            continue
        if path not in after:
            yield Change(path, "written in another way", "the same values are allowed on both sides")
            continue
        # `values` tells of a difference that no keyword here shows, such as one between the parts of a union.
        names = sorted({*before[path], *after[path]} - {"values"})
        is_same = all(before[path].get(name) == after[path].get(name) for name in names)
        if is_same and before[path]["values"] != after[path]["values"]:
            yield Change(path, "written in another way", "the same values are allowed on both sides")
        for name in names:
            if before[path].get(name) != after[path].get(name):
                is_note = is_annotation(name)
                rule = "an annotation; no value breaks it" if is_note else "the same values are allowed on both sides"
                yield Change(path, f"{name} changed", rule)
    for name in sorted({*old.get("x-topic", {}), *new.get("x-topic", {})}):
        if old.get("x-topic", {}).get(name) != new.get("x-topic", {}).get(name):
            yield Change("", f"x-topic.{name} changed", "the promise is kept or widened")


def _places(schemas: Schemas, schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field with what is said there, its own parts left out."""
    structure = ("$defs", "properties", "items", "anyOf", "$ref", "x-topic", "$id", "$schema", "title", "$comment")
    here = {name: value for name, value in schema.items() if name not in structure}
    options = schemas.options(schema)
    here["values"] = sorted(repr({n: v for n, v in option.items() if n not in structure}) for option in options)
    yield path, here
    for option in options:
        for name, part in option.get("properties", {}).items():
            yield from _places(schemas, part, f"{path}.{name}" if path else name)
        if "items" in option:
            yield from _places(schemas, option["items"], f"{path}[]")
