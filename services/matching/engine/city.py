"""The arrays of one city and their growth: what the compiled functions work on, and the tables that find rows."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from services.matching.domain import BEST_POSTS, TOP_SEEKERS, Policy
from services.matching.engine import changes, layout, room, running
from services.matching.engine.bits import enter_all, find, row_of
from services.matching.engine.layout import F32, HERE, I32, I64, U64, UNKNOWN, City, Shifts, Tables
from services.matching.engine.pair import ONE, PLACED_SHIFT
from services.matching.engine.staging import (
    HoursBook,
    Id,
    PostNews,
    SeekerNews,
    ShiftNews,
    SkillBook,
    Staging,
    keys_of,
    shift_news,
)

_NOTHING = Staging(SkillBook(), HoursBook())
NO_IDS = keys_of([], "")
NO_SEEKERS, NO_POSTS, NO_SHIFTS = _NOTHING.seeker_news(NO_IDS), _NOTHING.post_news(NO_IDS), shift_news(())
NO_ROWS: I64 = np.zeros(0, np.int64)
NO_SKILLS: U64 = np.zeros(1, np.uint64)
NO_MORE: U64 = np.zeros((0, 0), np.uint64)
"""What an operation does not look at."""


FORGET_LEAST = 256
"""Rows of shifts below which none is given back."""

PATTERNS = 16
"""Patterns of hours that a new city has room for."""


class Sizes(NamedTuple):
    """Lengths of lists: how many places are shown, and how many are kept so that a loss seldom costs a new list.

    A list is made anew from the whole city when it is too short, and cut when it is full, half-way to both.
    """

    tops: int = TOP_SEEKERS
    tops_kept: int = layout.TOPS_MAX - 1
    bests: int = BEST_POSTS
    bests_kept: int = layout.BESTS_MAX - 1


def rules_of(policy: Policy, sizes: Sizes) -> I64:
    """A policy in the form of `City.rules`."""
    limits = policy.limits
    return np.array(
        [
            *policy.weights,
            limits.commute_max_m,
            limits.waiting_full_weeks,
            sizes.tops,
            sizes.bests,
            sizes.tops_kept,
            sizes.bests_kept,
            (sizes.tops + sizes.tops_kept + 1) // 2,
            (sizes.bests + sizes.bests_kept + 1) // 2,
        ],
        np.int64,
    )


class Arrays:
    """Everything of one city that compiled functions read and write.

    Attributes:
        city: rows, lists and indexes.
        tables: where ids are.
    """

    def __init__(self, policy: Policy, sizes: Sizes) -> None:
        self.sizes = sizes
        rows = room.START
        none = np.zeros((0, 3))
        self.city = City(
            layout.seekers(rows),
            layout.posts(rows),
            np.zeros((rows, 0), np.uint64),
            np.zeros((rows, 0), np.uint64),
            layout.lists(layout.TOP, rows),
            layout.lists(layout.BEST, rows),
            room.index_for(none, rows, room.SEEKERS_A_CELL, layout.SEEKER_CODES),
            room.index_for(none, rows, room.POSTS_A_CELL, layout.POST_CODES),
            *_no_patterns(PATTERNS),
            np.zeros((rows, layout.WEEK_WORDS), np.uint64),
            np.full((rows, 4), -1, np.int32),
            layout.work(rows, rows),
            rules_of(policy, sizes),
        )
        self.shifts: Shifts = layout.shifts(rows)
        minutes: I32 = np.zeros(changes.WEEK_MINUTES, np.int32)
        self.tables = Tables(room.table(rows), room.table(rows), room.table(rows), minutes)
        self._indexed = (0, 0)
        self._patterns = 1  # 0 is the number of those that have none
        self._free_busy: list[int] = list(range(rows))

    # --- how much there is ---

    @property
    def seekers(self) -> int:
        """Rows of seekers in use."""
        return int(self.city.work.counts[layout.SEEKERS])

    @property
    def posts(self) -> int:
        """Rows of posts in use."""
        return int(self.city.work.counts[layout.POSTS])

    @property
    def shift_rows(self) -> int:
        """Rows of shifts in use."""
        return int(self.city.work.counts[layout.SHIFTS])

    # --- finding ---

    def seeker(self, key: Id) -> int:
        """Row of a seeker, -1: nobody has named her."""
        return int(find(self.tables.seekers, self.city.seekers.key, *_words(key)))

    def post(self, key: Id) -> int:
        """Row of a post, -1: nobody has named it."""
        return int(find(self.tables.posts, self.city.posts.key, *_words(key)))

    def shift(self, key: Id) -> int:
        """Row of a shift, -1: unknown."""
        return int(find(self.tables.shifts, self.shifts.key, *_words(key)))

    def named_seeker(self, key: Id) -> int:
        """Row of a seeker; a new one if nobody has named her before. There must be room."""
        return self._row_of(self.tables.seekers, self.city.seekers, key, layout.SEEKERS)

    def named_post(self, key: Id) -> int:
        """Row of a post; a new one if nobody has named it before. There must be room."""
        return self._row_of(self.tables.posts, self.city.posts, key, layout.POSTS)

    def _row_of(self, table: I32, side: layout.Seekers | layout.Posts, key: Id, used: int) -> int:
        return int(row_of(table, side.key, *_words(key), self.city.work.counts, used))

    def here(self, side: layout.Seekers | layout.Posts, row: int) -> bool:
        """Whether an entity is known and not over."""
        return row >= 0 and side.status[row] == HERE

    def version(self, side: layout.Seekers | layout.Posts, row: int) -> int:
        """Newest version of an entity, 0: none."""
        return int(side.version[row]) if row >= 0 and side.status[row] != UNKNOWN else 0

    # --- room ---

    def make_room_for(self, seekers: U64, posts: U64, shifts: int, more: int) -> None:
        """Have room for all whom a batch names, some of them maybe known; see `make_room`."""
        self.make_room(
            room.new_among(seekers, self.seekers, self.tables.seekers, self.city.seekers),
            room.new_among(posts, self.posts, self.tables.posts, self.city.posts),
            shifts,
            more,
            len(seekers),
            len(posts),
        )

    def make_room(
        self, seekers: int, posts: int, shifts: int, more: int, moving_seekers: int = 0, moving_posts: int = 0
    ) -> None:
        """Have room for so many more rows, each with so many words of skills beyond the first.

        Args:
            moving_seekers, moving_posts: rows that may go to other blocks of the indexes.
        """
        self._widen(more)
        self._more_seekers(self.seekers + seekers)
        self._more_posts(self.posts + posts)
        if self.shift_rows + shifts > _rows(self.shifts):
            rows = room.larger(_rows(self.shifts), self.shift_rows + shifts)
            self.shifts = room.enlarged(self.shifts, layout.shifts(rows), self.shift_rows)
        if room.is_tight(self.tables.shifts, self.shift_rows + shifts):
            self.tables = self.tables._replace(shifts=room.table(self.shift_rows + shifts))
            enter_all(self.tables.shifts, self.shifts.key, 0, self.shift_rows)
        now = (self.seekers, self.posts)
        grown = any(count > 2 * before + 1024 for count, before in zip(now, self._indexed, strict=True))
        if (
            grown
            or not room.has_room(self.city.seeker_index, moving_seekers + 1)
            or not room.has_room(self.city.post_index, moving_posts + 1)
        ):
            self.reindex(moving_seekers, moving_posts)

    def forget_shifts(self) -> None:
        """Give the rows of shifts back that are too old to count, once they are most of all.

        Should one of them be told again, it is too old still, and changes nothing.
        """
        shifts = cast(npt.NDArray[np.void], self.shifts)[: self.shift_rows]
        kept = np.flatnonzero(shifts["verdict"] != layout.DROPPED)
        if len(shifts) < FORGET_LEAST or 2 * len(kept) > len(shifts):
            return
        rows = room.larger(len(kept), room.START)
        self.shifts = layout.shifts(rows)
        cast(npt.NDArray[np.void], self.shifts)[: len(kept)] = shifts[kept]
        self.tables = self.tables._replace(shifts=room.table(rows))
        enter_all(self.tables.shifts, self.shifts.key, 0, len(kept))
        self.city.work.counts[layout.SHIFTS] = len(kept)

    def _widen(self, words: int) -> None:
        city = self.city
        if city.seeker_more.shape[1] < words:
            self.city = city._replace(
                seeker_more=room.wider(city.seeker_more, _rows(city.seekers), words, 1),
                post_more=room.wider(city.post_more, _rows(city.posts), words, 2),
            )

    def _more_seekers(self, least: int) -> None:
        city, used = self.city, self.seekers
        if least > _rows(city.seekers):
            rows = room.larger(_rows(city.seekers), least)
            self.city = city._replace(
                seekers=room.enlarged(city.seekers, layout.seekers(rows), used),
                seeker_more=room.wider(city.seeker_more, rows, city.seeker_more.shape[1], 1),
                bests=room.enlarged(city.bests, layout.lists(layout.BEST, rows), used),
                work=self._work(_rows(city.posts), rows),
            )
        if room.is_tight(self.tables.seekers, least):
            self.tables = self.tables._replace(seekers=room.table(least))
            enter_all(self.tables.seekers, self.city.seekers.key, 0, used)

    def _more_posts(self, least: int) -> None:
        city, used = self.city, self.posts
        if least > _rows(city.posts):
            rows = room.larger(_rows(city.posts), least)
            self.city = city._replace(
                posts=room.enlarged(city.posts, layout.posts(rows), used),
                post_more=room.wider(city.post_more, rows, city.post_more.shape[1] // 2, 2),
                tops=room.enlarged(city.tops, layout.lists(layout.TOP, rows), used),
                work=self._work(rows, _rows(city.seekers)),
            )
        if room.is_tight(self.tables.posts, least):
            self.tables = self.tables._replace(posts=room.table(least))
            enter_all(self.tables.posts, self.city.posts.key, 0, used)

    def _work(self, posts: int, seekers: int) -> layout.Work:
        work = layout.work(posts, seekers)
        work.counts[:] = self.city.work.counts
        return work

    def reindex(self, seekers: int, posts: int) -> None:
        """Make both indexes anew, with cells that suit how many rows there are, and room for so many more."""
        city = self.city
        ranked, open_ = city.seekers.where[: self.seekers] >= 0, city.posts.where[: self.posts] >= 0
        placed = open_ & ((city.posts.row[: self.posts, 5] >> PLACED_SHIFT) & ONE == ONE)
        self.city = city._replace(
            seeker_index=room.index_for(
                city.seekers.home[: self.seekers][ranked],
                2 * self.seekers + seekers + 1024,
                room.SEEKERS_A_CELL,
                layout.SEEKER_CODES,
            ),
            post_index=room.index_for(
                city.posts.place[: self.posts][placed],
                2 * self.posts + posts + 1024,
                room.POSTS_A_CELL,
                layout.POST_CODES,
            ),
        )
        running.reindex(self.city)
        self._indexed = (self.seekers, self.posts)

    # --- the compiled part ---

    def run(
        self,
        op: int,
        *,
        seekers: SeekerNews = NO_SEEKERS,
        seeker_more: U64 = NO_MORE,
        posts: PostNews = NO_POSTS,
        post_more: U64 = NO_MORE,
        went: ShiftNews = NO_SHIFTS,
        rows: I64 = NO_ROWS,
        skills: U64 = NO_SKILLS,
        now_ms: int = 0,
        today: int = 0,
        bulk: bool = False,
        first: int = 0,
        second: int = 0,
    ) -> int:
        """Do something that moves places in lists; see `running.run`."""
        return int(
            running.run(
                op=op,
                city=self.city,
                tables=self.tables,
                shifts=self.shifts,
                seeker_news=seekers,
                seeker_more=seeker_more,
                post_news=posts,
                post_more=post_more,
                shift_news=went,
                rows=rows,
                skills=skills,
                now_ms=now_ms,
                today=today,
                bulk=bulk,
                first=first,
                second=second,
            )
        )

    def build(self) -> None:
        """Make every list anew."""
        self.run(running.BUILD, bulk=True)

    # --- patterns of hours ---

    def know_hours(self, masks: list[int]) -> None:
        """Take up the patterns of hours that are new: what share of each other one they cover, and the reverse.

        Args:
            masks: all patterns, in the order of their numbers, which begin at 1.
        """
        known, now, city = self._patterns, len(masks) + 1, self.city
        if now == known:
            return
        if now > len(city.covers):
            hours, covers, covered = _no_patterns(room.larger(known, now))
            hours[:known] = city.hours[:known]
            covers[:known, :known] = city.covers[:known, :known]
            covered[:known, :known] = city.covered[:known, :known]
            self.city = city = city._replace(hours=hours, covers=covers, covered=covered)
        packed = b"".join(mask.to_bytes(layout.MASK_BYTES, "little") for mask in masks)
        bits = np.unpackbits(np.frombuffer(packed, np.uint8).reshape(len(masks), layout.MASK_BYTES), axis=1)
        shared = bits.astype(np.float32) @ bits[known - 1 :].T.astype(np.float32)
        lengths = np.array([mask.bit_count() for mask in masks], np.float32)
        for number in range(known, now):
            city.hours[number] = np.frombuffer(masks[number - 1].to_bytes(48, "little"), np.uint64)
            of_both = shared[:, number - known]
            of_new = of_both / own if (own := lengths[number - 1]) else 1.0
            of_old = np.where(lengths, of_both / np.maximum(lengths, 1), 1.0)
            city.covers[1:now, number] = city.covered[number, 1:now] = of_new
            city.covers[number, 1:now] = city.covered[1:now, number] = of_old
        self._patterns = now

    # --- placements ---

    def take_busy(self, hours: bytes, posts: list[int]) -> int:
        """A row of placements: the hours taken (48 bytes) and the posts."""
        city = self.city
        if not self._free_busy or len(posts) > city.busy_posts.shape[1]:
            used, each = city.busy_posts.shape
            rows = used if self._free_busy else room.larger(used, used + 1)
            wide: I32 = np.full((rows, max(each, room.power_of_two(len(posts)))), -1, np.int32)
            wide[:used, :each] = city.busy_posts
            hours_of: U64 = np.zeros((rows, layout.WEEK_WORDS), np.uint64)
            hours_of[:used] = city.busy_hours
            self.city = city = city._replace(busy_hours=hours_of, busy_posts=wide)
            self._free_busy.extend(range(used, rows))
        row = self._free_busy.pop()
        city.busy_hours[row] = np.frombuffer(hours, np.uint64)
        city.busy_posts[row] = -1
        city.busy_posts[row, : len(posts)] = posts
        return row

    def recount_busy(self) -> None:
        """Find out which rows of placements are free."""
        taken = set(self.city.seekers.busy[: self.seekers].tolist())
        self._free_busy = [row for row in range(len(self.city.busy_posts)) if row not in taken]

    def free_busy(self, row: int) -> None:
        """Give a row of placements back."""
        self._free_busy.append(row)


def _no_patterns(rows: int) -> tuple[U64, F32, F32]:
    """`City.hours`, `covers` and `covered` for patterns of which nothing is known: each covers all of each other."""
    hours: U64 = np.zeros((rows, layout.WEEK_WORDS), np.uint64)
    return hours, np.ones((rows, rows), np.float32), np.ones((rows, rows), np.float32)


def _rows(records: object) -> int:
    """How many records there is room for."""
    return len(cast(I32, records))


def _words(key: Id) -> tuple[np.uint64, np.uint64]:
    return np.uint64(key[0]), np.uint64(key[1])
