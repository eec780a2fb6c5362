"""An engine of the pure functions alone: slow, and right by definition. It stands in where speed does not matter."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from services.matching.domain import (
    BEST_POSTS,
    TOP_SEEKERS,
    Candidate,
    EntityKind,
    Fact,
    Opening,
    Policy,
    Programme,
    RankedPost,
    RankedSeeker,
    Verdict,
    View,
    best_posts,
    explain,
    rank_post,
    view_of,
)
from services.matching.engine import Engine
from shared.kernel.clock import civil_day


class PlainEngine:
    """Everything anew at every question, from the facts."""

    layout = "plain 1"

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._programmes: dict[str, Programme] = {}

    @property
    def day(self) -> Any:
        return civil_day(self._at)

    def apply(self, facts: Iterable[Fact]) -> set[str]:
        changed: set[str] = set()
        for fact in facts:
            programme = self._programmes.setdefault(fact.city, Programme())
            if programme.learn(fact):
                changed |= set(programme.of_kind("post"))
        return changed

    def advance(self, at: datetime) -> set[str]:
        if at <= self._at:
            return set()
        before, self._at = self._at, at
        changed: set[str] = set()
        for programme in self._programmes.values():
            old, new = view_of(programme, before), view_of(programme, at)
            if old.day != new.day or old.openings != new.openings or old.candidates != new.candidates:
                changed |= set(programme.of_kind("post"))
        return changed

    def version_of(self, kind: EntityKind, id_: str) -> int:
        found = self._find(kind, id_)
        return 0 if found is None else found.version

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        found = self._find(kind, id_)
        return None if found is None else found.city

    def ids(self, kind: EntityKind, city: str | None = None) -> Iterator[str]:
        for name, programme in self._programmes.items():
            if city in (None, name):
                yield from (id_ for id_, fact in programme.of_kind(kind).items() if fact.state is not None)

    def ranking(self, post_id: str, limit: int = TOP_SEEKERS) -> list[RankedSeeker]:
        view = self._view("post", post_id)
        opening = view.openings[post_id]
        if opening is None:
            return []
        return rank_post(view.policy_of(opening.city), opening, view.candidates.values(), limit)

    def best_posts(self, seeker_id: str, limit: int = BEST_POSTS) -> list[RankedPost]:
        view = self._view("seeker", seeker_id)
        candidate = view.candidates[seeker_id]
        if candidate is None:
            return []
        return best_posts(view.policy_of(candidate.city), candidate, view.openings.values(), limit)

    def why(self, post_id: str, seeker_id: str) -> Verdict:
        view, other = self._view("post", post_id), self._view("seeker", seeker_id)
        city = self.city_of("post", post_id) or ""
        return explain(view.policy_of(city), other.candidates[seeker_id], view.openings[post_id], view.day)

    def policy_of(self, city: str) -> Policy:
        return view_of(self._programmes.get(city, Programme()), self._at).policy_of(city)

    def opening(self, post_id: str) -> Opening | None:
        return None if self._find("post", post_id) is None else self._view("post", post_id).openings[post_id]

    def candidate(self, seeker_id: str) -> Candidate | None:
        known = self._find("seeker", seeker_id) is not None
        return self._view("seeker", seeker_id).candidates[seeker_id] if known else None

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        found = self.candidate(seeker_id)
        return None if found is None else found.posts

    def urgent(self) -> Iterable[str]:
        views = [view_of(programme, self._at) for programme in self._programmes.values()]
        openings = [opening for view in views for opening in view.openings.values() if opening is not None]
        return [opening.id for opening in openings if opening.post.urgent and opening.available]

    def counts(self) -> tuple[int, int]:
        views = [view_of(programme, self._at) for programme in self._programmes.values()]
        openings = [opening for view in views for opening in view.openings.values()]
        candidates = [candidate for view in views for candidate in view.candidates.values()]
        return sum(one is not None and one.available for one in openings), sum(
            one is not None and one.eligible for one in candidates
        )

    def cities(self) -> Iterable[str]:
        return list(self._programmes)

    def drop(self, city: str) -> None:
        del self._programmes[city]

    def dump(self, city: str) -> Mapping[str, npt.NDArray[Any]]:
        return {"facts": np.frombuffer(pickle.dumps(self._programmes[city]), np.uint8)}

    def restore(self, city: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        if city in self._programmes:
            raise ValueError("the city is known")
        try:
            self._programmes[city] = pickle.loads(arrays["facts"].tobytes())  # noqa: S301  # its own dump
        except pickle.UnpicklingError:
            raise ValueError("no dump of this engine") from None

    def _find(self, kind: EntityKind, id_: str) -> Fact | None:
        found = [p.of_kind(kind)[id_] for p in self._programmes.values() if id_ in p.of_kind(kind)]
        return found[0] if found else None

    def _view(self, kind: EntityKind, id_: str) -> View:
        found = self._find(kind, id_)
        if found is None:
            raise KeyError(id_)
        return view_of(self._programmes[found.city], self._at)


def plain(at: datetime) -> Engine:
    """A plain engine in the place of the fast one."""
    return cast(Engine, PlainEngine(at))
