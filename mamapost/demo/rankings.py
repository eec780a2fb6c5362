"""Check 2: every ranking and every list that matching serves equals the pure function of its `domain`.

The state is rebuilt from what the independent reader saw on the topics; nothing of the engine is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from typing import NamedTuple

from services.matching.domain import Programme, View, best_posts, policy_on, rank_post, view_of
from services.matching.facts import CONSUMED, fact_of
from shared.contracts.envelope import Envelope

Line = tuple[str, int]
"""Id and score."""


class Expected(NamedTuple):
    """What the pure function gives for one instant: all rankings by post, all lists by seeker."""

    rankings: dict[str, list[Line]]
    best_posts: dict[str, list[Line]]
    pairs: int


_views: dict[str, View] = {}
"""The view in a worker process, which is forked or sent there once and not with every piece of work."""


def expected_lists(events: Iterable[Envelope], at: datetime) -> Expected:
    """Apply `rank_post` and `best_posts` to all seekers × all posts, on all cores.

    Args:
        events: everything that was on the topics, in any order, duplicates included.
        at: the instant for which the rankings are asked (eligibility and waiting move with the day).
    """
    programme = Programme.of(fact_of(envelope.event) for envelope in events if isinstance(envelope.event, CONSUMED))
    view = view_of(programme, at)
    workers = os.cpu_count() or 1
    rankings: dict[str, list[Line]] = {}
    lists: dict[str, list[Line]] = {}
    with ProcessPoolExecutor(workers, initializer=_set_view, initargs=(view,)) as pool:
        pieces = workers * 4
        for part in pool.map(_rank_posts, _cut(list(view.openings), pieces)):
            rankings.update(part)
        for part in pool.map(_list_posts, _cut(list(view.candidates), pieces)):
            lists.update(part)
    return Expected(rankings, lists, len(view.openings) * len(view.candidates))


def _cut(ids: list[str], pieces: int) -> list[list[str]]:
    return [ids[start::pieces] for start in range(pieces)]


def _set_view(view: View) -> None:
    _views["at work"] = view


def _rank_posts(post_ids: list[str]) -> dict[str, list[Line]]:
    view = _views["at work"]
    found: dict[str, list[Line]] = {}
    for post_id in post_ids:
        opening = view.openings[post_id]
        if opening is not None:
            weights = policy_on(opening.city, view.day).weights
            ranked = rank_post(weights, opening, view.candidates.values())
            found[post_id] = [(line.seeker_id, line.score) for line in ranked]
    return found


def _list_posts(seeker_ids: list[str]) -> dict[str, list[Line]]:
    view = _views["at work"]
    found: dict[str, list[Line]] = {}
    for seeker_id in seeker_ids:
        candidate = view.candidates[seeker_id]
        if candidate is not None:
            weights = policy_on(candidate.city, view.day).weights
            ranked = best_posts(weights, candidate, view.openings.values())
            found[seeker_id] = [(line.post_id, line.score) for line in ranked]
    return found
