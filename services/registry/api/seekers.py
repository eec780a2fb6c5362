"""Routes of seekers, and of the persons behind them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from services.registry import metrics
from services.registry.api.bulk import BulkReport, run_bulk, upload_docs
from services.registry.api.desk import Desk, page_of
from services.registry.api.uploads import SEEKER_COLUMNS
from services.registry.api.views import PersonView, SeekerView, person_view, seeker_view
from services.registry.errors import SeekerUnknown
from services.registry.ports import RegistryStore
from services.registry.use_cases import commands, seekers
from services.registry.use_cases.rows import Outcome, only
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Area, City
from shared.kernel.errors import Fault
from shared.runtime.auth import Holder
from shared.runtime.commands import Accepted
from shared.runtime.http import needs
from shared.runtime.logs import logger
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from shared.runtime.routers import EntityPath, reading, writing

_log = logger(__name__)


def routers(desk: Desk) -> list[APIRouter]:
    return [_commands(desk), _lists(desk), _persons(desk)]


def _commands(desk: Desk) -> APIRouter:
    write = writing("seekers")

    async def register(rows: Sequence[commands.RegisterSeeker], store: RegistryStore, now: datetime) -> list[Outcome]:
        return await seekers.register_seekers(rows, store=store, now=now, new_id=desk.new_id)

    @write.post("/seekers", status_code=201, response_model=Accepted)
    async def register_seeker(request: Request, command: commands.RegisterSeeker) -> Response:
        """A woman looks for a mama post."""

        async def work(store: RegistryStore, now: datetime) -> Envelope:
            return only(await register([command], store, now))

        return await desk.run(request, "register-seeker", work)

    @write.post(
        "/seekers/bulk",
        response_model=BulkReport,
        openapi_extra=upload_docs(commands.RegisterSeeker, SEEKER_COLUMNS),
    )
    async def register_seekers(request: Request) -> Response:
        """A canvass is entered: up to 1,000 women, as NDJSON or CSV. Good rows enter, bad rows are named."""
        return await run_bulk(desk, request, "register-seekers", commands.RegisterSeeker, SEEKER_COLUMNS, register)

    @write.post("/seekers/{seeker_id}/change", status_code=201, response_model=Accepted)
    async def change_seeker(request: Request, seeker_id: EntityPath, command: commands.ChangeSeeker) -> Response:
        """Her profile or her data changed."""
        return await desk.run(
            request,
            "change-seeker",
            lambda store, now: seekers.change_seeker(seeker_id, command, store=store, now=now),
        )

    @write.post("/seekers/{seeker_id}/withdraw", status_code=201, response_model=Accepted)
    async def withdraw_seeker(request: Request, seeker_id: EntityPath, command: commands.WithdrawSeeker) -> Response:
        """She no longer looks for a post; her running placements end."""
        return await desk.run(
            request,
            "withdraw-seeker",
            lambda store, now: seekers.withdraw_seeker(seeker_id, command, store=store, now=now),
        )

    @write.post("/seekers/{seeker_id}/erase", status_code=201, response_model=Accepted)
    async def erase_seeker(request: Request, seeker_id: EntityPath, _command: commands.Nothing) -> Response:
        """Her personal data becomes unreadable for ever, and she is withdrawn."""

        async def work(store: RegistryStore, now: datetime) -> Accepted:
            return Accepted.of(await seekers.erase_seeker(seeker_id, store=store, now=now))

        response, done = await desk.answer(request, "erase-seeker", work, 201)
        if done is not None:
            metrics.PERSONS_ERASED.inc()
        return response

    return write


def _lists(desk: Desk) -> APIRouter:
    read = reading("seekers")

    @read.get("/seekers", response_model_exclude_none=True)
    async def list_seekers(
        city: City | None = None,
        area: Area | None = None,
        status: Annotated[Literal["active", "withdrawn"] | None, Query()] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[SeekerView]:
        """The pseudonymous profiles, by city, area and status."""
        active = None if status is None else status == "active"
        return await page_of(
            "seekers",
            cursor,
            limit,
            lambda after, n: desk.reader.page_seekers(city, area, active, after, n),
            seeker_view,
        )

    @read.get("/seekers/{seeker_id}", response_model_exclude_none=True)
    async def get_seeker(seeker_id: EntityPath) -> SeekerView:
        """One pseudonymous profile."""
        found = (await desk.reader.seekers([seeker_id])).get(seeker_id)
        if found is None:
            raise SeekerUnknown(Fault("seeker_id", "the id of a registered seeker"))
        return seeker_view(found)

    return read


def _persons(desk: Desk) -> APIRouter:
    personal = APIRouter(tags=["persons"])

    @personal.get("/seekers/{seeker_id}/person")
    async def get_person(
        seeker_id: EntityPath, holder: Annotated[Holder, needs("personal")], response: Response
    ) -> PersonView:
        """Who is behind a pseudonym. Every read is logged with the holder of the token. Erased: 404 `person-erased`."""
        if seeker_id not in await desk.reader.seekers([seeker_id]):
            raise SeekerUnknown(Fault("seeker_id", "the id of a registered seeker"))
        person = await desk.reader.person(seeker_id)
        metrics.PERSONS_READ.inc()
        _log.info("person read", seeker_id=seeker_id, holder=holder.name)
        response.headers["Cache-Control"] = "no-store"
        return person_view(seeker_id, person)

    return personal
