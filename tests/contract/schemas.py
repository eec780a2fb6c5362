"""The committed JSON Schemas, and a validator that reads them as other languages do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from jsonschema.protocols import Validator

from shared.contracts.golden import HERE
from shared.contracts.topics import TOPICS

_formats = FormatChecker(())


@_formats.checks("date", raises=ValueError)
def _is_date(text: object) -> bool:
    return not isinstance(text, str) or bool(date.fromisoformat(text))


@_formats.checks("date-time", raises=ValueError)
def _is_instant(text: object) -> bool:
    return not isinstance(text, str) or bool(datetime.fromisoformat(text))


def _pattern(_validator: Any, pattern: str, text: object, _schema: Any) -> Iterator[ValidationError]:
    """`$` as in ECMA 262, which JSON Schema means: the very end. Python's also matches before a last line break."""
    if isinstance(text, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), text):
        yield ValidationError("does not match the pattern")


# 5.0 is an integer to JSON Schema; `$comment` of every schema says that ours are written without a fraction.
_types = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _checker, number: isinstance(number, int) and not isinstance(number, bool)
)
_AsElsewhere: Any = validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it out
    Draft202012Validator, {"pattern": _pattern}, type_checker=_types
)


@cache
def schema_of(topic: str) -> dict[str, Any]:
    """The committed schema of a topic's current version."""
    loaded: dict[str, Any] = json.loads(_file("schemas", topic).read_text(encoding="utf-8"))
    return loaded


@cache
def validator_of(topic: str) -> Validator:
    validator: Validator = _AsElsewhere(schema_of(topic), format_checker=_formats)
    return validator


def example_of(topic: str) -> dict[str, Any]:
    """The committed example of a topic: topic, partition, key, headers, value."""
    loaded: dict[str, Any] = json.loads(_file("examples", topic).read_text(encoding="utf-8"))
    return loaded


def message_of(example: dict[str, Any]) -> tuple[str, bytes, list[tuple[str, bytes | None]], bytes]:
    """An example as a broker hands it out: topic, key, headers, value."""
    headers: list[tuple[str, bytes | None]] = [(name, value.encode()) for name, value in example["headers"].items()]
    return example["topic"], example["key"].encode(), headers, json.dumps(example["value"]).encode()


def _file(folder: str, topic: str) -> Any:
    return HERE / folder / f"{topic}.v{TOPICS[topic].event.major}.json"
