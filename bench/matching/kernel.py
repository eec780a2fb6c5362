"""The reference in C: compiled where there is a compiler, given the same columns, judged by the same lists."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.matching.check import ListsDiffer
from bench.matching.mix import Change, Stream
from bench.matching.pairs import Columns, top
from bench.matching.play import policy
from bench.matching.tables import City
from services.matching.domain import TOP_SEEKERS
from shared.kernel.geo import EARTH_RADIUS_M

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-std=c11", "-D_POSIX_C_SOURCE=199309L", "-shared", "-fPIC")
"""Without contraction: a fused multiply-add would round a distance otherwise than the definition."""

PAIRS_MAX = 2_000_000_000
"""Seekers times posts that it is given: it has no grid, so a larger city's first lists would take it minutes."""

PAIRS_QUICK = 50_000_000

LISTS = 20


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled code, or `None` where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        subprocess.run([compiler, *FLAGS, "-o", str(target), str(SOURCE), "-lm"], check=True)
        library = ctypes.CDLL(str(target))
    library.build.restype = ctypes.c_void_p
    library.run.restype = ctypes.c_int64
    return library


def c_kernel(before: City, stream: Stream, seconds: float, pairs_most: int = PAIRS_MAX) -> float | str:
    """Events a second of the C kernel, or why it was not run.

    Raises:
        ListsDiffer: its lists are not the pure function's.
    """
    before = before.copy(*stream.rows(before))
    if len(before.seekers) * len(before.posts) > pairs_most:
        return (
            f"C kernel at {len(before.seekers):,} x {len(before.posts):,}: it has no grid, its first lists take minutes"
        )
    library = _library()
    if library is None:
        return "C kernel: no gcc or cc here"
    city = before.copy()
    columns = Columns(city, policy())
    events = Columns(replace(city, seekers=stream.seekers, posts=stream.posts), policy())
    steady = _steady_after(before, columns, stream)
    weights = policy().weights
    keep: list[Any] = []
    rules = _rules(keep, weights.time_fit, weights.distance, weights.skills, weights.pay, weights.facilities)
    tie_s = _ties(
        _last(columns.registered, stream, events.registered, (Change.SEEKER, Change.WITHDRAWN)),
        _last(columns.seeker_key, stream, events.seeker_key, (Change.SEEKER, Change.WITHDRAWN)),
    )
    tie_p = _ties(
        _last(columns.opened, stream, events.opened, (Change.POST, Change.CLOSED)),
        _last(columns.post_key, stream, events.post_key, (Change.POST, Change.CLOSED)),
    )
    held_s, held_p = _seekers(keep, columns), _posts(keep, columns)
    event_s, event_p = _seekers(keep, events), _posts(keep, events)
    n, m = ctypes.c_int32(len(city.seekers)), ctypes.c_int32(len(city.posts))
    kernel = ctypes.c_void_p(library.build(rules, held_s, n, held_p, m, _at(keep, tie_s), _at(keep, tie_p)))
    if kernel.value is None:
        raise MemoryError("the C kernel could not be built")
    try:
        taken = ctypes.c_double()
        streamed = [_at(keep, np.ascontiguousarray(column)) for column in (stream.change, stream.row, stream.place)]
        done = library.run(
            kernel,
            ctypes.c_int64(len(stream)),
            *streamed,
            _at(keep, stream.who.astype(np.int32)),
            _at(keep, steady),
            event_s,
            event_p,
            ctypes.c_double(seconds),
            ctypes.byref(taken),
        )
        _judge(library, kernel, _after(before, stream, done))
    finally:
        library.drop(kernel)
    return float(done / taken.value)


def _after(before: City, stream: Stream, events: int) -> City:
    """The city after so many of a stream's events."""
    city = before.copy()
    for change, row, place in zip(
        stream.change[:events].tolist(), stream.row[:events].tolist(), stream.place[:events].tolist(), strict=True
    ):
        match change:
            case Change.SHIFT:
                mine = city.seekers[stream.who[place] : stream.who[place] + 1]
                mine["attended"], mine["left_early"], mine["shifts"] = stream.counts[place]
            case Change.SEEKER | Change.WITHDRAWN:
                city.seekers[row] = stream.seekers[place]
            case _:
                city.posts[row] = stream.posts[place]
    return city


def _judge(library: ctypes.CDLL, kernel: ctypes.c_void_p, city: City) -> None:
    columns = Columns(city, policy())
    who, score = np.zeros(64, np.int32), np.zeros(64, np.int64)
    for row in np.random.default_rng(1).choice(len(city.posts), LISTS, replace=False).tolist():
        count = library.list_of_post(kernel, ctypes.c_int32(row), who.ctypes.data_as(_ANY), score.ctypes.data_as(_ANY))
        found = who[:count].astype(np.intp), score[:count]
        served = top(*found, columns.registered, columns.seeker_key, TOP_SEEKERS)
        if served != top(*columns.seekers_for(row), columns.registered, columns.seeker_key, TOP_SEEKERS):
            raise ListsDiffer(f"post {row}: the C kernel's list")


def _steady_after(before: City, columns: Columns, stream: Stream) -> npt.NDArray[np.int32]:
    """The post-independent part of each shift event's seeker, after it."""
    rows = before.seekers[stream.who]
    rows["attended"], rows["left_early"], rows["shifts"] = stream.counts.T
    spare = Columns.__new__(Columns)
    spare.policy, spare.at_ms = columns.policy, columns.at_ms
    spare.steady = np.zeros(len(rows), np.int32)
    spare.put_steady(slice(0, len(rows)), rows)
    return spare.steady


def _last(
    held: npt.NDArray[Any], stream: Stream, said: npt.NDArray[Any], changes: tuple[Change, ...]
) -> npt.NDArray[Any]:
    """A column with what the events say of those who are new."""
    found = held.copy()
    at = np.flatnonzero(np.isin(stream.change, changes))
    found[..., stream.row[at]] = said[..., stream.place[at]]
    return found


def _ties(since: npt.NDArray[np.int64], key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Places in the order of ties, the largest first."""
    ties = np.empty(len(since), np.uint32)
    ties[np.lexsort((key[1], key[0], since))] = np.arange(len(since), 0, -1)
    return ties


_ANY = ctypes.c_void_p


def _at(keep: list[Any], column: npt.NDArray[Any]) -> Any:
    keep.append(column)  # alive as long as C looks at it
    return column.ctypes.data_as(_ANY)


def _struct(keep: list[Any], *columns: npt.NDArray[Any]) -> Any:
    """A C struct of pointers."""
    struct = (ctypes.c_void_p * len(columns))(*(_at(keep, np.ascontiguousarray(c)).value for c in columns))
    keep.append(struct)
    return ctypes.byref(struct)


def _seekers(keep: list[Any], c: Columns) -> Any:
    return _struct(
        keep, *(c.kinds, c.wanted, c.floor, c.limit, c.placed_on, c.steady, c.skills, c.home.T, c.free.T, c.busy.T)
    )


def _posts(keep: list[Any], c: Columns) -> Any:
    located = c.located.astype(np.uint8)
    return _struct(
        keep, *(c.kind, located, c.offered, c.pay, c.minutes, c.asked, c.required, c.desired, c.place.T, c.hours.T)
    )


def _rules(keep: list[Any], *weights: int) -> Any:
    class Rules(ctypes.Structure):
        _fields_ = (("weights", ctypes.c_int64 * len(weights)), ("radius_m", ctypes.c_double))

    rules = Rules((ctypes.c_int64 * len(weights))(*weights), EARTH_RADIUS_M)
    keep.append(rules)
    return ctypes.byref(rules)
