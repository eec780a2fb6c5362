"""Types of event fields. Each carries its limits and its *field class*, so that no field can be without one.

Field classes (promise 4): `OPEN` says nothing of an individual; `PSEUDONYMOUS` names one by a random id; `PERSONAL` is
anything that identifies or describes a person. A model of an event with a personal field, or with a field of no class,
cannot be defined (see `Event`).
"""

from __future__ import annotations

import enum
import types
import typing
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from shared.kernel.ids import ID_PATTERN
from shared.kernel.money import FEN_MAX, RATE_BP_MAX, RATE_BP_MIN
from shared.kernel.week import SLOT_TIME_PATTERN


class FieldClass(enum.Enum):
    """What a field says of a person; stands in the `Annotated` metadata of every event field."""

    OPEN = "open"
    PSEUDONYMOUS = "pseudonymous"
    PERSONAL = "personal"


OPEN = FieldClass.OPEN
PSEUDONYMOUS = FieldClass.PSEUDONYMOUS
PERSONAL = FieldClass.PERSONAL


class Payload(BaseModel):
    """A part of an event, or a whole one. Unknown fields are ignored: adding an optional field is compatible (§4)."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="iso8601", allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            if typing.get_origin(hint) is ClassVar or name == "model_config":
                continue
            classes = set(_classes_of(hint))
            if PERSONAL in classes:
                raise TypeError(f"{cls.__name__}.{name} is personal and cannot stand on an event")
            if not classes:
                raise TypeError(f"{cls.__name__}.{name} has no field class: annotate it OPEN or PSEUDONYMOUS")


def _classes_of(hint: Any) -> list[FieldClass]:
    """Every field class that a type hint names, through unions, containers and nested payloads."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *metadata = typing.get_args(hint)
        own = [m for m in metadata if isinstance(m, FieldClass)]
        return own + _classes_of(base)
    if origin is not None and (origin is typing.Union or origin is types.UnionType or isinstance(origin, type)):
        return [c for argument in typing.get_args(hint) for c in _classes_of(argument)]
    if isinstance(hint, type) and issubclass(hint, Payload):
        return [OPEN]
    return []


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=40)]
OpenId = Annotated[Id, OPEN]
PseudonymId = Annotated[Id, PSEUDONYMOUS]

Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="Rises with each change of the entity."), OPEN]
City = Annotated[
    str,
    Field(pattern=r"^[1-9][0-9]{5}$", description="Division code of the city, GB/T 2260, e.g. 370600 Yantai."),
    OPEN,
]
Area = Annotated[
    str, Field(pattern=r"^[1-9][0-9]{5,11}$", description="Division code of county, street or community."), OPEN
]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40), OPEN]
"""A word of a code list (a skill, a trade, a reason): lower-case words joined by hyphens."""

SlugList = Annotated[tuple[Slug, ...], Field(max_length=64)]
Instant = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json"), OPEN]
"""RFC 3339 instant, UTC, to the millisecond."""

Day = Annotated[date, OPEN]
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$"), OPEN]
Fen = Annotated[int, Field(ge=0, le=FEN_MAX), OPEN]
SignedFen = Annotated[int, Field(ge=-FEN_MAX, le=FEN_MAX), OPEN]
SignedFenE4 = Annotated[int, Field(ge=-FEN_MAX * 10_000, le=FEN_MAX * 10_000), OPEN]
RateBp = Annotated[int, Field(ge=RATE_BP_MIN, le=RATE_BP_MAX), OPEN]
Count = Annotated[int, Field(ge=0, le=10**9), OPEN]
WeekMinutes = Annotated[int, Field(ge=0, le=10_080), OPEN]
SlotTime = Annotated[str, Field(pattern=SLOT_TIME_PATTERN), OPEN]
Flag = Annotated[bool, OPEN]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), OPEN]


class WeekSpan(Payload):
    """A weekly span of half hours, in the city's civil time."""

    model_config = ConfigDict(populate_by_name=True)

    day: Annotated[int, Field(ge=1, le=7, description="ISO weekday, 1 = Monday."), OPEN]
    start: Annotated[SlotTime, Field(alias="from")]
    to: SlotTime


WeekHours = Annotated[tuple[WeekSpan, ...], Field(max_length=168)]
"""At most 168 spans: more cannot be apart from each other on a half-hour grid."""


class Point(Payload):
    """WGS 84 degrees. A seeker's home is rounded to 0.005° before it is published."""

    lat: Annotated[float, Field(ge=-90, le=90), OPEN]
    lon: Annotated[float, Field(ge=-180, le=180), OPEN]


class Event(Payload):
    """A fact that a service publishes.

    Class attributes name where it goes: `topic` (the event name in kebab-case), `major` (schema version),
    `source` (the owning service), `entity` (the field that is message key and unit of order), `order` (the field that
    counts the entity's versions).
    """

    topic: ClassVar[str]
    major: ClassVar[int] = 1
    source: ClassVar[str]
    entity: ClassVar[str]
    order: ClassVar[str] = "version"

    city: City

    @property
    def entity_id(self) -> str:
        """Message key: the id of the entity that the event is about."""
        return str(getattr(self, self.entity))

    @property
    def entity_version(self) -> int:
        """The entity's version, counted by `order`."""
        return int(getattr(self, self.order))

    @classmethod
    def type(cls) -> str:
        """CloudEvents type, e.g. `mamapost.post-opened.v1`."""
        return f"mamapost.{cls.topic}.v{cls.major}"
