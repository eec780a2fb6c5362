"""Routes of posts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from services.registry.api.bulk import BulkReport, run_bulk, upload_docs
from services.registry.api.desk import Desk, page_of
from services.registry.api.uploads import POST_COLUMNS
from services.registry.api.views import PostView, post_view
from services.registry.errors import PostUnknown
from services.registry.ports import RegistryStore
from services.registry.use_cases import commands, posts
from services.registry.use_cases.rows import Outcome, only
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Area, City
from shared.kernel.errors import Fault
from shared.runtime.commands import Accepted
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from shared.runtime.routers import EntityPath, reading, writing


def routers(desk: Desk) -> list[APIRouter]:
    return [_commands(desk), _lists(desk)]


def _commands(desk: Desk) -> APIRouter:
    write = writing("posts")

    async def open_all(rows: Sequence[commands.OpenPost], store: RegistryStore, now: datetime) -> list[Outcome]:
        return await posts.open_posts(rows, store=store, now=now, new_id=desk.new_id)

    @write.post("/posts", status_code=201, response_model=Accepted)
    async def open_post(request: Request, command: commands.OpenPost) -> Response:
        """An employer opens a mama post (妈妈岗)."""

        async def work(store: RegistryStore, now: datetime) -> Envelope:
            return only(await open_all([command], store, now))

        return await desk.run(request, "open-post", work)

    @write.post("/posts/bulk", response_model=BulkReport, openapi_extra=upload_docs(commands.OpenPost, POST_COLUMNS))
    async def open_posts(request: Request) -> Response:
        """Up to 1,000 posts, as NDJSON or CSV. Good rows enter, bad rows are named."""
        return await run_bulk(desk, request, "open-posts", commands.OpenPost, POST_COLUMNS, open_all)

    @write.post("/posts/{post_id}/change", status_code=201, response_model=Accepted)
    async def change_post(request: Request, post_id: EntityPath, command: commands.ChangePost) -> Response:
        """The post changes; placements keep their hours and pay."""
        return await desk.run(
            request, "change-post", lambda store, now: posts.change_post(post_id, command, store=store, now=now)
        )

    @write.post("/posts/{post_id}/close", status_code=201, response_model=Accepted)
    async def close_post(request: Request, post_id: EntityPath, command: commands.ClosePost) -> Response:
        """The post takes no one any more; its placements go on."""
        return await desk.run(
            request, "close-post", lambda store, now: posts.close_post(post_id, command, store=store, now=now)
        )

    return write


def _lists(desk: Desk) -> APIRouter:
    read = reading("posts")

    @read.get("/posts", response_model_exclude_none=True)
    async def list_posts(
        city: City | None = None,
        area: Area | None = None,
        employer_id: str | None = None,
        status: Annotated[
            Literal["open", "closed"] | None, Query(description="`open` includes expired ones, which nobody closed.")
        ] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[PostView]:
        """The posts, by city, area, employer and status."""
        is_open = None if status is None else status == "open"
        now = desk.clock()
        return await page_of(
            "posts",
            cursor,
            limit,
            lambda after, n: desk.reader.page_posts(city, area, employer_id, is_open, after, n),
            lambda post: post_view(post, now),
        )

    @read.get("/posts/{post_id}", response_model_exclude_none=True)
    async def get_post(post_id: EntityPath) -> PostView:
        """One post."""
        found = (await desk.reader.posts([post_id])).get(post_id)
        if found is None:
            raise PostUnknown(Fault("post_id", "the id of a registered post"))
        return post_view(found, desk.clock())

    return read
