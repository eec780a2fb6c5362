"""Placements: make, with what is taken beside the seat, and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.registry import errors
from services.registry.domain import placements as rules
from services.registry.domain.hours import week_mask
from services.registry.domain.people import Seeker, eligible_before, surely_eligible
from services.registry.domain.placements import Placement
from services.registry.domain.posts import Post
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import bundles, events
from services.registry.use_cases.commands import EndPlacement, MakePlacement
from services.registry.use_cases.fields import spans_of
from shared.contracts.envelope import Envelope
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


async def make_placement(command: MakePlacement, *, store: RegistryStore, now: datetime, new_id: NewId) -> Envelope:
    """A seeker takes a seat of a post, with the child-care place and the shuttle seat that she asks for, or nothing.

    Post, seeker, station of the child care and shuttle are all written, so of two commands for the last seat or place,
    or for the same hours of hers, one wins.

    Raises:
        PostUnknown, SeekerUnknown, StationUnknown, ShuttleUnknown, PostIsClosed, EmployerIsSuspended,
        StationNotAccepted, SeekerGone, ElsewhereThanPost, NotEligible, DateOutOfRange, HoursInvalid, HoursOutsidePost,
        AlreadyPlaced, HoursOverlap; and, naming every part that is not to be had: NoSeatLeft, ChildCareElsewhere,
        ChildCareNone, ChildCareFull, ShuttleElsewhere, ShuttleFull
    """
    post = (await store.posts([command.post_id])).get(command.post_id)
    seeker = (await store.seekers([command.seeker_id])).get(command.seeker_id)
    if post is None:
        raise errors.PostUnknown(Fault("post_id", "the id of a registered post"))
    if seeker is None:
        raise errors.SeekerUnknown(Fault("seeker_id", "the id of a registered seeker"))
    bundle = await bundles.asked_for(command, post, store)
    await _check_post(post, store, now)
    if seeker.withdrawn is not None:
        raise errors.SeekerGone(Fault("seeker_id", "a seeker who has not withdrawn"))
    hours = await _check_terms(command, post, seeker, store, now)
    seat_faults = [] if post.seats_taken < post.seats else [Fault("post_id", "a post with a seat left")]
    errors.refuse_if((errors.NoSeatLeft, seat_faults), *bundle.findings(command, post, hours))
    placement = Placement(
        id=new_id("placement"),
        version=1,
        lock=1,
        post_id=post.id,
        seeker_id=seeker.id,
        employer_id=post.employer_id,
        community_id=post.community_id,
        city=post.city,
        hours=hours,
        starts_on=command.starts_on,
        pay=post.pay,
        made_at=now,
        child_care_station_id=None if bundle.station is None else bundle.station.id,
        shuttle_id=None if bundle.shuttle is None else bundle.shuttle.id,
    )
    changes = Changes(
        added=[placement],
        replaced=[
            (post, replace(post, lock=post.lock + 1, seats_taken=post.seats_taken + 1)),
            (seeker, replace(seeker, lock=seeker.lock + 1)),
            *bundle.taken(hours),
        ],
        events=[events.placement_made(placement)],
    )
    [envelope] = await store.save(changes, now)
    return envelope


async def _check_post(post: Post, store: RegistryStore, now: datetime) -> None:
    if not post.open_at(now):
        raise errors.PostIsClosed(Fault("post_id", "a post that is open"))
    employer = (await store.employers([post.employer_id])).get(post.employer_id)
    if employer is None or employer.suspended is not None:
        raise errors.EmployerIsSuspended(Fault("post_id", "a post of an employer that is not suspended"))
    if post.station_id is not None:
        station = (await store.stations([post.station_id])).get(post.station_id)
        if station is None or not station.production_accepted:
            raise errors.StationNotAccepted(Fault("post_id", "a post at a station whose production zone is accepted"))


async def _check_terms(command: MakePlacement, post: Post, seeker: Seeker, store: RegistryStore, now: datetime) -> int:
    """Judge city, day and hours; answers her hours as a mask."""
    hours, hours_faults = post.hours, list[Fault]()
    if command.hours is not None:
        hours, hours_faults = week_mask(spans_of(command.hours), "hours")
    same_city = seeker.city == post.city
    errors.refuse_if(
        (errors.ElsewhereThanPost, [] if same_city else [Fault("seeker_id", "a seeker in the city of the post")]),
        (errors.DateOutOfRange, rules.start_faults(command.starts_on, civil_day(now))),
        (errors.HoursInvalid, hours_faults),
        (errors.HoursOutsidePost, [] if hours_faults else rules.within_faults(hours, post.hours)),
    )
    if not (
        surely_eligible(seeker, command.starts_on)
        or command.starts_on < eligible_before((await store.person(seeker.id)).children)
    ):
        raise errors.NotEligible(Fault("starts_on", "a day before the youngest child's 12th birthday"))
    others = await store.placements_of_seeker(seeker.id, command.starts_on)
    if any(other.post_id == post.id and other.ended is None for other in others):
        raise errors.AlreadyPlaced(Fault("post_id", "a post on which she holds no seat"))
    if rules.overlaps(hours, command.starts_on, others):
        raise errors.HoursOverlap(Fault("hours", "half hours in which she holds no other placement"))
    return hours


async def end_placement(placement_id: str, command: EndPlacement, *, store: RegistryStore, now: datetime) -> Envelope:
    """The seat is free again from now on, and what was taken beside it, whatever the last day of work is.

    Raises:
        PlacementUnknown, PlacementOver, DateOutOfRange, ShiftsAfterEnd
    """
    placement = (await store.placements([placement_id])).get(placement_id)
    if placement is None:
        raise errors.PlacementUnknown(Fault("placement_id", "the id of a placement"))
    if placement.ended is not None:
        raise errors.PlacementOver(Fault("placement_id", "a placement that has not ended"))
    errors.refuse_if((errors.DateOutOfRange, rules.end_faults(placement, command.ends_on, civil_day(now))))
    last = await store.last_shift_start(placement_id)
    if last is not None and civil_day(last) > command.ends_on:
        raise errors.ShiftsAfterEnd(Fault("ends_on", "the day of her last recorded shift or later"))
    over = rules.over(placement, command.ends_on, command.reason, now)
    post = (await store.posts([placement.post_id]))[placement.post_id]
    changes = Changes(
        replaced=[
            (placement, over),
            (post, replace(post, lock=post.lock + 1, seats_taken=post.seats_taken - 1)),
            *await bundles.given_back([placement], store),
        ],
        events=[events.placement_ended(over, now)],
    )
    [envelope] = await store.save(changes, now)
    return envelope
