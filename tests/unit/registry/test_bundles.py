"""Seat, child-care place and shuttle seat: taken together or not at all, given back together, and told to nobody."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.registry import errors
from services.registry.api.views import placement_view, shuttle_view, station_view
from services.registry.domain.occupancy import CHILD_CARE_PLACES_MAX, SHUTTLE_SEATS_MAX, Occupancy
from services.registry.domain.placements import Placement
from services.registry.domain.places import Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.use_cases import placements, places, posts, seekers, shuttles
from services.registry.use_cases.commands import (
    ChangePost,
    ChangeShuttle,
    ChangeStation,
    ClosePost,
    EndPlacement,
    MakePlacement,
    RegisterCommunity,
    WithdrawSeeker,
)
from shared.contracts.registry import PlacementMade, ShuttleRegistered, StationRegistered
from shared.kernel.ids import new_id
from shared.kernel.week import SLOTS_PER_WEEK, mask_of
from tests.unit.registry.city import AFTERNOONS, NOW, TODAY, City, Refused

NINE_TO_TEN = [{"day": 1, "from": "09:00", "to": "10:00"}]
HALF_PAST_NINE_TO_TEN = [{"day": 1, "from": "09:30", "to": "10:00"}]
TEN_TO_ELEVEN = [{"day": 1, "from": "10:00", "to": "11:00"}]


class Bundled:
    """A post at a station with one child-care place, and a shuttle with one seat."""

    def __init__(self, city: City, station_id: str, shuttle_id: str, post_id: str) -> None:
        self.city, self.station_id, self.shuttle_id, self.post_id = city, station_id, shuttle_id, post_id

    @classmethod
    async def at(cls, city: City, **post: Any) -> Bundled:
        station_id = await city.station(1)
        shuttle_id = await city.shuttle(station_id, 1)
        return cls(city, station_id, shuttle_id, await city.post(station_id=station_id, **post))

    async def take(self, **given: Any) -> str:
        body = {"child_care": True, "shuttle_id": self.shuttle_id, **given}
        return await self.city.place(self.post_id, await self.city.seeker(), **body)

    def held(self) -> tuple[int, int, int]:
        """Seats, child-care places and shuttle seats that are taken."""
        store = self.city.store
        station, shuttle = store.one(Station, self.station_id), store.one(Shuttle, self.shuttle_id)
        return store.one(Post, self.post_id).seats_taken, station.child_care_held.most, shuttle.seats_held.most


@pytest.fixture
async def bundled(city: City) -> Bundled:
    return await Bundled.at(city)


async def end(city: City, placement_id: str, reason: Any = "own-wish") -> None:
    await placements.end_placement(placement_id, EndPlacement(reason=reason, ends_on=TODAY), store=city.store, now=NOW)


async def change_station(city: City, station_id: str, **given: Any) -> Station:
    await places.change_station(station_id, ChangeStation.model_validate(given), store=city.store, now=NOW)
    return city.store.one(Station, station_id)


async def change_shuttle(city: City, shuttle_id: str, **given: Any) -> Shuttle:
    await shuttles.change_shuttle(shuttle_id, ChangeShuttle.model_validate(given), store=city.store, now=NOW)
    return city.store.one(Shuttle, shuttle_id)


# --- taking -----------------------------------------------------------------------------------------------------------


async def test_all_three_are_taken_together(bundled: Bundled) -> None:
    placement = bundled.city.store.one(Placement, await bundled.take())
    assert (placement.child_care_station_id, placement.shuttle_id) == (bundled.station_id, bundled.shuttle_id)
    assert bundled.held() == (1, 1, 1)


async def test_who_asks_for_nothing_takes_the_seat_alone(bundled: Bundled) -> None:
    placement = bundled.city.store.one(Placement, await bundled.take(child_care=False, shuttle_id=None))
    assert (placement.child_care_station_id, placement.shuttle_id) == (None, None)
    assert bundled.held() == (1, 0, 0)


async def test_when_one_part_is_not_to_be_had_nothing_is_taken(bundled: Bundled) -> None:
    await bundled.take(shuttle_id=None, hours=NINE_TO_TEN)
    before = dict(bundled.city.store.entities)
    with Refused(errors.ChildCareFull, "child_care"):
        await bundled.take(hours=HALF_PAST_NINE_TO_TEN)
    assert {key: entity for key, entity in bundled.city.store.entities.items() if key in before} == before
    assert bundled.held() == (1, 1, 0)


async def test_every_part_that_is_not_to_be_had_is_named(city: City) -> None:
    bundled = await Bundled.at(city, seats=1)
    await bundled.take()
    with Refused(errors.NoSeatLeft, "post_id", "child_care", "shuttle_id"):
        await bundled.take()
    await posts.change_post(bundled.post_id, ChangePost(seats=2), store=city.store, now=NOW)
    with Refused(errors.ChildCareFull, "child_care", "shuttle_id"):
        await bundled.take()
    with Refused(errors.ShuttleFull, "shuttle_id"):
        await bundled.take(child_care=False)


async def test_a_fault_tells_the_first_half_hours_without_a_place(bundled: Bundled) -> None:
    await bundled.take(hours=HALF_PAST_NINE_TO_TEN)
    with pytest.raises(errors.ChildCareFull) as caught:
        await bundled.take()
    assert [fault.expected for fault in caught.value.faults] == [
        "a child-care place in every half hour of the placement; none is left on day 1, 09:30-10:00",
        "a shuttle with a seat left in every half hour of the placement; none is left on day 1, 09:30-10:00",
    ]


async def test_two_women_whose_hours_do_not_meet_share_one_place(bundled: Bundled) -> None:
    await bundled.take(hours=NINE_TO_TEN)
    await bundled.take(hours=TEN_TO_ELEVEN)
    assert bundled.held() == (2, 1, 1)
    with Refused(errors.ChildCareFull, "child_care", "shuttle_id"):
        await bundled.city.place(
            await bundled.city.post(station_id=bundled.station_id),
            await bundled.city.seeker(),
            child_care=True,
            shuttle_id=bundled.shuttle_id,
        )


async def test_a_placement_without_hours_holds_its_place_all_week(city: City) -> None:
    bundled = await Bundled.at(city, kind="mobile", hours=[], min_minutes=0, location=None)
    placement_id = await bundled.take()
    assert city.store.one(Station, bundled.station_id).child_care_held == Occupancy(bytes([1]) * SLOTS_PER_WEEK)
    morning = await city.post(station_id=bundled.station_id)
    with Refused(errors.ChildCareFull, "child_care"):
        await city.place(morning, await city.seeker(), child_care=True, hours=NINE_TO_TEN)
    await end(city, placement_id)
    await city.place(morning, await city.seeker(), child_care=True, hours=NINE_TO_TEN)


async def test_child_care_may_be_at_another_station_of_the_community(bundled: Bundled) -> None:
    other = await bundled.city.station(1)
    placement = bundled.city.store.one(Placement, await bundled.take(child_care_station_id=other))
    assert placement.child_care_station_id == other
    assert bundled.city.store.one(Station, other).child_care_held.most == 1
    assert bundled.held() == (1, 0, 1)
    with Refused(errors.ChildCareFull, "child_care_station_id", "shuttle_id"):
        await bundled.take(child_care_station_id=other)


async def test_there_is_no_child_care_where_there_is_none(bundled: Bundled) -> None:
    city = bundled.city
    roomless = await city.station(0)
    with Refused(errors.ChildCareNone, "child_care"):
        await city.place(await city.post(station_id=roomless), await city.seeker(), child_care=True)
    with Refused(errors.ChildCareNone, "child_care_station_id"):
        await bundled.take(child_care_station_id=roomless)
    nowhere = await city.post()
    with Refused(errors.ChildCareNone, "child_care", "shuttle_id"):
        await city.place(nowhere, await city.seeker(), child_care=True, shuttle_id=bundled.shuttle_id)
    with Refused(errors.ChildCareElsewhere, "child_care_station_id"):
        await city.place(nowhere, await city.seeker(), child_care=True, child_care_station_id=bundled.station_id)


async def test_parts_elsewhere_are_refused(bundled: Bundled) -> None:
    city = bundled.city
    community = await places.register_community(
        RegisterCommunity(city="370600", area="370602001", name="西关社区"), store=city.store, now=NOW, new_id=new_id
    )
    away = await city.station(5, community.event.entity_id)
    with Refused(errors.ChildCareElsewhere, "child_care_station_id", "shuttle_id"):
        await bundled.take(child_care_station_id=away, shuttle_id=await city.shuttle(away))
    with Refused(errors.ShuttleElsewhere, "shuttle_id"):
        await bundled.take(shuttle_id=await city.shuttle(await city.station(1)))
    assert bundled.held() == (0, 0, 0)


async def test_unknown_parts_are_named(bundled: Bundled) -> None:
    with Refused(errors.StationUnknown, "child_care_station_id", "shuttle_id"):
        await bundled.take(child_care_station_id=new_id("station"), shuttle_id=new_id("shuttle"))
    with Refused(errors.ShuttleUnknown, "shuttle_id"):
        await bundled.take(shuttle_id=new_id("shuttle"))


def test_a_station_is_only_named_for_child_care() -> None:
    body = {"post_id": new_id("post"), "seeker_id": new_id("seeker"), "starts_on": str(TODAY)}
    for given in ({}, {"child_care": False}):
        with pytest.raises(ValidationError, match="left out unless `child_care` is true"):
            MakePlacement.model_validate({**body, **given, "child_care_station_id": new_id("station")})


# --- giving back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["own-wish", "employer", "post-closed"])
async def test_an_end_gives_all_parts_back(bundled: Bundled, reason: str) -> None:
    placement_id = await bundled.take()
    if reason == "post-closed":
        await posts.close_post(bundled.post_id, ClosePost(reason="filled"), store=bundled.city.store, now=NOW)
        assert bundled.held() == (1, 1, 1)
    await end(bundled.city, placement_id, reason)
    assert bundled.held() == (0, 0, 0)
    placement = bundled.city.store.one(Placement, placement_id)
    assert (placement.child_care_station_id, placement.shuttle_id) == (None, None)


async def test_parts_are_given_back_where_they_were_taken_although_the_post_moved(bundled: Bundled) -> None:
    placement_id = await bundled.take(hours=NINE_TO_TEN)
    moved = ChangePost.model_validate({"station_id": await bundled.city.station(3), "hours": AFTERNOONS})
    await posts.change_post(bundled.post_id, moved, store=bundled.city.store, now=NOW)
    assert bundled.held() == (1, 1, 1)
    await end(bundled.city, placement_id)
    assert bundled.held() == (0, 0, 0)


@pytest.mark.parametrize("erased", [False, True])
async def test_who_withdraws_gives_back_what_all_her_placements_hold(bundled: Bundled, erased: bool) -> None:
    city, seeker_id = bundled.city, await bundled.city.seeker()
    parts: dict[str, Any] = {"child_care": True, "shuttle_id": bundled.shuttle_id}
    mornings = await city.place(bundled.post_id, seeker_id, **parts)
    afternoon_post = await city.post(station_id=bundled.station_id, hours=AFTERNOONS)
    afternoons = await city.place(afternoon_post, seeker_id, **parts)
    plain = await city.post(hours=[{"day": 6, "from": "09:00", "to": "12:00"}], min_minutes=0)
    await city.place(plain, seeker_id)
    if erased:
        await seekers.erase_seeker(seeker_id, store=city.store, now=NOW)
    else:
        await seekers.withdraw_seeker(seeker_id, WithdrawSeeker(reason="own-wish"), store=city.store, now=NOW)
    assert bundled.held() == (0, 0, 0)
    for placement_id in (mornings, afternoons):
        placement = city.store.one(Placement, placement_id)
        assert (placement.ended, placement.child_care_station_id, placement.shuttle_id) == (
            "seeker-withdrawn",
            None,
            None,
        )


# --- capacities -------------------------------------------------------------------------------------------------------


async def test_capacities_are_published_and_nothing_that_tells_of_a_woman(bundled: Bundled) -> None:
    city = bundled.city
    await bundled.take()
    made = city.store.events[-1]
    assert isinstance(made, PlacementMade)
    told = made.model_dump_json()
    assert bundled.shuttle_id not in told
    assert bundled.station_id not in told
    assert "child" not in told
    assert "shuttle" not in told
    await change_station(city, bundled.station_id, child_care_places=CHILD_CARE_PLACES_MAX)
    station = city.store.events[-1]
    assert isinstance(station, StationRegistered)
    assert (station.child_care_places, station.version) == (CHILD_CARE_PLACES_MAX, 2)
    await change_shuttle(city, bundled.shuttle_id, seats=SHUTTLE_SEATS_MAX)
    shuttle = city.store.events[-1]
    assert isinstance(shuttle, ShuttleRegistered)
    assert (shuttle.seats, shuttle.version, shuttle.station_id) == (SHUTTLE_SEATS_MAX, 2, bundled.station_id)


async def test_views_count_and_do_not_tell_who(bundled: Bundled) -> None:
    placement = bundled.city.store.one(Placement, await bundled.take(hours=NINE_TO_TEN))
    station = station_view(bundled.city.store.one(Station, bundled.station_id))
    assert (station.child_care_places, station.child_care_taken) == (1, 1)
    shuttle = shuttle_view(bundled.city.store.one(Shuttle, bundled.shuttle_id))
    assert (shuttle.seats, shuttle.seats_taken, shuttle.name) == (1, 1, "开发区线")
    shown = placement_view(placement).model_dump_json()
    assert bundled.shuttle_id not in shown
    assert bundled.station_id not in shown


async def test_a_capacity_is_not_lowered_below_what_is_taken(bundled: Bundled) -> None:
    city = bundled.city
    await change_station(city, bundled.station_id, child_care_places=3)
    await change_shuttle(city, bundled.shuttle_id, seats=3)
    first = await bundled.take(hours=NINE_TO_TEN)
    await bundled.take(hours=HALF_PAST_NINE_TO_TEN)
    with pytest.raises(errors.ChildCareTaken) as caught:
        await change_station(city, bundled.station_id, child_care_places=1)
    assert [fault.expected for fault in caught.value.faults] == [
        "at least 2, the places that are taken in the fullest half hour"
    ]
    assert city.store.one(Station, bundled.station_id).child_care_places == 3
    with Refused(errors.SeatsTaken, "seats"):
        await change_shuttle(city, bundled.shuttle_id, seats=1)
    await end(city, first)
    assert (await change_station(city, bundled.station_id, child_care_places=1)).child_care_places == 1
    assert (await change_shuttle(city, bundled.shuttle_id, seats=1)).seats == 1


async def test_a_shuttle_that_no_longer_runs_takes_nobody(bundled: Bundled) -> None:
    await change_shuttle(bundled.city, bundled.shuttle_id, seats=0)
    with Refused(errors.ShuttleFull, "shuttle_id"):
        await bundled.take()


async def test_a_change_names_something_and_something_known(bundled: Bundled) -> None:
    city = bundled.city
    with Refused(errors.ChangeEmpty, "body"):
        await change_station(city, bundled.station_id)
    with Refused(errors.ChangeEmpty, "body"):
        await change_shuttle(city, bundled.shuttle_id, name=None)
    with Refused(errors.StationUnknown, "station_id"):
        await change_station(city, new_id("station"), child_care_places=1)
    with Refused(errors.StationUnknown, "station_id"):
        await city.shuttle(new_id("station"))
    with Refused(errors.ShuttleUnknown, "shuttle_id"):
        await change_shuttle(city, new_id("shuttle"), seats=1)
    station = await change_station(city, bundled.station_id, facilities=["nursing-room"])
    assert (station.facilities, station.child_care_places) == (("nursing-room",), 1)
    assert (await change_shuttle(city, bundled.shuttle_id, name="东线")).name == "东线"


@pytest.mark.parametrize("given", [{"child_care_places": CHILD_CARE_PLACES_MAX + 1}, {"child_care_places": -1}])
def test_child_care_places_have_limits(given: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ChangeStation.model_validate(given)


# --- occupancy --------------------------------------------------------------------------------------------------------


def test_what_nobody_holds_cannot_be_given_back() -> None:
    nine = mask_of([(1, "09:00", "09:30")])
    with pytest.raises(ValueError, match="range"):
        Occupancy().taken(nine).given_back(nine << 1)
    assert Occupancy().taken(nine).given_back(nine) == Occupancy()


def test_every_limit_fits_the_byte_that_counts() -> None:
    held = Occupancy()
    for _ in range(255):
        held = held.taken(1)
    assert held.most == 255 >= max(CHILD_CARE_PLACES_MAX, SHUTTLE_SEATS_MAX)
    with pytest.raises(ValueError, match="range"):
        held.taken(1)
    assert (held.full_in(1, 255), held.full_in(1, 256), held.full_in(2, 1)) == (1, 0, 0)
