"""Types of command fields: form and limits only; what a value means is judged by the domain."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from services.registry.domain.hours import SPANS_MAX, Span
from services.registry.domain.places import Facility
from shared.contracts.fields import Id, WeekSpan
from shared.kernel.money import FEN_MAX

YEARS = range(1900, 2100)
"""Every date that a command can mean; outside it, arithmetic with dates could overflow."""

_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
_INSTANT = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}")


class Command(BaseModel):
    """Form of a request. An unknown field is refused: a misspelt optional one would be lost silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


def _written(pattern: re.Pattern[str], expected: str) -> Callable[[Any], Any]:
    """Only text is a date: a number would be taken for seconds since 1970."""

    def check(value: Any) -> Any:
        if isinstance(value, date) or (isinstance(value, str) and pattern.match(value) and int(value[:4]) in YEARS):
            return value
        raise ValueError(expected)

    return check


def _milliseconds(instant: datetime) -> datetime:
    """UTC to the millisecond, which is what the store and the events keep."""
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _plain(text: str) -> str:
    """No control characters, no half characters. Private-use ones stay: rare names (生僻字) are written with them."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("text that is not blank")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in stripped):
        raise ValueError("text without control characters")
    return stripped


IsoDay = Annotated[date, BeforeValidator(_written(_DATE, "a date, YYYY-MM-DD"))]
IsoInstant = Annotated[
    AwareDatetime,
    BeforeValidator(_written(_INSTANT, "an RFC 3339 instant with an offset")),
    AfterValidator(_milliseconds),
]
EntityId = Id
Text100 = Annotated[str, Field(max_length=100), AfterValidator(_plain)]
"""A name; the longest names of institutions have some 60 characters."""

Text300 = Annotated[str, Field(max_length=300), AfterValidator(_plain)]
"""An address down to the door."""

Phone = Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{5,18}[0-9]$")]
"""Mobile or landline, national or with a country code: 7 to 20 digits, blanks and hyphens."""

FenAmount = Annotated[int, Field(ge=0, le=FEN_MAX)]
PieceCount = Annotated[int, Field(ge=0, le=10**6)]
"""Pieces of one shift; a million in 24 hours is a mistyped number."""

Hours = Annotated[tuple[WeekSpan, ...], Field(max_length=SPANS_MAX)]


def distinct(words: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list is a set in the order given; naming a word twice means it once."""
    return tuple(dict.fromkeys(words))


def non_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """At least one. Not `min_length`, which also speaks up when the only item is a bad one."""
    if not items:
        raise ValueError("at least one")
    return items


Skill = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Skills = Annotated[tuple[Skill, ...], Field(max_length=64), AfterValidator(distinct)]
"""At most 64 skills: matching keeps a person's as one machine word."""

Facilities = Annotated[tuple[Facility, ...], Field(max_length=4), AfterValidator(distinct)]


def spans_of(hours: tuple[WeekSpan, ...]) -> list[Span]:
    """Spans as the domain takes them."""
    return [(span.day, span.start, span.to) for span in hours]
