"""All cities' rankings in memory, brought up to date by facts and by the clock.

Single-threaded and without I/O: a call either happens whole or, if a fact cannot be used, raises before anything
changed.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from services.matching.domain import (
    BEST_POSTS,
    TOP_SEEKERS,
    Candidate,
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Opening,
    Placement,
    Post,
    Programme,
    RankedPost,
    RankedSeeker,
    Seeker,
    Shift,
    Station,
    Verdict,
    candidate_of,
    explain,
    opening_of,
    policy_on,
    score,
)
from services.matching.domain.policy import POLICIES, Policy
from services.matching.domain.ranking import post_order
from services.matching.domain.rules import Parts
from services.matching.domain.state import ShiftVerdict
from services.matching.engine.shard import Shard
from shared.kernel.clock import civil_day


class Engine:
    """Every ranking of every city.

    Args:
        at: the present instant; `advance` moves it on.
    """

    def __init__(self, at: datetime, policies: tuple[Policy, ...] = POLICIES) -> None:
        self._at = at
        self.day = civil_day(at)
        self._policies = policies
        self._programme = Programme()
        self._shards: dict[str, Shard] = {}
        self._placements_of: defaultdict[str, dict[str, Placement]] = defaultdict(dict)
        self._certificates_of: defaultdict[str, dict[str, Certificate]] = defaultdict(dict)
        self._verdicts_of: defaultdict[str, dict[str, ShiftVerdict]] = defaultdict(dict)
        self._taken: defaultdict[str, set[str]] = defaultdict(set)
        self._posts_of_employer: defaultdict[str, set[str]] = defaultdict(set)
        self._posts_of_station: defaultdict[str, set[str]] = defaultdict(set)
        self._closing: list[tuple[datetime, str]] = []

    # --- what changes it ---

    def apply(self, facts: Iterable[Fact]) -> set[str]:
        """Take in facts; those not newer than what is held for their entity change nothing.

        Returns:
            Posts whose ranking may differ from before, in order, score or parts, the closed ones included.
        """
        seekers: set[str] = set()
        posts: set[str] = set()
        for fact in facts:
            before = self._programme.of_kind(fact.kind).get(fact.id)
            if not self._programme.learn(fact):
                continue
            if before is not None:
                self._forget(before, seekers, posts)
            self._note(fact, seekers, posts)
        return self._renew(seekers, posts)

    def advance(self, at: datetime) -> set[str]:
        """Move the present on; a clock that goes back is ignored.

        Posts whose `closes_at` has passed close; a new civil day ranks everything anew, since eligibility,
        certificates, waiting and the policy depend on it.

        Returns:
            As `apply`.
        """
        if at <= self._at:
            return set()
        self._at = at
        closing = set()
        while self._closing and self._closing[0][0] <= at:
            closing.add(heapq.heappop(self._closing)[1])
        if civil_day(at) == self.day:
            return self._renew(set(), closing)
        self.day = civil_day(at)
        self._shards.clear()
        return self._renew(set(self._programme.of_kind("seeker")), set(self._programme.of_kind("post")))

    # --- what it answers ---

    def version_of(self, kind: EntityKind, id_: str) -> int:
        """Newest version that is held of an entity, 0 if none."""
        fact = self._programme.of_kind(kind).get(id_)
        return 0 if fact is None else fact.version

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        """City of an entity, or `None` if it is unknown; also for one that is over."""
        fact = self._programme.of_kind(kind).get(id_)
        return None if fact is None else fact.city

    def ids(self, kind: EntityKind, city: str | None = None) -> Iterator[str]:
        """Entities that are not over, of one city or all, in no order."""
        for id_, fact in self._programme.of_kind(kind).items():
            if fact.state is not None and city in (None, fact.city):
                yield id_

    def ranking(self, post_id: str, limit: int = TOP_SEEKERS) -> list[RankedSeeker]:
        """The best seekers of a post, best first; nobody for a post that takes no one.

        Raises:
            KeyError: the post is unknown.
        """
        shard = self._shard_of("post", post_id)
        opening = shard.openings.get(post_id)
        if opening is None:
            return []
        ranking = []
        for minus, (_, seeker_id), _ in shard.ranking(post_id, limit):
            parts = self._parts(shard, shard.candidates[seeker_id], opening)
            ranking.append(RankedSeeker(seeker_id, -minus, parts))
        return ranking

    def best_posts(self, seeker_id: str, limit: int = BEST_POSTS) -> list[RankedPost]:
        """The best posts of a seeker, best first; none for one who withdrew.

        Raises:
            KeyError: the seeker is unknown.
        """
        shard = self._shard_of("seeker", seeker_id)
        candidate = shard.candidates.get(seeker_id)
        if candidate is None:
            return []
        rows, found = shard.posts_for(seeker_id)
        ordered = heapq.nsmallest(
            limit,
            (
                post_order(score_, shard.openings[post_id].post.opened_at, post_id)
                for post_id, score_ in zip(map(shard.posts.slots.ids.__getitem__, rows), found.tolist(), strict=True)
                if post_id is not None
            ),
        )
        return [
            RankedPost(post_id, -minus, self._parts(shard, candidate, shard.openings[post_id]))
            for minus, _, post_id in ordered
        ]

    def why(self, post_id: str, seeker_id: str) -> Verdict:
        """Everything about a pair.

        Raises:
            KeyError: the post or the seeker is unknown.
        """
        post_shard, seeker_shard = self._shard_of("post", post_id), self._shard_of("seeker", seeker_id)
        return explain(
            post_shard.policy.weights,
            seeker_shard.candidates.get(seeker_id),
            post_shard.openings.get(post_id),
            self.day,
        )

    def policy_of(self, city: str) -> Policy:
        """The policy that a city's rankings are made with."""
        return self._shard(city).policy

    def counts(self) -> tuple[int, int]:
        """Posts that take someone, and seekers who are eligible."""
        shards = self._shards.values()
        openings = sum(opening.available for shard in shards for opening in shard.openings.values())
        return openings, sum(candidate.eligible for shard in shards for candidate in shard.candidates.values())

    # --- how ---

    def _parts(self, shard: Shard, candidate: Candidate, opening: Opening) -> Parts:
        parts = score(shard.policy.weights, candidate, opening)
        if parts is None:
            raise RuntimeError("a ranking named a pair that the rules refuse")
        return parts

    def _shard_of(self, kind: EntityKind, id_: str) -> Shard:
        return self._shard(self._programme.of_kind(kind)[id_].city)

    def _shard(self, city: str) -> Shard:
        shard = self._shards.get(city)
        if shard is None:
            shard = self._shards[city] = Shard(policy_on(city, self.day, self._policies))
        return shard

    def _forget(self, fact: Fact, seekers: set[str], posts: set[str]) -> None:
        """Take an entity's older state out of the indexes, and mark whom it touches."""
        match fact.state:
            case Post() as post:
                self._posts_of_employer[post.employer_id].discard(fact.id)
                if post.station_id is not None:
                    self._posts_of_station[post.station_id].discard(fact.id)
            case Placement() as placement:
                del self._placements_of[placement.seeker_id][fact.id]
                self._taken[placement.post_id].discard(fact.id)
                seekers.add(placement.seeker_id)
                posts.add(placement.post_id)
            case Certificate() as certificate:
                del self._certificates_of[certificate.seeker_id][fact.id]
                seekers.add(certificate.seeker_id)
            case Shift() as shift:
                del self._verdicts_of[shift.seeker_id][fact.id]
                seekers.add(shift.seeker_id)
            case Seeker() | Employer() | Station() | None:
                pass
        if fact.kind in ("seeker", "post"):
            # The entity may move to another city; where it was it must not stay.
            self._leave(fact, posts)

    def _leave(self, fact: Fact, posts: set[str]) -> None:
        shard = self._shard(fact.city)
        now = self._programme.of_kind(fact.kind)[fact.id]
        if now.state is not None and now.city == fact.city:
            return
        if fact.kind == "seeker" and fact.id in shard.candidates:
            posts |= shard.drop_candidate(fact.id)
        elif fact.kind == "post" and fact.id in shard.openings:
            shard.drop_opening(fact.id)

    def _note(self, fact: Fact, seekers: set[str], posts: set[str]) -> None:
        """Put an entity's new state into the indexes, and mark whom it touches."""
        match fact.state:
            case Post() as post:
                self._posts_of_employer[post.employer_id].add(fact.id)
                if post.station_id is not None:
                    self._posts_of_station[post.station_id].add(fact.id)
                if post.closes_at is not None and post.closes_at > self._at:
                    heapq.heappush(self._closing, (post.closes_at, fact.id))
            case Placement() as placement:
                self._placements_of[placement.seeker_id][fact.id] = placement
                self._taken[placement.post_id].add(fact.id)
                seekers.add(placement.seeker_id)
                posts.add(placement.post_id)
            case Certificate() as certificate:
                self._certificates_of[certificate.seeker_id][fact.id] = certificate
                seekers.add(certificate.seeker_id)
            case Shift() as shift:
                self._verdicts_of[shift.seeker_id][fact.id] = shift.verdict
                seekers.add(shift.seeker_id)
            case Seeker() | Employer() | Station() | None:
                pass
        if fact.kind == "seeker":
            seekers.add(fact.id)
        elif fact.kind == "post":
            posts.add(fact.id)
        elif fact.kind == "employer":
            posts |= self._posts_of_employer[fact.id]
        elif fact.kind == "station":
            posts |= self._posts_of_station[fact.id]

    def _renew(self, seekers: set[str], posts: set[str]) -> set[str]:
        """Make the profiles of these anew, and all lists that they touch."""
        touched: set[str] = set()
        for seeker_id in seekers:
            fact = self._programme.of_kind("seeker").get(seeker_id)
            if fact is not None and isinstance(fact.state, Seeker):
                shard = self._shard(fact.city)
                candidate = self._candidate(fact, fact.state)
                if shard.candidates.get(seeker_id) != candidate:
                    shard.put_candidate(candidate)
                    touched.add(fact.city)
        changed: set[str] = set()
        for post_id in posts:
            fact = self._programme.of_kind("post").get(post_id)
            if fact is None:
                continue
            changed.add(post_id)
            touched.add(fact.city)
            if isinstance(fact.state, Post):
                self._shard(fact.city).put_opening(self._opening(fact, fact.state))
        return changed.union(*(self._shard(city).refresh() for city in touched))

    def _candidate(self, fact: Fact, seeker: Seeker) -> Candidate:
        return candidate_of(
            fact.id,
            fact.city,
            seeker,
            self._placements_of[fact.id].values(),
            self._certificates_of[fact.id].values(),
            self._verdicts_of[fact.id].values(),
            self.day,
        )

    def _opening(self, fact: Fact, post: Post) -> Opening:
        employer = self._programme.of_kind("employer").get(post.employer_id)
        station = self._programme.of_kind("station").get(post.station_id) if post.station_id is not None else None
        return opening_of(
            fact.id,
            fact.city,
            post,
            employer.state if employer is not None and isinstance(employer.state, Employer) else None,
            station.state if station is not None and isinstance(station.state, Station) else None,
            len(self._taken[fact.id]),
            self._at,
        )
