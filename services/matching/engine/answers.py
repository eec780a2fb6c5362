"""What is known of one city, and what it answers; `shard` changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import numpy as np

from services.matching.domain import (
    Candidate,
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Opening,
    Placement,
    Policy,
    RankedPost,
    RankedSeeker,
    Station,
    opening_of,
)
from services.matching.domain.rules import Parts
from services.matching.engine import places, reading
from services.matching.engine.city import Arrays, Sizes
from services.matching.engine.layout import HERE, I64
from services.matching.engine.placements import PLACEMENT, Placements
from services.matching.engine.staging import (
    POST,
    SEEKER,
    SHIFT,
    URGENT,
    HoursBook,
    SkillBook,
    UnknownForm,
    id_of,
    key_of,
)


class Answers:
    """One city, as a reader sees it.

    Args:
        at: the present.

    Attributes:
        arrays: seekers, posts and shifts, lists and indexes.
        placements: who is placed where.
        facts: everything else, by kind and id, newest version.
        employer_ids, station_ids: those that posts name, by number.
        declared: mask of the skills that a seeker declared herself, for those who have certificates.
        closing: posts that close by themselves, with the instant in ms, a heap.
    """

    def __init__(self, city: str, policy: Policy, at: datetime, sizes: Sizes) -> None:
        self.city = city
        self.policy = policy
        self.at = at
        self.arrays = Arrays(policy, sizes)
        self.book = SkillBook()
        self.hours = HoursBook()
        self.facts: dict[EntityKind, dict[str, Fact]] = {
            "employer": {},
            "station": {},
            "certificate": {},
            "policy": {},
        }
        self._employers: dict[str, int] = {}
        self._stations: dict[str, int] = {}
        self.employer_ids: list[str] = []
        self.station_ids: list[str] = []
        self.placements = Placements()
        self._certificates: dict[str, dict[str, Certificate]] = {}
        self.declared: dict[str, int] = {}
        self.closing: list[tuple[int, str]] = []
        self._ending: list[tuple[int, str]] = []
        self._post_ids: list[str] = []
        self._due: I64 = np.zeros(0, np.int64)
        self._slots: I64 = np.zeros(sizes.tops_kept, np.int64)
        self._scores: I64 = np.zeros(sizes.tops_kept, np.int64)
        self._parts: I64 = np.zeros((sizes.tops_kept, len(Parts._fields)), np.int64)

    def version_of(self, kind: EntityKind, id_: str) -> int:
        """Newest version that is held of an entity, 0 if none; an id of another kind is nobody's."""
        arrays = self.arrays
        try:
            if kind == "seeker":
                return arrays.version(arrays.city.seekers, arrays.seeker(key_of(id_, SEEKER)))
            if kind == "post":
                return arrays.version(arrays.city.posts, arrays.post(key_of(id_, POST)))
            if kind == "shift":
                row = arrays.shift(key_of(id_, SHIFT))
                return int(arrays.shifts.revision[row]) if row >= 0 else 0
            if kind == "placement":
                return self.placements.version_of(key_of(id_, PLACEMENT))
        except UnknownForm:
            return 0
        fact = self.facts[kind].get(id_)
        return 0 if fact is None else fact.version

    def ids(self, kind: EntityKind) -> Iterator[str]:
        """Entities of a kind that are not over, in no order."""
        if kind in ("seeker", "post"):
            arrays = self.arrays
            side = arrays.city.seekers if kind == "seeker" else arrays.city.posts
            rows = arrays.seekers if kind == "seeker" else arrays.posts
            prefix = SEEKER if kind == "seeker" else POST
            for row in np.flatnonzero(side.status[:rows] == HERE):
                yield id_of(prefix, side.key[row])
        elif kind == "placement":
            yield from self.placements.ids()
        else:
            yield from (id_ for id_, fact in self.facts[kind].items() if fact.state is not None)

    def ranking(self, post_id: str, limit: int) -> list[RankedSeeker]:
        """The best seekers of a post, best first; nobody for a post that takes no one.

        A limit beyond the places that are kept looks at the whole city, which takes milliseconds in a large one.
        """
        arrays, row = self.arrays, self.arrays.post(key_of(post_id, POST))
        slots, scores, parts = self._slots, self._scores, self._parts
        if limit > arrays.sizes.tops:
            limit = min(limit, arrays.seekers)
            slots, scores = np.zeros(2 * limit, np.int64), np.zeros(2 * limit, np.int64)
            parts = np.zeros((limit, len(Parts._fields)), np.int64)
            count = places.read_all(arrays.city, row, slots, scores, parts)
        else:
            count = places.read_top(arrays.city, row, slots, scores, parts[:limit])
        key = arrays.city.seekers.key
        return [
            RankedSeeker(id_of(SEEKER, key[s]), score, Parts(*part))
            for s, score, part in zip(
                slots[:count].tolist(), scores[:count].tolist(), parts[:count].tolist(), strict=True
            )
        ]

    def best_posts(self, seeker_id: str, limit: int) -> list[RankedPost]:
        """The best posts of a seeker, best first; none for one who withdrew."""
        arrays = self.arrays
        row = arrays.seeker(key_of(seeker_id, SEEKER))
        limit = min(limit, arrays.sizes.bests)
        slots, scores, parts = self._slots, self._scores, self._parts
        count = places.read_best(arrays.city, row, slots, scores, parts[:limit])
        key = arrays.city.posts.key
        return [
            RankedPost(id_of(POST, key[p]), score, Parts(*part))
            for p, score, part in zip(
                slots[:count].tolist(), scores[:count].tolist(), parts[:count].tolist(), strict=True
            )
        ]

    def candidate(self, seeker_id: str) -> Candidate | None:
        """A seeker's profile now; `None` for one who withdrew or is unknown."""
        row = self.arrays.seeker(key_of(seeker_id, SEEKER))
        if not self.arrays.here(self.arrays.city.seekers, row):
            return None
        key, declared = self.arrays.city.posts.key, self.declared.get(seeker_id)
        placements = [Placement(id_of(POST, key[p]), seeker_id, hours) for _, p, hours in self.placements.of(row)]
        return reading.candidate(self.arrays.city, row, self.book, self.city, self.at, declared, placements)

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        """Posts that a seeker is placed at; `None` for one who withdrew or is unknown."""
        row = self.arrays.seeker(key_of(seeker_id, SEEKER))
        if not self.arrays.here(self.arrays.city.seekers, row):
            return None
        key = self.arrays.city.posts.key
        return [id_of(POST, key[placed.post]) for placed in self.placements.of(row)]

    def opening(self, post_id: str) -> Opening | None:
        """A post's profile now; `None` for one that is closed or unknown."""
        posts, row = self.arrays.city.posts, self.arrays.post(key_of(post_id, POST))
        if not self.arrays.here(posts, row):
            return None
        employer_id = self.employer_ids[posts.employer[row]]
        station_id = self.station_ids[posts.station[row]] if posts.station[row] >= 0 else None
        post = reading.post(self.arrays.city, row, self.book, employer_id, station_id)
        employer, station = self._employer(employer_id), self._station(station_id)
        return opening_of(post_id, self.city, post, employer, station, int(posts.taken[row]), self.at)

    def urgent(self) -> list[str]:
        """Posts marked urgent that take someone now, in no order."""
        posts, rows = self.arrays.city.posts, self.arrays.posts
        found = np.flatnonzero((posts.where[:rows] >= 0) & (posts.own[:rows] & URGENT != 0))
        return self._post_ids_at(found)

    def _post_ids_at(self, rows: I64) -> list[str]:
        """Ids of posts, kept as texts: of those that changed or are urgent they are wanted all the time."""
        ids = self._post_ids
        ids += [id_of(POST, key) for key in self.arrays.city.posts.key[len(ids) : self.arrays.posts].tolist()]
        return [ids[row] for row in rows.tolist()]

    @property
    def counts(self) -> tuple[int, int]:
        """Posts that take someone, and seekers who are eligible."""
        city = self.arrays.city
        open_ = np.count_nonzero(city.posts.where[: self.arrays.posts] >= 0)
        return int(open_), int(np.count_nonzero(city.seekers.where[: self.arrays.seekers] >= 0))

    def _employer(self, employer_id: str) -> Employer | None:
        fact = self.facts["employer"].get(employer_id)
        return fact.state if fact is not None and isinstance(fact.state, Employer) else None

    def _station(self, station_id: str | None) -> Station | None:
        fact = self.facts["station"].get(station_id) if station_id is not None else None
        return fact.state if fact is not None and isinstance(fact.state, Station) else None
