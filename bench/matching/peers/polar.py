"""Polars: the seekers as a data frame, filtered and ranked by one lazy query.

Tuning: one thread, like ours; columns in the narrowest types; cheap filters in one pass before the dear columns are
computed of what is left; week masks as six words with `bitwise_count_ones`; words that are empty in a post's week are
left out of its query; a small change writes one cell, without a copy of the frame.
"""

from __future__ import annotations

import importlib
import os
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np

from bench.matching.peers.peer import KIND_COLUMNS, LIMIT, SLOT_MINUTES, Answer, Ask, Missing, Woman
from bench.matching.play import policy
from services.matching.domain.policy import PART_MAX
from shared.kernel.geo import EARTH_RADIUS_M

WORDS = range(6)
TYPES: dict[str, str] = {
    "row": "i4",
    **dict.fromkeys(KIND_COLUMNS, "?"),
    "pay_floor": "i4",
    "commute_m": "i4",
    "skills": "u4",
    "wanted": "u1",
    "n_wanted": "i4",
    "x": "f8",
    "y": "f8",
    "z": "f8",
    **{f"free{word}": "u8" for word in WORDS},
    **{f"busy{word}": "u8" for word in WORDS},
    "placed_on": "i4",
    "steady": "i4",
    "registered": "i8",
    "key_high": "u8",
    "key_low": "u8",
}


class Polars:
    """A data frame in this process."""

    name = "Polars"

    def __init__(self) -> None:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
        try:
            self._pl: Any = importlib.import_module("polars")
        except ImportError:
            raise Missing("Polars: needs the package polars (make bench-peers)") from None
        self.how = f"{self._pl.__version__}, lazy, {self._pl.thread_pool_size()} thread"

    def load(self, women: list[Woman]) -> None:
        values = list(zip(*map(_values, women), strict=True))
        self._place = {woman.row: place for place, woman in enumerate(women)}
        self._frame = self._pl.DataFrame(
            {name: np.array(column, kind) for (name, kind), column in zip(TYPES.items(), values, strict=True)}
        )

    def put(self, woman: Woman) -> None:
        place = self._place.get(woman.row)
        if place is None:
            self._place[woman.row] = self._frame.height
            row = {
                name: np.array([value], kind) for (name, kind), value in zip(TYPES.items(), _values(woman), strict=True)
            }
            self._frame = self._frame.vstack(self._pl.DataFrame(row))
            return
        for name, value in zip(TYPES, _values(woman), strict=True):
            self._frame[place, name] = value

    def put_steady(self, row: int, steady: int) -> None:
        self._frame[self._place[row], "steady"] = steady

    def top(self, ask: Ask) -> Answer:
        pl, col, w = self._pl, self._pl.col, policy().weights
        keep = [col(KIND_COLUMNS[ask.kind]), col("pay_floor") <= ask.pay, col("placed_on") != ask.row]
        if ask.required:
            keep.append(col("skills") & pl.lit(ask.required, pl.UInt32) == ask.required)
        query = self._frame.lazy()
        score = [col("steady")]
        if ask.located:
            dx, dy, dz = col("x") - ask.x, col("y") - ask.y, col("z") - ask.z
            # A chord is shorter than its arc by less than a millionth within a city, so this filter is only coarse.
            reach = col("commute_m") / EARTH_RADIUS_M + 1e-6
            query = query.filter(reduce(and_, keep)).with_columns(square=dx * dx + dy * dy + dz * dz)
            query = query.filter(col("square") <= reach * reach)
            used = [(place, word) for place, word in enumerate(ask.words) if word]
            shared = [col(f"free{place}") & pl.lit(word, pl.UInt64) for place, word in used]
            clash = [col(f"busy{place}") & pl.lit(word, pl.UInt64) for place, word in used]
            slots = pl.sum_horizontal([word.bitwise_count_ones().cast(pl.Int32) for word in shared])
            half = col("square").sqrt() / 2.0
            series = 1.0 / 6.0 + half * half * (3.0 / 40.0 + half * half * (5.0 / 112.0))
            metres = 2.0 * EARTH_RADIUS_M * (half * (1.0 + half * half * series)) + 0.5
            query = query.with_columns(away=metres.floor().cast(pl.Int32), overlap=slots * SLOT_MINUTES)
            query = query.filter(
                (col("away") <= col("commute_m")) & (col("overlap") >= ask.asked) & (reduce(or_, clash) == 0)
            )
            score.append(w.time_fit * (PART_MAX * col("overlap") // ask.minutes))
            score.append(w.distance * (PART_MAX * (col("commute_m") - col("away")) // col("commute_m")))
        else:
            query = query.filter(reduce(and_, keep))
            score.append(pl.lit((w.time_fit + w.distance) * PART_MAX, pl.Int32))
        if ask.n_desired:
            held = (col("skills") & pl.lit(ask.desired, pl.UInt32)).bitwise_count_ones().cast(pl.Int32)
            score.append(w.skills * (PART_MAX * held // ask.n_desired))
        else:
            score.append(pl.lit(w.skills * PART_MAX, pl.Int32))
        surplus = (PART_MAX * (ask.pay - col("pay_floor")) // col("pay_floor")).clip(upper_bound=PART_MAX)
        score.append(w.pay * pl.when(col("pay_floor") > 0).then(surplus).otherwise(PART_MAX))
        offered = (col("wanted") & pl.lit(ask.offered, pl.UInt8)).bitwise_count_ones().cast(pl.Int32)
        share = pl.when(col("n_wanted") > 0).then(PART_MAX * offered // col("n_wanted")).otherwise(PART_MAX)
        score.append(w.facilities * share)
        total = reduce(lambda a, b: a + b, score).alias("score")
        best = (
            query.select("row", total, "registered", "key_high", "key_low")
            .sort(["score", "registered", "key_high", "key_low"], descending=[True, False, False, False])
            .head(LIMIT)
            .select("row", "score")
            .collect()
        )
        found: Answer = best.rows()
        return found

    def close(self) -> None:
        del self._frame


def _values(woman: Woman) -> tuple[Any, ...]:
    return (
        woman.row,
        *(bool(woman.kinds >> place & 1) for place in range(len(KIND_COLUMNS))),
        *(woman.floor, woman.limit, woman.skills, woman.wanted, woman.wanted.bit_count(), woman.x, woman.y, woman.z),
        *woman.free,
        *woman.busy,
        *(woman.placed_on, woman.steady, woman.registered, int(woman.key[:16], 16), int(woman.key[16:], 16)),
    )
