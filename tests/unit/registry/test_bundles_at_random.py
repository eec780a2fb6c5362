"""Any sequence of placements, ends, withdrawals and changed capacities, against a model that only counts slots.

The model keeps who holds what as plain lists of half hours and works out every answer anew: no masks, no counters.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.registry import errors
from services.registry.domain.placements import Placement
from services.registry.domain.places import Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.use_cases import placements, places, seekers, shuttles
from services.registry.use_cases.commands import (
    ChangeShuttle,
    ChangeStation,
    EndPlacement,
    RegisterCommunity,
    WithdrawSeeker,
)
from shared.kernel.ids import new_id
from tests.unit.registry.city import NOW, TODAY, City, Refused

SLOTS = ("08:00", "08:30", "09:00", "09:30", "10:00")
HOURS = [{"day": 1, "from": start, "to": end} for start, end in pairwise(SLOTS)]
FIRST_SLOT = 16
WEEK = range(336)
WOMEN = 5


@dataclass(frozen=True)
class Take:
    """A woman asks for a seat, and perhaps for more. `hours`: which of the four half hours; none: all of the post's."""

    woman: int
    post: int
    hours: tuple[int, ...]
    child_care: bool
    care_at: int | None
    shuttle: int | None


@dataclass(frozen=True)
class End:
    """The n-th of the running placements ends."""

    which: int


@dataclass(frozen=True)
class Withdraw:
    woman: int


@dataclass(frozen=True)
class Resize:
    """Of a station's child-care zone, or of a shuttle."""

    kind: str
    which: int
    capacity: int


takes = st.builds(
    Take,
    woman=st.integers(0, WOMEN - 1),
    post=st.integers(0, 2),
    hours=st.sets(st.integers(0, 3)).map(lambda hours: tuple(sorted(hours))),
    child_care=st.booleans(),
    care_at=st.none() | st.integers(0, 2),
    shuttle=st.none() | st.integers(0, 1),
)
operations = st.lists(
    takes
    | takes
    | takes
    | st.builds(End, st.integers(0, 20))
    | st.builds(Withdraw, st.integers(0, WOMEN - 1))
    | st.builds(Resize, st.sampled_from(["station", "shuttle"]), st.integers(0, 1), st.integers(0, 3)),
    max_size=40,
)


@dataclass(frozen=True)
class Held:
    """What the model knows of a running placement."""

    woman: int
    post: int
    slots: tuple[int, ...]
    care_at: int | None
    shuttle: int | None
    has_hours: bool


@dataclass
class Model:
    """Posts 0 and 1 are at stations 0 and 1 of one community, and post 1 has no hours; post 2 has no station, and
    station 2 is of another community."""

    seats: tuple[int, ...] = (3, 3, 2)
    places: list[int] = field(default_factory=lambda: [1, 2, 3])
    shuttles: list[int] = field(default_factory=lambda: [1, 2])
    running: dict[str, Held] = field(default_factory=dict)

    def fullest(self, part: str, which: int, slots: Any = WEEK) -> int:
        counts = Counter(
            slot
            for held in self.running.values()
            if getattr(held, part) == which
            for slot in held.slots
            if slot in slots
        )
        return max(counts.values(), default=0)

    def wanted(self, take: Take) -> Held:
        has_hours = take.post != 1
        slots = tuple(FIRST_SLOT + slot for slot in take.hours or range(4)) if has_hours else tuple(WEEK)
        care_at = (take.post if take.care_at is None else take.care_at) if take.child_care else None
        return Held(take.woman, take.post, slots, care_at, take.shuttle, has_hours)

    def hers_against(self, held: Held) -> tuple[type[errors.RegistryError], list[str]] | None:
        """What her other placements say: why, and the field."""
        hers = [other for other in self.running.values() if other.woman == held.woman]
        if any(other.post == held.post for other in hers):
            return errors.AlreadyPlaced, ["post_id"]
        timed = [other for other in hers if other.has_hours and held.has_hours]
        meets = any(set(other.slots) & set(held.slots) for other in timed)
        return (errors.HoursOverlap, ["hours"]) if meets else None

    def missing(self, take: Take, held: Held) -> dict[str, type[errors.RegistryError]]:
        """Every part that is not to be had: its field, and why."""
        found: dict[str, type[errors.RegistryError]] = {}
        if sum(other.post == held.post for other in self.running.values()) >= self.seats[held.post]:
            found["post_id"] = errors.NoSeatLeft
        if take.child_care:
            name = "child_care" if take.care_at is None else "child_care_station_id"
            if held.care_at == 2 and take.care_at is None:  # post 2 has no station
                found[name] = errors.ChildCareNone
            elif held.care_at == 2 or held.post == 2:
                found[name] = errors.ChildCareElsewhere
            elif not self.places[held.care_at or 0]:
                found[name] = errors.ChildCareNone
            elif self.fullest("care_at", held.care_at or 0, held.slots) >= self.places[held.care_at or 0]:
                found[name] = errors.ChildCareFull
        if held.shuttle is not None:
            if held.shuttle != held.post:
                found["shuttle_id"] = errors.ShuttleElsewhere
            elif self.fullest("shuttle", held.shuttle, held.slots) >= self.shuttles[held.shuttle]:
                found["shuttle_id"] = errors.ShuttleFull
        return found


