"""How a city lies in memory: arrays, one row a seeker or a post, in the shapes that the compiled functions read."""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]
U32: TypeAlias = npt.NDArray[np.uint32]
U64: TypeAlias = npt.NDArray[np.uint64]
F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]

Int: TypeAlias = Any
"""A number inside compiled code, where `int` and NumPy's integers are one."""

Float: TypeAlias = Any
"""Likewise a float of 32 or 64 bits."""

Bool: TypeAlias = Any
"""Likewise a truth value."""

MASK_BYTES = 42
"""A week of 336 half hours."""

WEEK_WORDS = 6
"""Words of `row` that hold the week mask; the mask ends in the low 16 bits of the sixth."""

BLOCK = 64
"""Rows of one block of an index: as many as the prefilter takes in a few dozen vector operations."""

TOPS_MAX, BESTS_MAX = 64, 32
"""Longest lists that there is room for; how long they are is among the rules, shorter by a place for one too many."""

POOL = 256
"""Entries with their scores that are gathered before the worst of them are left out: as many as a list has, and more,
so that a sweep of thousands leaves out but a few times."""

PATTERNS_MAX = 1023
"""Different weeks of a city that are numbered: for each two of them eight bytes are held. Others lose a shortcut."""

UNNUMBERED = 0
"""Number of a week that has none."""

NEVER_MS = 2**62
"""An instant that does not come, in milliseconds."""

UNKNOWN, HERE, GONE = 0, 1, 2
"""Of an entity: only named by others so far; known; over, its version kept against older news."""

PRESENT, OPEN = 1, 2
"""Flags of news: the entity is not over; the post takes someone."""

NO_EDGE = -1
"""Edge of a list that holds everyone who matches."""


class Columns(np.ndarray[Any, np.dtype[np.void]]):
    """Records whose fields are attributes, as those of `np.recarray` are, which take many times as long to ask."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.view(np.ndarray)[name]
        except ValueError:
            raise AttributeError(name) from None


class Records(Protocol):
    """An array of records, whose fields are columns."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, row: Int, /) -> Any: ...

    def __setitem__(self, row: Int, record: Any, /) -> None: ...


class Seekers(Records, Protocol):
    """Seekers of a city.

    `row`: words 0-5 her free half hours, bits 16-19 of word 5 her kinds, 20-23 the facilities she asks for, 32-63 her
    commute limit in metres; word 6 her skills (the first 64 of the book); word 7 her pay floor in fen.
    """

    row: U64
    home: F64  # unit vector
    key: U64  # the 128 bits of her id
    at: I64  # registered, ms since 1970
    version: I32
    until: I32  # last eligible day, ordinal
    attended: I32
    left_early: I32
    shifts: I32
    reliability: I32  # weighted parts that depend on no post; their sum is her steady score
    waiting: I32
    where: I32  # position in the index, -1: nobody can rank her now
    busy: I32  # row of `City.busy_hours` and `busy_posts`, -1: no placement
    pattern: I32  # number of her free half hours among the city's patterns of hours
    later: I32  # row + 1 of the next whose waiting grows in the same minute of the week
    status: U8


class Posts(Records, Protocol):
    """Posts of a city.

    `row`: words 0-5 the hours of work, bits 16-19 of word 5 its kind, 20-23 facilities with the station's, 24 whether
    it has a place, 32-47 half hours a week, 48-63 overlap asked in minutes; word 6 skills required, word 7 desired.
    """

    row: U64
    place: F64  # unit vector
    key: U64
    at: I64  # opened, ms since 1970
    closes: I64  # ms since 1970, NEVER_MS: open until closed
    pay: I64  # expected, fen an hour
    version: I32
    employer: I32  # number in the shard's list
    station: I32  # likewise, -1: none
    seats: I32
    taken: I32
    desired: I32  # how many skills are desired
    pattern: I32  # number of its hours among the city's patterns of hours
    where: I32
    own: U8  # the post's own facilities (bits 0-3), urgent (bit 4)
    status: U8
    changed: U8  # its ranking may differ from the one last asked for


