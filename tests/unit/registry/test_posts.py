"""Posts: what each kind needs, whose station, what a change leaves alone. Employers and stations with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.registry import errors
from services.registry.domain.placements import Placement
from services.registry.domain.posts import Post
from services.registry.use_cases import places, posts
from services.registry.use_cases.commands import (
    AcceptStation,
    ChangePost,
    ClosePost,
    OpenPost,
    RegisterCommunity,
    RegisterEmployer,
    RegisterStation,
    SuspendEmployer,
)
from shared.contracts.registry import EmployerReinstated, EmployerSuspended, PostClosed, PostOpened, StationRegistered
from shared.kernel.ids import new_id
from tests.unit.registry.city import AFTERNOONS, MORNINGS, NOW, City, Refused, post_body


async def change(city: City, post_id: str, **given: Any) -> Post:
    await posts.change_post(post_id, ChangePost.model_validate(given), store=city.store, now=NOW)
    return city.store.one(Post, post_id)


async def test_a_post_at_a_station_takes_its_community_and_place(city: City) -> None:
    await city.post(station_id=city.station_id, location=None)
    event = city.store.events[-1]
    assert isinstance(event, PostOpened)
    assert (event.city, event.community_id, event.location and event.location.lat) == (
        "370600",
        city.community_id,
        37.54,
    )


async def test_work_taken_home_has_no_place_although_a_station_hands_it_out(city: City) -> None:
    post_id = await city.post(kind="mobile", station_id=city.station_id, location=None, hours=[], min_minutes=0)
    post = city.store.one(Post, post_id)
    assert (post.location, post.community_id) == (None, city.community_id)


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        ({"location": None}, errors.PostIncomplete, ["location"]),
        ({"kind": "team", "hours": [], "min_minutes": 0}, errors.PostIncomplete, ["hours"]),
        ({"hours": [], "location": None}, errors.PostIncomplete, ["location", "hours", "min_minutes"]),
        ({"min_minutes": 901}, errors.PostIncomplete, ["min_minutes"]),
        ({"kind": "mobile", "hours": []}, errors.PostIncomplete, ["min_minutes"]),
        ({"hours": [{"day": 1, "from": "10:00", "to": "10:00"}]}, errors.HoursInvalid, ["hours.0.to"]),
        ({"pay": {"per": "piece", "fen": 50}}, errors.PayInvalid, ["pay.expected_hourly_fen"]),
        (
            {"pay": {"per": "hour", "fen": 1800, "expected_hourly_fen": 1900}},
            errors.PayInvalid,
            ["pay.expected_hourly_fen"],
        ),
        ({"area": "110101"}, errors.AreaOutsideCity, ["area"]),
        ({"closes_at": NOW.isoformat()}, errors.DateOutOfRange, ["closes_at"]),
        ({"employer_id": "emp-" + "0" * 32}, errors.EmployerUnknown, ["employer_id"]),
        ({"station_id": "stn-" + "0" * 32}, errors.StationUnknown, ["station_id"]),
    ],
)
async def test_what_is_no_post(
    city: City, given: dict[str, Any], error: type[errors.RegistryError], fields: list[str]
) -> None:
    before = dict(city.store.entities)
    with Refused(error, *fields):
        await city.post(**given)
    assert city.store.entities == before


@pytest.mark.parametrize("kind", ["mobile", "new-form"])
async def test_free_kinds_need_neither_place_nor_hours(city: City, kind: str) -> None:
    await city.post(kind=kind, location=None, hours=[], min_minutes=0)


async def test_hourly_pay_is_its_own_expectation(city: City) -> None:
    assert city.store.one(Post, await city.post()).pay.expected_hourly_fen == 1800


async def test_a_station_of_another_city_or_without_acceptance_hosts_no_post(city: City) -> None:
    community = await places.register_community(
        RegisterCommunity(city="370200", area="370202", name="八大峡社区"), store=city.store, now=NOW, new_id=new_id
    )
    elsewhere = await places.register_station(
        RegisterStation.model_validate(
            {
                "community_id": community.event.entity_id,
                "location": {"lat": 36.06, "lon": 120.3},
                "production_accepted": True,
                "name": "八大峡驿站",
            }
        ),
        store=city.store,
        now=NOW,
        new_id=new_id,
    )
    with Refused(errors.StationElsewhere, "station_id"):
        await city.post(station_id=elsewhere.event.entity_id)
    await places.accept_station(city.station_id, AcceptStation(production_accepted=False), store=city.store, now=NOW)
    event = city.store.events[-1]
    assert isinstance(event, StationRegistered)
    assert (event.version, event.production_accepted) == (2, False)
    with Refused(errors.StationNotAccepted, "station_id"):
        await city.post(station_id=city.station_id)


async def test_a_station_needs_a_community(city: City) -> None:
    command = RegisterStation.model_validate(
        {
            "community_id": new_id("community"),
            "location": {"lat": 1, "lon": 1},
            "production_accepted": True,
            "name": "站",
        }
    )
    with Refused(errors.CommunityUnknown, "community_id"):
        await places.register_station(command, store=city.store, now=NOW, new_id=new_id)
    with Refused(errors.StationUnknown, "station_id"):
        await places.accept_station(
            new_id("station"), AcceptStation(production_accepted=True), store=city.store, now=NOW
        )


async def test_a_suspension_stops_new_posts_and_placements_until_it_is_lifted(city: City) -> None:
    post_id, seeker_id = await city.post(), await city.seeker()
    await places.suspend_employer(city.employer_id, SuspendEmployer(reason="safety"), store=city.store, now=NOW)
    assert city.store.events[-1].topic == EmployerSuspended.topic
    with Refused(errors.EmployerIsSuspended, "employer_id"):
        await city.post()
    with Refused(errors.EmployerIsSuspended, "post_id"):
        await city.place(post_id, seeker_id)
    with Refused(errors.EmployerIsSuspended, "employer_id"):
        await places.suspend_employer(city.employer_id, SuspendEmployer(reason="safety"), store=city.store, now=NOW)
    await places.reinstate_employer(city.employer_id, store=city.store, now=NOW)
    event = city.store.events[-1]
    assert isinstance(event, EmployerReinstated)
    assert event.version == 3
    await city.place(post_id, seeker_id)
    with Refused(errors.EmployerNotSuspended, "employer_id"):
        await places.reinstate_employer(city.employer_id, store=city.store, now=NOW)
    with Refused(errors.EmployerUnknown, "employer_id"):
        await places.reinstate_employer(new_id("employer"), store=city.store, now=NOW)


async def test_a_change_is_judged_as_an_opening_is(city: City) -> None:
    post_id = await city.post()
    with Refused(errors.PostIncomplete, "min_minutes"):
        await change(city, post_id, hours=[{"day": 1, "from": "09:00", "to": "10:00"}])
    with Refused(errors.PostIncomplete, "location"):
        await change(city, post_id, location=None)
    with Refused(errors.ChangeEmpty, "body"):
        await change(city, post_id, urgent=None)
    changed = await change(city, post_id, urgent=True, hours=AFTERNOONS)
    assert (changed.version, changed.urgent, changed.kind) == (2, True, "elastic")


async def test_a_post_that_moves_takes_the_new_place_and_community(city: City) -> None:
    post_id = await city.post()
    moved = await change(city, post_id, station_id=city.station_id)
    assert (moved.community_id, moved.location and moved.location.lat) == (city.community_id, 37.54)
    with Refused(errors.PostIncomplete, "location"):
        await change(city, post_id, station_id=None)
    left = await change(city, post_id, station_id=None, location={"lat": 37.5, "lon": 121.3})
    assert (left.station_id, left.community_id, left.location and left.location.lat) == (None, None, 37.5)


async def test_a_change_leaves_the_terms_of_placements_alone(city: City) -> None:
    post_id = await city.post()
    placement_id = await city.place(post_id, await city.seeker())
    await change(city, post_id, pay={"per": "hour", "fen": 1600}, hours=AFTERNOONS)
    placement = city.store.one(Placement, placement_id)
    assert (placement.pay.fen, placement.hours) == (1800, city.store.one(Placement, placement_id).hours)


async def test_no_seat_is_taken_away_from_under_somebody(city: City) -> None:
    post_id = await city.post(seats=3)
    for _ in range(2):
        await city.place(post_id, await city.seeker())
    with Refused(errors.SeatsTaken, "seats"):
        await change(city, post_id, seats=1)
    assert (await change(city, post_id, seats=2)).seats == 2


async def test_a_closed_post_is_closed_for_good_but_its_placements_stay(city: City) -> None:
    post_id, seeker_id = await city.post(), await city.seeker()
    placement_id = await city.place(post_id, seeker_id)
    await posts.close_post(post_id, ClosePost(reason="filled"), store=city.store, now=NOW)
    event = city.store.events[-1]
    assert isinstance(event, PostClosed)
    assert event.version == 2
    assert city.store.one(Placement, placement_id).ended is None
    with Refused(errors.PostIsClosed, "post_id"):
        await change(city, post_id, urgent=True)
    with Refused(errors.PostIsClosed, "post_id"):
        await posts.close_post(post_id, ClosePost(reason="filled"), store=city.store, now=NOW)
    with Refused(errors.PostIsClosed, "post_id"):
        await city.place(post_id, await city.seeker())
    with Refused(errors.PostUnknown, "post_id"):
        await change(city, new_id("post"), urgent=True)


async def test_an_expired_post_takes_no_one(city: City) -> None:
    post_id = await city.post(closes_at=(NOW + timedelta(hours=1)).isoformat())
    seeker_id = await city.seeker()
    with Refused(errors.PostIsClosed, "post_id"):
        await city.place(post_id, seeker_id, now=NOW + timedelta(hours=1))


async def test_a_bulk_reads_each_reference_once_and_names_each_bad_row(city: City) -> None:
    rows = [
        OpenPost.model_validate(post_body(city.employer_id, **given))
        for given in ({}, {"location": None}, {"station_id": city.station_id, "hours": MORNINGS})
    ]
    outcomes = await posts.open_posts(rows, store=city.store, now=NOW, new_id=new_id)
    assert [getattr(outcome, "code", "good") for outcome in outcomes] == ["good", "post-incomplete", "good"]


async def test_an_employer_of_another_city_opens_posts_there(city: City) -> None:
    employer = await places.register_employer(
        RegisterEmployer(city="110000", kind="individual-business", name="胡同手作"),
        store=city.store,
        now=NOW,
        new_id=new_id,
    )
    post_id = await city.post(employer_id=employer.event.entity_id, area="110101")
    assert city.store.one(Post, post_id).city == "110000"
