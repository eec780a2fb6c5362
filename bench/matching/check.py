"""Whether lists are what the pure function says: the engine's against NumPy's, NumPy's against the domain's.

The pure function takes seconds a list for the largest city, so it judges samples; NumPy judges the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bench.matching.pairs import Columns, top
from bench.matching.play import policy
from bench.matching.speak import (
    CHUNK,
    employer_facts,
    pieces,
    placement_facts,
    post_facts,
    seeker_facts,
    shift_facts,
    station_facts,
)
from bench.matching.tables import AT, City, ids
from services.matching.domain import (
    BEST_POSTS,
    TOP_SEEKERS,
    Candidate,
    Fact,
    Programme,
    best_posts,
    rank_post,
    view_of,
)
from services.matching.engine import Engine

Places = list[tuple[str, int]]


class ListsDiffer(AssertionError):
    """A list is not what the pure function says; the message names it."""


class Oracle:
    """Both sides' lists of a city, by NumPy."""

    def __init__(self, city: City) -> None:
        self.columns = Columns(city, policy())
        self.seekers, self.posts = ids("skr", city.seekers), ids("pst", city.posts)

    def ranking(self, post: int) -> Places:
        """The best seekers of a post."""
        c = self.columns
        found = top(*c.seekers_for(post), c.registered, c.seeker_key, TOP_SEEKERS)
        return [(self.seekers[row], score) for row, score in found]

    def best(self, seeker: int) -> Places:
        """The best posts of a seeker."""
        c = self.columns
        return [(self.posts[row], score) for row, score in top(*c.posts_for(seeker), c.opened, c.post_key, BEST_POSTS)]


def sample(seed: int, there: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.intp]], most: int) -> list[int]:
    """Rows to look at: all of them, or so many at random."""
    rows = np.asarray(there)
    chosen = rows if len(rows) <= most else np.random.default_rng(seed).choice(rows, most, replace=False)
    return [int(row) for row in chosen]


def check_engine(engine: Engine, city: City, seed: int, posts: int, seekers: int) -> int:
    """Compare the engine's lists with NumPy's, of at most so many posts and seekers, those that are gone included.

    Returns:
        How many lists were compared.

    Raises:
        ListsDiffer: one is wrong, in order, in a score or in its parts.
    """
    oracle = Oracle(city)
    some_posts = sample(seed, np.flatnonzero(city.posts["version"]), posts)
    some_seekers = sample(seed + 1, np.flatnonzero(city.seekers["version"]), seekers)
    for row in some_posts:
        served = engine.ranking(oracle.posts[row])
        _same(f"post {row}", [(place.seeker_id, place.score) for place in served], oracle.ranking(row))
        _parts_sum(f"post {row}", [(place.score, place.parts) for place in served])
    for row in some_seekers:
        found = engine.best_posts(oracle.seekers[row])
        _same(f"seeker {row}", [(place.post_id, place.score) for place in found], oracle.best(row))
        _parts_sum(f"seeker {row}", [(place.score, place.parts) for place in found])
    return len(some_posts) + len(some_seekers)


def check_oracle(city: City, seed: int, posts: int, seekers: int) -> int:
    """Compare NumPy's lists with the pure function's, which is given the city a chunk of women at a time.

    Raises:
        ListsDiffer
    """
    oracle = Oracle(city)
    some_posts = sample(seed, np.flatnonzero(city.posts["alive"]), posts)
    some_seekers = sample(seed + 1, np.flatnonzero(city.seekers["alive"]), seekers)
    houses = employer_facts(city.employers) + station_facts(city.stations) + placement_facts(city.placements, city)
    openings = view_of(Programme.of([*houses, *post_facts(city.posts[city.posts["alive"]], city)]), AT).openings
    best: dict[int, list[Candidate]] = {row: [] for row in some_posts}
    looked_at: dict[int, Candidate] = {}
    by_seeker = np.argsort(city.placements["seeker"][city.shifts["placement"]], kind="stable")
    ordered = city.placements["seeker"][city.shifts["placement"]][by_seeker]
    for rows in pieces(np.flatnonzero(city.seekers["alive"]), CHUNK):
        first, last = np.searchsorted(ordered, (rows[0], rows[-1] + 1))
        placed = city.placements[np.isin(city.placements["seeker"], rows)]
        facts = [
            *seeker_facts(city.seekers[rows]),
            *placement_facts(placed, city),
            *shift_facts(city.shifts[by_seeker[first:last]], city),
        ]
        view = view_of(Programme.of(facts), AT)
        women = [one for one in view.candidates.values() if one is not None]
        for row, front in best.items():
            known = [*front, *women]
            kept = {place.seeker_id for place in rank_post(policy(), openings[oracle.posts[row]], known)}
            best[row] = [one for one in known if one.id in kept]
        for row in some_seekers:
            one = view.candidates.get(oracle.seekers[row])
            if one is not None:
                looked_at[row] = one
    for row, front in best.items():
        pure = rank_post(policy(), openings[oracle.posts[row]], front)
        _same(f"post {row}", oracle.ranking(row), [(place.seeker_id, place.score) for place in pure])
    for row in some_seekers:
        found = best_posts(policy(), looked_at[row], openings.values())
        _same(f"seeker {row}", oracle.best(row), [(place.post_id, place.score) for place in found])
    return len(some_posts) + len(some_seekers)


def check_facts(engine: Engine, facts: Iterable[Fact], seed: int, posts: int, seekers: int) -> int:
    """Compare the engine's lists with the pure function's over all facts that it was given, parts included.

    Raises:
        ListsDiffer
    """
    view = view_of(Programme.of(facts), AT)
    dice = np.random.default_rng(seed)
    some_posts = dice.choice(sorted(view.openings), min(posts, len(view.openings)), replace=False).tolist()
    some_seekers = dice.choice(sorted(view.candidates), min(seekers, len(view.candidates)), replace=False).tolist()
    for post_id in some_posts:
        pure = rank_post(policy(), view.openings[post_id], view.candidates.values())
        if engine.ranking(post_id) != pure:
            raise ListsDiffer(f"post {post_id}: the engine's list is not the pure function's")
    for seeker_id in some_seekers:
        found = best_posts(policy(), view.candidates[seeker_id], view.openings.values())
        if engine.best_posts(seeker_id) != found:
            raise ListsDiffer(f"seeker {seeker_id}: the engine's list is not the pure function's")
    return len(some_posts) + len(some_seekers)


def _same(what: str, served: Places, expected: Places) -> None:
    if served == expected:
        return
    place = next(
        (n for n, pair in enumerate(zip(served, expected, strict=False)) if pair[0] != pair[1]),
        min(len(served), len(expected)),
    )
    raise ListsDiffer(
        f"{what}: place {place + 1} is {served[place : place + 1]}, expected {expected[place : place + 1]} "
        f"({len(served)} places, expected {len(expected)})"
    )


def _parts_sum(what: str, places: Iterable[tuple[int, Sequence[int]]]) -> None:
    for score, parts in places:
        if sum(parts) != score:
            raise ListsDiffer(f"{what}: parts sum to {sum(parts)}, the score is {score}")
