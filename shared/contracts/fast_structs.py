"""Structs for msgspec, derived from the pydantic models of the events: one source of truth, two decoders.

What is read is the *core schema* of a model, the very thing that pydantic executes, and only the parts of it that are
known here to mean the same to msgspec. Anything else (a validator, another type, a new option) is a `TypeError` at
import: a model is either decoded alike by both, or the service does not start. A struct may refuse what its model
accepts (an unknown field, for one: `fast.decode` then asks the model), and never accepts what its model refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from operator import or_
from re import _constants as sre  # type: ignore[attr-defined]  # not in the stubs
from re import _parser as sre_parser  # type: ignore[attr-defined]
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from shared.contracts.fields import INSTANT_PATTERN, Event, Payload

WORDS_MAX = 64
"""A pattern that only so many words match is decoded as the list of them, which is a look-up and no regular expression.
The half hours of a day are 49."""

SEPARATOR = "\n"
"""Stands in no text of an event, so that texts joined by it can be matched at once and by one expression."""


EventModel: TypeAlias = type[Event]


class EventStruct(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """An event as msgspec decodes it; has the attributes of its model, `shared.contracts.fields.Event`.

    It holds nothing that could refer back to it, hence no garbage collection; hashable and immutable as its model is.
    """

    topic: ClassVar[str]
    major: ClassVar[int]
    source: ClassVar[str]
    entity: ClassVar[str]
    order: ClassVar[str]
    model: ClassVar[EventModel]
    texts: ClassVar[dict[str, str]]  # patterns of fields that the struct itself does not check, without anchors
    entity_id: ClassVar[str]  # the field that `entity` names; read on an instance
    entity_version: ClassVar[int]  # the field that `order` names
    city: ClassVar[str]

    @classmethod
    def type(cls) -> str:
        """CloudEvents type, e.g. `mamapost.post-opened.v1`."""
        return cls.model.type()


class _IsAnything(type):
    __instancecheck__ = staticmethod(bool)  # a built-in, since it is asked for every instant; an instant is true


class _Instant(metaclass=_IsAnything):
    """Type of an instant on a struct: makes msgspec call `read_instant`, which returns a `datetime`."""


def read_instant(_: object, text: Any, _read: Callable[[str], datetime] = datetime.fromisoformat) -> datetime:
    """The instant in a text of `INSTANT_PATTERN`; a hook for msgspec.

    `fromisoformat` looks at the digits. It also reads other forms, but none of this length with these characters at
    these places, except the hour 24, which later Pythons know.

    Raises:
        ValueError, TypeError: it is none.
    """
    if text[4:20:3] == "--T::." and text[23:] == "Z" and text[11:13] != "24":
        return _read(text)
    raise ValueError("expected an instant")


_MEANT = {
    "model": {"cls", "config", "custom_init", "root_model", "schema"},
    "model-fields": {"model_name", "computed_fields", "fields"},
    "model-field": {"schema", "validation_alias", "serialization_alias"},
    "default": {"schema", "default"},
    "nullable": {"schema"},
    "tuple": {"items_schema", "variadic_item_index", "min_length", "max_length"},
    "str": {"pattern", "min_length", "max_length", "strict"},
    "int": {"ge", "le"},
    "float": {"ge", "le"},
    "bool": set(),
    "date": set(),
    "literal": {"expected"},
    "json-or-python": {"json_schema", "python_schema"},
}
"""The types of core schema that are understood, with all keys that may stand on them."""

_ANYWHERE = {"type", "ref", "metadata", "serialization"}
"""Keys that say nothing of what is accepted."""

_CONFIG = {"title": None, "allow_inf_nan": False, "extra_fields_behavior": "ignore", "ser_json_timedelta": None} | {
    "validate_by_alias": None,
    "validate_by_name": None,  # `envelope.decode` says by alias only, and so overrules it
}
"""Options of a model, with the value that they must have; `None`: any."""


def _open(schema: Mapping[str, Any]) -> str:
    """The type of a core schema, all of whose keys are understood."""
    kind = str(schema["type"])
    if kind not in _MEANT or not set(schema) <= _MEANT[kind] | _ANYWHERE:
        raise TypeError(f"no struct is known to decode {kind} with {sorted(schema)} as its model does")
    return kind


class Structs:
    """The structs made so far, one for each model, so that a payload has the same struct in all events."""

    def __init__(self) -> None:
        self._made: dict[type[Payload], type[msgspec.Struct]] = {}
        self._models: dict[Any, type[Payload]] = {}
        self._carried: dict[type[Payload], type[msgspec.Struct]] = {}
        self._rows: dict[type[Payload], Callable[[Any], Sequence[Any]]] = {}

    def of(self, model: type[Payload]) -> type[msgspec.Struct]:
        """The struct of a model.

        Raises:
            TypeError: the model has a part that the two might not decode alike.
        """
        if model not in self._made:
            self._made[model] = self._make(model)
            self._models[self._made[model]] = model
        return self._made[model]

    def carried(self, model: type[Payload]) -> type[msgspec.Struct]:
        """A struct with the attributes of a model's own, read from a row of values that were checked before."""
        if model not in self._carried:
            struct: Any = self.of(model)
            fields: list[Any] = []
            for field in msgspec.structs.fields(struct):
                kept = (field.name, self._unchecked(field.type))
                fields.append(kept if field.required else (*kept, field.default))
            options: Any = {"module": __name__, "frozen": True, "gc": False, "kw_only": True, "array_like": True}
            self._carried[model] = msgspec.defstruct(model.__name__, fields, bases=(struct,), **options)
        return self._carried[model]

    def _unchecked(self, hint: Any) -> Any:
        """A type hint without limits and patterns; instants are read by msgspec itself."""
        if hint is _Instant:
            return datetime
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._unchecked(arguments[0])
        if origin is Literal:
            return str
        if origin is tuple:
            return tuple.__class_getitem__((self._unchecked(arguments[0]), ...))
        if origin in (Union, UnionType):
            return reduce(or_, map(self._unchecked, arguments))
        if hint in self._models:
            return self.carried(self._models[hint])
        return hint

    def row_of(self, model: type[Payload]) -> Callable[[Any], Sequence[Any]]:
        """What makes the row of values that `carried` reads of a struct."""
        if model not in self._rows:
            struct = self.of(model)
            inner = {
                at: row
                for at, field in enumerate(msgspec.structs.fields(struct))
                if (row := self._row_in(field.type)) is not None
            }
            self._rows[model] = _row(inner) if inner else astuple
        return self._rows[model]

    def _row_in(self, hint: Any) -> Callable[[Any], Any] | None:
        """What makes a value ready for a row; `None`: it is as it is."""
        if hint in self._models:
            return self.row_of(self._models[hint])
        origin = get_origin(hint)
        if origin is Annotated:
            return self._row_in(get_args(hint)[0])
        rows = [row for inner in get_args(hint) if (row := self._row_in(inner))] if origin is not Literal else []
        if not rows:
            return None
        [row] = rows
        if origin is tuple:
            return lambda values: [*map(row, values)]
        return lambda value: None if value is None else row(value)

    def made_from(self, payload: Payload) -> msgspec.Struct:
        """A payload that its model has decoded, as the struct that msgspec would have decoded."""
        model = type(payload)
        return self.of(model)(**{name: self._plain(getattr(payload, name)) for name in model.model_fields})

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Payload):
            return self.made_from(value)
        return tuple(map(self._plain, value)) if isinstance(value, tuple) else value

    def _make(self, model: type[Payload]) -> type[msgspec.Struct]:
        schema: Any = model.__pydantic_core_schema__
        if _open(schema) != "model" or schema["custom_init"] or schema["root_model"]:
            raise TypeError(f"{model.__name__} is more than its fields")
        for name, value in schema["config"].items():
            if name not in _CONFIG or _CONFIG[name] not in (None, value):
                raise TypeError(f"no struct is known to decode with {name} as its model does")
        _open(schema["schema"])
        fields: list[Any] = []
        aliases: dict[str, str] = {}
        texts: dict[str, str] = {}
        for name, field in schema["schema"]["fields"].items():
            try:
                _open(field)
                aliases[name] = str(field.get("validation_alias", name))
                inner = field["schema"]
                if inner["type"] == "str" and issubclass(model, Event) and (body := body_of(inner.get("pattern"))):
                    # Matched after the decoding, all such texts at once: half as dear as one at a time.
                    texts[name] = body
                    fields.append((name, Annotated[str, _meta(inner)]))
                elif _open(inner) == "default":
                    fields.append((name, self._hint(inner["schema"]), inner["default"]))
                else:
                    fields.append((name, self._hint(inner)))
            except TypeError as error:
                raise TypeError(f"{model.__name__}.{name}: {error}") from error
        options: Any = {"frozen": True, "gc": False, "kw_only": True, "forbid_unknown_fields": True, "rename": aliases}
        if not issubclass(model, Event):
            return msgspec.defstruct(model.__name__, fields, module=__name__, **options)
        named = {name: getattr(model, name) for name in ("topic", "major", "source", "entity", "order")}
        made: Any = msgspec.defstruct(
            model.__name__,
            fields,
            bases=(EventStruct,),
            namespace={**named, "model": model, "__doc__": model.__doc__, "texts": texts},
            module=__name__,
            **options,
        )
        made.entity_id, made.entity_version = getattr(made, model.entity), getattr(made, model.order)
        struct: type[msgspec.Struct] = made
        return struct

    def _hint(self, schema: Mapping[str, Any]) -> Any:
        """Type hint that makes msgspec accept what a core schema accepts in strict JSON."""
        kind = _open(schema)
        if kind == "model":
            return self.of(schema["cls"])
        if kind == "nullable":
            return self._hint(schema["schema"]) | None
        if kind == "tuple":
            if schema.get("variadic_item_index") != 0 or len(schema["items_schema"]) != 1:
                raise TypeError("no struct is known to decode a tuple of several types as its model does")
            item = self._hint(schema["items_schema"][0])
            return Annotated[tuple.__class_getitem__((item, ...)), _meta(schema)]
        if kind == "json-or-python":
            return _instant(schema["json_schema"])
        if kind == "literal":
            return _literal(schema["expected"])
        if kind == "str":
            return _text(schema)
        simple: dict[str, Any] = {"int": int, "float": float, "bool": bool, "date": date}
        if kind not in simple:
            raise TypeError(f"no struct is known to decode {kind} inside of a field as its model does")
        return Annotated[simple[kind], _meta(schema)] if kind in ("int", "float") else simple[kind]


