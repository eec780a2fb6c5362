"""Routes of funding sources: subsidies, donations, grants."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.revenue.api.desk import Desk
from services.revenue.domain.grants import Source, SourceKind
from services.revenue.use_cases.grant import MakeGrant, OpenSource, make_grant, open_source
from shared.contracts.fields import City
from shared.kernel.ids import ID_PATTERN
from shared.runtime.commands import Accepted
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import EntityPath, reading, writing


class SourceBody(BaseModel):
    """Who gives how much at most, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    city: City
    kind: SourceKind
    giver: Annotated[str, Field(max_length=100, description="Name of an office, never of a person.")]
    limit_fen: Annotated[int, Field(strict=True)]
    valid_from: date
    valid_until: Annotated[date, Field(description="Last day.")]


class GrantBody(BaseModel):
    """What a source gave to whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    community_id: Annotated[str, Field(pattern=ID_PATTERN, max_length=40)]
    employer_id: Annotated[
        str | None,
        Field(pattern=ID_PATTERN, max_length=40, description="Of a social-insurance subsidy, and only of it."),
    ] = None
    amount_fen: Annotated[int, Field(strict=True)]
    granted_on: date


class SourceView(BaseModel):
    """A source, and what it has left."""

    source_id: str
    city: str
    kind: SourceKind
    giver: str
    limit_fen: int
    given_fen: int
    left_fen: int
    valid_from: date
    valid_until: date


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of sources: commands, and a list."""
    return [_commands(desk), _sources(desk)]


def _commands(desk: Desk) -> APIRouter:
    write = writing("grants")

    @write.post("/funding-sources", status_code=201, response_model=Accepted)
    async def open_one(request: Request, body: SourceBody) -> Response:
        """Register a source of money beside rebates, with its days and its limit."""
        command = OpenSource(**body.model_dump())
        return await desk.run(
            request,
            "open-source",
            lambda store, now: open_source(command, store=store, now=now, new_id=desk.new_id),
        )

    @write.post("/funding-sources/{source_id}/grants", status_code=201, response_model=Accepted)
    async def grant(request: Request, source_id: EntityPath, body: GrantBody) -> Response:
        """Post what a source gave: into a community's fund, or as a subsidy to an employer at a community."""
        command = MakeGrant(source_id=source_id, **body.model_dump())
        return await desk.run(
            request,
            "make-grant",
            lambda store, now: make_grant(command, store=store, now=now, new_id=desk.new_id),
        )

    return write


def _sources(desk: Desk) -> APIRouter:
    read = reading("grants")

    @read.get("/funding-sources")
    async def list_sources(
        city: Annotated[City | None, Query()] = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> Page[SourceView]:
        """Sources, and what they have left."""
        found = await desk.reads.sources(city, decode_cursor("funding-sources", cursor) or "", limit + 1)
        more = len(found) > limit
        return Page(
            items=[_view(source) for source in found[:limit]],
            next=encode_cursor("funding-sources", found[limit - 1].source_id) if more else None,
        )

    return read


def _view(source: Source) -> SourceView:
    return SourceView(
        source_id=source.source_id,
        city=source.city,
        kind=source.kind,
        giver=source.giver,
        limit_fen=source.limit_fen,
        given_fen=source.given_fen,
        left_fen=source.left_fen,
        valid_from=source.valid_from,
        valid_until=source.valid_until,
    )
