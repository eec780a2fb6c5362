"""News on its way into a city: facts of the domain as packed records; a batch crosses into compiled code at once."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from services.matching.domain import Fact, Post, Seeker, Shift
from services.matching.domain.state import Facility, PostKind, ShiftVerdict
from services.matching.engine.layout import (
    F64,
    I32,
    I64,
    MASK_BYTES,
    NEVER_MS,
    OPEN,
    PATTERNS_MAX,
    PRESENT,
    U8,
    U64,
    UNNUMBERED,
    Columns,
    Records,
)

KIND_BITS: dict[PostKind, int] = {"elastic": 1, "team": 2, "mobile": 4, "new-form": 8}
FACILITY_BITS: dict[Facility, int] = {"child-care-room": 1, "nursing-room": 2, "shuttle-bus": 4, "parental-leave": 8}
VERDICTS: dict[ShiftVerdict, int] = {"attended": 0, "left-early": 1, "no-show": 2}

KINDS_OF = tuple(frozenset(kind for kind, bit in KIND_BITS.items() if bits & bit) for bits in range(16))
FACILITIES_OF = tuple(frozenset(name for name, bit in FACILITY_BITS.items() if bits & bit) for bits in range(16))
"""The sets that four bits stand for."""

KIND_BITS_OF = {kinds: bits for bits, kinds in enumerate(KINDS_OF)}
FACILITY_BITS_OF = {facilities: bits for bits, facilities in enumerate(FACILITIES_OF)}

URGENT = 16
"""Bit of a post's own facilities that says that it is urgent."""

SKILLS_MAX = 1024
"""Different skills in one city. Code lists have some dozens; each 64 more cost every seeker eight bytes."""

WORD = 64
WORD_MASK = 2**64 - 1

Id = tuple[int, int]
"""The 128 bits of an id."""

ID_LENGTH = 36
SEEKER, POST, SHIFT = "skr-", "pst-", "sft-"
"""What ids begin with."""


class UnknownForm(ValueError):
    """Something that the engine has no form for; the message names the field and what was expected."""


class SeekerNews(Records, Protocol):
    """Profiles of seekers, in the form of `layout.Seekers`."""

    key: U64
    row: U64
    home: F64
    at: I64
    version: I32
    until: I32
    marks: U8
    pattern: I32


class PostNews(Records, Protocol):
    """Profiles of posts, in the form of `layout.Posts`."""

    key: U64
    row: U64
    place: F64
    at: I64
    closes: I64
    pay: I64
    version: I32
    employer: I32
    station: I32
    seats: I32
    desired: I32
    own: U8
    marks: U8
    pattern: I32


class ShiftNews(Records, Protocol):
    """How shifts went."""

    key: U64
    seeker: U64
    revision: I32
    day: I32
    verdict: U8


def _expected(prefix: str) -> str:
    return f"expected an id `{prefix}` and 32 hexadecimal digits"


def key_of(id_: str, prefix: str) -> Id:
    """The bits of an id.

    Raises:
        UnknownForm: the id is not of this kind.
    """
    if id_[:4] != prefix or len(id_) != ID_LENGTH:
        raise UnknownForm(_expected(prefix))
    return int(id_[4:20], 16), int(id_[20:], 16)


NO_KEYS: U64 = np.zeros((0, 2), np.uint64)


def keys_of(ids: Sequence[str], prefix: str) -> U64:
    """The bits of many ids, two words each.

    Raises:
        UnknownForm: an id is not of this kind.
    """
    if not ids:
        return NO_KEYS
    try:
        packed = "".join(ids).encode("ascii")
        if set(map(len, ids)) <= {ID_LENGTH}:
            letters = np.frombuffer(packed, np.uint8).reshape(len(ids), ID_LENGTH)
            if (letters[:, : len(prefix)] == np.frombuffer(prefix.encode(), np.uint8)).all():
                words = np.frombuffer(binascii.unhexlify(letters[:, len(prefix) :].tobytes()), ">u8")
                return words.reshape(len(ids), 2).astype(np.uint64)
    except (UnicodeEncodeError, binascii.Error):
        pass
    raise UnknownForm(_expected(prefix))


def id_of(prefix: str, key: U64 | Sequence[int]) -> str:
    """The id with these bits."""
    return f"{prefix}{int(key[0]):016x}{int(key[1]):016x}"


def ms_of(instant: datetime) -> int:
    """Whole milliseconds since 1970, rounded down."""
    return int(instant.timestamp() * 1_000_000 + 0.5) // 1000


