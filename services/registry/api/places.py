"""Routes of communities, stations and employers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.registry.api.desk import Desk, page_of
from services.registry.api.views import (
    CommunityView,
    EmployerView,
    StationView,
    community_view,
    employer_view,
    station_view,
)
from services.registry.errors import CommunityUnknown, EmployerUnknown, StationUnknown
from services.registry.use_cases import commands, places
from shared.contracts.fields import City
from shared.kernel.errors import Fault
from shared.runtime.commands import Accepted
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from shared.runtime.routers import EntityPath, reading, writing


def routers(desk: Desk) -> list[APIRouter]:
    return [*_communities(desk), *_stations(desk), *_employers(desk)]


def _communities(desk: Desk) -> list[APIRouter]:
    write, read = writing("communities"), reading("communities")

    @write.post("/communities", status_code=201, response_model=Accepted)
    async def register_community(request: Request, command: commands.RegisterCommunity) -> Response:
        """A community joins the programme."""
        return await desk.run(
            request,
            "register-community",
            lambda store, now: places.register_community(command, store=store, now=now, new_id=desk.new_id),
        )

    @read.get("/communities", response_model_exclude_none=True)
    async def list_communities(
        city: City | None = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> Page[CommunityView]:
        """The communities, by city."""
        return await page_of(
            "communities", cursor, limit, lambda after, n: desk.reader.page_communities(city, after, n), community_view
        )

    @read.get("/communities/{community_id}", response_model_exclude_none=True)
    async def get_community(community_id: EntityPath) -> CommunityView:
        """One community."""
        found = (await desk.reader.communities([community_id])).get(community_id)
        if found is None:
            raise CommunityUnknown(Fault("community_id", "the id of a registered community"))
        return community_view(found)

    return [write, read]


def _stations(desk: Desk) -> list[APIRouter]:
    write, read = writing("stations"), reading("stations")

    @write.post("/stations", status_code=201, response_model=Accepted)
    async def register_station(request: Request, command: commands.RegisterStation) -> Response:
        """A community opens a station (驿站)."""
        return await desk.run(
            request,
            "register-station",
            lambda store, now: places.register_station(command, store=store, now=now, new_id=desk.new_id),
        )

    @write.post("/stations/{station_id}/accept", status_code=201, response_model=Accepted)
    async def accept_station(request: Request, station_id: EntityPath, command: commands.AcceptStation) -> Response:
        """The production zone was accepted, or lost its acceptance."""
        return await desk.run(
            request,
            "accept-station",
            lambda store, now: places.accept_station(station_id, command, store=store, now=now),
        )

    @write.post("/stations/{station_id}/change", status_code=201, response_model=Accepted)
    async def change_station(request: Request, station_id: EntityPath, command: commands.ChangeStation) -> Response:
        """What the station offers changes: facilities, child-care places."""
        return await desk.run(
            request,
            "change-station",
            lambda store, now: places.change_station(station_id, command, store=store, now=now),
        )

    @read.get("/stations", response_model_exclude_none=True)
    async def list_stations(
        city: City | None = None,
        community_id: str | None = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[StationView]:
        """The stations, by city or community."""
        return await page_of(
            "stations",
            cursor,
            limit,
            lambda after, n: desk.reader.page_stations(city, community_id, after, n),
            station_view,
        )

    @read.get("/stations/{station_id}", response_model_exclude_none=True)
    async def get_station(station_id: EntityPath) -> StationView:
        """One station."""
        found = (await desk.reader.stations([station_id])).get(station_id)
        if found is None:
            raise StationUnknown(Fault("station_id", "the id of a registered station"))
        return station_view(found)

    return [write, read]


def _employers(desk: Desk) -> list[APIRouter]:
    write, read = writing("employers"), reading("employers")

    @write.post("/employers", status_code=201, response_model=Accepted)
    async def register_employer(request: Request, command: commands.RegisterEmployer) -> Response:
        """A screened employer joins the programme."""
        return await desk.run(
            request,
            "register-employer",
            lambda store, now: places.register_employer(command, store=store, now=now, new_id=desk.new_id),
        )

    @write.post("/employers/{employer_id}/suspend", status_code=201, response_model=Accepted)
    async def suspend_employer(
        request: Request, employer_id: EntityPath, command: commands.SuspendEmployer
    ) -> Response:
        """Supervision stops an employer: no new posts and no new placements."""
        return await desk.run(
            request,
            "suspend-employer",
            lambda store, now: places.suspend_employer(employer_id, command, store=store, now=now),
        )

    @write.post("/employers/{employer_id}/reinstate", status_code=201, response_model=Accepted)
    async def reinstate_employer(request: Request, employer_id: EntityPath, _command: commands.Nothing) -> Response:
        """The suspension is lifted."""
        return await desk.run(
            request,
            "reinstate-employer",
            lambda store, now: places.reinstate_employer(employer_id, store=store, now=now),
        )

    @read.get("/employers", response_model_exclude_none=True)
    async def list_employers(
        city: City | None = None,
        suspended: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[EmployerView]:
        """The employers, by city."""
        return await page_of(
            "employers",
            cursor,
            limit,
            lambda after, n: desk.reader.page_employers(city, suspended, after, n),
            employer_view,
        )

    @read.get("/employers/{employer_id}", response_model_exclude_none=True)
    async def get_employer(employer_id: EntityPath) -> EmployerView:
        """One employer."""
        found = (await desk.reader.employers([employer_id])).get(employer_id)
        if found is None:
            raise EmployerUnknown(Fault("employer_id", "the id of a registered employer"))
        return employer_view(found)

    return [write, read]