def _row(inner: Mapping[int, Callable[[Any], Any]]) -> Callable[[Any], Sequence[Any]]:
    def row(struct: Any) -> Sequence[Any]:
        values = [*astuple(struct)]
        for at, ready in inner.items():
            values[at] = ready(values[at])
        return values

    return row


def _meta(schema: Mapping[str, Any], pattern: str | None = None) -> Meta:
    limits = {name: schema[name] for name in ("ge", "le", "min_length", "max_length") if name in schema}
    return Meta(pattern=pattern, **limits)


def _instant(schema: Mapping[str, Any]) -> Any:
    expected = {"type": "str", "pattern": INSTANT_PATTERN, "strict": True}
    function = {"type": "no-info", "function": datetime.fromisoformat}
    if dict(schema) != {"type": "function-after", "schema": expected, "function": function}:
        raise TypeError("no struct is known to decode a text with a validator, other than an instant")
    return _Instant


def _literal(words: list[Any]) -> Any:
    if not all(type(word) is str for word in words):
        raise TypeError("no struct is known to decode a literal other than of texts as its model does")
    return Literal[tuple(words)]


def _text(schema: Mapping[str, Any]) -> Any:
    """A text of a pattern: one of any characters could hold what only one of the two parsers takes for a text."""
    body = body_of(schema.get("pattern"))
    if not body:
        raise TypeError("no struct is known to decode a text without a pattern as its model does")
    words = words_of(body)
    if words is not None and not {"min_length", "max_length"} & set(schema):
        return _literal(words)
    return Annotated[str, _meta(schema, rf"\A(?:{body})\Z")]


