"""From an entity to the event that tells its present state."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from services.registry.domain.people import Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift
from shared.contracts import registry as contracts
from shared.contracts.fields import Point, WeekSpan
from shared.kernel.geo import Place
from shared.kernel.week import hours_of


@lru_cache(maxsize=4096)  # a city has some hundred patterns of hours; 4,096 of them are about 2 MB
def week_hours(mask: int) -> tuple[WeekSpan, ...]:
    """A week mask as the fewest spans."""
    return tuple(WeekSpan(day=day, start=start, to=end) for day, start, end in hours_of(mask))


def point(place: Place) -> Point:
    return Point(lat=place.lat, lon=place.lon)


def community_registered(community: Community) -> contracts.CommunityRegistered:
    return contracts.CommunityRegistered(
        community_id=community.id,
        version=community.version,
        city=community.city,
        area=community.area,
        registered_at=community.registered_at,
    )


def station_registered(station: Station) -> contracts.StationRegistered:
    return contracts.StationRegistered(
        station_id=station.id,
        version=station.version,
        city=station.city,
        area=station.area,
        community_id=station.community_id,
        location=point(station.location),
        production_accepted=station.production_accepted,
        facilities=station.facilities,
        child_care_places=station.child_care_places,
        registered_at=station.registered_at,
    )


def shuttle_registered(shuttle: Shuttle) -> contracts.ShuttleRegistered:
    return contracts.ShuttleRegistered(
        shuttle_id=shuttle.id,
        version=shuttle.version,
        city=shuttle.city,
        station_id=shuttle.station_id,
        seats=shuttle.seats,
        registered_at=shuttle.registered_at,
    )


def employer_registered(employer: Employer) -> contracts.EmployerRegistered:
    return contracts.EmployerRegistered(
        employer_id=employer.id,
        version=employer.version,
        city=employer.city,
        kind=employer.kind,
        registered_at=employer.registered_at,
    )


def seeker_registered(seeker: Seeker) -> contracts.SeekerRegistered:
    return contracts.SeekerRegistered(
        seeker_id=seeker.id,
        version=seeker.version,
        city=seeker.city,
        area=seeker.area,
        home=point(seeker.home),
        commute_km=seeker.commute_km,
        free=week_hours(seeker.free),
        skills=seeker.skills,
        kinds=seeker.kinds,
        facilities=seeker.facilities,
        pay_floor_fen=seeker.pay_floor_fen,
        eligible_until=seeker.eligible_until,
        registered_at=seeker.registered_at,
    )


def post_opened(post: Post) -> contracts.PostOpened:
    return contracts.PostOpened(
        post_id=post.id,
        version=post.version,
        employer_id=post.employer_id,
        city=post.city,
        area=post.area,
        station_id=post.station_id,
        community_id=post.community_id,
        kind=post.kind,
        trade=post.trade,
        location=None if post.location is None else point(post.location),
        hours=week_hours(post.hours),
        min_minutes=post.min_minutes,
        skills_required=post.skills_required,
        skills_desired=post.skills_desired,
        pay=contracts.Pay(per=post.pay.per, fen=post.pay.fen, expected_hourly_fen=post.pay.expected_hourly_fen),
        seats=post.seats,
        facilities=post.facilities,
        urgent=post.urgent,
        opened_at=post.opened_at,
        closes_at=post.closes_at,
    )


def placement_made(placement: Placement) -> contracts.PlacementMade:
    """The event of a placement. What she took beside the seat stays in the registry: it tells of her children."""
    return contracts.PlacementMade(
        placement_id=placement.id,
        version=placement.version,
        post_id=placement.post_id,
        seeker_id=placement.seeker_id,
        employer_id=placement.employer_id,
        community_id=placement.community_id,
        city=placement.city,
        hours=week_hours(placement.hours),
        starts_on=placement.starts_on,
        made_at=placement.made_at,
    )


def placement_ended(placement: Placement, at: datetime) -> contracts.PlacementEnded:
    """The event of a placement that has ended.

    Raises:
        ValueError: it has not.
    """
    if placement.ended is None or placement.ends_on is None:
        raise ValueError("the placement has not ended")
    return contracts.PlacementEnded(
        placement_id=placement.id,
        version=placement.version,
        post_id=placement.post_id,
        seeker_id=placement.seeker_id,
        city=placement.city,
        reason=placement.ended,
        ends_on=placement.ends_on,
        ended_at=at,
    )


def shift_completed(shift: Shift) -> contracts.ShiftCompleted:
    """The shift's latest revision as its event."""
    pieces = shift.pieces
    return contracts.ShiftCompleted(
        shift_id=shift.id,
        revision=shift.revision,
        placement_id=shift.placement_id,
        post_id=shift.post_id,
        seeker_id=shift.seeker_id,
        employer_id=shift.employer_id,
        community_id=shift.community_id,
        city=shift.city,
        started_at=shift.started_at,
        ended_at=shift.ended_at,
        minutes=shift.minutes,
        pieces=None if pieces is None else contracts.Pieces(accepted=pieces.accepted, rejected=pieces.rejected),
        wage_fen=shift.wage_fen,
        base_fen=shift.base_fen,
        verdict=shift.verdict,
    )
