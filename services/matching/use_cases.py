"""What matching does: take in news, answer readers, publish what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.matching import metrics
from services.matching.domain import BEST_POSTS, TOP_SEEKERS, EntityKind, RankedPost, RankedSeeker, Verdict
from services.matching.engine import Engine
from services.matching.errors import (
    NotFreshYet,
    PostUnknown,
    PublishedElsewhereError,
    SeekerUnknown,
    StartingError,
)
from services.matching.ports import FactStore, News, Published, RankingOutbox
from shared.kernel.clock import Clock

PUBLISHED_TOP = 10
"""Places of a published ranking (DESIGN.md §4)."""

PUBLISH_MAX = 500
"""Rankings of one transaction: about 1 MB of events, far below MongoDB's 16 MB and a few ten milliseconds."""


@dataclass(slots=True)
class Live:
    """The rankings of this process, and who waits for them. Belongs to one event loop.

    Attributes:
        loaded: the state was read from the store; before it nobody is answered.
        waiting: posts whose published ranking may be out of date.
        newest: latest `ce_time` taken in, by city.
    """

    engine: Engine
    loaded: bool = False
    waiting: set[str] = field(default_factory=set)
    published: dict[str, Published] = field(default_factory=dict)
    newest: dict[str, datetime] = field(default_factory=dict)
    _applied: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take_in(self, news: Sequence[News]) -> None:
        """Bring the rankings up to date and wake whoever waits for it."""
        with metrics.APPLY_SECONDS.time():
            self.waiting |= self.engine.apply(item.fact for item in news)
        for item in news:
            city = item.fact.city
            self.newest[city] = max(self.newest.get(city, item.at), item.at)
        async with self._applied:
            self._applied.notify_all()

    async def reached(self, kind: EntityKind, entity_id: str, version: int) -> None:
        """Return once this version of an entity, or a later one, is applied."""
        async with self._applied:
            await self._applied.wait_for(lambda: self.engine.version_of(kind, entity_id) >= version)

    def at(self, now: datetime) -> Engine:
        """The engine, moved on to the present.

        Raises:
            StartingError: the state is not loaded yet.
        """
        if not self.loaded:
            raise StartingError
        self.waiting |= self.engine.advance(now)
        return self.engine

    def as_of(self, city: str | None) -> datetime | None:
        """Moment of the latest change that the rankings of a city show (of any, without a city)."""
        return self.newest.get(city) if city is not None else max(self.newest.values(), default=None)


async def load(live: Live, *, facts: FactStore, outbox: RankingOutbox) -> None:
    """Take up where the last process stopped. Every ranking is compared with its published one, so none is lost."""
    live.published = dict(await outbox.last_published())
    await live.take_in(await facts.load())
    live.waiting |= live.published.keys() | set(live.engine.ids("post"))
    live.loaded = True


async def learn(news: Sequence[News], *, live: Live, facts: FactStore, clock: Clock) -> None:
    """Take in what one batch of events says: first the store, in one transaction, then the rankings.

    What is not newer than what is known has no effect and costs no transaction.
    """
    newest: dict[tuple[EntityKind, str], News] = {}
    for item in news:
        fact = item.fact
        known = newest.get((fact.kind, fact.id))
        if fact.version > (live.engine.version_of(fact.kind, fact.id) if known is None else known.fact.version):
            newest[fact.kind, fact.id] = item
    if not newest:
        return
    fresh = list(newest.values())
    await facts.save(fresh)
    await live.take_in(fresh)
    now = clock()
    for item in fresh:
        metrics.FACTS_APPLIED.labels(item.fact.kind).inc()
        metrics.FRESHNESS_SECONDS.observe(max((now - item.at).total_seconds(), 0))


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


def ranking(live: Live, post_id: str, now: datetime, limit: int = TOP_SEEKERS) -> list[RankedSeeker]:
    """The best seekers of a post.

    Raises:
        PostUnknown, StartingError
    """
    engine = live.at(now)
    if engine.city_of("post", post_id) is None:
        raise PostUnknown
    return engine.ranking(post_id, limit)


def best_posts(live: Live, seeker_id: str, now: datetime, limit: int = BEST_POSTS) -> list[RankedPost]:
    """The best posts of a seeker.

    Raises:
        SeekerUnknown, StartingError
    """
    engine = live.at(now)
    if engine.city_of("seeker", seeker_id) is None:
        raise SeekerUnknown
    return engine.best_posts(seeker_id, limit)


def why(live: Live, post_id: str, seeker_id: str, now: datetime) -> Verdict:
    """Why a seeker stands where she stands in a post's ranking, or why not at all.

    Raises:
        PostUnknown, SeekerUnknown, StartingError
    """
    engine = live.at(now)
    if engine.city_of("post", post_id) is None:
        raise PostUnknown
    if engine.city_of("seeker", seeker_id) is None:
        raise SeekerUnknown
    return engine.why(post_id, seeker_id)


async def publish_changes(live: Live, *, outbox: RankingOutbox, now: datetime) -> int:
    """Publish the rankings whose top differs from the published one. Returns how many there were.

    Between two calls any number of changes of a ranking becomes one event, or none if it is again as published.
    """
    engine = live.at(now)
    count = 0
    for _ in range(-(-len(live.waiting) // PUBLISH_MAX)):
        batch = sorted(live.waiting)[:PUBLISH_MAX]
        # What changes while the transaction runs is put in again by `take_in`, and looked at the next time.
        live.waiting.difference_update(batch)
        changes = [change for post_id in batch if (change := _change(live, engine, post_id)) is not None]
        try:
            if changes:
                await outbox.publish(changes, now)
        except BaseException as error:
            live.waiting.update(batch)
            if isinstance(error, PublishedElsewhereError):
                live.published = dict(await outbox.last_published())
            raise
        live.published.update((change.post_id, change) for change in changes)
        count += len(changes)
    metrics.CHANGES_PUBLISHED.inc(count)
    return count


def _change(live: Live, engine: Engine, post_id: str) -> Published | None:
    """The top to publish for a post, or `None` where it stands already. Nothing yet counts as an empty top."""
    last = live.published.get(post_id)
    city = engine.city_of("post", post_id)
    if city is None:
        return None
    top = tuple(engine.ranking(post_id, PUBLISHED_TOP))
    if top == (last.top if last is not None else ()):
        return None
    return Published(post_id, city, last.sequence + 1 if last is not None else 1, top)