class Lists(Records, Protocol):
    """The best of one side for each of the other: unsorted, and all who come before the edge or stand on it.

    The edge is the place of the last one who was in when somebody had to be left out. Scores are not kept: most changes
    of a score move nobody over an edge, and then there is nothing to write.
    """

    slot: I32
    count: I32
    edge: I32  # score, or NO_EDGE
    edge_at: I64
    edge_slot: I32


class Blocks(Records, Protocol):
    """What an index holds of a block."""

    cell_sort: I64  # its cell, kinds and reach in one number
    centre: F32
    reach: F32  # nobody in it is nearer to its centre, or travels farther
    used: I32
    next: I32
    kinds: U8


class Heads(Records, Protocol):
    """The newest block of each sort, the only one that may have room."""

    cell_sort: I64
    block: I32


class Index(NamedTuple):
    """One side in blocks of neighbours of one sort.

    `hot` and `codes`: what the bounds read, of each block one line a column. `hot`: x, y, z of the unit sphere, then of
    seekers 1 / limit (a chord), 1 / pay floor, edge of her list, steady score, and of posts pay, edge of its list, the
    share of its hours that it asks for, 1 / number of skills desired. `codes`: row of the entity, its pattern of hours
    (low half) with its facilities (4 bits) and a mark, and of the book's first 32 skills hers, or those required, and
    desired. The mark is of seekers `BUSY`, of posts `LOOSE`.
    """

    hot: F32
    codes: U32
    blocks: Blocks
    heads: Heads
    meta: I64  # blocks ever used, first free block, sorts
    cell: F64  # edge of a cell, a chord


X, Y, Z, LIMIT, FLOOR, EDGE, STEADY = range(7)
PAY, POST_EDGE, LEAST, PER_DESIRE = range(3, 7)
"""Lines of `Index.hot`."""

SLOT, WEEK, SKILLS, DESIRED = range(4)
"""Lines of `Index.codes`."""

SEEKER_CODES, POST_CODES = 3, 4
"""How many of them each side has."""

BUSY = LOOSE = 1 << 20
"""Marks in `Index.codes`: she has placements; bounds of the post's scores may be far off, because its hours have no
number or it names skills beyond the first 32."""


class Shifts(Records, Protocol):
    """How each shift of the last year went, so that a correction replaces it and a repetition does nothing."""

    key: U64
    revision: I32
    day: I32
    seeker: I32
    verdict: U8  # number of the verdict, DROPPED: too old to count


DROPPED = 255


class Tables(NamedTuple):
    """Where the rows of ids are, and chains of seekers by the minute of the week in which their waiting grows."""

    seekers: I32
    posts: I32
    shifts: I32
    minutes: I32


class Pool(NamedTuple):
    """Entries of a list that is being made, with their scores."""

    slot: I32
    score: I64
    used: I64  # one number


class Work(NamedTuple):
    """Scratch of the compiled functions."""

    bound: F32  # of a block's rows: bound of the score, bound of the share of the commute limit
    away: F32
    fit: F32  # by pattern of hours: the share that a seeker covers, less than 0 where a placement is in the way
    own: Pool  # of the list of whom a sweep is for, and of any other
    held: Pool
    short_posts: I32
    short_seekers: I32
    is_short: U8  # posts, then seekers
    lacks: F32  # by the 16 sets of facilities of the other side: what is missing of the full part, now and before
    counts: I64  # see below


SHORT_POSTS, SHORT_SEEKERS, SEEKERS, POSTS, SHIFTS = range(5)
"""Places in `Work.counts`: lists noted as too short, and rows in use."""


class City(NamedTuple):
    """Everything that the compiled functions need of a city.

    Few arrays of records, not many columns: what a compiled function is handed is unpacked array by array, and a
    hundred of them make it ten times larger.
    """

    seekers: Seekers
    posts: Posts
    seeker_more: U64  # skills beyond the first 64 of the book
    post_more: U64  # required, then desired skills beyond the first 64 of the book
    tops: Lists
    bests: Lists
    seeker_index: Index
    post_index: Index
    hours: U64  # of each pattern of hours, six words
    covers: F32  # of two patterns of hours: the share of the second that the first covers
    covered: F32  # of two patterns: the share of the first that the second covers
    busy_hours: U64  # of those who have placements
    busy_posts: I32  # likewise, -1: none
    work: Work
    rules: I64  # see `pair`


