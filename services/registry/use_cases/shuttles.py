"""Shuttles: register and change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.registry import errors
from services.registry.domain.places import Shuttle
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import commands, events
from shared.contracts.envelope import Envelope
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


async def register_shuttle(
    command: commands.RegisterShuttle, *, store: RegistryStore, now: datetime, new_id: NewId
) -> Envelope:
    """A shuttle begins to run to a station.

    Raises:
        StationUnknown
    """
    station = (await store.stations([command.station_id])).get(command.station_id)
    if station is None:
        raise errors.StationUnknown(Fault("station_id", "the id of a registered station"))
    shuttle = Shuttle(
        id=new_id("shuttle"),
        version=1,
        lock=1,
        city=station.city,
        station_id=station.id,
        seats=command.seats,
        name=command.name,
        registered_at=now,
    )
    [envelope] = await store.save(Changes(added=[shuttle], events=[events.shuttle_registered(shuttle)]), now)
    return envelope


async def change_shuttle(
    shuttle_id: str, command: commands.ChangeShuttle, *, store: RegistryStore, now: datetime
) -> Envelope:
    """Seats are added or taken away, or it gets another name; it is published whole. Placements keep their seats.

    Raises:
        ShuttleUnknown, ChangeEmpty, SeatsTaken
    """
    shuttle = (await store.shuttles([shuttle_id])).get(shuttle_id)
    if shuttle is None:
        raise errors.ShuttleUnknown(Fault("shuttle_id", "the id of a registered shuttle"))
    fields = {name: value for name, value in commands.given(command).items() if value is not None}
    if not fields:
        raise errors.ChangeEmpty(Fault("body", "at least one field to change"))
    taken = shuttle.seats_held.most
    if command.seats is not None and command.seats < taken:
        raise errors.SeatsTaken(Fault("seats", f"at least {taken}, the seats that are taken in the fullest half hour"))
    changed = replace(shuttle, version=shuttle.version + 1, lock=shuttle.lock + 1, **fields)
    [envelope] = await store.save(
        Changes(replaced=[(shuttle, changed)], events=[events.shuttle_registered(changed)]), now
    )
    return envelope
