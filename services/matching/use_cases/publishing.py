"""Publishing rankings whose top is no longer the one that was published."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

from services.matching import metrics
from services.matching.errors import PublishedElsewhereError
from services.matching.ports import Noted, Published, RankingOutbox, digest_of
from services.matching.use_cases.changes import is_over
from services.matching.use_cases.live import Live, Part
from shared.contracts.topics import partition_of
from shared.kernel.turns import in_turns

PUBLISHED_TOP = 10
"""Places of a published ranking (DESIGN.md §4)."""

PUBLISH_MAX = 32
"""Rankings of one transaction: its round trips take about as long as to make the events."""

LOOK_MAX = 4
"""Rankings that are looked at before others may run: half a millisecond, since a reader waits meanwhile."""

REST = 2
"""A batch is followed by a pause of so many times what it took: of what comes in as fast as it is taken in, publishing
takes a third of the time at most, and more changes of a ranking become one event."""

EMPTY = digest_of(())


async def read_published(live: Live, part: Part, *, outbox: RankingOutbox) -> None:
    """Take up what was published of a partition. Every ranking is compared with it, so no change is lost."""
    published = dict(await outbox.last_published(part.number))
    part.published = published
    live.waiting |= published.keys()
    for city in [city for city in live.engine.cities() if partition_of(city) == part.number]:
        live.waiting |= set(live.engine.ids("post", city))


async def publish_changes(
    live: Live, *, outbox: RankingOutbox, now: datetime, rest: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> int:
    """Publish the rankings whose top differs from the published one. Returns how many there were.

    Only of partitions that this instance owns; the others wait. Between two calls any number of changes of a ranking
    becomes one event, or none if it is again as published.

    Args:
        rest: lets so many seconds pass; a true answer ends this, and what is left waits.
    """
    live.moved_on(now)
    count = 0
    for few in _batches(sorted(live.waiting)):
        batch = _due(live, few)
        if not batch:
            continue
        started_s = live.clock_s()
        # What changes while the transaction runs is put in again by `take_in`, and looked at the next time.
        live.waiting.difference_update(batch)
        try:
            changes = await _changes(live, batch)
            if changes:
                await outbox.publish(changes, now)
        except BaseException as error:
            live.waiting.update(batch)
            if isinstance(error, PublishedElsewhereError):
                for number in {partition_of(change.city) for change in changes} & live.parts.keys():
                    live.parts[number].published = None
            raise
        for change in changes:
            part = live.parts.get(partition_of(change.city))
            if part is not None and part.published is not None:
                part.published[change.post_id] = Noted(change.sequence, change.digest)
        live.watchers.tell(changes)
        # Of what has come meanwhile nothing is published yet.
        for post_id in live.watchers.posts & set(batch) - live.waiting:
            if is_over(live.engine, post_id):
                live.watchers.end(post_id, "closed")
        count += len(changes)
        if await rest(REST * (live.clock_s() - started_s)):
            break
    metrics.CHANGES_PUBLISHED.inc(count)
    return count


def _due(live: Live, post_ids: Iterable[str]) -> list[str]:
    """Those of some waiting posts to look at; who is no longer known here is forgotten, those of others are left."""
    ready = {number for number, part in live.parts.items() if part.published is not None and live.owns(number)}
    due = []
    for post_id in post_ids:
        city = live.engine.city_of("post", post_id)
        if city is None:
            live.waiting.discard(post_id)
        elif partition_of(city) in ready:
            due.append(post_id)
    return due


def _batches(post_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(post_ids), PUBLISH_MAX):
        yield post_ids[start : start + PUBLISH_MAX]


async def _changes(live: Live, post_ids: Sequence[str]) -> list[Published]:
    changes: list[Published] = []
    async for few in in_turns(post_ids, LOOK_MAX):
        changes += [change for post_id in few if (change := _change(live, post_id)) is not None]
    return changes


def _change(live: Live, post_id: str) -> Published | None:
    """The top to publish for a post, or `None` where it stands already. Nothing yet counts as an empty top."""
    city = live.engine.city_of("post", post_id)
    part = None if city is None else live.parts.get(partition_of(city))
    if city is None or part is None or part.published is None:
        return None
    last = part.published.get(post_id, Noted(0, EMPTY))
    top = tuple(live.engine.ranking(post_id, PUBLISHED_TOP))
    change = Published(post_id, city, last.sequence + 1, top, live.basis(city))
    return None if change.digest == last.digest else change
