"""A JSON Schema validator that reads our schemas as validators of other languages do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from jsonschema.protocols import Validator

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


def validator_for(schema: dict[str, Any]) -> Validator:
    """A validator of JSON Schema 2020-12 that holds `format` to be a rule, as pydantic and most others do."""
    validator: Validator = _AsElsewhere(schema, format_checker=_formats)
    return validator
