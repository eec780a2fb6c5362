"""Schemas, changes of schemas, and events of a schema, made by hypothesis. None of it knows the checker."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from shared.contracts.fields import rfc3339

Schema: TypeAlias = dict[str, Any]

PATTERNS = ("^[a-c]{1,3}$", "^[ab]{1,3}$", "^(ab|c)*$", "^[a-z]+(-[a-z]+)*$", "b", "^a", "^[0-9]{2}$")
NAMES = ("a", "b", "c")


def _bounded(draw: DrawFn, schema: Schema, names: tuple[str, str], least: int, most: int) -> Schema:
    low = draw(st.none() | st.integers(least, most))
    high = draw(st.none() | st.integers(least if low is None else low, most))
    return schema | {name: bound for name, bound in zip(names, (low, high), strict=True) if bound is not None}


@st.composite
def scalars(draw: DrawFn) -> Schema:
    kind = draw(st.sampled_from(["string", "pattern", "enum", "date", "integer", "number", "boolean", "null"]))
    if kind == "string":
        return _bounded(draw, {"type": "string"}, ("minLength", "maxLength"), 0, 4)
    if kind == "pattern":
        return {"type": "string", "pattern": draw(st.sampled_from(PATTERNS))}
    if kind == "date":
        return {"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
    if kind == "enum":
        values = draw(st.lists(st.sampled_from(["x", "y", "z", "w"]), min_size=1, unique=True))
        return {"type": "string", "enum": values}
    if kind in ("integer", "number"):
        low = draw(st.sampled_from(["minimum", "exclusiveMinimum"])) if kind == "number" else "minimum"
        return _bounded(draw, {"type": kind}, (low, "maximum"), -3, 3) if low == "minimum" else {"type": kind, low: 0}
    return {"type": kind}


def schemas(depth: int = 2) -> SearchStrategy[Schema]:
    """Schemas of the kinds that contracts use: scalars, optional ones, lists, objects."""
    if depth == 0:
        return scalars()
    inner = schemas(depth - 1)
    return st.one_of(scalars(), _optional(inner), _lists(inner), objects(depth))


def _optional(inner: SearchStrategy[Schema]) -> SearchStrategy[Schema]:
    return inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}]})


@st.composite
def _lists(draw: DrawFn, inner: SearchStrategy[Schema]) -> Schema:
    return _bounded(draw, {"type": "array", "items": draw(inner)}, ("minItems", "maxItems"), 0, 3)


@st.composite
def objects(draw: DrawFn, depth: int = 2) -> Schema:
    parts = draw(st.dictionaries(st.sampled_from(NAMES), schemas(depth - 1), max_size=3))
    required = [name for name in parts if draw(st.booleans())]
    return {"type": "object", "properties": parts, "required": required}


# --- changes ----------------------------------------------------------------------------------------------------------


def places(schema: Schema) -> list[Schema]:
    """Every schema in a schema, itself first; of `$defs` too."""
    found = [schema]
    for name in ("properties", "$defs"):
        found += [place for part in schema.get(name, {}).values() for place in places(part)]
    for part in [schema.get("items"), *schema.get("anyOf", ())]:
        found += places(part) if isinstance(part, dict) else []
    return found


@st.composite
def changed(draw: DrawFn, schema: Schema) -> Schema:
    """The schema with one to three places of it changed, a little or altogether."""
    new = copy.deepcopy(schema)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(new)))
        draw(st.sampled_from([_describe, _bound, _enum, _property, _require, _drop, _replace]))(draw, place)
    return new


def _describe(_draw: DrawFn, place: Schema) -> None:
    place["description"] = "said in another way"


def _bound(draw: DrawFn, place: Schema) -> None:
    names = [n for n in place if n in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")]
    if names:
        name = draw(st.sampled_from(names))
        if draw(st.booleans()):
            place[name] = max(place[name] + draw(st.integers(-1, 1)), 0 if "Length" in name or "Items" in name else -9)
        else:
            del place[name]


def _enum(draw: DrawFn, place: Schema) -> None:
    if "enum" in place:
        values = [value for value in place["enum"] if draw(st.booleans())] + draw(st.sampled_from([[], ["new"]]))
        place["enum"] = values or ["other"]


def _property(draw: DrawFn, place: Schema) -> None:
    if "properties" in place:
        place["properties"][draw(st.sampled_from([*NAMES, "d"]))] = draw(schemas(1))


def _require(draw: DrawFn, place: Schema) -> None:
    if place.get("properties"):
        name = draw(st.sampled_from(sorted(place["properties"])))
        required = set(place.get("required", ()))
        place["required"] = sorted(required ^ {name})


def _drop(draw: DrawFn, place: Schema) -> None:
    if place.get("properties"):
        name = draw(st.sampled_from(sorted(place["properties"])))
        del place["properties"][name]
        place["required"] = [other for other in place.get("required", ()) if other != name]


def _replace(draw: DrawFn, place: Schema) -> None:
    if "properties" not in place and "$defs" not in place:
        place.clear()
        place.update(draw(schemas(1)))


# --- events -----------------------------------------------------------------------------------------------------------


def values_of(schema: Schema, definitions: Schema | None = None) -> SearchStrategy[Any]:
    """What a producer writes by a schema: the fields it names, and no others. Empty where no value fits."""
    known = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        return values_of(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        return st.one_of([values_of(part, known) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _BY_TYPE[schema["type"]](schema, known)


def _strings(schema: Schema, _known: Schema) -> SearchStrategy[Any]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("format") == "date":
        return st.dates(date(1000, 1, 1)).map(str)
    if schema.get("format") == "date-time":
        return st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)).map(rfc3339)
    if "pattern" in schema:
        pattern = schema["pattern"].removesuffix("$") + (r"\Z" if schema["pattern"].endswith("$") else "")
        found = st.from_regex(pattern, alphabet=st.characters(exclude_categories=["Cs"]))
        return found.filter(lambda text: least <= len(text) <= (most or 10**6))
    return st.text(min_size=least, max_size=most) if most is None or least <= most else st.nothing()


def _integers(schema: Schema, _known: Schema) -> SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    return st.nothing() if low is not None and high is not None and low > high else st.integers(low, high)


def _numbers(schema: Schema, _known: Schema) -> SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum")
    if low is not None and high is not None and low > high:
        return st.nothing()
    found = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return found.filter(lambda number: number != schema.get("exclusiveMinimum"))


def _arrays(schema: Schema, known: Schema) -> SearchStrategy[Any]:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is not None and least > most:
        return st.nothing()
    return st.lists(
        values_of(schema["items"], known), min_size=least, max_size=min(most or 5, least + 5) if most != 0 else 0
    )


def _objects(schema: Schema, known: Schema) -> SearchStrategy[Any]:
    parts = {name: values_of(part, known) for name, part in schema["properties"].items()}
    required = set(schema.get("required", ()))
    if required - parts.keys() or any(parts[name].is_empty for name in required):
        return st.nothing()
    optional = {name: part for name, part in parts.items() if name not in required and not part.is_empty}
    return st.fixed_dictionaries({name: parts[name] for name in sorted(required)}, optional=optional)


_BY_TYPE: dict[str, Callable[[Schema, Schema], SearchStrategy[Any]]] = {
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "array": _arrays,
    "object": _objects,
    "boolean": lambda _schema, _known: st.booleans(),
    "null": lambda _schema, _known: st.none(),
}