class SkillBook:
    """A bit for each skill that was ever named in a city."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names: list[str] = []
        self._bit: dict[str, int] = {}
        self._mask: dict[frozenset[str], int] = {}
        self.mask(frozenset(), names or [])

    def mask(self, skills: frozenset[str], in_order: list[str] | None = None) -> int:
        """Bit mask of a set of skills; new ones get the next bits.

        Raises:
            UnknownForm: there would be more than `SKILLS_MAX` different skills.
        """
        known = self._mask.get(skills)
        if known is not None and not in_order:
            return known
        new = in_order or sorted(skills - self._bit.keys())
        if len(self.names) + len(new) > SKILLS_MAX:
            raise UnknownForm(f"skills: expected at most {SKILLS_MAX} different skills in a city")
        for name in new:
            self._bit[name] = 1 << len(self.names)
            self.names.append(name)
        mask = 0
        for skill in skills:
            mask |= self._bit[skill]
        if len(self._mask) >= SKILLS_MAX:
            self._mask.clear()
        self._mask[skills] = mask
        return mask

    def skills_of(self, mask: int) -> frozenset[str]:
        """The set that a mask stands for."""
        return frozenset(self.names[bit] for bit in range(mask.bit_length()) if mask >> bit & 1)

    @property
    def more(self) -> int:
        """Words that a skill mask needs beyond the first."""
        return max(0, -(-len(self.names) // WORD) - 1)


class HoursBook:
    """A number for each different mask of hours, from 1 on; the numbers stand for rows of `City.covers`.

    Many women share one pattern of free hours, and many posts one of work: a sweep compares patterns, not pairs.
    """

    def __init__(self, masks: list[int] | None = None) -> None:
        self.masks: list[int] = []
        self._number: dict[int, int] = {}
        for mask in masks or []:
            self.number(mask)

    def number(self, mask: int) -> int:
        """The number of a mask; a new one gets the next, or `UNNUMBERED` when there is none left."""
        number = self._number.get(mask)
        if number is None:
            if len(self.masks) >= PATTERNS_MAX:
                return UNNUMBERED
            self.masks.append(mask)
            number = self._number[mask] = len(self.masks)
        return number


_SEEKER = struct.Struct("<16x42sBxIQq3dqiiB3xi")
_POST = struct.Struct("<16x42sBBHHQQ3dqqqiiiiiBBH")
"""News without keys, which are filled in for all at once."""


def _form(size: int, *columns: tuple[str, str, int]) -> np.dtype[np.void]:
    """A record of columns, each a name, a kind and an offset."""
    names, formats, offsets = zip(*columns, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


_SEEKER_FORM = _form(
    _SEEKER.size,
    ("key", "2<u8", 0),
    ("row", "8<u8", 16),
    ("home", "3<f8", 80),
    ("at", "<i8", 104),
    ("version", "<i4", 112),
    ("until", "<i4", 116),
    ("marks", "u1", 120),
    ("pattern", "<i4", 124),
)
_POST_FORM = _form(
    _POST.size,
    ("key", "2<u8", 0),
    ("row", "8<u8", 16),
    ("place", "3<f8", 80),
    ("at", "<i8", 104),
    ("closes", "<i8", 112),
    ("pay", "<i8", 120),
    ("version", "<i4", 128),
    ("employer", "<i4", 132),
    ("station", "<i4", 136),
    ("seats", "<i4", 140),
    ("desired", "<i4", 144),
    ("own", "u1", 148),
    ("marks", "u1", 149),
    ("pattern", "<u2", 150),
)
_SHIFT_FORM = _form(
    48, ("key", "2<u8", 0), ("seeker", "2<u8", 16), ("revision", "<i4", 32), ("day", "<i4", 36), ("verdict", "u1", 40)
)


def _records(form: np.dtype[np.void], parts: list[bytes], keys: U64) -> npt.NDArray[np.void]:
    """Packed records as an array of records; compiled code knows one kind, which cannot be written to."""
    made = np.frombuffer(bytearray().join(parts), form)
    made["key"] = keys
    made.flags.writeable = False
    return made.view(Columns)


def shift_news(facts: Iterable[Fact]) -> ShiftNews:
    """How shifts went; a fact without a state says nothing.

    Raises:
        UnknownForm: an id is not that of a shift, or of a seeker.
    """
    said = [(fact, fact.state) for fact in facts if isinstance(fact.state, Shift)]
    made = np.zeros(len(said), _SHIFT_FORM)
    made["key"] = keys_of([fact.id for fact, _ in said], SHIFT)
    made["seeker"] = keys_of([shift.seeker_id for _, shift in said], SEEKER)
    made["revision"] = [fact.version for fact, _ in said]
    made["day"] = [shift.day.toordinal() for _, shift in said]
    made["verdict"] = [VERDICTS[shift.verdict] for _, shift in said]
    return cast(ShiftNews, made.view(Columns))


def words_of(mask: int, first: int, count: int) -> bytes:
    """Words of a skill mask as bytes, from a word on."""
    return (mask >> (WORD * first)).to_bytes(8 * count, "little") if count else b""


class Staging:
    """One batch of news of a city.

    Args:
        hours: its patterns of hours.
        book: its skills; all masks of a batch must be made before the first record, so that every record is as wide.
    """

    def __init__(self, book: SkillBook, hours: HoursBook) -> None:
        self._book = book
        self._hours = hours
        self._more = book.more
        self._seekers: list[bytes] = []
        self._posts: list[bytes] = []
        self._seeker_more: list[bytes] = []
        self._post_more: list[bytes] = []

    @property
    def seekers(self) -> int:
        return len(self._seekers)

    @property
    def posts(self) -> int:
        return len(self._posts)

    def add_seeker(self, version: int, seeker: Seeker | None, skills: int) -> None:
        """A seeker's profile; `None` for one who withdrew.

        Args:
            skills: hers as a mask, those that she proved included.
        """
        if seeker is None:
            record = _SEEKER.pack(b"", 0, 0, 0, 0, 0.0, 0.0, 0.0, 0, version, 0, 0, 0)
        else:
            record = _SEEKER.pack(
                seeker.free.to_bytes(MASK_BYTES, "little"),
                KIND_BITS_OF[seeker.kinds] | FACILITY_BITS_OF[seeker.facilities] << 4,
                seeker.limit_m,
                skills & WORD_MASK,
                seeker.pay_floor_fen,
                *seeker.home,
                ms_of(seeker.registered_at),
                version,
                seeker.eligible_until.toordinal(),
                PRESENT,
                self._hours.number(seeker.free),
            )
        self._seekers.append(record)
        if self._more:
            self._seeker_more.append(words_of(skills, 1, self._more))

    def add_post(
        self, version: int, post: Post | None, employer: int, station: int, facilities: int, takes: bool
    ) -> None:
        """A post's profile; `None` for one that is closed.

        Args:
            facilities: its own and its station's, as bits.
            takes: whether it takes someone now.
        """
        if post is None:
            none = _POST.pack(b"", 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 0, 0, version, -1, -1, 0, 0, 0, 0, 0)
            self._posts.append(none)
            self._post_more.append(bytes(16 * self._more))
            return
        required, desired = self._book.mask(post.skills_required), self._book.mask(post.skills_desired)
        record = _POST.pack(
            post.hours.to_bytes(MASK_BYTES, "little"),
            KIND_BITS[post.kind] | facilities << 4,
            post.location is not None,
            post.hours.bit_count(),
            post.min_minutes,
            required & WORD_MASK,
            desired & WORD_MASK,
            *(post.location or (0.0, 0.0, 0.0)),
            ms_of(post.opened_at),
            NEVER_MS if post.closes_at is None else ms_of(post.closes_at),
            post.expected_hourly_fen,
            version,
            employer,
            station,
            post.seats,
            len(post.skills_desired),
            FACILITY_BITS_OF[post.facilities] | (URGENT if post.urgent else 0),
            PRESENT | (OPEN if takes else 0),
            self._hours.number(post.hours),
        )
        self._posts.append(record)
        if self._more:
            self._post_more.append(words_of(required, 1, self._more) + words_of(desired, 1, self._more))

    def seeker_news(self, keys: U64) -> SeekerNews:
        """The profiles of seekers, with the bits of their ids."""
        return cast(SeekerNews, _records(_SEEKER_FORM, self._seekers, keys))

    def post_news(self, keys: U64) -> PostNews:
        """The profiles of posts, with the bits of their ids."""
        return cast(PostNews, _records(_POST_FORM, self._posts, keys))

    def seeker_more(self) -> U64:
        """Skills of the seekers beyond the first 64 of the book."""
        return np.frombuffer(b"".join(self._seeker_more), np.uint64).reshape(self.seekers, self._more).copy()

    def post_more(self) -> U64:
        """Skills that the posts require, then those desired, beyond the first 64 of the book."""
        return np.frombuffer(b"".join(self._post_more), np.uint64).reshape(self.posts, 2 * self._more).copy()
