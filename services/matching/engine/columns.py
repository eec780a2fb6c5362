"""Profiles as columns: one array per property, one slot per seeker or post, so that a scan is a few vector operations.

Week masks are six machine words a slot and sets are bit columns. Words lie along the first axis, so that each
operation runs over neighbouring memory.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.matching.domain import Candidate, Opening, Weights
from services.matching.domain.rules import reliability_of, waiting_of
from services.matching.domain.state import Facility, PostKind
from shared.kernel.week import SLOTS_PER_WEEK

Bits: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

WORD_BITS = 64
WEEK_WORDS = -(-SLOTS_PER_WEEK // WORD_BITS)

KIND_BITS: dict[PostKind, int] = {"elastic": 1, "team": 2, "mobile": 4, "new-form": 8}
FACILITY_BITS: dict[Facility, int] = {"child-care-room": 1, "nursing-room": 2, "shuttle-bus": 4, "parental-leave": 8}

START_SLOTS = 64
"""Slots of a new shard; doubled whenever they are full."""


def words_of(mask: int, words: int) -> Words:
    """A bit mask as machine words, lowest first."""
    return np.frombuffer(mask.to_bytes(words * WORD_BITS // 8, "little"), dtype="<u8").astype(np.uint64)


class SkillBook:
    """A bit for each skill that was ever named in a shard. Code lists are short; the book grows by whole words."""

    def __init__(self) -> None:
        self._bit: dict[str, int] = {}

    def mask(self, skills: frozenset[str]) -> int:
        """Bit mask of a set of skills; new ones get the next bits."""
        mask = 0
        for skill in skills:
            mask |= 1 << self._bit.setdefault(skill, len(self._bit))
        return mask

    @property
    def words(self) -> int:
        """Machine words that every skill column needs."""
        return max(1, -(-len(self._bit) // WORD_BITS))


class Slots:
    """Which slot an entity has; freed slots are used again."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.ids: list[str | None] = []
        self._free: list[int] = []

    def take(self, id_: str) -> int:
        """The entity's slot, a new one if it has none."""
        slot = self.of.get(id_)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self.ids[slot] = id_
            else:
                slot = len(self.ids)
                self.ids.append(id_)
            self.of[id_] = slot
        return slot

    def free(self, id_: str) -> None:
        slot = self.of.pop(id_)
        self.ids[slot] = None
        self._free.append(slot)

    def __len__(self) -> int:
        """Slots ever used; columns are read up to here."""
        return len(self.ids)


class SeekerColumns:
    """Seekers of one shard. A slot with `kinds == 0` holds nobody who can be ranked (free, or not eligible).

    `steady` is the sum of the weighted parts that do not depend on the post: reliability and waiting.
    """

    def __init__(self) -> None:
        n = START_SLOTS
        self.slots = Slots()
        self.kinds: Bits = np.zeros(n, np.uint8)
        self.facilities: Bits = np.zeros(n, np.uint8)
        self.floor: Ints = np.zeros(n, np.int64)
        self.limit: Ints = np.ones(n, np.int64)
        self.steady: Ints = np.zeros(n, np.int64)
        self.home: Floats = np.zeros((3, n), np.float64)
        self.skills: Words = np.zeros((1, n), np.uint64)
        self.free: Words = np.zeros((WEEK_WORDS, n), np.uint64)
        self.busy: Words = np.zeros((WEEK_WORDS, n), np.uint64)

    def put(self, candidate: Candidate, weights: Weights, book: SkillBook) -> int:
        """Write a seeker's profile into her slot."""
        seeker = candidate.seeker
        slot = self.slots.take(candidate.id)
        skills = book.mask(candidate.skills)
        self.widen(book.words)
        if slot >= len(self.kinds):
            self._double()
        self.kinds[slot] = sum(KIND_BITS[kind] for kind in seeker.kinds) if candidate.eligible else 0
        self.facilities[slot] = sum(FACILITY_BITS[facility] for facility in seeker.facilities)
        self.floor[slot] = seeker.pay_floor_fen
        self.limit[slot] = seeker.limit_m
        self.steady[slot] = weights.reliability * reliability_of(candidate) + weights.waiting * waiting_of(candidate)
        self.home[:, slot] = seeker.home
        self.skills[:, slot] = words_of(skills, len(self.skills))
        self.free[:, slot] = words_of(seeker.free, WEEK_WORDS)
        self.busy[:, slot] = words_of(candidate.busy, WEEK_WORDS)
        return slot

    def drop(self, seeker_id: str) -> None:
        """Empty a seeker's slot."""
        self.kinds[self.slots.of[seeker_id]] = 0
        self.slots.free(seeker_id)

    def widen(self, words: int) -> None:
        """Have as many skill words a slot; both sides need the same number before a scan."""
        self.skills = _with_words(self.skills, words)

    def _double(self) -> None:
        for name in ("kinds", "facilities", "floor", "limit", "steady", "home", "skills", "free", "busy"):
            setattr(self, name, _doubled(getattr(self, name)))


