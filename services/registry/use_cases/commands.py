"""The registry's commands as they are sent: names are those of the events (DESIGN.md §4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator

from services.registry.domain.occupancy import CHILD_CARE_PLACES_MAX, SHUTTLE_SEATS_MAX
from services.registry.domain.people import CHILDREN_MAX, PostKind
from services.registry.domain.placements import EndReason
from services.registry.domain.places import EmployerKind, SuspensionReason
from services.registry.domain.posts import ClosingReason
from services.registry.domain.shifts import Verdict
from services.registry.use_cases.fields import (
    Command,
    EntityId,
    Facilities,
    FenAmount,
    Hours,
    IsoDay,
    IsoInstant,
    Phone,
    PieceCount,
    Skill,
    Skills,
    Text100,
    Text300,
    distinct,
    non_empty,
)
from shared.contracts.fields import Area, City, Point

Kinds = Annotated[
    tuple[PostKind, ...],
    Field(max_length=4, json_schema_extra={"minItems": 1}),
    AfterValidator(non_empty),
    AfterValidator(distinct),
]
CommuteKm = Annotated[int, Field(ge=1, le=100)]
Seats = Annotated[int, Field(ge=1, le=1000)]
ChildCarePlaces = Annotated[
    int, Field(ge=0, le=CHILD_CARE_PLACES_MAX, description="Children that its child-care zone takes at a time.")
]
MinMinutes = Annotated[int, Field(ge=0, le=10_080, description="Weekly overlap asked; at most the minutes of `hours`.")]


class RegisterCommunity(Command):
    """A community of residents joins: it lends rooms and receives rebates."""

    city: City
    area: Area
    name: Text100


class RegisterStation(Command):
    """A community's room becomes a station (驿站)."""

    community_id: EntityId
    location: Point
    production_accepted: bool
    facilities: Facilities = ()
    child_care_places: ChildCarePlaces = 0
    name: Text100


class ChangeStation(Command):
    """Any subset. Places can be taken away down to those that are taken."""

    facilities: Facilities | None = None
    child_care_places: ChildCarePlaces | None = None


class AcceptStation(Command):
    """The acceptance of the production zone: given, or withdrawn."""

    production_accepted: bool


class RegisterShuttle(Command):
    """A shuttle (妈妈班车) begins to run to a station, at the hours of the posts there."""

    station_id: EntityId
    seats: Annotated[int, Field(ge=1, le=SHUTTLE_SEATS_MAX)]
    name: Text100


class ChangeShuttle(Command):
    """Any subset. Seats can be taken away down to those that are taken; 0: it no longer runs."""

    seats: Annotated[int | None, Field(ge=0, le=SHUTTLE_SEATS_MAX)] = None
    name: Text100 | None = None


class RegisterEmployer(Command):
    """A screened employer joins the programme."""

    city: City
    kind: EmployerKind
    name: Text100


class SuspendEmployer(Command):
    """Supervision stops an employer: its posts take nobody until it is reinstated."""

    reason: SuspensionReason


class Nothing(Command):
    """A command that needs no input: `{}`."""


class Child(Command):
    """A child that she brings up; the youngest decides until when she is eligible."""

    birth_date: Annotated[IsoDay, Field(repr=False)]


Children = Annotated[
    tuple[Child, ...],
    Field(max_length=CHILDREN_MAX, json_schema_extra={"minItems": 1}),
    AfterValidator(non_empty),
]


class PersonInput(Command):
    """Who she is. Kept encrypted, never published."""

    name: Annotated[Text100, Field(repr=False)]
    phone: Annotated[Phone, Field(repr=False)]
    birth_date: Annotated[IsoDay, Field(repr=False)]
    address: Annotated[Text300, Field(repr=False)]
    children: Annotated[Children, Field(repr=False)]


class PersonChange(Command):
    """Any subset; `children` replaces the whole list."""

    name: Annotated[Text100 | None, Field(repr=False)] = None
    phone: Annotated[Phone | None, Field(repr=False)] = None
    birth_date: Annotated[IsoDay | None, Field(repr=False)] = None
    address: Annotated[Text300 | None, Field(repr=False)] = None
    children: Annotated[Children | None, Field(repr=False)] = None


class RegisterSeeker(Command):
    """What the canvass records of a woman who looks for a mama post."""

    city: City
    area: Area
    home: Annotated[Point, Field(repr=False, description="Exact; published rounded to 0.005°.")]
    commute_km: CommuteKm
    free: Hours
    skills: Skills = ()
    kinds: Kinds
    facilities: Facilities = ()
    pay_floor_fen: Annotated[FenAmount, Field(description="Least pay she accepts, fen an hour.")]
    registered_on: Annotated[IsoDay | None, Field(description="Date on the paper ledger; absent: today.")] = None
    person: PersonInput


