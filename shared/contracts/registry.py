"""Events of the registry: seekers, employers, stations, shuttles, posts, placements, shifts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.fields import (
    OPEN,
    PSEUDONYMOUS,
    Area,
    City,
    Count,
    Day,
    Event,
    Fen,
    Flag,
    Instant,
    OpenId,
    Payload,
    Point,
    PseudonymId,
    Slug,
    SlugList,
    Version,
    WeekHours,
    WeekMinutes,
)

PostKind = Literal["elastic", "team", "mobile", "new-form"]
"""弹性 leave on request · 宝妈班组 she picks slots · 流动 piece work at home · 新业态 new forms (FACTS.md, N, Y)."""

Facility = Literal["child-care-room", "nursing-room", "shuttle-bus", "parental-leave"]
Verdict = Literal["attended", "left-early", "no-show"]


class RegistryEvent(Event):
    """Published by the registry."""

    source: ClassVar[str] = "registry"


class SeekerRegistered(RegistryEvent):
    """A woman looks for a mama post; sent again with a higher version whenever her profile changes."""

    topic: ClassVar[str] = "seeker-registered"
    entity: ClassVar[str] = "seeker_id"

    seeker_id: PseudonymId
    version: Version
    city: City
    area: Annotated[Area, PSEUDONYMOUS]
    home: Annotated[Point, PSEUDONYMOUS]
    commute_km: Annotated[int, Field(ge=1, le=100), PSEUDONYMOUS]
    free: Annotated[WeekHours, PSEUDONYMOUS]
    skills: Annotated[SlugList, PSEUDONYMOUS]
    kinds: Annotated[tuple[Annotated[PostKind, OPEN], ...], Field(min_length=1, max_length=4), PSEUDONYMOUS]
    facilities: Annotated[tuple[Annotated[Facility, OPEN], ...], Field(max_length=4), PSEUDONYMOUS] = ()
    pay_floor_fen: Annotated[Fen, Field(description="Least pay she accepts, fen an hour."), PSEUDONYMOUS]
    eligible_until: Annotated[
        Day, Field(description="Last day of the month of the youngest child's 12th birthday."), PSEUDONYMOUS
    ]
    registered_at: Instant


class SeekerWithdrawn(RegistryEvent):
    """She no longer looks for a post; shares the version count of `seeker-registered`."""

    topic: ClassVar[str] = "seeker-withdrawn"
    entity: ClassVar[str] = "seeker_id"

    seeker_id: PseudonymId
    version: Version
    city: City
    reason: Annotated[Literal["own-wish", "found-work", "moved-away", "erased"], OPEN]
    withdrawn_at: Instant


class EmployerRegistered(RegistryEvent):
    """An employer was screened and joined the programme."""

    topic: ClassVar[str] = "employer-registered"
    entity: ClassVar[str] = "employer_id"

    employer_id: OpenId
    version: Version
    city: City
    kind: Annotated[Literal["enterprise", "public-institution", "social-organisation", "individual-business"], OPEN]
    registered_at: Instant


class EmployerSuspended(RegistryEvent):
    """Supervision stops an employer's posts; shares the version count of `employer-registered`."""

    topic: ClassVar[str] = "employer-suspended"
    entity: ClassVar[str] = "employer_id"

    employer_id: OpenId
    version: Version
    city: City
    reason: Annotated[Literal["contract-missing", "insurance-missing", "safety", "pay-arrears", "other"], OPEN]
    suspended_at: Instant


class EmployerReinstated(RegistryEvent):
    """A suspension was lifted; shares the version count of `employer-registered`."""

    topic: ClassVar[str] = "employer-reinstated"
    entity: ClassVar[str] = "employer_id"

    employer_id: OpenId
    version: Version
    city: City
    reinstated_at: Instant


class CommunityRegistered(RegistryEvent):
    """A community of residents, which lends rooms and receives rebates."""

    topic: ClassVar[str] = "community-registered"
    entity: ClassVar[str] = "community_id"

    community_id: OpenId
    version: Version
    city: City
    area: Area
    registered_at: Instant


class StationRegistered(RegistryEvent):
    """A station (驿站) of a community; sent again when its production zone is accepted, or what it offers changes."""

    topic: ClassVar[str] = "station-registered"
    entity: ClassVar[str] = "station_id"

    station_id: OpenId
    version: Version
    city: City
    area: Area
    community_id: OpenId
    location: Point
    production_accepted: Annotated[
        Flag, Field(description="Fire, blast and dust acceptance; without it no shift is hosted (FACTS.md, Y, L).")
    ]
    facilities: Annotated[tuple[Annotated[Facility, OPEN], ...], Field(max_length=4)]
    child_care_places: Annotated[
        Annotated[int, Field(ge=0, le=200), OPEN] | None,
        Field(description="Children that its child-care zone takes at a time; absent: not told."),
    ] = None
    registered_at: Instant