class Town:
    """The registry's use cases, driven beside the model."""

    def __init__(self, city: City, model: Model) -> None:
        self.city, self.model = city, model
        self.women: list[str] = []
        self.stations: list[str] = []
        self.shuttles: list[str] = []
        self.posts: list[str] = []

    @classmethod
    async def built(cls) -> Town:
        town = cls(await City.founded(), Model())
        city, model = town.city, town.model
        away = await places.register_community(
            RegisterCommunity(city="370600", area="370602001", name="西关社区"),
            store=city.store,
            now=NOW,
            new_id=new_id,
        )
        communities = (None, None, away.event.entity_id)
        for count, community in zip(model.places, communities, strict=True):
            town.stations.append(await city.station(count, community))
        for which, seats in enumerate(model.shuttles):
            town.shuttles.append(await city.shuttle(town.stations[which], seats))
        bodies: list[dict[str, Any]] = [
            {"hours": HOURS, "station_id": town.stations[0]},
            {"hours": [], "station_id": town.stations[1], "kind": "mobile", "location": None},
            {"hours": HOURS},
        ]
        for body, seats in zip(bodies, model.seats, strict=True):
            town.posts.append(await city.post(min_minutes=0, seats=seats, **body))
        for _ in range(WOMEN):
            town.women.append(await city.seeker())
        return town

    async def apply(self, operation: Take | End | Withdraw | Resize) -> None:
        match operation:
            case Take():
                await self.take(operation)
            case End(which):
                await self.end(which)
            case Withdraw(woman):
                await self.withdraw(woman)
            case Resize(kind, which, capacity):
                await self.resize(kind, which, capacity)

    async def take(self, take: Take) -> None:
        model, held = self.model, self.model.wanted(take)
        wanted: dict[str, Any] = {"child_care": take.child_care}
        if take.hours and held.has_hours:
            wanted["hours"] = [HOURS[hour] for hour in take.hours]
        if take.child_care and take.care_at is not None:
            wanted["child_care_station_id"] = self.stations[take.care_at]
        if take.shuttle is not None:
            wanted["shuttle_id"] = self.shuttles[take.shuttle]
        against, missing = model.hers_against(held), model.missing(take, held)
        if against or missing:
            before = dict(self.city.store.entities)
            error, fields = against or (next(iter(missing.values())), list(missing))
            with Refused(error, *fields):
                await self.place(take, wanted)
            assert self.city.store.entities == before, "a refusal took something"
        else:
            model.running[await self.place(take, wanted)] = held

    async def place(self, take: Take, wanted: dict[str, Any]) -> str:
        return await self.city.place(self.posts[take.post], self.women[take.woman], starts_on=TODAY, **wanted)

    async def end(self, which: int) -> None:
        if not self.model.running:
            return
        placement_id = sorted(self.model.running)[which % len(self.model.running)]
        # The day before it would have begun, so that her hours of that day are free again.
        command = EndPlacement(reason="own-wish", ends_on=TODAY - timedelta(days=1))
        await placements.end_placement(placement_id, command, store=self.city.store, now=NOW)
        del self.model.running[placement_id]

    async def withdraw(self, woman: int) -> None:
        command = WithdrawSeeker(reason="own-wish")
        await seekers.withdraw_seeker(self.women[woman], command, store=self.city.store, now=NOW)
        self.model.running = {key: held for key, held in self.model.running.items() if held.woman != woman}
        self.women[woman] = await self.city.seeker()

    async def resize(self, kind: str, which: int, capacity: int) -> None:
        is_station = kind == "station"
        capacities = self.model.places if is_station else self.model.shuttles
        refused = capacity < self.model.fullest("care_at" if is_station else "shuttle", which)
        if not refused:
            await self.set_capacity(kind, which, capacity)
            capacities[which] = capacity
            return
        error, name = (errors.ChildCareTaken, "child_care_places") if is_station else (errors.SeatsTaken, "seats")
        with Refused(error, name):
            await self.set_capacity(kind, which, capacity)

    async def set_capacity(self, kind: str, which: int, capacity: int) -> None:
        if kind == "station":
            places_now = ChangeStation(child_care_places=capacity)
            await places.change_station(self.stations[which], places_now, store=self.city.store, now=NOW)
        else:
            seats_now = ChangeShuttle(seats=capacity)
            await shuttles.change_shuttle(self.shuttles[which], seats_now, store=self.city.store, now=NOW)

    def check(self) -> None:
        """What is stored equals what the model knows, and no half hour holds more than its capacity."""
        model, store = self.model, self.city.store
        for which, station_id in enumerate(self.stations):
            station = store.one(Station, station_id)
            assert station.child_care_held.most == model.fullest("care_at", which) <= station.child_care_places
        for which, shuttle_id in enumerate(self.shuttles):
            shuttle = store.one(Shuttle, shuttle_id)
            assert shuttle.seats_held.most == model.fullest("shuttle", which) <= shuttle.seats
        for which, post_id in enumerate(self.posts):
            post = store.one(Post, post_id)
            assert post.seats_taken == sum(held.post == which for held in model.running.values()) <= post.seats
        for entity in store.entities.values():
            if isinstance(entity, Placement):
                held = model.running.get(entity.id)
                care_at = None if held is None or held.care_at is None else self.stations[held.care_at]
                rides = None if held is None or held.shuttle is None else self.shuttles[held.shuttle]
                assert (entity.child_care_station_id, entity.shuttle_id) == (care_at, rides)


@given(operations)
def test_capacities_hold_and_a_bundle_is_whole(done: list[Take | End | Withdraw | Resize]) -> None:
    async def run() -> None:
        town = await Town.built()
        for operation in done:
            await town.apply(operation)
            town.check()
        for woman in range(WOMEN):
            await town.withdraw(woman)
        town.check()
        stations = [town.city.store.one(Station, station_id) for station_id in town.stations]
        shuttled = [town.city.store.one(Shuttle, shuttle_id) for shuttle_id in town.shuttles]
        assert not any(any(station.child_care_held.counts) for station in stations), "all places are free again"
        assert not any(any(shuttle.seats_held.counts) for shuttle in shuttled), "all seats are free again"

    asyncio.run(run())
