"""Whether all values of one JSON Schema are values of another; where not, values that show it.

Only what is understood is claimed: a keyword that is not known here must be the same on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from jsonschema.protocols import Validator

from mamapost.contracts.languages import NotRegular, Strings, missing, some
from mamapost.contracts.validation import validator_for

Schema: TypeAlias = dict[str, Any]

ANNOTATIONS = frozenset(
    {"$comment", "$defs", "$id", "$schema", "default", "deprecated", "description", "examples", "title"}
)
"""Keywords that no value breaks; so are all that begin with `x-`."""

_KEYWORDS = {
    "string": {"pattern", "minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required"},
    "boolean": set[str](),
    "null": set[str](),
}
DEPTH_MAX = 24
"""Schemas in schemas; a deeper one refers to itself."""

VALUES_MAX = 4
"""Values tried for each gap."""

_DATES = ("2026-03-02", "2026-02-30", "0000-01-01")
_INSTANTS = ("2026-03-02T01:00:00.000Z", "2026-03-02T01:00:00Z", "2026-02-30T01:00:00.000Z", "0000-01-01T00:00:00.000Z")


class NoValue(Exception):
    """No value of a schema was found; most likely it has none."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where a value of the first schema may be none of the second.

    Attributes:
        path: dotted; `[]` for any item of a list.
        rule: keyword that differs there, or `field` for a field that the second does not know.
        told: what differs, in words.
        values: values of the whole first schema that show it, to be verified; none where nothing was found.
    """

    path: str
    rule: str
    told: str
    values: tuple[Any, ...]


class Schemas:
    """A schema with its definitions: references are followed, annotations left out."""

    def __init__(self, root: Schema) -> None:
        self._definitions: Schema = root.get("$defs", {})
        self._validators: dict[int, tuple[Schema, Validator]] = {}

    def options(self, schema: Schema, depth: int = 0) -> list[Schema]:
        """The schema as alternatives, each of one type, or of none where it takes any."""
        if depth > DEPTH_MAX:
            raise RecursionError("a schema refers to itself")
        own = {name: value for name, value in schema.items() if not is_annotation(name)}
        if "$ref" in own:
            rest = {name: value for name, value in own.items() if name != "$ref"}
            target = self._definitions[own["$ref"].rpartition("/")[2]]
            if rest:
                return [{"?": json.dumps([rest, self.plain(target)], sort_keys=True)}]
            return self.options(target, depth + 1)
        if "anyOf" in own:
            found = [option for part in own["anyOf"] for option in self.options(part, depth + 1)]
            rest = {name: value for name, value in own.items() if name != "anyOf"}
            return [{"?": json.dumps([rest, found], sort_keys=True)}] if rest else found
        types = own.get("type")
        if isinstance(types, list):
            return [self._known({**own, "type": kind}) for kind in types]
        if types is None and own and not {"enum", "const"} & own.keys():
            return [{"?": json.dumps(own, sort_keys=True)}]
        return [self._known(own)]

    def _known(self, option: Schema) -> Schema:
        """An option whose unknown keywords are one mark that must be equal on both sides."""
        if "const" in option:
            option = {name: value for name, value in option.items() if name != "const"} | {"enum": [option["const"]]}
        known = _KEYWORDS.get(option.get("type", ""), set()) | {"type", "enum"}
        unknown = {name: value for name, value in option.items() if name not in known}
        kept = {name: value for name, value in option.items() if name in known}
        return kept | ({"?": json.dumps(unknown, sort_keys=True)} if unknown else {})

    def plain(self, schema: Schema, depth: int = 0) -> Any:
        """The schema without references and annotations: equal ones take the same values."""
        if depth > DEPTH_MAX:
            raise RecursionError("a schema refers to itself")
        found = []
        for option in self.options(schema, depth):
            whole = dict(option)
            if "items" in option:
                whole["items"] = self.plain(option["items"], depth + 1)
            if "properties" in option:
                whole["properties"] = {n: self.plain(part, depth + 1) for n, part in option["properties"].items()}
            for name in ("required", "enum"):
                if name in option:
                    whole[name] = sorted(option[name], key=repr)
            found.append(whole)
        return sorted(found, key=repr)

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, schema: Schema) -> Any:
        """One value of the schema, with every field that it must have.

        Raises:
            NoValue: none was found.
        """
        for option in self.options(schema):
            for value in self._values(option):
                return value
        raise NoValue

    def _values(self, option: Schema) -> Iterator[Any]:
        if "?" in option:
            return
        if "enum" in option:
            yield from (value for value in option["enum"] if self.takes(option, value))
            return
        kind = option.get("type")
        if kind == "string":
            yield from (text for text in _texts(option) if self.takes(option, text))
        elif kind in ("integer", "number"):
            yield from (number for number in _numbers(option) if self.takes(option, number))
        elif kind == "array":
            least = option.get("minItems", 0)
            yield [self.value(option["items"]) if "items" in option else 0] * least
        elif kind == "object":
            parts = option.get("properties", {})
            yield {name: self.value(parts[name]) if name in parts else 0 for name in option.get("required", ())}
        elif kind == "boolean":
            yield from (True, False)
        else:
            yield None

    def takes(self, option: Schema, value: Any) -> bool:
        """Whether the value is one of the option."""
        if "?" in option:
            return False
        # The option is kept beside its validator, so that no other object can have its identity meanwhile.
        if id(option) not in self._validators:
            self._validators[id(option)] = option, validator_for({**option, "$defs": self._definitions})
        return bool(self._validators[id(option)][1].is_valid(value))


def is_annotation(keyword: str) -> bool:
    return keyword in ANNOTATIONS or keyword.startswith("x-")


def _texts(option: Schema) -> Iterator[str]:
    yield from {"date": _DATES, "date-time": _INSTANTS}.get(option.get("format", ""), ())
    try:
        yield from some(_strings(option), 50)
    except NotRegular:
        return


def _strings(option: Schema) -> Strings:
    return Strings(option.get("pattern"), option.get("minLength", 0), option.get("maxLength"))


def _numbers(option: Schema) -> Iterator[Any]:
    bounds = [option[name] for name in sorted(_KEYWORDS["number"]) if name in option]
    tried = [number + step for number in bounds for step in (0, 1, -1)] + [1, 0]
    if option["type"] == "number":
        tried = [number + step for number in (*tried, *bounds) for step in (0.5, -0.5, 1e-6, -1e-6)] + tried
    yield from tried


def gaps(ours: Schemas, first: Schema, theirs: Schemas, second: Schema, *, closed: bool) -> list[Gap]:
    """Where values of `first` may be none of `second`; an empty list proves that all are.

    Args:
        closed: `second` must also know every field that `first` knows. Values of `first` hold no other fields.
    """
    try:
        return _gaps(_Pair(ours, theirs, closed), first, second, "")
    except RecursionError:
        return [Gap("", "$ref", "the schema refers to itself, which is not judged", ())]


@dataclass(frozen=True, slots=True)
class _Pair:
    ours: Schemas
    theirs: Schemas
    closed: bool


def _gaps(pair: _Pair, first: Schema, second: Schema, path: str) -> list[Gap]:
    if pair.ours.plain(first) == pair.theirs.plain(second):
        return []
    found: list[Gap] = []
    options = pair.theirs.options(second)
    for option in pair.ours.options(first):
        tried = [_option_gaps(pair, option, target, path) for target in options]
        if all(tried):
            alike = [g for g, target in zip(tried, options, strict=True) if target.get("type") == option.get("type")]
            found += max(alike or tried, key=lambda these: sum(len(gap.values) for gap in these))
    return found


def _option_gaps(pair: _Pair, option: Schema, target: Schema, path: str) -> list[Gap]:
    if option == target and "properties" not in option and "items" not in option:
        return []
    if not target:
        return []
    if "?" in option or "?" in target:
        return [Gap(path, "unknown", "a keyword that this check does not judge differs", ())]
    if "enum" in option:
        left = [value for value in option["enum"] if pair.ours.takes(option, value)]
        lost = [value for value in left if not pair.theirs.takes(target, value)]
        return [Gap(path, "enum", f"{_shown(lost)} no longer allowed", tuple(lost[:VALUES_MAX]))] if lost else []
    kind, wanted = option.get("type"), target.get("type", option.get("type"))
    if kind != wanted and (kind, wanted) != ("integer", "number"):
        values = _first(pair.ours, option)
        if kind == "number" and wanted == "integer":
            values = tuple(value for value in values if isinstance(value, float)) or values
        return [Gap(path, "type", f"{kind or 'any'} became {wanted or 'any'}", values)]
    if "enum" in target:
        values = tuple(v for v in _first(pair.ours, option, 40) if not pair.theirs.takes(target, v))
        if kind == "boolean" and not values:
            return []
        return [Gap(path, "enum", f"only {_shown(target['enum'])} allowed", values[:VALUES_MAX])]
    if kind == "string":
        return _string_gaps(pair, option, target, path)
    if kind in ("integer", "number"):
        return _number_gaps(pair, option, target, path)
    if kind == "array":
        return _array_gaps(pair, option, target, path)
    if kind == "object":
        return _object_gaps(pair, option, target, path)
    return []


def _shown(values: list[Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values[:5])


def _first(schemas: Schemas, option: Schema, count: int = VALUES_MAX) -> tuple[Any, ...]:
    found: list[Any] = []
    try:
        for value in schemas._values(option):
            found.append(value)
            if len(found) == count:
                break
    except NoValue:
        return tuple(found)
    return tuple(found)


def _string_gaps(pair: _Pair, option: Schema, target: Schema, path: str) -> list[Gap]:
    found = []
    names = [name for name in ("pattern", "minLength", "maxLength") if option.get(name) != target.get(name)]
    if names:
        said = ", ".join(f"{name} {option.get(name, 'absent')} became {target.get(name, 'absent')}" for name in names)
        try:
            lost = missing(_strings(option), _strings(target), 50)
            if lost:
                fitting = tuple(text for text in lost if pair.ours.takes(option, text))
                found.append(Gap(path, names[0], said, fitting[:VALUES_MAX]))
        except NotRegular as reason:
            found.append(Gap(path, names[0], f"{said}; {reason}", _first(pair.ours, option)))
    if "format" in target and option.get("format") != target["format"]:
        values = tuple(text for text in _first(pair.ours, option, 50) if not pair.theirs.takes(target, text))
        tried = tuple(
            t for t in (*_DATES, *_INSTANTS) if pair.ours.takes(option, t) and not pair.theirs.takes(target, t)
        )
        found.append(Gap(path, "format", f"format {target['format']} is asked", (tried + values)[:VALUES_MAX]))
    return found


def _number_gaps(pair: _Pair, option: Schema, target: Schema, path: str) -> list[Gap]:
    found = []
    for name, sign in (("minimum", 1), ("maximum", -1)):
        ours, theirs = _bound(option, name, sign), _bound(target, name, sign)
        if theirs is not None and (ours is None or ours < theirs):
            step = 1 if option["type"] == "integer" else 0.5
            edge = sign * theirs[0]
            tried: list[Any] = [edge, edge - sign * step, edge - sign * 1_000]
            tried += [] if ours is None else [sign * ours[0], sign * ours[0] + sign * step]
            if ours is not None and option["type"] == "number":
                tried.append((sign * ours[0] + edge) / 2)
            if option["type"] == "integer":
                tried = [round(number) for number in tried]
            lost = [n for n in tried if pair.ours.takes(option, n) and not pair.theirs.takes(target, n)]
            if not lost and option["type"] == "integer" and _is_nothing_between(ours, theirs):
                continue
            told = f"{name} {_said(ours, sign)} became {_said(theirs, sign)}"
            found.append(Gap(path, name, told, tuple(lost[:VALUES_MAX])))
    return found


def _bound(option: Schema, name: str, sign: int) -> tuple[float, int] | None:
    """The tighter of a bound and its exclusive form, so that a tighter one is greater; the second part: exclusive."""
    exclusive = "exclusiveM" + name[1:]
    bounds = [(sign * option[key], mark) for key, mark in ((name, 0), (exclusive, 1)) if key in option]
    return max(bounds) if bounds else None


def _is_nothing_between(ours: tuple[float, int] | None, theirs: tuple[float, int]) -> bool:
    """Whether two bounds on integers are the same, one exclusive and one not."""

    def least(bound: tuple[float, int]) -> int:
        return int(bound[0] // 1) + 1 if bound[1] or bound[0] % 1 else int(bound[0])

    return ours is not None and least(ours) >= least(theirs)


def _said(bound: tuple[float, int] | None, sign: int) -> str:
    return "absent" if bound is None else f"{sign * bound[0]}{' (exclusive)' if bound[1] else ''}"


def _array_gaps(pair: _Pair, option: Schema, target: Schema, path: str) -> list[Gap]:
    found = []
    least, most = option.get("minItems", 0), option.get("maxItems")

    def lists(items: list[Any], count: int) -> tuple[Any, ...]:
        return ((items * count)[:count],) if items or not count else ()

    some_items = list(_first_of(pair.ours, option["items"])) if "items" in option else [0]
    if target.get("minItems", 0) > least:
        told = f"minItems {least} became {target['minItems']}"
        found.append(Gap(path, "minItems", told, lists(some_items, least)))
    limit = target.get("maxItems")
    if limit is not None and (most is None or most > limit):
        told = f"maxItems {'absent' if most is None else most} became {limit}"
        found.append(Gap(path, "maxItems", told, lists(some_items, max(limit + 1, least))))
    if "items" in target and most != 0:
        for gap in _gaps(pair, option.get("items", {}), target["items"], f"{path}[]"):
            filled = tuple([value, *(some_items * least)[: max(least - 1, 0)]] for value in gap.values)
            found.append(Gap(gap.path, gap.rule, gap.told, filled))
    return found


def _first_of(schemas: Schemas, schema: Schema) -> Iterator[Any]:
    try:
        yield schemas.value(schema)
    except NoValue:
        return


def _object_gaps(pair: _Pair, option: Schema, target: Schema, path: str) -> list[Gap]:
    found = []
    whole = _first(pair.ours, option, 1)
    if not whole:
        return [Gap(path, "object", "no example of it could be made", ())]
    parts, wanted = option.get("properties", {}), target.get("properties", {})
    below = f"{path}." if path else ""
    for name in target.get("required", ()):
        if name not in option.get("required", ()):
            without = {key: value for key, value in whole[0].items() if key != name}
            told = "may be absent" if name in parts else "is not written"
            found.append(Gap(f"{below}{name}", "required", f"it is asked, but {told} by the other side", (without,)))
    for name, part in parts.items():
        inner: list[Gap] = []
        if name in wanted:
            inner = _gaps(pair, part, wanted[name], f"{below}{name}")
        elif pair.closed:
            inner = [Gap(f"{below}{name}", "field", "the field is no longer known", tuple(_first_of(pair.ours, part)))]
        found += [
            Gap(gap.path, gap.rule, gap.told, tuple({**whole[0], name: value} for value in gap.values)) for gap in inner
        ]
    return found