class ShuttleRegistered(RegistryEvent):
    """A shuttle (妈妈班车) runs to a station, at the hours of the posts there; sent again when its seats change."""

    topic: ClassVar[str] = "shuttle-registered"
    entity: ClassVar[str] = "shuttle_id"

    shuttle_id: OpenId
    version: Version
    city: City
    station_id: OpenId
    seats: Annotated[int, Field(ge=0, le=100, description="0: it no longer runs."), OPEN]
    registered_at: Instant


class Pay(Payload):
    """What a post pays."""

    per: Annotated[Literal["hour", "piece"], OPEN]
    fen: Annotated[Fen, Field(description="Fen per hour or per accepted piece.")]
    expected_hourly_fen: Annotated[Fen, Field(description="Equal to `fen` for hourly pay; else usual pieces × fen.")]


class PostOpened(RegistryEvent):
    """A mama post is open; sent again with a higher version whenever it changes."""

    topic: ClassVar[str] = "post-opened"
    entity: ClassVar[str] = "post_id"

    post_id: OpenId
    version: Version
    employer_id: OpenId
    city: City
    area: Area
    station_id: OpenId | None = None
    community_id: OpenId | None = None
    kind: Annotated[PostKind, OPEN]
    trade: Slug
    location: Annotated[Point | None, Field(description="Absent: at home or online.")] = None
    hours: Annotated[WeekHours, Field(description="Empty: no set hours.")]
    min_minutes: Annotated[WeekMinutes, Field(description="Weekly overlap with her free hours that is asked.")]
    skills_required: SlugList
    skills_desired: SlugList
    pay: Pay
    seats: Annotated[int, Field(ge=1, le=1000), OPEN]
    facilities: Annotated[tuple[Annotated[Facility, OPEN], ...], Field(max_length=4)]
    urgent: Flag
    opened_at: Instant
    closes_at: Instant | None = None


class PostClosed(RegistryEvent):
    """A post takes no one any more; shares the version count of `post-opened`."""

    topic: ClassVar[str] = "post-closed"
    entity: ClassVar[str] = "post_id"

    post_id: OpenId
    version: Version
    city: City
    reason: Annotated[Literal["filled", "expired", "withdrawn"], OPEN]
    closed_at: Instant


class PlacementMade(RegistryEvent):
    """A seeker took a seat on a post."""

    topic: ClassVar[str] = "placement-made"
    entity: ClassVar[str] = "placement_id"

    placement_id: PseudonymId
    version: Version
    post_id: OpenId
    seeker_id: PseudonymId
    employer_id: OpenId
    community_id: OpenId | None = None
    city: City
    hours: Annotated[WeekHours, PSEUDONYMOUS]
    starts_on: Day
    made_at: Instant


class PlacementEnded(RegistryEvent):
    """A seat is free again; shares the version count of `placement-made`."""

    topic: ClassVar[str] = "placement-ended"
    entity: ClassVar[str] = "placement_id"

    placement_id: PseudonymId
    version: Version
    post_id: OpenId
    seeker_id: PseudonymId
    city: City
    reason: Annotated[Literal["own-wish", "employer", "post-closed", "seeker-withdrawn"], OPEN]
    ends_on: Day
    ended_at: Instant


class Pieces(Payload):
    """Piece work of a shift."""

    accepted: Annotated[Count, PSEUDONYMOUS]
    rejected: Annotated[Count, PSEUDONYMOUS]


class ShiftCompleted(RegistryEvent):
    """A shift was worked, cut short or missed; a correction is the same shift with the next `revision`."""

    topic: ClassVar[str] = "shift-completed"
    entity: ClassVar[str] = "shift_id"
    order: ClassVar[str] = "revision"

    shift_id: PseudonymId
    revision: Version
    placement_id: PseudonymId
    post_id: OpenId
    seeker_id: PseudonymId
    employer_id: OpenId
    community_id: Annotated[OpenId | None, Field(description="Absent: no community lent a room.")] = None
    city: City
    started_at: Annotated[Instant, PSEUDONYMOUS]
    ended_at: Annotated[Instant, PSEUDONYMOUS]
    minutes: Annotated[int, Field(ge=0, le=1440), PSEUDONYMOUS]
    pieces: Pieces | None = None
    wage_fen: Annotated[Fen, PSEUDONYMOUS, Field(description="Her pay for the shift; never reduced by a rebate.")]
    base_fen: Annotated[
        Fen,
        PSEUDONYMOUS,
        Field(
            description="Value of her accepted output to the employer, the base of rebates by `output`; "
            "her pay where no output value was reported."
        ),
    ]
    verdict: Annotated[Verdict, OPEN]
