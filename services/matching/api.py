"""The HTTP edge of matching: rankings, best posts, and why. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from services.matching import use_cases
from services.matching.domain import BEST_POSTS, TOP_SEEKERS, EntityKind, Failure, Parts, RankedPost, RankedSeeker
from services.matching.domain.rules import Reason, Unit
from services.matching.errors import PositionInvalid
from services.matching.facts import KIND_OF_TOPIC
from services.matching.use_cases import Live
from shared.contracts.fields import City
from shared.contracts.matching import Parts as PartsPayload
from shared.contracts.position import Position
from shared.kernel.clock import Clock
from shared.kernel.ids import ID_PATTERN
from shared.runtime.http import needs
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor

TIMEOUT_DEFAULT_MS = 2_000
TIMEOUT_MAX_MS = 10_000
"""Longest freshness wait: shorter than the time after which proxies give up on a request."""

POSITION_MAX_CHARS = 150

PostId = Annotated[str, Path(pattern=ID_PATTERN, description="`pst-…`")]
SeekerId = Annotated[str, Path(pattern=ID_PATTERN, description="`skr-…`, a pseudonym")]
CityFilter = Annotated[City | None, Query(description="Division code; absent: all cities.")]
WithParts = Annotated[bool, Query(description="Whether each score is given with its parts.")]
After = Annotated[
    str | None,
    Query(
        max_length=POSITION_MAX_CHARS,
        description="A command's `position`: wait until the answer shows at least that event.",
    ),
]
Timeout = Annotated[
    int, Query(ge=0, le=TIMEOUT_MAX_MS, description="Longest wait for `after`, then 503 `not-fresh-yet`.")
]


class Fresh(BaseModel):
    """How fresh an answer is."""

    as_of: Annotated[datetime | None, Field(description="Moment of the latest change that the answer shows.")]
    age_ms: Annotated[int | None, Field(description="Milliseconds since `as_of`; large when nothing happened since.")]
    day: Annotated[date, Field(description="Civil day in China that eligibility and waiting are counted for.")]


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
    top: list[SeekerPlace]


class SeekerPosts(BaseModel):
    """The best posts of a seeker, best first."""

    seeker_id: str
    posts: list[PostPlace]


class RankingAnswer(PostRanking, Fresh):
    """A post's ranking and its freshness."""


class PostsAnswer(SeekerPosts, Fresh):
    """A seeker's posts and their freshness."""


class RankingsPage(Page[PostRanking], Fresh):
    """Rankings of a page of posts."""


class BestPostsPage(Page[SeekerPosts], Fresh):
    """Lists of a page of seekers."""


class FailedFilter(BaseModel):
    """A rule that keeps her out, and by how much."""

    reason: Reason
    by: Annotated[int | None, Field(description="How much is missing or too much, in `unit`.")] = None
    unit: Unit | None = None
    names: Annotated[list[str], Field(description="Skills that are missing, or the kind not wanted.")] = []


class PolicyUsed(BaseModel):
    """The dated policy that a score was made with."""

    version: int
    valid_from: date
    weights: Annotated[dict[str, int], Field(description="Percent; a part is 0..1000 times its weight.")]


class WhyAnswer(Fresh):
    """Why she stands where she stands, or every reason why she does not."""

    post_id: str
    seeker_id: str
    matches: bool
    score: int | None = None
    parts: PartsPayload | None = None
    failed: list[FailedFilter]
    policy: PolicyUsed


@dataclass(frozen=True, slots=True)
class Reader:
    """What the routes read from."""

    live: Live
    clock: Clock

    def fresh(self, city: str | None, now: datetime) -> Fresh:
        """Freshness of what is known of a city."""
        as_of = self.live.as_of(city)
        age_ms = None if as_of is None else max(int((now - as_of).total_seconds() * 1000), 0)
        return Fresh(as_of=as_of, age_ms=age_ms, day=self.live.engine.day)

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        return self.live.engine.city_of(kind, id_)

    async def wait(self, after: str | None, timeout_ms: int) -> None:
        """Wait for a position, if one is asked for.

        Raises:
            PositionInvalid, NotFreshYet
        """
        if after is None:
            return
        try:
            position = Position.parse(after)
        except ValueError as error:
            raise PositionInvalid(str(error).removeprefix("expected ")) from None
        kind = KIND_OF_TOPIC.get(position.topic)
        if kind is None:
            raise PositionInvalid(f"a topic that matching consumes: {', '.join(KIND_OF_TOPIC)}")
        await use_cases.await_version(self.live, kind, position.entity_id, position.version, timeout_ms)


