"""Check 2: every ranking and every list that matching serves equals the pure function of its `domain`.

The state is rebuilt from what the independent reader saw on the topics; nothing of the engine is used.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from typing import NamedTuple

import httpx

from mamapost.demo.reader import Reader
from mamapost.demo.reads import items
from mamapost.demo.report import Check
from services.matching.domain import BEST_POSTS, TOP_SEEKERS, Candidate, Programme, View, policy_on, rank_post, view_of
from services.matching.domain.ranking import post_order
from services.matching.facts import CONSUMED, fact_of
from shared.contracts.envelope import Envelope
from shared.contracts.position import Position
from shared.contracts.registry import PostOpened

AWAIT_TRIES = 12
"""Waits of ten seconds each for one position: two minutes, many times what the slowest machine needs."""

Line = tuple[str, int]
"""Id and score."""

PostKey = tuple[int, datetime, str]
"""Where a post stands in a seeker's list; see `post_order`."""


class Expected(NamedTuple):
    """What the pure function gives for one instant: all rankings by post, all lists by seeker."""

    rankings: dict[str, list[Line]]
    best_posts: dict[str, list[Line]]
    pairs: int


_views: dict[str, View] = {}
"""The view in a worker process, which is forked or sent there once and not with every piece of work."""

_candidates: defaultdict[str, list[Candidate]] = defaultdict(list)
"""In a worker process: the seekers of each city."""


def expected_lists(events: Iterable[Envelope], at: datetime) -> Expected:
    """Apply `rank_post` to all posts and all seekers, on all cores; her best posts follow from the same scores.

    Args:
        events: everything that was on the topics, in any order, duplicates included.
        at: the instant for which the rankings are asked (eligibility and waiting move with the day).
    """
    programme = Programme.of(fact_of(envelope.event) for envelope in events if isinstance(envelope.event, CONSUMED))
    view = view_of(programme, at)
    workers = os.cpu_count() or 1
    rankings: dict[str, list[Line]] = {}
    found: dict[str, list[PostKey]] = {id_: [] for id_, candidate in view.candidates.items() if candidate is not None}
    with ProcessPoolExecutor(workers, initializer=_set_view, initargs=(view,)) as pool:
        for ranked, keys in pool.map(_rank_posts, _cut(list(view.openings), workers * 4)):
            rankings.update(ranked)
            for seeker_id, hers in keys.items():
                found[seeker_id].extend(hers)
    best = {id_: [(key[2], -key[0]) for key in sorted(keys)[:BEST_POSTS]] for id_, keys in found.items()}
    return Expected(rankings, best, len(view.openings) * len(view.candidates))


def _cut(ids: list[str], pieces: int) -> list[list[str]]:
    return [ids[start::pieces] for start in range(pieces)]


def _set_view(view: View) -> None:
    _views["at work"] = view
    for candidate in view.candidates.values():
        if candidate is not None:
            _candidates[candidate.city].append(candidate)


def _rank_posts(post_ids: list[str]) -> tuple[dict[str, list[Line]], dict[str, list[PostKey]]]:
    """Rankings of some posts, and where these posts stand for each seeker."""
    view = _views["at work"]
    rankings: dict[str, list[Line]] = {}
    keys: defaultdict[str, list[PostKey]] = defaultdict(list)
    for post_id in post_ids:
        opening = view.openings[post_id]
        if opening is None:
            continue
        policy = policy_on(opening.city, view.day)
        ranked = rank_post(policy, opening, _candidates[opening.city], limit=len(view.candidates))
        rankings[post_id] = [(line.seeker_id, line.score) for line in ranked[:TOP_SEEKERS]]
        for line in ranked:
            keys[line.seeker_id].append(post_order(line.score, opening.post.opened_at, post_id))
    return rankings, keys


async def await_all(matching: httpx.AsyncClient, reader: Reader, timeout_ms: int = 10_000) -> None:
    """Wait until matching has applied the last event of every topic that it consumes.

    A city's partition is consumed in order, so the last event of a topic stands for all before it.

    Raises:
        httpx.HTTPStatusError: matching did not get there within some tries.
    """
    last: dict[str, Envelope] = {}
    for envelope in reader.events.values():
        if isinstance(envelope.event, CONSUMED):
            last[envelope.event.topic] = envelope
    posts = reader.of(PostOpened)
    path = f"/posts/{posts[-1].event.entity_id}/ranking"
    for envelope in last.values():
        query = {"after": str(Position.of(envelope.event)), "timeout_ms": str(timeout_ms), "limit": "1"}
        for attempt in range(AWAIT_TRIES):
            answer = await matching.get(path, params=query)
            if answer.status_code != 503 or attempt == AWAIT_TRIES - 1:
                answer.raise_for_status()
                break


async def check_rankings(matching: httpx.AsyncClient, events: Iterable[Envelope], at: datetime) -> list[Check]:
    """All rankings and all lists as served against the pure function."""
    served_rankings = {
        item["post_id"]: [(place["seeker_id"], place["score"]) for place in item["top"]]
        for item in await items(matching, "/rankings")
    }
    served_lists = {
        item["seeker_id"]: [(place["post_id"], place["score"]) for place in item["posts"]]
        for item in await items(matching, "/best-posts")
    }
    expected = await asyncio.to_thread(expected_lists, list(events), at)
    rankings = Check("every post's top 50 equals the pure function")
    for post_id in served_rankings.keys() | expected.rankings.keys():
        rankings.compare(f"ranking of {post_id}", served_rankings.get(post_id), expected.rankings.get(post_id))
    lists = Check("every seeker's best 20 equal the pure function")
    for seeker_id in served_lists.keys() | expected.best_posts.keys():
        lists.compare(f"list of {seeker_id}", served_lists.get(seeker_id), expected.best_posts.get(seeker_id))
    filled = sum(map(len, expected.rankings.values()))
    if not filled:
        rankings.fail("no seeker is ranked anywhere: the scenario does not test rankings")
    return [rankings, lists]
