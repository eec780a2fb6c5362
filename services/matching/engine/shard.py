"""One city: what is known of it, its rankings, and how news and time change them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import cast

import numpy as np

from services.matching.domain import (
    Certificate,
    EntityKind,
    Fact,
    Placement,
    Policy,
    Post,
    Seeker,
)
from services.matching.engine import reading, running
from services.matching.engine.answers import Answers
from services.matching.engine.city import rules_of
from services.matching.engine.layout import HERE, I64, NEVER_MS, U64
from services.matching.engine.placements import PLACEMENT, Placed
from services.matching.engine.staging import (
    FACILITY_BITS_OF,
    POST,
    SEEKER,
    WORD,
    WORD_MASK,
    ShiftNews,
    Staging,
    id_of,
    key_of,
    keys_of,
    ms_of,
    shift_news,
)
from shared.kernel.clock import civil_day

BULK_SHARE = 2
"""A batch of more than half of all rows is written first, and every list made once afterwards."""

BULK_LEAST = 64

REPLACED_LEAST = 64
"""Ends that were replaced by later ones wait in the queues too; they are left out once they are most of these, and more
than so many."""

_OTHERS: tuple[EntityKind, ...] = ("employer", "station", "certificate", "policy")
"""Kinds of facts that are kept as they are."""


class Shard(Answers):
    """Rankings of one city, equal to `domain` at every instant.

    Args:
        at: the present; `advance` moves it on.
    """

    # --- what changes it ---

    def apply(self, facts: Iterable[Fact]) -> bool:
        """Take in facts of the city; what is not newer than what is held changes nothing.

        Returns:
            Whether there is a policy among them.

        Raises:
            UnknownForm: a fact cannot be held (too many skills, an id of another kind); then nothing has changed.
        """
        newest: defaultdict[EntityKind, dict[str, Fact]] = defaultdict(dict)
        for fact in facts:
            of_kind = newest[fact.kind]
            known = of_kind.get(fact.id)
            if known is None or fact.version > known.version:
                of_kind[fact.id] = fact
        seekers, posts, shifts = newest["seeker"], newest["post"], newest["shift"]
        placements = newest["placement"]
        others = [fact for kind in _OTHERS for fact in newest[kind].values()]
        seeker_keys, post_keys = keys_of(list(seekers), SEEKER), keys_of(list(posts), POST)
        went = shift_news(shifts.values())
        named_seekers, named_posts = _named_by([*placements.values(), *others])
        keys_of(list(placements), PLACEMENT)
        self._check(seekers.values(), posts.values(), others)
        arrays, batch = self.arrays, sum(len(of_kind) for of_kind in newest.values())
        arrays.make_room_for(
            np.concatenate((seeker_keys, went.seeker, named_seekers)),
            np.concatenate((post_keys, named_posts)),
            len(shifts),
            self.book.more,
        )
        touched_seekers: set[str] = set()
        touched_posts: set[int] = set()
        for fact in placements.values():
            self._learn_placement(fact, touched_seekers, touched_posts)
        for fact in others:
            self._learn(fact, touched_seekers, touched_posts)
        staging = Staging(self.book, self.hours)
        for fact in seekers.values():
            self._stage_seeker(fact, staging)
        for fact in posts.values():
            self._stage_post(fact, staging)
        arrays.know_hours(self.hours.masks)
        bulk = batch >= max(BULK_LEAST, (arrays.seekers + arrays.posts + len(seekers) + len(posts)) // BULK_SHARE)
        self._take(staging, seeker_keys, post_keys, went, bulk)
        for seeker_id in sorted(touched_seekers):
            self._revise_seeker(seeker_id, bulk)
        for row in sorted(touched_posts):
            self._revise_post(row, bulk)
        if bulk:
            arrays.build()
        self._forget_replaced()
        return bool(newest["policy"])

    def advance(self, at: datetime) -> None:
        """Move the present on: what ends by itself ends, waiting grows. A clock that goes back is ignored."""
        if at <= self.at:
            return
        before, self.at = self.at, at
        now_ms, arrays = ms_of(at), self.arrays
        while self.closing and self.closing[0][0] <= now_ms:
            self._revise_post(arrays.post(key_of(heapq.heappop(self.closing)[1], POST)), False)
        if civil_day(at) != civil_day(before):
            today = civil_day(at).toordinal()
            # Who lost several shifts in one night stands once for each.
            touched: I64 = np.zeros(arrays.shift_rows, np.int64)
            count = arrays.run(running.NEW_DAY, rows=touched, today=today)
            arrays.run(running.SETTLE, rows=touched, first=count, now_ms=now_ms)
            arrays.forget_shifts()
            while self._ending and self._ending[0][0] <= today:
                self._revise_seeker(heapq.heappop(self._ending)[1], False)
        if now_ms != ms_of(before):
            if len(self._due) < arrays.seekers:
                self._due = np.zeros(2 * arrays.seekers, np.int64)
            count = running.due(arrays.city, arrays.tables.minutes, ms_of(before), now_ms, self._due)
            if count:
                arrays.run(running.SETTLE, rows=self._due, first=count, now_ms=now_ms)

    def take_changed(self) -> list[str]:
        """Posts whose ranking may differ from when this was last asked, in order, score or parts."""
        posts = self.arrays.city.posts
        changed = posts.changed
        rows = np.flatnonzero(changed[: self.arrays.posts])
        changed[rows] = 0
        return self._post_ids_at(rows)

    # --- what was known already ---

    def employers_known(self, ids: list[str]) -> None:
        """Take up the numbers of employers from before."""
        self.employer_ids, self._employers = ids, {id_: number for number, id_ in enumerate(ids)}

    def stations_known(self, ids: list[str]) -> None:
        """Take up the numbers of stations from before."""
        self.station_ids, self._stations = ids, {id_: number for number, id_ in enumerate(ids)}

    def await_closings(self) -> None:
        """Queue the posts that will close by themselves, anew."""
        posts, rows = self.arrays.city.posts, self.arrays.posts
        closes = posts.closes[:rows]
        waiting = np.flatnonzero((posts.status[:rows] == HERE) & (closes != NEVER_MS) & (closes > ms_of(self.at)))
        self.closing = [(int(closes[p]), id_of(POST, posts.key[p])) for p in waiting]
        heapq.heapify(self.closing)

    def recall(self, fact: Fact) -> None:
        """Take up a fact whose effect is in the arrays already."""
        self.facts[fact.kind][fact.id] = fact
        if isinstance(fact.state, Certificate):
            self._certificates.setdefault(fact.state.seeker_id, {})[fact.id] = fact.state
            self._await_end(fact.state)

    # --- how ---

    def _check(self, seekers: Iterable[Fact], posts: Iterable[Fact], others: Iterable[Fact]) -> None:
        """Refuse what cannot be held, and give every new skill its bit."""
        for fact in seekers:
            if isinstance(fact.state, Seeker):
                self.book.mask(fact.state.skills)
        for fact in posts:
            if isinstance(fact.state, Post):
                self.book.mask(fact.state.skills_required)
                self.book.mask(fact.state.skills_desired)
        for fact in others:
            if isinstance(fact.state, Certificate):
                self.book.mask(frozenset({fact.state.skill}))

    def _learn_placement(self, fact: Fact, seekers: set[str], posts: set[int]) -> None:
        """Take in a placement, and mark whom it touches: ids of seekers, rows of posts."""
        key, arrays, after = key_of(fact.id, PLACEMENT), self.arrays, None
        if fact.version <= self.placements.version_of(key):
            return
        before = self.placements.at(key)
        if isinstance(fact.state, Placement):
            seeker, post = key_of(fact.state.seeker_id, SEEKER), key_of(fact.state.post_id, POST)
            after = Placed(arrays.named_seeker(seeker), arrays.named_post(post), fact.state.hours)
        self.placements.put(key, fact.version, after)
        for placed, change in ((before, -1), (after, 1)):
            if placed is not None:
                arrays.city.posts.taken[placed.post] += change
                seekers.add(id_of(SEEKER, arrays.city.seekers.key[placed.seeker]))
                posts.add(placed.post)

    def _learn(self, fact: Fact, seekers: set[str], posts: set[int]) -> None:
        """Take in a fact about neither seeker, post, placement nor shift, and mark whom it touches, as above."""
        held = self.facts[fact.kind]
        before = held.get(fact.id)
        if before is not None and fact.version <= before.version:
            return
        held[fact.id] = fact
        for state, added in ((before.state if before is not None else None, False), (fact.state, True)):
            if isinstance(state, Certificate):
                self._certify(fact.id, state, added)
                seekers.add(state.seeker_id)
        if fact.kind == "employer":
            posts |= self._posts_where(self.arrays.city.posts.employer, self._employers.get(fact.id))
        elif fact.kind == "station":
            posts |= self._posts_where(self.arrays.city.posts.station, self._stations.get(fact.id))

    def _posts_where(self, column: np.ndarray[tuple[int, ...], np.dtype[np.int32]], number: int | None) -> set[int]:
        return set() if number is None else set(np.flatnonzero(column[: self.arrays.posts] == number).tolist())

    def _certify(self, id_: str, certificate: Certificate, added: bool) -> None:
        seeker_id = certificate.seeker_id
        of_seeker = self._certificates.setdefault(seeker_id, {})
        if not added:
            del of_seeker[id_]
            return
        arrays = self.arrays
        row = arrays.seeker(key_of(seeker_id, SEEKER))
        if seeker_id not in self.declared and arrays.here(arrays.city.seekers, row):
            self.declared[seeker_id] = reading.skill_mask(arrays.city.seekers.row[row, 6], arrays.city.seeker_more[row])
        of_seeker[id_] = certificate
        self._await_end(certificate)

    def _await_end(self, certificate: Certificate) -> None:
        if certificate.valid_until is not None and certificate.valid_until >= civil_day(self.at):
            heapq.heappush(self._ending, (certificate.valid_until.toordinal() + 1, certificate.seeker_id))

    def _forget_replaced(self) -> None:
        if len(self.closing) > 2 * self.arrays.posts + REPLACED_LEAST:
            self.await_closings()
        if len(self._ending) > 2 * len(self.facts["certificate"]) + REPLACED_LEAST:
            self._ending.clear()
            for certificates in self._certificates.values():
                for certificate in certificates.values():
                    self._await_end(certificate)

    def _proven(self, seeker_id: str) -> int:
        day, mask = civil_day(self.at), 0
        for certificate in self._certificates.get(seeker_id, {}).values():
            if certificate.valid_until is None or certificate.valid_until >= day:
                mask |= self.book.mask(frozenset({certificate.skill}))
        return mask

    def _stage_seeker(self, fact: Fact, staging: Staging) -> None:
        """Make a record of a seeker's profile."""
        seeker = fact.state
        if not isinstance(seeker, Seeker):
            staging.add_seeker(fact.version, None, 0)
            return
        skills = self.book.mask(seeker.skills)
        if fact.id in self._certificates and fact.version > self.version_of("seeker", fact.id):
            self.declared[fact.id] = skills
            skills |= self._proven(fact.id)
        staging.add_seeker(fact.version, seeker, skills)

    def _stage_post(self, fact: Fact, staging: Staging) -> None:
        """Make a record of a post's profile."""
        post = fact.state
        if not isinstance(post, Post):
            staging.add_post(fact.version, None, -1, -1, 0, False)
            return
        employer = self._employers.get(post.employer_id)
        if employer is None:
            employer = self._employers[post.employer_id] = len(self.employer_ids)
            self.employer_ids.append(post.employer_id)
        station = -1
        if post.station_id is not None:
            known = self._stations.get(post.station_id)
            if known is None:
                known = self._stations[post.station_id] = len(self.station_ids)
                self.station_ids.append(post.station_id)
            station = known
        facilities, takes = self._terms(FACILITY_BITS_OF[post.facilities], post.employer_id, post.station_id)
        if post.closes_at is not None:
            takes = takes and post.closes_at > self.at
            if post.closes_at > self.at:
                heapq.heappush(self.closing, (ms_of(post.closes_at), fact.id))
        staging.add_post(fact.version, post, employer, station, facilities, takes)

    def _terms(self, own: int, employer_id: str, station_id: str | None) -> tuple[int, bool]:
        """A post's facilities with those of its station, and whether its employer and station let it take someone.

        As `domain.opening_of` has it: an employer is active until it is known to be suspended, a station hosts nothing
        until it is known to be accepted.
        """
        employer, station = self._employer(employer_id), self._station(station_id)
        active = employer is None or employer.active
        if station is None:
            return own, active and station_id is None
        return own | FACILITY_BITS_OF[station.facilities], active and station.accepted

    def _take(self, staging: Staging, seeker_keys: U64, post_keys: U64, went: ShiftNews, bulk: bool) -> None:
        arrays, now_ms = self.arrays, ms_of(self.at)
        arrays.run(
            running.TAKE,
            seekers=staging.seeker_news(seeker_keys),
            seeker_more=staging.seeker_more(),
            posts=staging.post_news(post_keys),
            post_more=staging.post_more(),
            went=went,
            rows=np.zeros(2 * len(cast(I64, went)), np.int64),
            now_ms=now_ms,
            today=civil_day(self.at).toordinal(),
            bulk=bulk,
        )

    def _revise_seeker(self, seeker_id: str, bulk: bool) -> None:
        """Bring skills proven and hours taken up to date."""
        arrays, key = self.arrays, key_of(seeker_id, SEEKER)
        row = arrays.named_seeker(key)
        seekers = arrays.city.seekers
        placements = self.placements.of(row)
        fresh = -1
        if placements:
            hours = 0
            for placement in placements:
                hours |= placement.hours
            on = sorted({placement.post for placement in placements})
            fresh = arrays.take_busy(hours.to_bytes(48, "little"), on)
        mask = reading.skill_mask(seekers.row[row, 6], arrays.city.seeker_more[row])
        if seeker_id in self.declared:
            mask = self.declared[seeker_id] | self._proven(seeker_id)
        if not self._certificates.get(seeker_id):
            self._certificates.pop(seeker_id, None)
            self.declared.pop(seeker_id, None)
        words = 1 + arrays.city.seeker_more.shape[1]
        skills = np.array([mask >> (WORD * n) & WORD_MASK for n in range(words)], np.uint64)
        old = int(seekers.busy[row])
        arrays.run(running.REVISE_SEEKER, first=row, second=fresh, skills=skills, bulk=bulk)
        if old >= 0:
            arrays.free_busy(old)

    def _revise_post(self, row: int, bulk: bool) -> None:
        """Bring up to date whether a post takes someone, and what facilities its station adds."""
        posts = self.arrays.city.posts
        if not self.arrays.here(posts, row):
            return
        station_id = self.station_ids[posts.station[row]] if posts.station[row] >= 0 else None
        employer_id = self.employer_ids[posts.employer[row]]
        facilities, takes = self._terms(int(posts.own[row]) & 15, employer_id, station_id)
        takes = takes and int(posts.closes[row]) > ms_of(self.at) and int(posts.taken[row]) < int(posts.seats[row])
        self.arrays.run(running.REVISE_POST, first=row, second=facilities, now_ms=int(takes), bulk=bulk)

    def reweigh(self, policy: Policy) -> None:
        """Rank by another policy from now on: every list is made anew, at once."""
        self.policy = policy
        arrays = self.arrays
        arrays.city = arrays.city._replace(rules=rules_of(policy, arrays.sizes))
        every = np.arange(arrays.seekers, dtype=np.int64)
        arrays.run(running.SETTLE, rows=every, first=len(every), now_ms=ms_of(self.at), bulk=True)
        arrays.reindex(0, 0)
        arrays.build()


def _named_by(facts: Iterable[Fact]) -> tuple[U64, U64]:
    """The bits of the seekers and of the posts that placements and certificates name."""
    states = [fact.state for fact in facts]
    placements = [state for state in states if isinstance(state, Placement)]
    seekers = [state.seeker_id for state in states if isinstance(state, Placement | Certificate)]
    return keys_of(seekers, SEEKER), keys_of([placement.post_id for placement in placements], POST)