def body_of(pattern: str | None) -> str:
    """A pattern without its anchors, where it means the same to `re` as to pydantic, which uses Rust's; else empty.

    Raises:
        TypeError: it has other parts than characters, sets of ASCII characters, groups and repeats, or no anchors.
    """
    if pattern is None:
        return ""
    parsed, body = sre_parser.parse(pattern), pattern[1:-1]
    if parsed[0] != (sre.AT, sre.AT_BEGINNING) or parsed[-1] != (sre.AT, sre.AT_END):
        raise TypeError("expected a pattern from ^ to $")
    if any(not 32 < code < 127 for code in _codes(sre_parser.parse(body))):
        raise TypeError("expected a pattern of visible ASCII characters")
    return body


def _codes(parsed: Any) -> Iterator[int]:
    """Bounds of all characters that a pattern names."""
    for kind, value in parsed:
        if kind == sre.LITERAL:
            yield value
        elif kind == sre.RANGE:
            yield from value
        elif kind == sre.IN:
            yield from _codes(value)
        elif kind == sre.BRANCH:
            yield from (code for branch in value[1] for code in _codes(branch))
        elif kind == sre.SUBPATTERN:
            yield from _codes(value[3])
        elif kind == sre.MAX_REPEAT:
            yield from _codes(value[2])
        else:
            raise TypeError(f"no struct is known to match {kind} as its model does")


def words_of(body: str) -> list[str] | None:
    """All words that a pattern matches, where they are at most `WORDS_MAX`; else `None`."""
    words = _words(sre_parser.parse(body))
    return None if words is None else sorted(words)


def _words(parsed: Any) -> set[str] | None:
    words = {""}
    for part in parsed:
        ends = _ends(*part)
        if ends is None or len(words) * len(ends) > WORDS_MAX:
            return None
        words = {word + end for word in words for end in ends}
    return words


def _ends(kind: Any, value: Any) -> set[str] | None:
    """The words of one part of a pattern."""
    if kind == sre.LITERAL:
        return {chr(value)}
    if kind == sre.RANGE:
        return {chr(code) for code in range(value[0], value[1] + 1)}
    if kind == sre.SUBPATTERN:
        return _words(value[3])
    if kind == sre.MAX_REPEAT:
        least, most, inner = value
        return _words(list(inner) * least) if least == most and least <= WORDS_MAX else None
    alternatives = [_words(branch) for branch in value[1]] if kind == sre.BRANCH else [_ends(*one) for one in value]
    return None if None in alternatives else reduce(or_, (one for one in alternatives if one is not None), set())
