"""The race with the peers: after each change one fresh top 50, compared with NumPy's."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.matching.check import ListsDiffer
from bench.matching.mix import Change, Stream
from bench.matching.pairs import Columns, top
from bench.matching.peers.duck import DuckDB
from bench.matching.peers.mongodb import MongoDB
from bench.matching.peers.peer import LIMIT, Ask, Missing, Peer, asks_of, women_of
from bench.matching.peers.polar import Polars
from bench.matching.peers.postgresql import PostgreSQL
from bench.matching.play import policy
from bench.matching.tables import City

WARM = 20
"""Queries before the first that counts: plans, caches, connections."""


def peers(mongo_url: str | None) -> dict[str, Callable[[], Peer]]:
    """What makes each peer, by the goal that it is measured for."""

    def mongodb() -> Peer:
        if mongo_url is None:
            raise Missing("MongoDB: no embedded server here")
        return MongoDB(mongo_url)

    return {"vs-postgresql": PostgreSQL, "vs-mongodb": mongodb, "vs-duckdb": DuckDB, "vs-polars": Polars}


def race(peer: Peer, before: City, stream: Stream, seed: int, seconds: float, rounds: int) -> list[float]:
    """Seconds a change and fresh top 50 of one post, a mean for each round.

    The changes are those of the mix. A change of a post costs a peer nothing, since the post is a parameter; after each
    change it is asked for a post drawn from all that take someone.

    Raises:
        ListsDiffer: an answer is not the pure function's.
    """
    city = before.copy()
    columns = Columns(city, policy())
    there = np.flatnonzero(city.seekers["version"])
    peer.load(women_of(city, columns, there))
    posts = np.flatnonzero(columns.kind)
    drawn = np.random.default_rng(seed).choice(posts, len(stream)).tolist()
    times: list[list[float]] = []
    event = 0

    def step() -> float:
        nonlocal event
        ask = asks_of(city, columns, [drawn[event % len(drawn)]])[0]
        taken_s = _change(peer, city, columns, stream, event % len(stream))
        event += 1
        started = time.perf_counter()
        answer = peer.top(ask)
        taken_s += time.perf_counter() - started
        _compare(peer, columns, ask, answer)
        return taken_s

    for _ in range(WARM):
        step()
    for _ in range(rounds):
        mine: list[float] = []
        while sum(mine) < seconds:
            mine.append(step())
        times.append(mine)
    return [sum(mine) / len(mine) for mine in times]


def _change(peer: Peer, city: City, columns: Columns, stream: Stream, event: int) -> float:
    """Tell a peer of one change. Returns the seconds that it took."""
    place, row = int(stream.place[event]), int(stream.row[event])
    match int(stream.change[event]):
        case Change.SHIFT:
            row = int(stream.who[place])
            mine = city.seekers[row : row + 1]
            mine["attended"], mine["left_early"], mine["shifts"] = stream.counts[place]
            columns.put_steady(slice(row, row + 1), mine)
            steady = int(columns.steady[row])
            started = time.perf_counter()
            peer.put_steady(row, steady)
        case Change.SEEKER | Change.WITHDRAWN:
            city.seekers[row] = stream.seekers[place]
            columns.put_seekers(slice(row, row + 1), city.seekers[row : row + 1])
            [woman] = women_of(city, columns, np.array([row]))
            started = time.perf_counter()
            peer.put(woman)
        case _:
            return 0.0
    return time.perf_counter() - started


def _compare(peer: Peer, columns: Columns, ask: Ask, answer: list[tuple[int, int]]) -> None:
    expected = top(*columns.seekers_for(ask.row), columns.registered, columns.seeker_key, LIMIT)
    if answer != expected:
        raise ListsDiffer(f"{peer.name}, post {ask.row}: {answer[:2]}..., expected {expected[:2]}...")