def router(reader: Reader) -> APIRouter:
    """The routes of matching."""
    routes = APIRouter(tags=["matching"], dependencies=[needs("read")])

    @routes.get("/posts/{post_id}/ranking")
    async def ranking(
        post_id: PostId,
        limit: Annotated[int, Query(ge=1, le=TOP_SEEKERS)] = TOP_SEEKERS,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> RankingAnswer:
        """The best seekers of a post, best first."""
        await reader.wait(after, timeout_ms)
        now = reader.clock()
        places = use_cases.ranking(reader.live, post_id, now, limit)
        fresh = reader.fresh(reader.city_of("post", post_id), now)
        return RankingAnswer(post_id=post_id, top=_seekers(places, True), **fresh.model_dump())

    @routes.get("/seekers/{seeker_id}/posts")
    async def best_posts(
        seeker_id: SeekerId,
        limit: Annotated[int, Query(ge=1, le=BEST_POSTS)] = BEST_POSTS,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> PostsAnswer:
        """The best posts of a seeker, best first."""
        await reader.wait(after, timeout_ms)
        now = reader.clock()
        places = use_cases.best_posts(reader.live, seeker_id, now, limit)
        fresh = reader.fresh(reader.city_of("seeker", seeker_id), now)
        return PostsAnswer(seeker_id=seeker_id, posts=_posts(places, True), **fresh.model_dump())

    @routes.get("/posts/{post_id}/seekers/{seeker_id}/why", response_model_exclude_none=True)
    async def why(
        post_id: PostId,
        seeker_id: SeekerId,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> WhyAnswer:
        """The parts of a pair's score, or every reason why she is not ranked for the post."""
        await reader.wait(after, timeout_ms)
        now = reader.clock()
        verdict = use_cases.why(reader.live, post_id, seeker_id, now)
        city = reader.city_of("post", post_id) or ""
        policy = reader.live.engine.policy_of(city)
        return WhyAnswer(
            post_id=post_id,
            seeker_id=seeker_id,
            matches=verdict.parts is not None,
            score=verdict.score,
            parts=None if verdict.parts is None else _parts(verdict.parts),
            failed=[_failed(failure) for failure in verdict.failures],
            policy=PolicyUsed(version=policy.version, valid_from=policy.valid_from, weights=policy.weights._asdict()),
            **reader.fresh(city, now).model_dump(),
        )

    @routes.get("/rankings", response_model_exclude_none=True)
    async def rankings(
        city: CityFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT, parts: WithParts = False
    ) -> RankingsPage:
        """Whole rankings of all posts that are not closed, in pages by post id."""
        now = reader.clock()
        engine = reader.live.at(now)
        ids, following = _page("rankings", engine.ids("post", city), cursor, limit)
        items = [PostRanking(post_id=id_, top=_seekers(engine.ranking(id_), parts)) for id_ in ids]
        return RankingsPage(items=items, next=following, **reader.fresh(city, now).model_dump())

    @routes.get("/best-posts", response_model_exclude_none=True)
    async def best_posts_of_all(
        city: CityFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT, parts: WithParts = False
    ) -> BestPostsPage:
        """Whole lists of all seekers who have not withdrawn, in pages by seeker id."""
        now = reader.clock()
        engine = reader.live.at(now)
        ids, following = _page("best-posts", engine.ids("seeker", city), cursor, limit)
        items = [SeekerPosts(seeker_id=id_, posts=_posts(engine.best_posts(id_), parts)) for id_ in ids]
        return BestPostsPage(items=items, next=following, **reader.fresh(city, now).model_dump())

    return routes


def _page(
    name: Literal["rankings", "best-posts"], ids: Iterable[str], cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    """The ids of a page, in order, and the cursor of the next one."""
    last = decode_cursor(name, cursor)
    left = sorted(id_ for id_ in ids if last is None or id_ > last)
    page = left[:limit]
    return page, encode_cursor(name, page[-1]) if len(left) > limit else None


def _seekers(places: Iterable[RankedSeeker], parts: bool) -> list[SeekerPlace]:
    return [
        SeekerPlace(seeker_id=place.seeker_id, score=place.score, parts=_parts(place.parts) if parts else None)
        for place in places
    ]


def _posts(places: Iterable[RankedPost], parts: bool) -> list[PostPlace]:
    return [
        PostPlace(post_id=place.post_id, score=place.score, parts=_parts(place.parts) if parts else None)
        for place in places
    ]


def _parts(parts: Parts) -> PartsPayload:
    return PartsPayload(**parts._asdict())


def _failed(failure: Failure) -> FailedFilter:
    return FailedFilter(reason=failure.reason, by=failure.by, unit=failure.unit, names=list(failure.names))
