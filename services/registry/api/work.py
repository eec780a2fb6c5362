"""Routes of placements and shifts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from services.registry import metrics
from services.registry.api.bulk import BulkReport, run_bulk, upload_docs
from services.registry.api.desk import Desk, page_of
from services.registry.api.uploads import SHIFT_COLUMNS
from services.registry.api.views import BundleView, PlacementView, ShiftView, bundle_view, placement_view, shift_view
from services.registry.errors import PlacementUnknown, ShiftUnknown
from services.registry.ports import RegistryStore
from services.registry.use_cases import commands, placements, shifts
from services.registry.use_cases.rows import Outcome, only
from shared.contracts.envelope import Envelope
from shared.contracts.fields import City, Month
from shared.kernel.errors import Fault
from shared.runtime.auth import Holder
from shared.runtime.commands import Accepted
from shared.runtime.http import needs
from shared.runtime.logs import logger
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from shared.runtime.routers import EntityPath, reading, writing

_log = logger(__name__)


def routers(desk: Desk) -> list[APIRouter]:
    return [_placement_commands(desk), _placements(desk), _bundles(desk), _shift_commands(desk), _shifts(desk)]


def _placement_commands(desk: Desk) -> APIRouter:
    write = writing("placements")

    @write.post("/placements", status_code=201, response_model=Accepted)
    async def make_placement(request: Request, command: commands.MakePlacement) -> Response:
        """A seeker takes a seat, and with it the child-care place and the shuttle seat she asks for: all, or none."""
        return await desk.run(
            request,
            "make-placement",
            lambda store, now: placements.make_placement(command, store=store, now=now, new_id=desk.new_id),
            wants=await _wanted(desk, command),
        )

    @write.post("/placements/{placement_id}/end", status_code=201, response_model=Accepted)
    async def end_placement(request: Request, placement_id: EntityPath, command: commands.EndPlacement) -> Response:
        """The seat is free again, and what was taken beside it."""
        return await desk.run(
            request,
            "end-placement",
            lambda store, now: placements.end_placement(placement_id, command, store=store, now=now),
        )

    return write


async def _wanted(desk: Desk, command: commands.MakePlacement) -> list[str]:
    """The documents whose places a placement takes, as far as they can be told before its transaction."""
    wanted = [command.post_id, command.shuttle_id, command.child_care_station_id]
    if command.child_care and command.child_care_station_id is None:
        post = (await desk.reader.posts([command.post_id])).get(command.post_id)
        wanted.append(post.station_id if post else None)
    return [one for one in wanted if one is not None]


def _placements(desk: Desk) -> APIRouter:
    read = reading("placements")

    @read.get("/placements", response_model_exclude_none=True)
    async def list_placements(
        city: City | None = None,
        post_id: str | None = None,
        seeker_id: str | None = None,
        status: Annotated[Literal["active", "ended"] | None, Query()] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[PlacementView]:
        """The placements, by city, post, seeker and status."""
        active = None if status is None else status == "active"
        return await page_of(
            "placements",
            cursor,
            limit,
            lambda after, n: desk.reader.page_placements(city, post_id, seeker_id, active, after, n),
            placement_view,
        )

    @read.get("/placements/{placement_id}", response_model_exclude_none=True)
    async def get_placement(placement_id: EntityPath) -> PlacementView:
        """One placement."""
        found = (await desk.reader.placements([placement_id])).get(placement_id)
        if found is None:
            raise PlacementUnknown(Fault("placement_id", "the id of a placement"))
        return placement_view(found)

    return read


def _bundles(desk: Desk) -> APIRouter:
    personal = APIRouter(tags=["persons"])

    @personal.get("/placements/{placement_id}/bundle")
    async def get_bundle(
        placement_id: EntityPath, holder: Annotated[Holder, needs("personal")], response: Response
    ) -> BundleView:
        """What she holds beside her seat. It tells of her children, so every read is logged with the token's holder."""
        found = (await desk.reader.placements([placement_id])).get(placement_id)
        if found is None:
            raise PlacementUnknown(Fault("placement_id", "the id of a placement"))
        metrics.PERSONS_READ.inc()
        _log.info("bundle read", placement_id=placement_id, holder=holder.name)
        response.headers["Cache-Control"] = "no-store"
        return bundle_view(found)

    return personal


def _shift_commands(desk: Desk) -> APIRouter:
    write = writing("shifts")

    async def record(rows: Sequence[commands.RecordShift], store: RegistryStore, now: datetime) -> list[Outcome]:
        return await shifts.record_shifts(rows, store=store, now=now, new_id=desk.new_id)

    @write.post("/shifts", status_code=201, response_model=Accepted)
    async def record_shift(request: Request, command: commands.RecordShift) -> Response:
        """A shift was worked, cut short or missed."""

        async def work(store: RegistryStore, now: datetime) -> Envelope:
            return only(await record([command], store, now))

        return await desk.run(request, "record-shift", work, wants=[command.placement_id])

    @write.post(
        "/shifts/bulk", response_model=BulkReport, openapi_extra=upload_docs(commands.RecordShift, SHIFT_COLUMNS)
    )
    async def record_shifts(request: Request) -> Response:
        """Up to 1,000 shifts, as NDJSON or CSV. Good rows enter, bad ones are named; of overlapping rows the first."""
        return await run_bulk(desk, request, "record-shifts", commands.RecordShift, SHIFT_COLUMNS, record)

    @write.post("/shifts/{shift_id}/correct", status_code=201, response_model=Accepted)
    async def correct_shift(request: Request, shift_id: EntityPath, command: commands.CorrectShift) -> Response:
        """All that was reported of a shift is replaced; `revision` names the one that is corrected."""
        return await desk.run(
            request,
            "correct-shift",
            lambda store, now: shifts.correct_shift(shift_id, command, store=store, now=now),
        )

    return write


def _shifts(desk: Desk) -> APIRouter:
    read = reading("shifts")

    @read.get("/shifts", response_model_exclude_none=True)
    async def list_shifts(
        month: Annotated[Month, Query(description="Civil month in which the shifts started, YYYY-MM.")],
        city: City | None = None,
        placement_id: str | None = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[ShiftView]:
        """The latest revision of each shift of a month: the export that rebates are recomputed from."""
        return await page_of(
            "shifts",
            cursor,
            limit,
            lambda after, n: desk.reader.page_shifts(month, city, placement_id, after, n),
            shift_view,
        )

    @read.get("/shifts/{shift_id}", response_model_exclude_none=True)
    async def get_shift(shift_id: EntityPath) -> ShiftView:
        """The latest revision of one shift."""
        found = (await desk.reader.shifts([shift_id])).get(shift_id)
        if found is None:
            raise ShiftUnknown(Fault("shift_id", "the id of a recorded shift"))
        return shift_view(found)

    return read
