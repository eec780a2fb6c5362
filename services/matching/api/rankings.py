"""Rankings of posts and best posts of seekers, one or a page of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from heapq import nsmallest
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from services.matching import use_cases
from services.matching.api.reader import (
    TIMEOUT_DEFAULT_MS,
    After,
    Fresh,
    PolicyNamed,
    PostId,
    Reader,
    SeekerId,
    Timeout,
    parts_of,
)
from services.matching.domain import BEST_POSTS, TOP_SEEKERS, RankedPost, RankedSeeker
from services.matching.use_cases.helps import IDS_SLICE
from shared.contracts.fields import City
from shared.contracts.matching import Parts as PartsPayload
from shared.kernel.turns import in_turns
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import reading

CityFilter = Annotated[City | None, Query(description="Division code; absent: all cities.")]
WithParts = Annotated[bool, Query(description="Whether each score is given with its parts.")]


class SeekerPlace(BaseModel):
    """A place in a post's ranking."""

    seeker_id: str
    score: int
    parts: Annotated[PartsPayload | None, Field(description="Each part times its weight; they sum to the score.")] = (
        None
    )


class PostPlace(BaseModel):
    """A place in a seeker's list."""

    post_id: str
    score: int
    parts: Annotated[PartsPayload | None, Field(description="Each part times its weight; they sum to the score.")] = (
        None
    )


class PostRanking(BaseModel):
    """The best seekers of a post, best first."""

    post_id: str
    policy: PolicyNamed
    top: list[SeekerPlace]


class SeekerPosts(BaseModel):
    """The best posts of a seeker, best first."""

    seeker_id: str
    policy: PolicyNamed
    posts: list[PostPlace]


class RankingAnswer(PostRanking, Fresh):
    """A post's ranking and its freshness."""


class PostsAnswer(SeekerPosts, Fresh):
    """A seeker's posts and their freshness."""


class RankingsPage(Page[PostRanking], Fresh):
    """Rankings of a page of posts."""


class BestPostsPage(Page[SeekerPosts], Fresh):
    """Lists of a page of seekers."""


def router(reader: Reader) -> APIRouter:
    """The routes of rankings."""
    routes = reading("matching")

    @routes.get("/posts/{post_id}/ranking", response_model=RankingAnswer)
    async def ranking(
        post_id: PostId,
        limit: Annotated[int, Query(ge=1, le=TOP_SEEKERS)] = TOP_SEEKERS,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> Response:
        """The best seekers of a post, best first."""

        def read(now: datetime) -> Response:
            places = use_cases.ranking(reader.live, post_id, now, limit)
            city = reader.city_of("post", post_id)
            top = [{"seeker_id": one.seeker_id, "score": one.score, "parts": one.parts._asdict()} for one in places]
            return _plain(post_id=post_id, policy=reader.policy(city), top=top, fresh=reader.fresh(city, now))

        return await reader.answer(after, timeout_ms, read)

    @routes.get("/seekers/{seeker_id}/posts", response_model=PostsAnswer)
    async def best_posts(
        seeker_id: SeekerId,
        limit: Annotated[int, Query(ge=1, le=BEST_POSTS)] = BEST_POSTS,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> Response:
        """The best posts of a seeker, best first."""

        def read(now: datetime) -> Response:
            places = use_cases.best_posts(reader.live, seeker_id, now, limit)
            city = reader.city_of("seeker", seeker_id)
            posts = [{"post_id": one.post_id, "score": one.score, "parts": one.parts._asdict()} for one in places]
            return _plain(seeker_id=seeker_id, policy=reader.policy(city), posts=posts, fresh=reader.fresh(city, now))

        return await reader.answer(after, timeout_ms, read)

    @routes.get("/rankings", response_model_exclude_none=True)
    async def rankings(
        city: CityFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT, parts: WithParts = False
    ) -> RankingsPage:
        """Whole rankings of all posts that are not closed, in pages by post id."""
        ids, following = await _page("rankings", reader.ids("post", city, reader.clock()), cursor, limit)
        now = reader.clock()
        engine = reader.live.at(now)
        items = [
            PostRanking(
                post_id=id_,
                policy=reader.policy(reader.city_of("post", id_)),
                top=_seekers(engine.ranking(id_), parts),
            )
            for id_ in ids
            if reader.city_of("post", id_) is not None
        ]
        return RankingsPage(items=items, next=following, **reader.fresh(city, now).model_dump())

    @routes.get("/best-posts", response_model_exclude_none=True)
    async def best_posts_of_all(
        city: CityFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT, parts: WithParts = False
    ) -> BestPostsPage:
        """Whole lists of all seekers who have not withdrawn, in pages by seeker id."""
        ids, following = await _page("best-posts", reader.ids("seeker", city, reader.clock()), cursor, limit)
        now = reader.clock()
        engine = reader.live.at(now)
        items = [
            SeekerPosts(
                seeker_id=id_,
                policy=reader.policy(reader.city_of("seeker", id_)),
                posts=_posts(engine.best_posts(id_), parts),
            )
            for id_ in ids
            if reader.city_of("seeker", id_) is not None
        ]
        return BestPostsPage(items=items, next=following, **reader.fresh(city, now).model_dump())

    return routes


def _plain(*, policy: PolicyNamed, fresh: Fresh, **answer: Any) -> Response:
    """An answer without its model, which would take most of the time of a ranking to fill and to check."""
    body = orjson.dumps({**fresh.model_dump(), **answer, "policy": policy.model_dump()}, option=orjson.OPT_UTC_Z)
    return Response(body, media_type="application/json")


async def _page(
    name: Literal["rankings", "best-posts"], ids: Iterable[str], cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    """The ids of a page, in order, and the cursor of the next one.

    Those of a large city are looked through in pieces: who comes meanwhile may be missing, as if she came later.
    """
    last = decode_cursor(name, cursor)
    lowest: list[str] = []
    async for piece in in_turns(ids, IDS_SLICE):
        lowest = nsmallest(limit + 1, [*lowest, *(id_ for id_ in piece if last is None or id_ > last)])
    page = lowest[:limit]
    return page, encode_cursor(name, page[-1]) if len(lowest) > limit else None


def _seekers(places: Iterable[RankedSeeker], parts: bool) -> list[SeekerPlace]:
    return [
        SeekerPlace(seeker_id=place.seeker_id, score=place.score, parts=parts_of(place.parts) if parts else None)
        for place in places
    ]


def _posts(places: Iterable[RankedPost], parts: bool) -> list[PostPlace]:
    return [
        PostPlace(post_id=place.post_id, score=place.score, parts=parts_of(place.parts) if parts else None)
        for place in places
    ]