Array = TypeVar("Array")


def _form(shape: type, wide: dict[str, int]) -> np.dtype[np.void]:
    """The record with a class's fields, of which some hold several numbers."""
    kinds = {"U8": "u1", "I32": "<i4", "I64": "<i8", "U64": "<u8", "F32": "<f4", "F64": "<f8"}
    fields = [(name, kinds[kind], wide.get(name)) for name, kind in shape.__annotations__.items()]
    return np.dtype([(name, kind, (n,)) if n else (name, kind) for name, kind, n in fields], align=True)


SEEKER = _form(Seekers, {"row": 8, "home": 3, "key": 2})
POST = _form(Posts, {"row": 8, "place": 3, "key": 2})
SHIFT = _form(Shifts, {"key": 2})
TOP, BEST = _form(Lists, {"slot": TOPS_MAX}), _form(Lists, {"slot": BESTS_MAX})
_BLOCK, _HEAD = _form(Blocks, {"centre": 3}), _form(Heads, {})


def records(form: np.dtype[np.void], rows: int) -> npt.NDArray[np.void]:
    """Records of zeros that start at a cache line."""
    return _pages(form.itemsize * rows).view(form)


def _pages(size: int) -> U8:
    """Zeros in pages of their own: those that nobody touches cost no memory, and all are given back when let go.

    What `np.zeros` gives may be used memory, which it fills, and what is freed may stay with the process.
    """
    return np.frombuffer(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)[:size]


def seekers(rows: int) -> Seekers:
    """Records of seekers, none of them in use."""
    made = records(SEEKER, rows)
    made["where"] = made["busy"] = -1
    return cast(Seekers, made.view(Columns))


def posts(rows: int) -> Posts:
    """Records of posts, none of them in use."""
    made = records(POST, rows)
    made["where"] = -1
    return cast(Posts, made.view(Columns))


def shifts(rows: int) -> Shifts:
    """Records of shifts."""
    return cast(Shifts, records(SHIFT, rows).view(Columns))


def lists(form: np.dtype[np.void], rows: int) -> Lists:
    """Empty lists of a form, `TOP` or `BEST`, in which everyone stands."""
    made = records(form, rows)
    made["edge"] = NO_EDGE
    return cast(Lists, made.view(Columns))


def index(blocks: int, sorts: int, cell: float, codes: int) -> Index:
    """An empty index.

    Args:
        cell: edge of its cells as a chord.
        codes: how many lines of `Index.codes` its side has.
    """
    heads = records(_HEAD, sorts)
    heads["block"] = -1
    return Index(
        _pages(4 * blocks * 7 * BLOCK).view(np.float32).reshape(blocks, 7, BLOCK),
        _pages(4 * blocks * codes * BLOCK).view(np.uint32).reshape(blocks, codes, BLOCK),
        cast(Blocks, records(_BLOCK, blocks).view(Columns)),
        cast(Heads, heads.view(Columns)),
        np.array([0, -1, 0], np.int64),
        np.array([cell], np.float64),
    )


def _pool() -> Pool:
    return Pool(np.zeros(POOL, np.int32), np.zeros(POOL, np.int64), np.zeros(1, np.int64))


def work(posts: int, seekers: int) -> Work:
    """Scratch for so many rows."""
    return Work(
        np.zeros(BLOCK, np.float32),
        np.zeros(BLOCK, np.float32),
        np.zeros(PATTERNS_MAX + 1, np.float32),
        _pool(),
        _pool(),
        np.zeros(posts, np.int32),
        np.zeros(seekers, np.int32),
        np.zeros(posts + seekers, np.uint8),
        np.zeros(32, np.float32),
        np.zeros(5, np.int64),
    )
