"""All cities' rankings in memory, brought up to date by facts and by the clock.

Without I/O, and for one thread: a call either happens whole or, if a fact cannot be held, raises before anything
changed. Only a city that changes its policy is ranked anew beside it, on a thread of its own.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime

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
    RankedPost,
    RankedSeeker,
    Schedule,
    Verdict,
    explain,
    policy_on,
)
from services.matching.domain.policy import POLICIES
from services.matching.engine import dump, layout
from services.matching.engine.city import Sizes
from services.matching.engine.shard import Shard
from shared.kernel.clock import civil_day

AT_ONCE = 20_000
"""Seekers and posts of a city that is ranked anew at once: it takes less than a second, and a reader who waits for the
policy's event finds it in force. A larger one is ranked by the old policy, which its answers name, until it is done."""


@dataclass(slots=True)
class _Rebuild:
    """A city that is being ranked by another policy, and what was learnt of it meanwhile."""

    policy: Policy
    shard: Future[Shard]
    missed: list[Fact] = field(default_factory=list)


class Engine:
    """Every ranking of every city.

    Args:
        at: the present instant; `advance` moves it on.
        policies: the common ones; a city's own come as facts.
        sizes: lengths of the lists.
    """

    def __init__(self, at: datetime, policies: tuple[Policy, ...] = POLICIES, sizes: Sizes | None = None) -> None:
        self._at = at
        self._policies = policies
        self._sizes = sizes or Sizes()
        self._shards: dict[str, Shard] = {}
        # Asked of every waiting post at every look, while asking a city costs microseconds and there may be dozens.
        self._city_of_post: dict[str, str] = {}
        self._rebuilds: dict[str, _Rebuild] = {}
        self._builder: ThreadPoolExecutor | None = None

    @property
    def day(self) -> date:
        """Civil day of the present."""
        return civil_day(self._at)

    # --- what changes it ---

    def apply(self, facts: Iterable[Fact]) -> set[str]:
        """Take in facts; those not newer than what is held for their entity change nothing.

        Returns:
            Posts whose ranking may differ from before, in order, score or parts, the closed ones included.

        Raises:
            UnknownForm: a fact cannot be held; nothing of its city has changed.
        """
        by_city: defaultdict[str, list[Fact]] = defaultdict(list)
        for fact in facts:
            by_city[fact.city].append(fact)
        changed: set[str] = set()
        for city, of_city in by_city.items():
            shard = self._shard(city)
            has_policy = shard.apply(of_city)
            if city in self._rebuilds:
                self._rebuilds[city].missed += of_city
            if has_policy:
                self._review(shard)
            changed |= self._finish(city)
            changed.update(self._shards[city].take_changed())
        return changed

    def advance(self, at: datetime) -> set[str]:
        """Move the present on; a clock that goes back is ignored.

        Posts close, women leave whose eligibility or certificate ends, and waiting grows, at the instant at which it
        happens; a policy that begins is taken up in the background.

        Returns:
            As `apply`.
        """
        if at <= self._at:
            return set()
        is_new_day = civil_day(at) != self.day
        self._at = at
        changed: set[str] = set()
        for city in list(self._shards):
            self._shards[city].advance(at)
            if is_new_day:
                self._review(self._shards[city])
            changed |= self._finish(city)
            changed.update(self._shards[city].take_changed())
        return changed

    def await_policies(self) -> set[str]:
        """Wait until every city is ranked by the policy of the day. Returns as `apply`."""
        changed: set[str] = set()
        for city, rebuild in list(self._rebuilds.items()):
            rebuild.shard.result()
            changed |= self._finish(city)
            changed.update(self._shards[city].take_changed())
        return changed

    # --- cities that come and go ---

    @property
    def layout(self) -> str:
        """Version of the arrays that `dump` gives; those of another one cannot be restored."""
        forms = (layout.SEEKER, layout.POST, layout.TOP, layout.BEST, layout.SHIFT)
        return f"{dump.VERSION}.{zlib.crc32(repr(forms).encode()):08x}"

    def cities(self) -> Iterable[str]:
        """Cities that anything is known of."""
        return self._shards.keys()

    def drop(self, city: str) -> None:
        """Forget a city."""
        del self._shards[city]
        self._rebuilds.pop(city, None)
        self._city_of_post = {id_: of for id_, of in self._city_of_post.items() if of != city}

    def dump(self, city: str) -> Mapping[str, npt.NDArray[np.generic]]:
        """All that is known of a city, as arrays that share its memory: to be copied before the next call."""
        return dump.dump(self._shards[city])

    def restore(self, city: str, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take in a city that was dumped; it must not be known.

        Raises:
            ValueError: the arrays are not of this layout.
        """
        if city in self._shards:
            raise ValueError("a city that is known cannot be restored")
        shard = dump.restore(city, arrays, self._sizes)
        shard.advance(self._at)
        self._shards[city] = shard
        self._review(shard)

    # --- what it answers ---

    def version_of(self, kind: EntityKind, id_: str) -> int:
        """Newest version that is held of an entity, 0 if none."""
        for shard in self._shards.values():
            version = shard.version_of(kind, id_)
            if version:
                return version
        return 0

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        """City of an entity, or `None` if it is unknown; also for one that is over."""
        if kind == "post" and id_ in self._city_of_post:
            return self._city_of_post[id_]
        for city, shard in self._shards.items():
            if shard.version_of(kind, id_):
                if kind == "post":
                    self._city_of_post[id_] = city
                return city
        return None

    def ids(self, kind: EntityKind, city: str | None = None) -> Iterator[str]:
        """Entities that are not over, of one city or all, in no order. May be taken piece by piece while facts come."""
        for code, shard in list(self._shards.items()):
            if city in (None, code):
                yield from shard.ids(kind)

    def ranking(self, post_id: str, limit: int = TOP_SEEKERS) -> list[RankedSeeker]:
        """The best seekers of a post, best first; nobody for a post that takes no one.

        Raises:
            KeyError: the post is unknown.
        """
        return self._shard_of("post", post_id).ranking(post_id, limit)

    def best_posts(self, seeker_id: str, limit: int = BEST_POSTS) -> list[RankedPost]:
        """The best posts of a seeker, best first; none for one who withdrew.

        Raises:
            KeyError: the seeker is unknown.
        """
        return self._shard_of("seeker", seeker_id).best_posts(seeker_id, limit)

    def candidate(self, seeker_id: str) -> Candidate | None:
        """A seeker's profile now; `None` for one who withdrew or is unknown."""
        city = self.city_of("seeker", seeker_id)
        return None if city is None else self._shards[city].candidate(seeker_id)

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        """Posts that a seeker is placed at; `None` for one who withdrew or is unknown."""
        found = (shard.posts_of(seeker_id) for shard in self._shards.values())
        return next((posts for posts in found if posts is not None), None)

    def opening(self, post_id: str) -> Opening | None:
        """A post's profile now; `None` for one that is closed or unknown."""
        city = self.city_of("post", post_id)
        return None if city is None else self._shards[city].opening(post_id)

    def urgent(self) -> list[str]:
        """Posts marked urgent that take someone now, in no order."""
        return [post_id for shard in self._shards.values() for post_id in shard.urgent()]

    def why(self, post_id: str, seeker_id: str) -> Verdict:
        """Everything about a pair.

        Raises:
            KeyError: the post or the seeker is unknown.
        """
        shard = self._shard_of("post", post_id)
        candidate = self._shard_of("seeker", seeker_id).candidate(seeker_id)
        return explain(shard.policy, candidate, shard.opening(post_id), self.day)

    def policy_of(self, city: str) -> Policy:
        """The policy that a city's rankings are made with."""
        shard = self._shards.get(city)
        return policy_on(city, self.day, self._policies) if shard is None else shard.policy

    def counts(self) -> tuple[int, int]:
        """Posts that take someone, and seekers who are eligible."""
        counts = [shard.counts for shard in self._shards.values()]
        return sum(posts for posts, _ in counts), sum(seekers for _, seekers in counts)

    # --- how ---

    def _shard(self, city: str) -> Shard:
        shard = self._shards.get(city)
        if shard is None:
            policy = policy_on(city, self.day, self._policies)
            shard = self._shards[city] = Shard(city, policy, self._at, self._sizes)
        return shard

    def _shard_of(self, kind: EntityKind, id_: str) -> Shard:
        city = self.city_of(kind, id_)
        if city is None:
            raise KeyError(id_)
        return self._shards[city]

    def _wanted(self, shard: Shard) -> Policy:
        """The policy that a city should be ranked by today."""
        schedules = (fact.state for fact in shard.facts["policy"].values())
        own = [policy for one in schedules if isinstance(one, Schedule) for policy in one.policies]
        return policy_on(shard.city, self.day, (*self._policies, *own))

    def _review(self, shard: Shard) -> None:
        """See whether a city is ranked by the policy of the day; else begin to rank it anew, in the background."""
        wanted, running = self._wanted(shard), self._rebuilds.get(shard.city)
        if wanted == (shard.policy if running is None else running.policy):
            return
        if running is None and shard.arrays.seekers + shard.arrays.posts <= AT_ONCE:
            shard.reweigh(wanted)
            return
        if self._builder is None:
            self._builder = ThreadPoolExecutor(1, "rank-anew")
        arrays = {name: array.copy() for name, array in dump.dump(shard).items()}
        sizes, city = self._sizes, shard.city

        def build() -> Shard:
            fresh = dump.restore(city, arrays, sizes)
            fresh.reweigh(wanted)
            return fresh

        self._rebuilds[shard.city] = _Rebuild(wanted, self._builder.submit(build))

    def _finish(self, city: str) -> set[str]:
        """Put a city that was ranked anew into the place of the old one. Returns the posts that it changes: all."""
        rebuild = self._rebuilds.get(city)
        if rebuild is None or not rebuild.shard.done():
            return set()
        del self._rebuilds[city]
        fresh = rebuild.shard.result()
        fresh.apply(rebuild.missed)
        fresh.advance(self._at)
        self._shards[city] = fresh
        self._review(fresh)
        return set(fresh.ids("post"))
