"""Routes of shuttles."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.registry.api.desk import Desk, page_of
from services.registry.api.views import ShuttleView, shuttle_view
from services.registry.errors import ShuttleUnknown
from services.registry.use_cases import commands, shuttles
from shared.contracts.fields import City
from shared.kernel.errors import Fault
from shared.runtime.commands import Accepted
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from shared.runtime.routers import EntityPath, reading, writing


def routers(desk: Desk) -> list[APIRouter]:
    return [_commands(desk), _lists(desk)]


def _commands(desk: Desk) -> APIRouter:
    write = writing("shuttles")

    @write.post("/shuttles", status_code=201, response_model=Accepted)
    async def register_shuttle(request: Request, command: commands.RegisterShuttle) -> Response:
        """A shuttle (妈妈班车) begins to run to a station."""
        return await desk.run(
            request,
            "register-shuttle",
            lambda store, now: shuttles.register_shuttle(command, store=store, now=now, new_id=desk.new_id),
        )

    @write.post("/shuttles/{shuttle_id}/change", status_code=201, response_model=Accepted)
    async def change_shuttle(request: Request, shuttle_id: EntityPath, command: commands.ChangeShuttle) -> Response:
        """It has more or fewer seats, or another name."""
        return await desk.run(
            request,
            "change-shuttle",
            lambda store, now: shuttles.change_shuttle(shuttle_id, command, store=store, now=now),
        )

    return write


def _lists(desk: Desk) -> APIRouter:
    read = reading("shuttles")

    @read.get("/shuttles", response_model_exclude_none=True)
    async def list_shuttles(
        city: City | None = None,
        station_id: str | None = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[ShuttleView]:
        """The shuttles, by city or station."""
        return await page_of(
            "shuttles",
            cursor,
            limit,
            lambda after, n: desk.reader.page_shuttles(city, station_id, after, n),
            shuttle_view,
        )

    @read.get("/shuttles/{shuttle_id}", response_model_exclude_none=True)
    async def get_shuttle(shuttle_id: EntityPath) -> ShuttleView:
        """One shuttle."""
        found = (await desk.reader.shuttles([shuttle_id])).get(shuttle_id)
        if found is None:
            raise ShuttleUnknown(Fault("shuttle_id", "the id of a registered shuttle"))
        return shuttle_view(found)

    return read
