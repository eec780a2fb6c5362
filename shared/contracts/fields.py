"""Types of event fields. Each carries its limits and its *field class*, so that no field can be without one.

Field classes (promise 4): `OPEN` says nothing of an individual; `PSEUDONYMOUS` names one by a random id; `PERSONAL` is
anything that identifies or describes a person. A model of an event with a personal field, or with a field of no class,
cannot be defined (see `Payload`).
"""

from __future__ import annotations

import enum
import typing
from datetime import UTC, date, datetime
from types import EllipsisType, NoneType
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

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
        if cls.model_config.get("extra") == "allow":
            raise TypeError(f"{cls.__name__} would publish fields that it does not declare")
        hints = typing.get_type_hints(cls, include_extras=True)
        hints |= {name: field.return_type for name, field in cls.model_computed_fields.items()}
        for name, hint in hints.items():
            if typing.get_origin(hint) is ClassVar or name == "model_config" or name.startswith("_"):
                continue
            if fault := _fault_of(hint, classed=False):
                raise TypeError(f"{cls.__name__}.{name} {fault}")


_SCALARS = (str, int, float, date, enum.Enum, AwareDatetime)
"""What a field may finally be; of anything else the parts could not be checked. `bool` is an `int` to Python."""


def _fault_of(hint: Any, classed: bool) -> str | None:
    """What keeps a type hint from standing on an event; `None` when nothing does.

    Every scalar that the hint can hold, also in unions and containers, needs a class of its own or around it.
    """
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *metadata = typing.get_args(hint)
        own = [m for m in metadata if isinstance(m, FieldClass)]
        if PERSONAL in own:
            return "is personal and cannot stand on an event"
        return _fault_of(base, classed or bool(own))
    if origin is typing.Literal or (isinstance(hint, type) and origin is None and issubclass(hint, _SCALARS)):
        return None if classed else "has no field class: annotate it OPEN or PSEUDONYMOUS"
    if origin is not None:
        parts = [part for part in typing.get_args(hint) if part not in (NoneType, Ellipsis, EllipsisType)]
        faults = [fault for part in parts if (fault := _fault_of(part, classed))]
        return faults[0] if faults else None
    if isinstance(hint, type) and issubclass(hint, Payload):
        return None
    return "is of a type whose parts have no field class: use scalars, containers of them, or a Payload"


INSTANT_PATTERN = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
)
"""The one way in which an event writes an instant, so that equal events are equal texts."""


class _InstantForm:
    """An instant as `INSTANT_PATTERN` in JSON, and in Python as what that text can hold: UTC, whole milliseconds."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                datetime.fromisoformat, core_schema.str_schema(pattern=INSTANT_PATTERN, strict=True)
            ),
            python_schema=core_schema.no_info_after_validator_function(_utc_ms, handler(source)),
            serialization=core_schema.plain_serializer_function_ser_schema(
                rfc3339, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "format": "date-time"}


def _utc_ms(instant: datetime) -> datetime:
    try:
        utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant of the years 1 to 9999 in UTC") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def rfc3339(instant: datetime) -> str:
    """An instant of UTC as `2026-03-02T01:00:00.000Z`.

    By orjson, in a third of the time of `isoformat`: an event has several, and they were a third of its encoding.

    Raises:
        ValueError: it is of another offset.
    """
    text = orjson.dumps(instant, None, orjson.OPT_UTC_Z).decode()
    if text[-2] != "Z":
        raise ValueError("expected an instant in UTC")
    return f"{text[1:24]}Z" if text[20] == "." else f"{text[1:20]}.000Z"


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
Instant = Annotated[AwareDatetime, _InstantForm(), OPEN]
"""RFC 3339 instant, UTC, to the millisecond."""

Day = Annotated[date, Field(json_schema_extra={"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}), OPEN]
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

    Class attributes name where it goes: `topic` (the event name in kebab-case; from the second version on with `.v2`,
    since a topic has one schema), `major` (schema version),
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
        return f"mamapost.{cls.event_name()}.v{cls.major}"

    @classmethod
    def event_name(cls) -> str:
        """The event without its version: the topic of version 1; those of later ones end in `.v2` and so on."""
        return cls.topic.removesuffix(f".v{cls.major}")

    @classmethod
    def schema_id(cls) -> str:
        """Name of the event's JSON Schema, e.g. `urn:mamapost:schema:post-opened:v1`."""
        return f"urn:mamapost:schema:{cls.event_name()}:v{cls.major}"


NEVER = frozenset(
    {
        "name", "surname", "phone", "telephone", "email", "wechat", "address", "photo", "signature", "bank_account",
        "identity", "identity_number", "id_number", "id_card", "passport", "birth_date", "birthday", "born", "age",
        "children", "child", "child_name", "children_count", "marital_state", "spouse", "ethnicity", "religion",
        "health", "person", "comment", "note", "remark", "free_text",
    }
)  # fmt: skip
"""Names that no field on a topic may have, whatever its class says: personal data, and texts that a person types."""


def named_for_personal_data(model: type[Payload]) -> list[str]:
    """Dotted paths of the fields, in an event and the payloads in it, whose name or published name is in `NEVER`."""
    found = []
    for name, field in model.model_fields.items():
        spellings = {name, field.alias or name}
        if any(ending in NEVER for spelling in spellings for ending in _endings(spelling)):
            found.append(name)
        found += [f"{name}.{path}" for part in payloads_in(field.annotation) for path in named_for_personal_data(part)]
    return found


def payloads_in(hint: Any) -> list[type[Payload]]:
    """The payloads that stand in a type hint, outermost only."""
    if isinstance(hint, type) and issubclass(hint, Payload):
        return [hint]
    return [found for part in typing.get_args(hint) for found in payloads_in(part)]


def _endings(name: str) -> list[str]:
    """The name and its endings: `home_phone` ends in `phone`. A beginning says less (`child_care_places`)."""
    words = name.lower().split("_")
    return ["_".join(words[start:]) for start in range(len(words))]
