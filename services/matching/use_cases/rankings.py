"""The rankings: take in news, answer readers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.matching import metrics
from services.matching.domain import BEST_POSTS, TOP_SEEKERS, EntityKind, RankedPost, RankedSeeker, Verdict
from services.matching.errors import NotFreshYet, PostUnknown, SeekerUnknown
from services.matching.ports import News
from services.matching.position import StreamPosition
from services.matching.use_cases.live import Live
from shared.kernel.clock import Clock


def learn(news: Sequence[News], ends: Mapping[tuple[str, int], int], *, live: Live, clock: Clock) -> None:
    """Take in what a slice of events says, and where it ends. What is not newer than what is known has no effect."""
    live.take_in(news, ends)
    if not news:
        return
    for kind, count in Counter(item.fact.kind for item in news).items():
        metrics.FACTS_APPLIED.labels(kind).inc(count)
    metrics.observe_freshness(clock(), (item.at for item in news))


async def await_version(live: Live, kind: EntityKind, entity_id: str, version: int, timeout_ms: int) -> None:
    """Wait until a version of an entity stands in the rankings.

    Raises:
        NotFreshYet: it did not within the time.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await live.reached(kind, entity_id, version)
    except TimeoutError:
        raise NotFreshYet(timeout_ms) from None


async def await_position(live: Live, position: StreamPosition, timeout_ms: int) -> None:
    """Wait until everything before a position stands in the rankings.

    Raises:
        NotFreshYet: it did not within the time.
        PositionInvalid: the position is of a broker that is no more.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await live.reached_position(position)
    except TimeoutError:
        raise NotFreshYet(timeout_ms) from None


def ranking(live: Live, post_id: str, now: datetime, limit: int = TOP_SEEKERS) -> list[RankedSeeker]:
    """The best seekers of a post.

    Raises:
        PostUnknown, StartingError
        CatchingUp: this instance does not answer for the post's city.
    """
    engine = live.at(now)
    city = engine.city_of("post", post_id)
    if city is None:
        raise PostUnknown
    found = engine.ranking(post_id, limit)
    live.check(city)
    return found


def best_posts(live: Live, seeker_id: str, now: datetime, limit: int = BEST_POSTS) -> list[RankedPost]:
    """The best posts of a seeker.

    Raises:
        SeekerUnknown, StartingError
        CatchingUp: this instance does not answer for the seeker's city.
    """
    engine = live.at(now)
    city = engine.city_of("seeker", seeker_id)
    if city is None:
        raise SeekerUnknown
    found = engine.best_posts(seeker_id, limit)
    live.check(city)
    return found


def why(live: Live, post_id: str, seeker_id: str, now: datetime) -> Verdict:
    """Why a seeker stands where she stands in a post's ranking, or why not at all.

    Raises:
        PostUnknown, SeekerUnknown, StartingError
        CatchingUp: this instance does not answer for the city of one of them.
    """
    engine = live.at(now)
    post_city, seeker_city = engine.city_of("post", post_id), engine.city_of("seeker", seeker_id)
    if post_city is None:
        raise PostUnknown
    if seeker_city is None:
        raise SeekerUnknown
    found = engine.why(post_id, seeker_id)
    live.check(post_city)
    live.check(seeker_city)
    return found
