"""PostgreSQL: a GiST index on each woman's reach, and one query a ranking.

Tuning: the reach is a box about her home as wide as her commute, so that "who can come here" is one look into the
index; the index holds her pay floor too and is partial by kind of post, so that most of the hard filters are decided in
it. Week masks are `bit(336)` with `bit_count`. The queries are prepared, one a kind of post; plans are generic; the
server keeps everything in memory and waits for no disk; rows leave room for updates in place.
"""

from __future__ import annotations

import importlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.matching.peers.peer import KIND_COLUMNS, LIMIT, SLOT_MINUTES, Answer, Ask, Missing, Woman
from bench.matching.play import policy
from services.matching.domain.policy import PART_MAX
from shared.kernel.geo import EARTH_RADIUS_M
from shared.kernel.week import SLOTS_PER_WEEK

DEG_PER_M = 1 / 111_000
"""A little more than a metre is in degrees of latitude, so that a reach is never too small."""

NOBODY = "postgres"

SETTINGS = {
    "shared_buffers": "1GB",
    "work_mem": "64MB",
    "effective_cache_size": "4GB",
    "random_page_cost": "1.0",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # one core, like ours
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "listen_addresses": "",
}


def _programs() -> Path:
    """Folder of the newest PostgreSQL here.

    Raises:
        Missing
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise Missing("PostgreSQL: no initdb in /usr/lib/postgresql/*/bin or on PATH (Debian: apt install postgresql)")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


class PostgreSQL:
    """A server of its own, in a temporary folder, reached by a Unix socket."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        try:
            self._psycopg: Any = importlib.import_module("psycopg")
        except ImportError:
            raise Missing("PostgreSQL: needs the package psycopg[binary] (make bench-peers)") from None
        programs = _programs()
        self._root = Path(tempfile.mkdtemp(prefix="mamapost-pg-"))
        # The server refuses to run as root.
        user = pwd.getpwnam(NOBODY) if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self._root, user.pw_uid, user.pw_gid)
        self._run_as: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
        self._ctl, self._data = str(programs / "pg_ctl"), self._root / "data"
        self._call(
            str(programs / "initdb"), "-D", str(self._data), "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"
        )
        config = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(config + f"unix_socket_directories = '{self._root}'\n")
        self._call(self._ctl, "-D", str(self._data), "-l", str(self._root / "log"), "-w", "start")
        try:
            self._db = self._psycopg.connect(host=str(self._root), user="bench", dbname="postgres", autocommit=True)
        except BaseException:
            self._stop()
            raise
        version = self._db.execute("SHOW server_version").fetchone()[0].split()[0]
        self.how = f"{version}, GiST on reach and pay floor by kind, prepared, in memory"

    def _call(self, *command: str) -> None:
        subprocess.run(command, check=True, cwd=self._root, stdout=subprocess.DEVNULL, **self._run_as)

    def load(self, women: list[Woman]) -> None:
        db = self._db
        db.execute("CREATE EXTENSION btree_gist")
        kinds = ", ".join(f"{kind} bool NOT NULL" for kind in KIND_COLUMNS)
        db.execute(
            f"""CREATE UNLOGGED TABLE seekers (
                row int PRIMARY KEY, steady int NOT NULL, pay_floor int NOT NULL, commute_m int NOT NULL,
                skills int NOT NULL, wanted int NOT NULL, n_wanted int NOT NULL, placed_on int NOT NULL,
                x float8 NOT NULL, y float8 NOT NULL, z float8 NOT NULL, registered int8 NOT NULL, {kinds},
                reach box NOT NULL, free bit({SLOTS_PER_WEEK}) NOT NULL, busy bit({SLOTS_PER_WEEK}) NOT NULL,
                key uuid NOT NULL) WITH (fillfactor = 70)"""
        )
        self._columns = 20
        with db.cursor().copy("COPY seekers FROM STDIN") as copy:
            for woman in women:
                copy.write_row(self._row(woman))
        for kind in KIND_COLUMNS[:2]:
            db.execute(f"CREATE INDEX ON seekers USING gist (reach, pay_floor) WHERE {kind}")
        for kind in KIND_COLUMNS:
            db.execute(f"CREATE INDEX ON seekers (pay_floor) WHERE {kind}")
        db.execute("VACUUM ANALYZE seekers")
        db.execute("SET plan_cache_mode = force_generic_plan")
        self._prepare()

    def _row(self, woman: Woman) -> tuple[Any, ...]:
        half = woman.limit * DEG_PER_M
        wide = half / max(
            0.2, (1 - (woman.lat / 57.29577951308232) ** 2 / 2)
        )  # below the cosine: wider, never too small
        reach = f"({woman.lon + wide},{woman.lat + half}),({woman.lon - wide},{woman.lat - half})"
        return (
            *(woman.row, woman.steady, woman.floor, woman.limit, woman.skills, woman.wanted, woman.wanted.bit_count()),
            *(woman.placed_on, woman.x, woman.y, woman.z, woman.registered),
            *(bool(woman.kinds >> place & 1) for place in range(len(KIND_COLUMNS))),
            *(reach, _bits(woman.free), _bits(woman.busy), woman.key),
        )

    def _prepare(self) -> None:
        """One query for each kind of post; the first two have a place and hours, the others neither."""
        for place, kind in enumerate(KIND_COLUMNS):
            self._db.execute(_located(kind) if place < 2 else _anywhere(kind))

    def put(self, woman: Woman) -> None:
        marks = ", ".join(["%s"] * self._columns)
        with self._db.transaction():
            self._db.execute("DELETE FROM seekers WHERE row = %s", (woman.row,), prepare=True)
            self._db.execute(f"INSERT INTO seekers VALUES ({marks})", self._row(woman), prepare=True)

    def put_steady(self, row: int, steady: int) -> None:
        self._db.execute("UPDATE seekers SET steady = %s WHERE row = %s", (steady, row), prepare=True)

    def top(self, ask: Ask) -> Answer:
        kind = KIND_COLUMNS[ask.kind]
        values = [ask.pay, ask.required, ask.desired, ask.n_desired, ask.minutes, ask.asked, ask.offered, ask.row]
        said = ", ".join(map(str, values))
        if ask.located:
            point = f"({ask.lon!r},{ask.lat!r})"
            said += f", box '({point},{point})', B'{_bits(ask.words)}', {ask.x!r}, {ask.y!r}, {ask.z!r}"
            said += f", B'{'0' * SLOTS_PER_WEEK}'"
        return [(row, score) for row, score in self._db.execute(f"EXECUTE best_{kind} ({said})", prepare=False)]

    def close(self) -> None:
        self._db.close()
        self._stop()

    def _stop(self) -> None:
        self._call(self._ctl, "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self._root, ignore_errors=True)


_COLUMNS = "row, steady, pay_floor, commute_m, skills, wanted, n_wanted, registered, key"


def _located(kind: str) -> str:
    """The query of a kind of post that has a place and hours; parameters in the order of `PostgreSQL.top`."""
    w = policy().weights
    mask = f"bit({SLOTS_PER_WEEK})"
    types = f"int, int, int, int, int, int, int, int, box, {mask}, float8, float8, float8, {mask}"
    overlap = f"(bit_count(free & $10) * {SLOT_MINUTES})::int"
    chord = "(x-$11)*(x-$11) + (y-$12)*(y-$12) + (z-$13)*(z-$13)"
    near = (
        f"SELECT {_COLUMNS}, sqrt({chord}) / 2.0::float8 AS half, {overlap} AS overlap FROM seekers "
        f"WHERE {kind} AND pay_floor <= $1 AND skills & $2 = $2 AND placed_on <> $8 AND reach @> $9 "
        f"AND (placed_on < 0 OR busy & $10 = $14) AND {overlap} >= $6"
    )
    series = "1.0::float8/6 + half*half*(3.0::float8/40 + half*half*(5.0::float8/112))"
    arc = f"half * (1.0::float8 + half*half*({series}))"
    metres = f"floor({2.0 * EARTH_RADIUS_M!r}::float8 * ({arc}) + 0.5::float8)::int"
    score = [
        f"{w.time_fit} * ({PART_MAX} * overlap / $5)",
        f"{w.distance} * ({PART_MAX} * (commute_m - away) / commute_m)",
        _rest(),
    ]
    # OFFSET 0 keeps the planner from computing the distance once for each place where it is used.
    source = f"(SELECT *, {metres} AS away FROM ({near} OFFSET 0) near OFFSET 0) far WHERE away <= commute_m"
    return _best(kind, types, " + ".join(score), source)


def _anywhere(kind: str) -> str:
    """The query of a kind of post without place and hours."""
    w = policy().weights
    source = f"seekers WHERE {kind} AND pay_floor <= $1 AND skills & $2 = $2 AND placed_on <> $8"
    full = (w.time_fit + w.distance) * PART_MAX
    return _best(kind, "int, int, int, int, int, int, int, int", f"{full} + {_rest()}", source)


def _rest() -> str:
    """The parts of a score that every kind of post has."""
    w = policy().weights
    held = f"CASE WHEN $4 > 0 THEN {PART_MAX} * bit_count((skills & $3)::bit(32)) / $4 ELSE {PART_MAX} END"
    surplus = f"least({PART_MAX}, {PART_MAX} * ($1 - pay_floor) / greatest(pay_floor, 1))"
    share = f"{PART_MAX} * bit_count((wanted & $7)::bit(8)) / greatest(n_wanted, 1)"
    return (
        f"{w.skills} * ({held}) + {w.pay} * (CASE WHEN pay_floor > 0 THEN {surplus} ELSE {PART_MAX} END) "
        f"+ {w.facilities} * (CASE WHEN n_wanted > 0 THEN {share} ELSE {PART_MAX} END)"
    )


def _best(kind: str, types: str, score: str, source: str) -> str:
    return (
        f"PREPARE best_{kind} ({types}) AS SELECT row, (steady + {score})::int AS score FROM {source} "
        f"ORDER BY score DESC, registered, key LIMIT {LIMIT}"
    )


def _bits(words: tuple[int, ...]) -> str:
    """A week mask as PostgreSQL writes bits."""
    mask = sum(word << 64 * place for place, word in enumerate(words))
    return format(mask, f"0{SLOTS_PER_WEEK}b")
