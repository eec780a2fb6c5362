"""DuckDB: the seekers as one table in memory, in the order of their homes, and one query a ranking.

Tuning: one thread, like ours; every column in the narrowest type; week masks as six words with `bit_count`; cheap
filters first, with a bounding box of the longest commute, whose row groups' ranges rule most of a large city out; the
score is computed of what is left only. The queries hold their values and leave out the words that are empty in a post's
week: prepared ones are planned anew at each execution too, and took half as long again.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.matching.geometry import KM_PER_DEG
from bench.matching.peers.peer import COMMUTE_MOST_M, KIND_COLUMNS, LIMIT, SLOT_MINUTES, Answer, Ask, Missing, Woman
from bench.matching.play import policy
from services.matching.domain.policy import PART_MAX
from shared.kernel.geo import EARTH_RADIUS_M

NORTH_DEG = COMMUTE_MOST_M / 1000 / KM_PER_DEG * 1.01
WORDS = range(6)

TYPES = {
    "row": "INTEGER PRIMARY KEY",
    **dict.fromkeys(KIND_COLUMNS, "BOOLEAN"),
    "pay_floor": "INTEGER",
    "commute_m": "INTEGER",
    "skills": "INTEGER",
    "wanted": "TINYINT",
    "n_wanted": "TINYINT",
    "lat": "DOUBLE",
    "lon": "DOUBLE",
    "x": "DOUBLE",
    "y": "DOUBLE",
    "z": "DOUBLE",
    **{f"free{word}": "BIGINT" for word in WORDS},
    **{f"busy{word}": "BIGINT" for word in WORDS},
    "placed_on": "INTEGER",
    "steady": "INTEGER",
    "registered": "BIGINT",
    "key_high": "UBIGINT",
    "key_low": "UBIGINT",
}

PLAIN = [kind.split()[0] for kind in TYPES.values()]


class DuckDB:
    """A database in this process."""

    name = "DuckDB"

    def __init__(self) -> None:
        try:
            duckdb: Any = importlib.import_module("duckdb")
        except ImportError:
            raise Missing("DuckDB: needs the package duckdb (make bench-peers)") from None
        self._db = duckdb.connect(":memory:")
        self._db.execute("SET threads = 1")
        # It would read the table a second time to fetch the columns of 50 rows.
        self._db.execute("SET disabled_optimizers = 'late_materialization'")
        self.how = f"{duckdb.__version__}, in memory, in the order of the homes, one thread"

    def load(self, women: list[Woman]) -> None:
        ordered = sorted(women, key=lambda woman: (int(woman.lat * 40), woman.lon))  # strips of about 3 km
        values = list(zip(*map(_values, ordered), strict=True))
        columns = {
            name: np.array(column, _dtype(kind)) for (name, kind), column in zip(TYPES.items(), values, strict=True)
        }
        self._db.execute(f"CREATE TABLE seekers ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})")
        self._db.register("given", columns)
        self._db.execute("INSERT INTO seekers SELECT * FROM given")
        self._db.unregister("given")
        self._db.execute("CHECKPOINT")
        self._db.execute("PREPARE put_steady AS UPDATE seekers SET steady = $1::INTEGER WHERE row = $2::INTEGER")
        marks = ", ".join(f"${place}::{kind}" for place, kind in enumerate(PLAIN, 1))
        self._db.execute(f"PREPARE put AS INSERT OR REPLACE INTO seekers VALUES ({marks})")

    def put(self, woman: Woman) -> None:
        self._run("put", _values(woman), PLAIN)

    def put_steady(self, row: int, steady: int) -> None:
        self._run("put_steady", (steady, row), ("INTEGER", "INTEGER"))

    def top(self, ask: Ask) -> Answer:
        found: Answer = self._db.execute(_query(ask)).fetchall()
        return found

    def _run(self, name: str, values: Any, types: Sequence[str]) -> Any:
        return self._db.execute(f"EXECUTE {name}({_given(values, types)})")

    def close(self) -> None:
        self._db.close()


def _query(ask: Ask) -> str:
    """The best of a post."""
    w = policy().weights
    filters = [KIND_COLUMNS[ask.kind], f"pay_floor <= {ask.pay}", f"placed_on <> {ask.row}"]
    score = ["steady"]
    if ask.required:
        filters.append(f"skills & {ask.required} = {ask.required}")
    if ask.n_desired:
        score.append(f"{w.skills} * ({PART_MAX} * bit_count(skills & {ask.desired})::INTEGER // {ask.n_desired})")
    else:
        score.append(str(w.skills * PART_MAX))
    surplus = f"least({PART_MAX}, {PART_MAX} * ({ask.pay} - pay_floor) // greatest(pay_floor, 1))"
    score.append(f"{w.pay} * (CASE WHEN pay_floor > 0 THEN {surplus} ELSE {PART_MAX} END)")
    shared = f"{PART_MAX} * bit_count(wanted & {ask.offered}::TINYINT)::INTEGER // greatest(n_wanted, 1)"
    score.append(f"{w.facilities} * (CASE WHEN n_wanted > 0 THEN {shared} ELSE {PART_MAX} END)")
    source = "seekers"
    if ask.located:
        east = NORTH_DEG / max(0.2, 1 - (ask.lat / 57.29577951308232) ** 2 / 2)
        filters.append(f"lat BETWEEN {ask.lat - NORTH_DEG} AND {ask.lat + NORTH_DEG}")
        filters.append(f"lon BETWEEN {ask.lon - east} AND {ask.lon + east}")
        used = [(place, _signed(word)) for place, word in enumerate(ask.words) if word]
        overlap = " + ".join(f"bit_count(free{place} & {word}::BIGINT)::INTEGER" for place, word in used)
        clash = " AND ".join(f"busy{place} & {word}::BIGINT = 0" for place, word in used)
        chord = " + ".join(
            f"({axis} - {_double(at)}) * ({axis} - {_double(at)})"
            for axis, at in zip("xyz", (ask.x, ask.y, ask.z), strict=True)
        )
        near = (
            f"SELECT row, steady, registered, key_high, key_low, skills, wanted, n_wanted, pay_floor, commute_m, "
            f"sqrt({chord}) / 2.0::DOUBLE AS half, ({overlap}) * {SLOT_MINUTES} AS overlap "
            f"FROM seekers WHERE {' AND '.join(filters)} AND (placed_on < 0 OR ({clash}))"
        )
        series = "1.0::DOUBLE / 6 + half * half * (3.0::DOUBLE / 40 + half * half * (5.0::DOUBLE / 112))"
        arc = f"half * (1.0::DOUBLE + half * half * ({series}))"
        metres = f"floor({_double(2.0 * EARTH_RADIUS_M)} * ({arc}) + 0.5::DOUBLE)"
        source = f"(SELECT *, {metres}::INTEGER AS away FROM ({near}) WHERE overlap >= {ask.asked})"
        filters = ["away <= commute_m"]
        score.append(f"{w.time_fit} * ({PART_MAX} * overlap // {ask.minutes})")
        score.append(f"{w.distance} * ({PART_MAX} * (commute_m - away) // commute_m)")
    else:
        score.append(str((w.time_fit + w.distance) * PART_MAX))
    return (
        f"SELECT row, ({' + '.join(score)})::INTEGER AS score FROM {source} WHERE {' AND '.join(filters)} "
        f"ORDER BY score DESC, registered, key_high, key_low LIMIT {LIMIT}"
    )


def _values(woman: Woman) -> tuple[Any, ...]:
    return (
        woman.row,
        *(bool(woman.kinds >> place & 1) for place in range(len(KIND_COLUMNS))),
        *(woman.floor, woman.limit, woman.skills, woman.wanted, woman.wanted.bit_count()),
        *(woman.lat, woman.lon, woman.x, woman.y, woman.z),
        *map(_signed, woman.free),
        *map(_signed, woman.busy),
        *(woman.placed_on, woman.steady, woman.registered, int(woman.key[:16], 16), int(woman.key[16:], 16)),
    )


def _double(value: float) -> str:
    return f"'{value!r}'::DOUBLE"


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _given(values: Any, types: Sequence[str]) -> str:
    """Values of the very types of the parameters; of any other type DuckDB would plan the query anew."""
    return ", ".join(f"{value!r}::{kind}" for value, kind in zip(values, types, strict=True))


def _dtype(kind: str) -> str:
    names = {"BOOLEAN": "?", "TINYINT": "i1", "INTEGER": "i4", "BIGINT": "i8", "UBIGINT": "u8", "DOUBLE": "f8"}
    return names[kind.split()[0]]