class ChangeSeeker(Command):
    """Any subset of the profile and the person. Who moves to another city withdraws and registers there."""

    area: Area | None = None
    home: Annotated[Point | None, Field(repr=False)] = None
    commute_km: CommuteKm | None = None
    free: Hours | None = None
    skills: Skills | None = None
    kinds: Kinds | None = None
    facilities: Facilities | None = None
    pay_floor_fen: FenAmount | None = None
    person: PersonChange | None = None


class WithdrawSeeker(Command):
    """To erase her data as well, use `/erase`, which withdraws her with the reason `erased`."""

    reason: Literal["own-wish", "found-work", "moved-away"]


class PayInput(Command):
    """What the post pays: by the hour, or by the accepted piece."""

    per: Literal["hour", "piece"]
    fen: Annotated[FenAmount, Field(ge=1, description="Fen per hour or per accepted piece.")]
    expected_hourly_fen: Annotated[
        FenAmount | None, Field(description="For piece pay: usual pieces an hour × `fen`. For hourly pay: leave out.")
    ] = None


class OpenPost(Command):
    """An employer offers seats on a post."""

    employer_id: EntityId
    station_id: EntityId | None = None
    area: Area
    kind: PostKind
    trade: Skill
    location: Annotated[Point | None, Field(description="Absent: the station's, or at home or online.")] = None
    hours: Hours = ()
    min_minutes: MinMinutes = 0
    skills_required: Skills = ()
    skills_desired: Skills = ()
    pay: PayInput
    seats: Seats
    facilities: Facilities = ()
    urgent: bool = False
    closes_at: IsoInstant | None = None


class ChangePost(Command):
    """Any subset; `null` takes `station_id`, `location` or `closes_at` away. Placements keep their hours and pay."""

    station_id: EntityId | None = None
    area: Area | None = None
    kind: PostKind | None = None
    trade: Skill | None = None
    location: Point | None = None
    hours: Hours | None = None
    min_minutes: MinMinutes | None = None
    skills_required: Skills | None = None
    skills_desired: Skills | None = None
    pay: PayInput | None = None
    seats: Seats | None = None
    facilities: Facilities | None = None
    urgent: bool | None = None
    closes_at: IsoInstant | None = None


class ClosePost(Command):
    """The post takes nobody any more; placements on it go on."""

    reason: ClosingReason


class MakePlacement(Command):
    """She takes a seat on a post, and with it what she asks for beside it: all of it, or nothing."""

    post_id: EntityId
    seeker_id: EntityId
    hours: Annotated[Hours | None, Field(description="A part of the post's hours; absent: all of them.")] = None
    starts_on: IsoDay
    child_care: Annotated[bool, Field(description="Also a child-care place, at the same hours.")] = False
    child_care_station_id: Annotated[
        EntityId | None, Field(description="Where: a station of the post's community; absent: the post's station.")
    ] = None
    shuttle_id: Annotated[
        EntityId | None, Field(description="Also a seat on this shuttle, which goes to the post's station.")
    ] = None

    @field_validator("child_care_station_id")
    @classmethod
    def _asked_for(cls, station_id: str | None, info: ValidationInfo) -> str | None:
        if station_id is not None and info.data.get("child_care") is False:
            raise ValueError("to be left out unless `child_care` is true")
        return station_id


class EndPlacement(Command):
    """Her seat becomes free, with what she took beside it."""

    reason: EndReason
    ends_on: Annotated[IsoDay, Field(description="Last day of work; the day before `starts_on` if she never began.")]


class PiecesInput(Command):
    """Pieces that passed the check, and that did not."""

    accepted: PieceCount
    rejected: PieceCount = 0


class WorkedInput(Command):
    """What is reported of a shift."""

    started_at: IsoInstant
    ended_at: IsoInstant
    verdict: Verdict
    pieces: Annotated[PiecesInput | None, Field(description="For piece pay, unless she did not come.")] = None
    output_fen: Annotated[
        FenAmount | None,
        Field(description="Value of her accepted output to the employer; absent: her pay stands for it."),
    ] = None


class RecordShift(WorkedInput):
    """A shift of a placement."""

    placement_id: EntityId


class CorrectShift(WorkedInput):
    """The same shift as it really was; the ledger reverses and re-posts."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1, description="The revision that is corrected: the latest.")]


def given(command: BaseModel) -> dict[str, Any]:
    """The fields that a change names, also those it names as `null`."""
    return {name: getattr(command, name) for name in command.model_fields_set}
