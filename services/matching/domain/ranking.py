"""Orders: the best seekers of a post, the best posts of a seeker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from services.matching.domain.policy import Policy
from services.matching.domain.profiles import Candidate, Opening
from services.matching.domain.rules import Parts, score

TOP_SEEKERS = 50
BEST_POSTS = 20
"""How many places of a ranking are kept (DESIGN.md §5)."""


class RankedSeeker(NamedTuple):
    """A place in a post's ranking."""

    seeker_id: str
    score: int
    parts: Parts


class RankedPost(NamedTuple):
    """A place in a seeker's list."""

    post_id: str
    score: int
    parts: Parts


def seeker_order(score_: int, registered_at: datetime, seeker_id: str) -> tuple[int, datetime, str]:
    """Sort key: higher score, then earlier registration, then id."""
    return -score_, registered_at, seeker_id


def post_order(score_: int, opened_at: datetime, post_id: str) -> tuple[int, datetime, str]:
    """Sort key: higher score, then opened earlier, then id."""
    return -score_, opened_at, post_id


def rank_post(
    policy: Policy, opening: Opening | None, candidates: Iterable[Candidate | None], limit: int = TOP_SEEKERS
) -> list[RankedSeeker]:
    """The best seekers of a post, best first."""
    if opening is None or not opening.available:
        return []
    found = []
    for candidate in candidates:
        if candidate is None:
            continue
        parts = score(policy, candidate, opening)
        if parts is not None:
            found.append((seeker_order(sum(parts), candidate.seeker.registered_at, candidate.id), parts))
    found.sort()
    return [RankedSeeker(id_, -minus, parts) for (minus, _, id_), parts in found[:limit]]


def best_posts(
    policy: Policy, candidate: Candidate | None, openings: Iterable[Opening | None], limit: int = BEST_POSTS
) -> list[RankedPost]:
    """The best posts of a seeker, best first."""
    if candidate is None or not candidate.eligible:
        return []
    found = []
    for opening in openings:
        if opening is None:
            continue
        parts = score(policy, candidate, opening)
        if parts is not None:
            found.append((post_order(sum(parts), opening.post.opened_at, opening.id), parts))
    found.sort()
    return [RankedPost(id_, -minus, parts) for (minus, _, id_), parts in found[:limit]]