class PostColumns:
    """Posts of one shard. A slot with `kind == 0` holds no post that takes anyone."""

    def __init__(self) -> None:
        n = START_SLOTS
        self.slots = Slots()
        self.kind: Bits = np.zeros(n, np.uint8)
        self.facilities: Bits = np.zeros(n, np.uint8)
        self.pay: Ints = np.zeros(n, np.int64)
        self.minutes: Ints = np.zeros(n, np.int64)
        self.min_minutes: Ints = np.zeros(n, np.int64)
        self.n_desired: Ints = np.zeros(n, np.int64)
        self.placed: npt.NDArray[np.bool_] = np.zeros(n, np.bool_)
        self.place: Floats = np.zeros((3, n), np.float64)
        self.required: Words = np.zeros((1, n), np.uint64)
        self.desired: Words = np.zeros((1, n), np.uint64)
        self.hours: Words = np.zeros((WEEK_WORDS, n), np.uint64)

    def put(self, opening: Opening, book: SkillBook) -> int:
        """Write a post's profile into its slot."""
        post = opening.post
        slot = self.slots.take(opening.id)
        required, desired = book.mask(post.skills_required), book.mask(post.skills_desired)
        self.widen(book.words)
        if slot >= len(self.kind):
            self._double()
        self.kind[slot] = KIND_BITS[post.kind] if opening.available else 0
        self.facilities[slot] = sum(FACILITY_BITS[facility] for facility in opening.facilities)
        self.pay[slot] = post.expected_hourly_fen
        self.minutes[slot] = opening.minutes
        # A post without hours asks for no overlap, whatever it says.
        self.min_minutes[slot] = post.min_minutes if post.hours else 0
        self.n_desired[slot] = len(post.skills_desired)
        self.placed[slot] = post.location is not None
        self.place[:, slot] = post.location if post.location is not None else 0.0
        self.required[:, slot] = words_of(required, len(self.required))
        self.desired[:, slot] = words_of(desired, len(self.desired))
        self.hours[:, slot] = words_of(post.hours, WEEK_WORDS)
        return slot

    def drop(self, post_id: str) -> None:
        """Empty a post's slot."""
        self.kind[self.slots.of[post_id]] = 0
        self.slots.free(post_id)

    def widen(self, words: int) -> None:
        """Have as many skill words a slot; both sides need the same number before a scan."""
        self.required = _with_words(self.required, words)
        self.desired = _with_words(self.desired, words)

    def _double(self) -> None:
        for name in (
            *("kind", "facilities", "pay", "minutes", "min_minutes", "n_desired", "placed"),
            *("place", "required", "desired", "hours"),
        ):
            setattr(self, name, _doubled(getattr(self, name)))


def _doubled(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Twice the slots, the new ones zero."""
    return np.concatenate([column, np.zeros_like(column)], axis=-1)


def _with_words(column: Words, words: int) -> Words:
    """As many words a slot as asked, the new ones zero."""
    if len(column) >= words:
        return column
    more = np.zeros((words - len(column), column.shape[1]), np.uint64)
    return np.concatenate([column, more])
