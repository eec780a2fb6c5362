"""Placements of one city, in columns: as objects of Python they took most of what is held of a woman who is placed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from services.matching.engine import layout, room
from services.matching.engine.bits import enter_all, find, row_of
from services.matching.engine.layout import I32, I64, U8, U64, Records
from services.matching.engine.staging import Id, id_of

PLACEMENT = "plc-"
"""What ids of placements begin with."""

NONE = -1
"""Instead of a row: the placement is over, or there is no other one."""


class _Rows(Records, Protocol):
    """Placements, newest version each; `seeker` is `NONE` for one that is over, whose version is kept.

    `next` leads from each placement of a seeker to another one of hers.
    """

    key: U64
    seeker: I32
    post: I32
    version: I32
    hours: I32  # number of its hours
    next: I32


_FORM = np.dtype(
    [("key", "<u8", (2,)), ("seeker", "<i4"), ("post", "<i4"), ("version", "<i4"), ("hours", "<i4"), ("next", "<i4")],
    align=True,
)


class Placed(NamedTuple):
    """What a placement says: rows of the seeker and of the post, and the hours taken as a mask."""

    seeker: int
    post: int
    hours: int


class Placements:
    """Who is placed where, by placement and by seeker."""

    def __init__(self) -> None:
        self._rows = _rows(room.START)
        self._table: I32 = room.table(room.START)
        self._counts: I64 = np.zeros(1, np.int64)
        self._first: I32 = np.full(room.START, NONE, np.int32)
        self.masks: list[int] = []
        self._number: dict[int, int] = {}

    def __len__(self) -> int:
        return int(self._counts[0])

    def version_of(self, key: Id) -> int:
        """Newest version of a placement, 0: none."""
        row = self._row(key)
        return 0 if row < 0 else int(self._rows.version[row])

    def at(self, key: Id) -> Placed | None:
        """What a placement says; `None` if it is over or unknown."""
        row = self._row(key)
        return None if row < 0 or self._rows.seeker[row] == NONE else self._placed(row)

    def of(self, seeker: int) -> list[Placed]:
        """The placements of a seeker."""
        found = []
        row = int(self._first[seeker]) if seeker < len(self._first) else NONE
        while row != NONE:
            found.append(self._placed(row))
            row = int(self._rows.next[row])
        return found

    def ids(self) -> Iterator[str]:
        """Placements that are not over, in no order."""
        for row in np.flatnonzero(self._rows.seeker[: len(self)] != NONE):
            yield id_of(PLACEMENT, self._rows.key[row])

    def put(self, key: Id, version: int, placed: Placed | None) -> None:
        """Take in a version of a placement; `None`: it is over."""
        self._make_room(len(self) + 1, 0 if placed is None else placed.seeker + 1)
        row = int(row_of(self._table, self._rows.key, np.uint64(key[0]), np.uint64(key[1]), self._counts, 0))
        rows = self._rows
        if rows.version[row] and rows.seeker[row] != NONE:
            self._unchain(row)
        rows.version[row] = version
        if placed is None:
            rows.seeker[row] = NONE
            return
        rows.seeker[row], rows.post[row], rows.hours[row] = placed.seeker, placed.post, self._numbered(placed.hours)
        rows.next[row] = self._first[placed.seeker]
        self._first[placed.seeker] = row

    def dump(self) -> U8:
        """All rows as bytes that share this memory; with `masks`, all there is to know."""
        return _bytes(self._rows, len(self))

    def restore(self, dumped: npt.NDArray[np.generic], masks: Sequence[int]) -> None:
        """Take in what was dumped; nothing must be known yet.

        Raises:
            ValueError: it is not of this form.
        """
        count = len(dumped)
        self.masks = list(masks)
        self._number = {mask: number for number, mask in enumerate(self.masks)}
        self._make_room(count, 0)
        _bytes(self._rows, count)[:] = dumped
        self._counts[0] = count
        enter_all(self._table, self._rows.key, 0, count)
        seekers, following = self._rows.seeker[:count], self._rows.next[:count]
        here = seekers != NONE
        self._make_room(count, int(seekers.max(initial=NONE)) + 1)
        is_first = here.copy()
        is_first[following[here & (following != NONE)]] = False
        firsts = np.flatnonzero(is_first)
        self._first[seekers[firsts]] = firsts

    # --- how ---

    def _row(self, key: Id) -> int:
        return int(find(self._table, self._rows.key, np.uint64(key[0]), np.uint64(key[1])))

    def _placed(self, row: int) -> Placed:
        rows = self._rows
        return Placed(int(rows.seeker[row]), int(rows.post[row]), self.masks[rows.hours[row]])

    def _numbered(self, hours: int) -> int:
        number = self._number.get(hours)
        if number is None:
            number = self._number[hours] = len(self.masks)
            self.masks.append(hours)
        return number

    def _unchain(self, row: int) -> None:
        following, seeker = self._rows.next, int(self._rows.seeker[row])
        if self._first[seeker] == row:
            self._first[seeker] = following[row]
            return
        before = int(self._first[seeker])
        while following[before] != row:
            before = int(following[before])
        following[before] = following[row]

    def _make_room(self, rows: int, seekers: int) -> None:
        now = len(cast(I32, self._rows))
        if rows > now:
            self._rows = room.enlarged(self._rows, _rows(room.larger(now, rows)), len(self))
        if room.is_tight(self._table, rows):
            self._table = room.table(rows)
            enter_all(self._table, self._rows.key, 0, len(self))
        if seekers > len(self._first):
            first: I32 = np.full(room.larger(len(self._first), seekers), NONE, np.int32)
            first[: len(self._first)] = self._first
            self._first = first


def _rows(count: int) -> _Rows:
    return cast(_Rows, layout.records(_FORM, count).view(layout.Columns))


def _bytes(rows: _Rows, count: int) -> U8:
    array = cast(npt.NDArray[np.void], rows).view(np.ndarray)
    return array[:count].view(np.uint8).reshape(count, _FORM.itemsize)
