"""What is taken together with a seat: a child-care place and a shuttle seat, all or nothing (docs/decisions/0017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.registry import errors
from services.registry.domain.occupancy import left_faults
from services.registry.domain.placements import Placement
from services.registry.domain.places import Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.ports import Entity, RegistryStore
from services.registry.use_cases.commands import MakePlacement
from shared.kernel.errors import Fault

Finding = tuple[type[errors.RegistryError], list[Fault]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Where the parts beside the seat are to be had.

    Attributes:
        station: of the child-care place; `None` where none is asked for, or the post has no station.
        shuttle: `None` where none is asked for.
    """

    station: Station | None
    shuttle: Shuttle | None

    def findings(self, command: MakePlacement, post: Post, hours: int) -> list[Finding]:
        """What stands against each part, in the order in which a caller is told; a part is named by its field."""
        found = list[Finding]()
        if command.child_care:
            found += self._of_child_care(command, post, hours)
        if self.shuttle is not None:
            is_there = self.shuttle.station_id == post.station_id
            elsewhere = [] if is_there else [Fault("shuttle_id", "a shuttle to the station of the post")]
            full = left_faults(
                self.shuttle.seats_held, self.shuttle.seats, hours, "shuttle_id", "a shuttle with a seat left"
            )
            found += [(errors.ShuttleElsewhere, elsewhere), (errors.ShuttleFull, full if is_there else [])]
        return found

    def _of_child_care(self, command: MakePlacement, post: Post, hours: int) -> list[Finding]:
        field = "child_care" if command.child_care_station_id is None else "child_care_station_id"
        station = self.station
        if station is None:
            return [(errors.ChildCareNone, [Fault(field, "a post at a station, as child care is given there")])]
        if station.community_id != post.community_id:
            return [(errors.ChildCareElsewhere, [Fault(field, "a station of the community of the post")])]
        if not station.child_care_places:
            return [(errors.ChildCareNone, [Fault(field, "a station with child-care places")])]
        wanted = "a child-care place"
        full = left_faults(station.child_care_held, station.child_care_places, hours, field, wanted)
        return [(errors.ChildCareFull, full)]

    def taken(self, hours: int) -> list[tuple[Entity, Entity]]:
        """The changes by which both are taken."""
        changed = list[tuple[Entity, Entity]]()
        if self.station is not None:
            held = self.station.child_care_held.taken(hours)
            changed.append((self.station, replace(self.station, lock=self.station.lock + 1, child_care_held=held)))
        if self.shuttle is not None:
            held = self.shuttle.seats_held.taken(hours)
            changed.append((self.shuttle, replace(self.shuttle, lock=self.shuttle.lock + 1, seats_held=held)))
        return changed


async def asked_for(command: MakePlacement, post: Post, store: RegistryStore) -> Bundle:
    """The station and the shuttle that a command means.

    Raises:
        StationUnknown, ShuttleUnknown
    """
    station_id = (command.child_care_station_id or post.station_id) if command.child_care else None
    station = (await store.stations([station_id])).get(station_id) if station_id else None
    shuttle_id = command.shuttle_id
    shuttle = (await store.shuttles([shuttle_id])).get(shuttle_id) if shuttle_id else None
    no_station, no_shuttle = station_id and station is None, shuttle_id and shuttle is None
    errors.refuse_if(
        (
            errors.StationUnknown,
            [Fault("child_care_station_id", "the id of a registered station")] if no_station else [],
        ),
        (errors.ShuttleUnknown, [Fault("shuttle_id", "the id of a registered shuttle")] if no_shuttle else []),
    )
    return Bundle(station, shuttle)


async def given_back(placements: Sequence[Placement], store: RegistryStore) -> list[tuple[Entity, Entity]]:
    """The changes by which placements that end give back what they hold beside their seats.

    Several may hold places of one station or shuttle, which is written once.
    """
    stations = await store.stations({one.child_care_station_id for one in placements if one.child_care_station_id})
    shuttles = await store.shuttles({one.shuttle_id for one in placements if one.shuttle_id})
    changed = list[tuple[Entity, Entity]]()
    for station in stations.values():
        held = station.child_care_held
        for one in placements:
            if one.child_care_station_id == station.id:
                held = held.given_back(one.hours)
        changed.append((station, replace(station, lock=station.lock + 1, child_care_held=held)))
    for shuttle in shuttles.values():
        held = shuttle.seats_held
        for one in placements:
            if one.shuttle_id == shuttle.id:
                held = held.given_back(one.hours)
        changed.append((shuttle, replace(shuttle, lock=shuttle.lock + 1, seats_held=held)))
    return changed
