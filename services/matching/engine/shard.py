"""One city: its columns, and for each post a list of its best seekers that is kept up without scanning it anew.

A list holds every matching seeker who comes before its `edge`, and nobody else; without an edge it holds all. It may
hold more than the ranking shows, so that someone who leaves seldom costs a scan: only when fewer than `TOP_SEEKERS`
are left and there is an edge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np

from services.matching.domain import TOP_SEEKERS, Candidate, Opening, Policy
from services.matching.engine import kernel
from services.matching.engine.columns import Ints, PostColumns, SeekerColumns, SkillBook
from services.matching.engine.kernel import Index

LIST_MAX = 72
"""Longest list: 22 of slack. Measured with 5,000 seekers and 3,200 posts: 96 cost more upkeep, 64 more scans."""

Tie = tuple[datetime, str]
Entry = tuple[int, Tie, int]
"""`(-score, (registered_at, seeker_id), slot)`: sorts as `domain.ranking.seeker_order`. One tie tuple a seeker serves
all her entries."""

NO_EDGE = -1
_FIRST: Tie = (datetime.min.replace(tzinfo=UTC), "")


class Shard:
    """Seekers and posts of one city.

    Args:
        policy: weights that its scores are made with.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.book = SkillBook()
        self.seekers = SeekerColumns()
        self.posts = PostColumns()
        self.candidates: dict[str, Candidate] = {}
        self.openings: dict[str, Opening] = {}
        self._lists: list[list[Entry]] = []
        self._edges: list[Entry | None] = []
        self._edge_scores: Ints = np.full(len(self.posts.kind), NO_EDGE, np.int64)
        self._where: list[dict[int, Entry]] = []
        self._ties: list[Tie] = []
        self._placed_on: defaultdict[str, set[str]] = defaultdict(set)
        self._moved: set[int] = set()
        self._stale: set[int] = set()
        self._short: set[int] = set()

    def put_candidate(self, candidate: Candidate) -> None:
        """A seeker is new or changed; takes effect with `refresh`."""
        self._note_placements(candidate.id, candidate.posts)
        self.candidates[candidate.id] = candidate
        slot = self.seekers.put(candidate, self.policy.weights, self.book)
        tie = (candidate.seeker.registered_at, candidate.id)
        if slot == len(self._where):
            self._where.append({})
            self._ties.append(tie)
        else:
            self._ties[slot] = tie
        self._moved.add(slot)

    def drop_candidate(self, seeker_id: str) -> set[str]:
        """A seeker left. Returns the posts whose ranking lost her."""
        self._note_placements(seeker_id, frozenset())
        del self.candidates[seeker_id]
        slot = self.seekers.slots.of[seeker_id]
        lost = {self._post(row) for row, entry in list(self._where[slot].items()) if self._remove(row, entry)}
        self._moved.discard(slot)
        self.seekers.drop(seeker_id)
        return lost

    def put_opening(self, opening: Opening) -> None:
        """A post is new or changed; takes effect with `refresh`."""
        before = self.openings.get(opening.id)
        self.openings[opening.id] = opening
        if before is not None and _looks(before) == _looks(opening):
            return
        row = self.posts.put(opening, self.book)
        if row == len(self._lists):
            self._lists.append([])
            self._edges.append(None)
        if row >= len(self._edge_scores):
            self._edge_scores = np.concatenate([self._edge_scores, np.full_like(self._edge_scores, NO_EDGE)])
        self._stale.add(row)

    def drop_opening(self, post_id: str) -> bool:
        """A post is closed. Returns whether its ranking had anyone."""
        del self.openings[post_id]
        row = self.posts.slots.of[post_id]
        had = bool(self._lists[row])
        self._clear(row)
        self._stale.discard(row)
        self._short.discard(row)
        self.posts.drop(post_id)
        return had

    def refresh(self) -> set[str]:
        """Bring every list up to date. Returns the posts whose ranking may differ from before, in order or in parts."""
        self.seekers.widen(self.book.words)
        self.posts.widen(self.book.words)
        if len(self._moved) + len(self._stale) >= len(self.openings):
            # Scanning each post once is cheaper than scanning all posts for each of these seekers.
            self._stale = set(self.posts.slots.of.values())
            moved: Iterable[int] = ()
        else:
            moved = self._moved
        changed = set(self._stale)
        for row in self._stale:
            self._rescan(row)
        for slot in moved:
            self._move(slot, changed)
        for row in self._short:
            if len(self._lists[row]) < TOP_SEEKERS and self._edges[row] is not None:
                self._rescan(row)
        self._moved.clear()
        self._stale.clear()
        self._short.clear()
        return {self._post(row) for row in changed}

    def ranking(self, post_id: str, limit: int) -> list[Entry]:
        """The first entries of a post's list."""
        return self._lists[self.posts.slots.of[post_id]][:limit]

    def posts_for(self, seeker_id: str) -> tuple[Index, Ints]:
        """Slots and scores of all posts that a seeker matches."""
        return self._scan_posts(self.seekers.slots.of[seeker_id])

    def _post(self, row: int) -> str:
        post_id = self.posts.slots.ids[row]
        if post_id is None:
            raise RuntimeError("a list was kept for a post that is gone")
        return post_id

    def _scan_posts(self, slot: int) -> tuple[Index, Ints]:
        own = _known(self.posts.slots.of, self._candidate(slot).posts)
        return kernel.posts_for(self.seekers, self.posts, slot, own, self.policy.weights)

    def _scan_seekers(self, row: int) -> tuple[Index, Ints]:
        own = _known(self.seekers.slots.of, self._placed_on.get(self._post(row), ()))
        return kernel.seekers_for(self.seekers, self.posts, row, own, self.policy.weights)

    def _candidate(self, slot: int) -> Candidate:
        seeker_id = self.seekers.slots.ids[slot]
        if seeker_id is None:
            raise RuntimeError("a seeker who is gone was looked at")
        return self.candidates[seeker_id]

    def _note_placements(self, seeker_id: str, posts: frozenset[str]) -> None:
        before = self.candidates.get(seeker_id)
        for post_id in before.posts if before is not None else ():
            self._placed_on[post_id].discard(seeker_id)
        for post_id in posts:
            self._placed_on[post_id].add(seeker_id)

    def _clear(self, row: int) -> None:
        for entry in self._lists[row]:
            del self._where[entry[2]][row]
        self._lists[row] = []
        self._set_edge(row, None)

    def _set_edge(self, row: int, edge: Entry | None) -> None:
        self._edges[row] = edge
        self._edge_scores[row] = NO_EDGE if edge is None else -edge[0]

    def _rescan(self, row: int) -> None:
        """Make a post's list anew from one scan over all seekers."""
        self._clear(row)
        if not self.posts.kind[row]:
            return
        slots, found = self._scan_seekers(row)
        least = 0
        if len(found) > LIST_MAX:
            least = int(np.partition(found, len(found) - LIST_MAX)[len(found) - LIST_MAX])
            best = found >= least
            slots, found = slots[best], found[best]
        ties = self._ties
        entries = [(-score, ties[slot], slot) for slot, score in zip(slots.tolist(), found.tolist(), strict=True)]
        entries.sort()
        if len(entries) > LIST_MAX:
            self._set_edge(row, entries[LIST_MAX])
        elif least:
            # Nobody left out has this score, so the edge is the best entry that any lower score could make.
            self._set_edge(row, (1 - least, _FIRST, -1))
        self._lists[row] = entries[:LIST_MAX]
        for entry in self._lists[row]:
            self._where[entry[2]][row] = entry

    def _move(self, slot: int, changed: set[int]) -> None:
        """Bring one seeker to her new place in every list, from one scan over all posts."""
        tie = self._ties[slot]
        rows, found = self._scan_posts(slot)
        near = found >= self._edge_scores[rows]
        now = dict(zip(rows[near].tolist(), found[near].tolist(), strict=True))
        for row, entry in list(self._where[slot].items()):
            score = now.get(row)
            if score is not None and (-score, tie, slot) == entry:
                del now[row]
                # Same place and sum; her parts may still differ.
                if bisect_left(self._lists[row], entry) < TOP_SEEKERS:
                    changed.add(row)
            elif self._remove(row, entry):
                changed.add(row)
        for row, score in now.items():
            if self._insert(row, (-score, tie, slot)):
                changed.add(row)

    def _remove(self, row: int, entry: Entry) -> bool:
        """Take an entry out. Returns whether it stood in the ranking that is shown."""
        entries = self._lists[row]
        place = bisect_left(entries, entry)
        del entries[place]
        del self._where[entry[2]][row]
        if len(entries) < TOP_SEEKERS:
            self._short.add(row)
        return place < TOP_SEEKERS

    def _insert(self, row: int, entry: Entry) -> bool:
        """Put an entry in if it comes before the edge. Returns whether it stands in the ranking that is shown."""
        edge = self._edges[row]
        if edge is not None and entry >= edge:
            return False
        entries = self._lists[row]
        place = bisect_left(entries, entry)
        entries.insert(place, entry)
        self._where[entry[2]][row] = entry
        if len(entries) > LIST_MAX:
            last = entries.pop()
            del self._where[last[2]][row]
            self._set_edge(row, last)
        return place < TOP_SEEKERS


def _known(slot_of: dict[str, int], ids: Iterable[str]) -> list[int]:
    """Slots of those of these entities that the shard holds."""
    return [slot_of[id_] for id_ in ids if id_ in slot_of]


def _looks(opening: Opening) -> tuple[object, ...]:
    """What of a post its list depends on: a seat more or less changes nothing while one is left."""
    return opening.post, opening.facilities, opening.available
