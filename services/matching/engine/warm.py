"""Compiling the ranking functions ahead of the first event: `python -m services.matching.engine.warm`.

They are compiled once for a machine and kept (`bits.cache_dir`); with that, a start takes a fraction of a second. An
image ships what was compiled when it was built (Dockerfile); where the processor is of another kind, Numba passes that
over and compiles anew.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from services.matching.domain import Employer, Fact, Placement, Post, Seeker, Shift
from services.matching.engine.bits import cache_dir, forget_old, kept_in
from services.matching.engine.engine import Engine
from shared.kernel.geo import Place, vector_of

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CITY = "100000"

OTHERS_KEPT = 7
"""Compiled states of the source that are kept beside the present one, some 15 MB each."""


def warm() -> float:
    """Run every compiled function once on a city of two. Returns the seconds that it took."""
    started = time.perf_counter()
    take_shipped(Path(sys.prefix) / cache_dir().parent.name / cache_dir().name, kept_in())
    seeker_id, post_id, place = f"skr-{1:032x}", f"pst-{1:032x}", vector_of(Place(37.5, 121.4))
    seeker = Seeker(
        home=place,
        limit_m=5000,
        free=15,
        skills=frozenset(),
        kinds=frozenset({"team"}),
        facilities=frozenset(),
        pay_floor_fen=1000,
        eligible_until=date(2030, 1, 1),
        registered_at=_AT,
    )
    post = Post(
        employer_id=f"emp-{1:032x}",
        station_id=None,
        kind="team",
        location=place,
        hours=15,
        min_minutes=60,
        skills_required=frozenset(),
        skills_desired=frozenset(),
        expected_hourly_fen=2000,
        seats=1,
        facilities=frozenset(),
        urgent=False,
        opened_at=_AT,
        closes_at=None,
    )
    engine = Engine(_AT)
    engine.apply([Fact("seeker", seeker_id, 1, _CITY, seeker), Fact("post", post_id, 1, _CITY, post)])
    engine.apply([Fact("shift", f"sft-{1:032x}", 1, _CITY, Shift(seeker_id, "attended", date(2026, 1, 1)))])
    engine.apply([Fact("employer", post.employer_id, 1, _CITY, Employer(active=True))])
    engine.apply([Fact("placement", f"plc-{1:032x}", 1, _CITY, Placement(post_id, seeker_id, 1))])
    engine.advance(_AT + timedelta(days=8))
    engine.ranking(post_id)
    engine.ranking(post_id, 1000)
    engine.best_posts(seeker_id)
    other = Engine(_AT)
    other.restore(_CITY, engine.dump(_CITY))
    return time.perf_counter() - started


def take_shipped(shipped: Path, kept: Path) -> None:
    """Bring what was compiled with the installation to where it is kept, if that is elsewhere: it must be writable.

    Raises:
        OSError: it cannot be written there.
    """
    if shipped == kept or not shipped.is_dir():
        return
    for file in shipped.rglob("*.nb*"):
        target = kept / file.relative_to(shipped)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(f".{os.getpid()}.part")
            shutil.copyfile(file, part)
            part.replace(target)  # whole or not at all: another instance may be reading
    forget_old(OTHERS_KEPT)


if __name__ == "__main__":
    taken_s = warm()
    forget_old(OTHERS_KEPT)
    print(f"mamapost: ranking functions ready in {taken_s:.1f} s, kept in {kept_in()}")  # noqa: T201
