"""What changed in one post's ranking since a sequence: from the log of everything that was published.

The log is matching's outbox, which keeps every event, so what a reader knew can be looked up, whatever was restarted or
handed over since; no memory is held for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.matching.domain import Difference, difference
from services.matching.engine import Engine
from services.matching.errors import PostUnknown, SequenceUnknown
from services.matching.ports import Basis, Published, RankingLog
from services.matching.use_cases.live import Live


@dataclass(frozen=True, slots=True)
class Change:
    """What leads from one published ranking of a post to a later one.

    Attributes:
        since: sequence of the earlier one; 0: nothing was known.
        basis: what the later one is made of; `None` if nothing was ever published.
    """

    post_id: str
    since: int
    sequence: int
    basis: Basis | None
    difference: Difference


def change_between(before: Published, after: Published) -> Change:
    """What leads from one to the other."""
    basis = after.basis if after.sequence else None
    return Change(after.post_id, before.sequence, after.sequence, basis, difference(before.top, after.top))


async def latest(live: Live, post_id: str, now: datetime, *, log: RankingLog) -> Published:
    """The ranking of a post that was published last; that of sequence 0, which is empty, if none was yet.

    Raises:
        PostUnknown, StartingError, StoreUnavailable
        CatchingUp: this instance does not answer for the post's city.
    """
    city = live.at(now).city_of("post", post_id)
    if city is None:
        raise PostUnknown
    live.check(city)
    found = await log.published(post_id)
    live.check(city)
    return found or nothing(post_id, city, now)


def nothing(post_id: str, city: str, now: datetime) -> Published:
    """What is known of a ranking before its first publication."""
    return Published(post_id, city, 0, (), Basis(now))


async def changes_since(live: Live, post_id: str, since: int, now: datetime, *, log: RankingLog) -> Change:
    """What changed in a post's published ranking since a sequence; since 0: all of it.

    Raises:
        As `latest`.
        SequenceUnknown: nothing is known of that sequence.
    """
    after = await latest(live, post_id, now, log=log)
    return change_between(await known(after, since, log=log), after)


async def known(after: Published, since: int, *, log: RankingLog) -> Published:
    """What a reader knows who was told of a sequence.

    Raises:
        SequenceUnknown, StoreUnavailable
    """
    if since == after.sequence:
        return after
    if since == 0:
        return nothing(after.post_id, after.city, after.basis.at)
    found = None if since > after.sequence else await log.published(after.post_id, since)
    if found is None:
        raise SequenceUnknown
    return found


def is_over(engine: Engine, post_id: str) -> bool:
    """Whether a post is closed, or its time has passed."""
    opening = engine.opening(post_id)
    return opening is None or opening.expired
