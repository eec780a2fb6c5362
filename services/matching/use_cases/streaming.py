"""The live stream of one post's ranking: first what a reader does not know, then every change, then why it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from services.matching.errors import SequenceUnknown
from services.matching.ports import Published, RankingLog
from services.matching.use_cases.changes import Change, change_between, is_over, known, latest
from services.matching.use_cases.live import Live
from services.matching.use_cases.watching import End, Watcher, count_end
from shared.contracts.topics import partition_of


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that has begun.

    Attributes:
        before: what its reader was told last; `None`: she knows nothing, and is told everything.
        now: what was published last when it began.
    """

    watcher: Watcher
    before: Published | None
    now: Published


async def begin(live: Live, watcher: Watcher, since: int | None, now: datetime, *, log: RankingLog) -> Stream:
    """Begin a stream for a watcher who is told of what is published from now on.

    Args:
        since: sequence that the reader was told of last. If nothing is known of it, she is told everything.

    Raises:
        PostUnknown, StartingError, CatchingUp, StoreUnavailable
    """
    after = await latest(live, watcher.post_id, now, log=log)
    if is_over(live.engine, watcher.post_id):
        live.waiting.add(watcher.post_id)  # so that the next look at it ends the stream, after what is still to be told
    try:
        before = None if since is None else await known(after, since, log=log)
    except SequenceUnknown:
        before = None
    return Stream(watcher, before, after)


async def follow(stream: Stream) -> AsyncIterator[Published | Change | End]:
    """What a reader is told: a whole ranking if she knows none, changes, and last why there will be no more."""
    told = stream.now
    if stream.before is None:
        yield told
    elif stream.before.sequence < told.sequence:
        yield change_between(stream.before, told)
    while True:
        news = await stream.watcher.next()
        if not isinstance(news, Published):
            count_end(news)
            yield news
            return
        if news.sequence > told.sequence:
            yield change_between(told, news)
            told = news


def end_streams(live: Live) -> None:
    """End the streams of posts that another instance answers for, and those that nobody reads."""
    for post_id in live.watchers.posts:
        city = live.engine.city_of("post", post_id)
        if city is None or not live.owns(partition_of(city)):
            live.watchers.end(post_id, "moved")
    live.watchers.let_slow_go()
