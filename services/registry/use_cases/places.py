"""Communities, stations, employers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.registry import errors
from services.registry.domain.places import Community, Employer, Station, area_faults
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import commands, events
from shared.contracts import registry as contracts
from shared.contracts.envelope import Envelope
from shared.kernel.errors import Fault
from shared.kernel.geo import Place
from shared.kernel.ids import NewId


async def register_community(
    command: commands.RegisterCommunity, *, store: RegistryStore, now: datetime, new_id: NewId
) -> Envelope:
    """A community joins the programme.

    Raises:
        AreaOutsideCity
    """
    errors.refuse_if((errors.AreaOutsideCity, area_faults(command.city, command.area)))
    community = Community(new_id("community"), 1, command.city, command.area, command.name, now)
    [envelope] = await store.save(Changes(added=[community], events=[events.community_registered(community)]), now)
    return envelope


async def register_station(
    command: commands.RegisterStation, *, store: RegistryStore, now: datetime, new_id: NewId
) -> Envelope:
    """A community opens a station.

    Raises:
        CommunityUnknown
    """
    community = (await store.communities([command.community_id])).get(command.community_id)
    if community is None:
        raise errors.CommunityUnknown(Fault("community_id", "the id of a registered community"))
    station = Station(
        id=new_id("station"),
        version=1,
        city=community.city,
        area=community.area,
        community_id=community.id,
        location=Place(command.location.lat, command.location.lon),
        production_accepted=command.production_accepted,
        facilities=command.facilities,
        name=command.name,
        registered_at=now,
        lock=1,
        child_care_places=command.child_care_places,
    )
    [envelope] = await store.save(Changes(added=[station], events=[events.station_registered(station)]), now)
    return envelope


async def accept_station(
    station_id: str, command: commands.AcceptStation, *, store: RegistryStore, now: datetime
) -> Envelope:
    """The production zone was accepted, or lost its acceptance. Running placements go on; no new one is made there.

    Raises:
        StationUnknown
    """
    return await _changed(
        await _station(store, station_id), {"production_accepted": command.production_accepted}, store, now
    )


async def change_station(
    station_id: str, command: commands.ChangeStation, *, store: RegistryStore, now: datetime
) -> Envelope:
    """What the station offers changes; it is published whole.

    Raises:
        StationUnknown, ChangeEmpty, ChildCareTaken
    """
    station = await _station(store, station_id)
    fields = {name: value for name, value in commands.given(command).items() if value is not None}
    if not fields:
        raise errors.ChangeEmpty(Fault("body", "at least one field to change"))
    taken = station.child_care_held.most
    if command.child_care_places is not None and command.child_care_places < taken:
        raise errors.ChildCareTaken(
            Fault("child_care_places", f"at least {taken}, the places that are taken in the fullest half hour")
        )
    return await _changed(station, fields, store, now)


async def _changed(station: Station, fields: dict[str, Any], store: RegistryStore, now: datetime) -> Envelope:
    changed = replace(station, version=station.version + 1, lock=station.lock + 1, **fields)
    [envelope] = await store.save(
        Changes(replaced=[(station, changed)], events=[events.station_registered(changed)]), now
    )
    return envelope


async def _station(store: RegistryStore, station_id: str) -> Station:
    station = (await store.stations([station_id])).get(station_id)
    if station is None:
        raise errors.StationUnknown(Fault("station_id", "the id of a registered station"))
    return station


async def register_employer(
    command: commands.RegisterEmployer, *, store: RegistryStore, now: datetime, new_id: NewId
) -> Envelope:
    """A screened employer joins the programme."""
    employer = Employer(new_id("employer"), 1, command.city, command.kind, command.name, now)
    [envelope] = await store.save(Changes(added=[employer], events=[events.employer_registered(employer)]), now)
    return envelope


async def suspend_employer(
    employer_id: str, command: commands.SuspendEmployer, *, store: RegistryStore, now: datetime
) -> Envelope:
    """Supervision stops an employer: no new posts, no new placements; running ones go on.

    Raises:
        EmployerUnknown, EmployerIsSuspended
    """
    employer = await _employer(store, employer_id)
    if employer.suspended is not None:
        raise errors.EmployerIsSuspended(Fault("employer_id", "an employer that is not suspended"))
    changed = replace(employer, version=employer.version + 1, suspended=command.reason, suspended_at=now)
    event = contracts.EmployerSuspended(
        employer_id=changed.id, version=changed.version, city=changed.city, reason=command.reason, suspended_at=now
    )
    [envelope] = await store.save(Changes(replaced=[(employer, changed)], events=[event]), now)
    return envelope


async def reinstate_employer(employer_id: str, *, store: RegistryStore, now: datetime) -> Envelope:
    """A suspension is lifted.

    Raises:
        EmployerUnknown, EmployerNotSuspended
    """
    employer = await _employer(store, employer_id)
    if employer.suspended is None:
        raise errors.EmployerNotSuspended(Fault("employer_id", "an employer that is suspended"))
    changed = replace(employer, version=employer.version + 1, suspended=None, suspended_at=None)
    event = contracts.EmployerReinstated(
        employer_id=changed.id, version=changed.version, city=changed.city, reinstated_at=now
    )
    [envelope] = await store.save(Changes(replaced=[(employer, changed)], events=[event]), now)
    return envelope


async def _employer(store: RegistryStore, employer_id: str) -> Employer:
    employer = (await store.employers([employer_id])).get(employer_id)
    if employer is None:
        raise errors.EmployerUnknown(Fault("employer_id", "the id of a registered employer"))
    return employer
