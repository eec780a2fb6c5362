"""The stream of changes: 70 % shifts, 20 % seekers, 9 % posts, 1 % removals. The city stays as large as it is.

Of the seekers' events one in 29 is a new woman, of the posts' one in 30 a new post: as many as withdraw and close. The
others change what the scenario's changes change, drawn anew, so that a long run does not drift. 15 shifts in a thousand
are corrections of earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bench.matching.city import Generator, bits, weighted
from bench.matching.patterns import FACILITIES, PERCENT_ASKED, asked_minutes
from bench.matching.tables import AT, City, Table
from mamapost.scenario.yantai.facts import SKILLS

Ints = npt.NDArray[np.int64]


class Change(IntEnum):
    """What an event of the mix is."""

    SHIFT = 0
    SEEKER = 1
    POST = 2
    WITHDRAWN = 3
    CLOSED = 4


PER_THOUSAND = {"shift": 700, "seeker": 193, "new-seeker": 7, "post": 87, "new-post": 3, "withdrawn": 7, "closed": 3}
CORRECTED_PER_THOUSAND = 15

_SEEKER_CHANGES: tuple[tuple[str, ...], ...] = (
    ("free",),
    ("lat", "lon", "x", "y", "z", "district"),
    ("pay_floor_fen", "commute_km"),
    ("skills",),
    ("kinds",),
    ("facilities",),
)
_POST_CHANGES: tuple[tuple[str, ...], ...] = (
    ("pay_fen", "pieces"),
    ("seats",),
    ("urgent", "min_minutes"),
    ("closes_at",),
    ("facilities",),
)


@dataclass(slots=True)
class Stream:
    """Events of the mix, in order; each with the whole row as it stands after it.

    Attributes:
        change: of each event.
        row: of the entity, in its table.
        place: of the event's row among those of its kind: in `seekers`, `posts` or `shifts`.
        who: of each shift event, the row of its seeker.
        counts: of each shift event, how many shifts she attended, left early, and has in all, after it.
    """

    change: npt.NDArray[np.int8]
    row: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    seekers: Table
    posts: Table
    shifts: Table
    who: Ints
    counts: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.change)

    def rows(self, before: City) -> tuple[int, int]:
        """How many rows of seekers and of posts a city needs for these events."""
        sides = ((before.seekers, (Change.SEEKER, Change.WITHDRAWN)), (before.posts, (Change.POST, Change.CLOSED)))
        seekers, posts = (
            max(np.flatnonzero(table["version"])[-1], self.row[np.isin(self.change, kinds)].max(initial=0)) + 1
            for table, kinds in sides
        )
        return int(seekers), int(posts)


class Mix:
    """Draws changes of a city, piece after piece; `city` is the city after what was drawn."""

    def __init__(self, generator: Generator, seekers: int, posts: int) -> None:
        self._gen = generator
        self._rng = generator.rng
        self.city: City = generator.city
        self._seekers, self._posts = seekers, posts
        working = np.unique(self.city.placements["seeker"])
        self._may_withdraw = list(self._rng.permutation(np.setdiff1d(np.arange(seekers), working)).tolist())
        self._may_close = list(self._rng.permutation(posts).tolist())

    def draw(self, count: int) -> Stream:
        """The next changes; the city moves on with them.

        Raises:
            ValueError: the city has no rows left for those who are new, or nobody left who could leave.
        """
        rng, city = self._rng, self.city
        names = list(PER_THOUSAND)
        drawn = rng.choice(len(names), count, p=np.array(list(PER_THOUSAND.values())) / 1000)
        number = {name: int((drawn == place).sum()) for place, name in enumerate(names)}
        if self._seekers + number["new-seeker"] > len(city.seekers) or self._posts + number["new-post"] > len(
            city.posts
        ):
            raise ValueError("spare: expected a row for every new seeker and post")
        if number["withdrawn"] >= len(self._may_withdraw) or number["closed"] >= len(self._may_close):
            raise ValueError("count: expected fewer changes for so small a city")
        shifts = self._shifts(number["shift"])
        change = np.zeros(count, np.int8)
        row, place = np.zeros(count, np.int32), np.zeros(count, np.int32)
        at = np.flatnonzero(drawn == names.index("shift"))
        rows, shifted, who, counts = shifts
        change[at], row[at], place[at] = Change.SHIFT, rows, np.arange(len(at))
        gone = self._leave(drawn, names)
        seekers = self._upserts(drawn, names, "seeker", gone, change, row, place)
        posts = self._upserts(drawn, names, "post", gone, change, row, place)
        return Stream(change, row, place, seekers, posts, shifted, who, counts)

    def _shifts(self, count: int) -> tuple[Ints, Table, Ints, npt.NDArray[np.int32]]:
        """Rows of the shifts' table, the shifts as they stand after each event, whose they are, and her counts then."""
        rng, city = self._rng, self.city
        corrected = rng.integers(0, 1000, count) < CORRECTED_PER_THOUSAND
        fresh = self._gen.shifts(rng.integers(0, len(city.placements), count), np.full(count, np.datetime64(AT.date())))
        known = len(city.shifts)
        rows = np.where(corrected, rng.integers(0, known, count), 0)
        new = np.flatnonzero(~corrected)
        rows[new] = known + np.arange(len(new))
        city.shifts = np.concatenate([city.shifts, fresh[new]])
        events = city.shifts[rows]
        who = city.placements["seeker"][events["placement"]].astype(np.int64)
        counts = np.zeros((count, 3), np.int32)
        held = [city.seekers[name] for name in ("attended", "left_early", "shifts")]
        drawn, is_correction = fresh["verdict"].tolist(), corrected.tolist()
        for event, (row, seeker) in enumerate(zip(rows.tolist(), who.tolist(), strict=True)):
            if is_correction[event]:
                before = int(city.shifts["verdict"][row])
                if before < 2:
                    held[before][seeker] -= 1
                city.shifts["version"][row] += 1
                city.shifts["verdict"][row], city.shifts["minutes"][row] = drawn[event], fresh["minutes"][event]
                events[event] = city.shifts[row]
            else:
                held[2][seeker] += 1
            if drawn[event] < 2:
                held[drawn[event]][seeker] += 1
            counts[event] = [column[seeker] for column in held]
        return rows, events, who, counts

    def _leave(self, drawn: Ints, names: list[str]) -> dict[int, int]:
        """Who leaves at which event: each at most once, nobody who works, and nobody who comes in this piece."""
        gone = {}
        for name, pool in (("withdrawn", self._may_withdraw), ("closed", self._may_close)):
            for event in np.flatnonzero(drawn == names.index(name)).tolist():
                gone[event] = pool.pop()
        return gone

    def _upserts(
        self,
        drawn: Ints,
        names: list[str],
        side: str,
        gone: dict[int, int],
        change: npt.NDArray[np.int8],
        row: npt.NDArray[np.int32],
        place: npt.NDArray[np.int32],
    ) -> Table:
        """Rows of one side after each of its events, those of removals included; fills in the events' columns."""
        is_seeker = side == "seeker"
        table = self.city.seekers if is_seeker else self.city.posts
        size = self._seekers if is_seeker else self._posts
        leave = names.index("withdrawn" if is_seeker else "closed")
        anew, changed = names.index(f"new-{side}"), names.index(side)
        events = np.flatnonzero((drawn == leave) | (drawn == anew) | (drawn == changed))
        rows = self._rng.integers(0, size, len(events))
        fresh = self._fresh_seekers(rows, table) if is_seeker else self._fresh_posts(rows, table)
        groups = _SEEKER_CHANGES if is_seeker else _POST_CHANGES
        which = self._rng.integers(0, len(groups), len(events)).tolist()
        pool = self._may_withdraw if is_seeker else self._may_close
        after = np.zeros(len(events), table.dtype)
        upsert, end = (Change.SEEKER, Change.WITHDRAWN) if is_seeker else (Change.POST, Change.CLOSED)
        for number, event in enumerate(events.tolist()):
            what, at = drawn[event], int(rows[number])
            if what == leave:
                at = gone[event]
                table["alive"][at] = False
            elif what == anew:
                at = size
                size += 1
                pool.append(at)
                table[at] = fresh[number]
            else:
                while not table["alive"][at]:
                    at = (at + 1) % size
                for name in groups[which[number]]:
                    table[name][at] = self._asked(table[at]) if name == "min_minutes" else fresh[name][number]
            table["version"][at] += what != anew
            change[event] = end if what == leave else upsert
            row[event], place[event], rows[number] = at, number, at
            after[number] = table[at]
        if is_seeker:
            self._seekers = size
        else:
            self._posts = size
        return after

    def _fresh_seekers(self, rows: Ints, table: Table) -> Table:
        """What each would say of herself if she were new. A skill is learnt, not lost, until she names three."""
        fresh = self._gen.seekers(len(rows))
        known = table["skills"][rows]
        learnt = weighted(self._rng, [(1 << place, weight) for place, (_, weight) in enumerate(SKILLS)], len(rows))
        fresh["skills"] = np.where(np.bitwise_count(known) < 3, known | learnt.astype(np.uint32), fresh["skills"])
        fresh["facilities"] = bits(self._rng, [18] * len(FACILITIES), len(rows))
        return fresh

    def _fresh_posts(self, rows: Ints, table: Table) -> Table:
        """What each would offer if it were new, by the same employer."""
        city = self._gen.city
        return self._gen.posts(table["employer"][rows].astype(np.int64), city.employers, city.stations)

    def _asked(self, post: Table) -> int:
        """Another overlap for a post, of the hours that it has."""
        low, high = PERCENT_ASKED.get(int(post["kind"]), (0, 0))
        percent = self._rng.integers(low, high + 1, 1)
        return int(asked_minutes(np.array([post["hours"]], np.int64), percent)[0])


def batches(stream: Stream, size: int) -> Iterator[slice]:
    """Pieces of a stream, as slices of its events."""
    for start in range(0, len(stream), size):
        yield slice(start, min(start + size, len(stream)))
