"""Answers to readers: the fields of the entity's event, plus its present state."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel

from services.registry.domain.people import Person, Seeker, WithdrawalReason
from services.registry.domain.placements import EndReason, Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station, SuspensionReason
from services.registry.domain.posts import ClosingReason, Post
from services.registry.domain.shifts import Shift
from services.registry.use_cases import events
from shared.contracts import registry as contracts
from shared.contracts.fields import OPEN, Count, Day, Point

Name = Annotated[str, OPEN]
"""The name of an institution, as it stands in public directories; not on topics."""


class CommunityView(contracts.CommunityRegistered):
    """A community, with its name."""

    name: Name


class StationView(contracts.StationRegistered):
    """A station, with its name and the child-care places taken in the fullest half hour of the week."""

    name: Name
    child_care_taken: Count


class ShuttleView(contracts.ShuttleRegistered):
    """A shuttle, with its name and the seats taken in the fullest half hour of the week."""

    name: Name
    seats_taken: Count


class EmployerView(contracts.EmployerRegistered):
    """An employer, with its name and whether it is suspended."""

    name: Name
    status: Annotated[Literal["active", "suspended"], OPEN]
    reason: Annotated[SuspensionReason | None, OPEN] = None


class SeekerView(contracts.SeekerRegistered):
    """The pseudonymous profile."""

    status: Annotated[Literal["active", "withdrawn"], OPEN]
    reason: Annotated[WithdrawalReason | None, OPEN] = None


class PostView(contracts.PostOpened):
    """A post, with its present state and the seats taken."""

    status: Annotated[Literal["open", "expired", "closed"], OPEN]
    reason: Annotated[ClosingReason | None, OPEN] = None
    seats_taken: Count


class PlacementView(contracts.PlacementMade):
    """With the terms of pay that the placement was made on."""

    pay: contracts.Pay
    status: Annotated[Literal["active", "ended"], OPEN]
    reason: Annotated[EndReason | None, OPEN] = None
    ends_on: Day | None = None


class BundleView(BaseModel):
    """What a placement holds beside its seat: nothing, once it has ended."""

    placement_id: str
    child_care_station_id: str | None = None
    shuttle_id: str | None = None


class ShiftView(contracts.ShiftCompleted):
    """The latest revision: exactly the fields of its event."""


class ChildView(BaseModel):
    """A child of hers."""

    birth_date: date


class PersonView(BaseModel):
    """Who is behind a pseudonym."""

    seeker_id: str
    name: str
    phone: str
    birth_date: date
    address: str
    home: Point
    children: list[ChildView]


def community_view(community: Community) -> CommunityView:
    return CommunityView(**dict(events.community_registered(community)), name=community.name)


def station_view(station: Station) -> StationView:
    return StationView(
        **dict(events.station_registered(station)), name=station.name, child_care_taken=station.child_care_held.most
    )


def shuttle_view(shuttle: Shuttle) -> ShuttleView:
    return ShuttleView(
        **dict(events.shuttle_registered(shuttle)), name=shuttle.name, seats_taken=shuttle.seats_held.most
    )


def employer_view(employer: Employer) -> EmployerView:
    return EmployerView(
        **dict(events.employer_registered(employer)),
        name=employer.name,
        status="suspended" if employer.suspended else "active",
        reason=employer.suspended,
    )


def seeker_view(seeker: Seeker) -> SeekerView:
    return SeekerView(
        **dict(events.seeker_registered(seeker)),
        status="withdrawn" if seeker.withdrawn else "active",
        reason=seeker.withdrawn,
    )


def post_view(post: Post, now: datetime) -> PostView:
    return PostView(
        **dict(events.post_opened(post)),
        status="closed" if post.closed else "open" if post.open_at(now) else "expired",
        reason=post.closed,
        seats_taken=post.seats_taken,
    )


def placement_view(placement: Placement) -> PlacementView:
    """A placement as readers see it."""
    pay = placement.pay
    return PlacementView(
        **dict(events.placement_made(placement)),
        pay=contracts.Pay(per=pay.per, fen=pay.fen, expected_hourly_fen=pay.expected_hourly_fen),
        status="ended" if placement.ended else "active",
        reason=placement.ended,
        ends_on=placement.ends_on,
    )


def bundle_view(placement: Placement) -> BundleView:
    return BundleView(
        placement_id=placement.id,
        child_care_station_id=placement.child_care_station_id,
        shuttle_id=placement.shuttle_id,
    )


def shift_view(shift: Shift) -> ShiftView:
    return ShiftView(**dict(events.shift_completed(shift)))


def person_view(seeker_id: str, person: Person) -> PersonView:
    return PersonView(
        seeker_id=seeker_id,
        name=person.name,
        phone=person.phone,
        birth_date=person.birth_date,
        address=person.address,
        home=events.point(person.home),
        children=[ChildView(birth_date=child) for child in person.children],
    )
