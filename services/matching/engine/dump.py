"""A city as plain arrays, for a checkpoint or a copy, and back. Indexes and tables are made anew: that is faster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from services.matching.domain import (
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Limits,
    Policy,
    Schedule,
    State,
    Station,
    Weights,
)
from services.matching.engine import layout
from services.matching.engine.bits import enter_all
from services.matching.engine.city import Sizes
from services.matching.engine.reading import instant
from services.matching.engine.shard import Shard
from services.matching.engine.staging import FACILITIES_OF, FACILITY_BITS_OF, HoursBook, SkillBook, ms_of

VERSION = 4
"""Rises with every change of what the arrays mean."""

Array = npt.NDArray[np.generic]


def dump(shard: Shard) -> dict[str, Array]:
    """All that is known of a city, as arrays that share its memory."""
    arrays, city = shard.arrays, shard.arrays.city
    seekers, posts = arrays.seekers, arrays.posts
    return {
        "seekers": _bytes(city.seekers, seekers),
        "posts": _bytes(city.posts, posts),
        "seeker_more": city.seeker_more[:seekers],
        "post_more": city.post_more[:posts],
        "tops": _bytes(city.tops, posts),
        "bests": _bytes(city.bests, seekers),
        "shifts": _bytes(arrays.shifts, arrays.shift_rows),
        "busy_hours": city.busy_hours,
        "busy_posts": city.busy_posts,
        "minutes": arrays.tables.minutes,
        "placements": shard.placements.dump(),
        "rest": np.frombuffer(msgspec.msgpack.encode(_rest(shard)), np.uint8),
    }


def restore(city: str, dumped: Mapping[str, Array], sizes: Sizes) -> Shard:
    """The city whose arrays these are; they are copied.

    Raises:
        ValueError: they are not of this layout.
    """
    try:
        rest = msgspec.msgpack.decode(dumped["rest"].tobytes())
        shard = Shard(city, _policy(rest["policy"]), instant(rest["at_ms"]), sizes)
        shard.hours = HoursBook([int.from_bytes(mask, "little") for mask in rest["hours"]])
        shard.arrays.know_hours(shard.hours.masks)
        _restore_arrays(shard, dumped)
        taken = [int.from_bytes(mask, "little") for mask in rest["hours_taken"]]
        shard.placements.restore(dumped["placements"], taken)
    except (KeyError, TypeError, msgspec.DecodeError) as error:
        raise ValueError(f"not a dumped city: {type(error).__name__}") from error
    shard.book = SkillBook(rest["skills"])
    shard.employers_known(rest["employers"])
    shard.stations_known(rest["stations"])
    shard.declared = {id_: int(mask, 16) for id_, mask in rest["declared"].items()}
    for kind, facts in rest["facts"].items():
        for id_, version, state in facts:
            shard.recall(Fact(kind, id_, version, city, None if state is None else _STATES[kind](state)))
    shard.await_closings()
    return shard


def _restore_arrays(shard: Shard, dumped: Mapping[str, Array]) -> None:
    arrays = shard.arrays
    seekers, posts, shifts = (len(dumped[name]) for name in ("seekers", "posts", "shifts"))
    more = dumped["seeker_more"].shape[1]
    arrays.make_room(seekers, posts, shifts, more)
    city = arrays.city
    for name, kept in (("seekers", city.seekers), ("posts", city.posts), ("tops", city.tops), ("bests", city.bests)):
        _bytes(kept, len(dumped[name]))[:] = dumped[name]
    _bytes(arrays.shifts, shifts)[:] = dumped["shifts"]
    city.seeker_more[:seekers] = dumped["seeker_more"]
    city.post_more[:posts] = dumped["post_more"]
    arrays.city = city = city._replace(
        busy_hours=cast(layout.U64, dumped["busy_hours"].copy()),
        busy_posts=cast(layout.I32, dumped["busy_posts"].copy()),
    )
    arrays.tables.minutes[:] = dumped["minutes"]
    city.work.counts[layout.SEEKERS : layout.SHIFTS + 1] = seekers, posts, shifts
    enter_all(arrays.tables.seekers, city.seekers.key, 0, seekers)
    enter_all(arrays.tables.posts, city.posts.key, 0, posts)
    enter_all(arrays.tables.shifts, arrays.shifts.key, 0, shifts)
    arrays.recount_busy()
    arrays.reindex(0, 0)


def _bytes(records: object, rows: int) -> npt.NDArray[np.uint8]:
    """The first records as rows of bytes, in the same memory."""
    array = cast(npt.NDArray[np.void], records).view(np.ndarray)
    return array[:rows].view(np.uint8).reshape(rows, array.dtype.itemsize)


# --- what is not in arrays ---


def _rest(shard: Shard) -> dict[str, Any]:
    return {
        "at_ms": ms_of(shard.at),
        "policy": _policy_row(shard.policy),
        "skills": shard.book.names,
        "hours": [mask.to_bytes(layout.MASK_BYTES, "little") for mask in shard.hours.masks],
        "hours_taken": [mask.to_bytes(layout.MASK_BYTES, "little") for mask in shard.placements.masks],
        "employers": shard.employer_ids,
        "stations": shard.station_ids,
        "declared": {id_: f"{mask:x}" for id_, mask in shard.declared.items()},
        "facts": {
            kind: [(fact.id, fact.version, None if fact.state is None else _row(fact.state)) for fact in facts.values()]
            for kind, facts in shard.facts.items()
        },
    }


def _row(state: State) -> Any:
    match state:
        case Employer(active):
            return active
        case Station(accepted, facilities):
            return accepted, FACILITY_BITS_OF[facilities]
        case Certificate(seeker_id, skill, valid_until):
            return seeker_id, skill, None if valid_until is None else valid_until.toordinal()
        case Schedule(policies):
            return [_policy_row(policy) for policy in policies]
        case _:
            raise TypeError("seekers, posts, placements and shifts are in arrays")


def _policy_row(policy: Policy) -> tuple[Any, ...]:
    limits = policy.limits
    return (
        *(policy.city, policy.version, policy.valid_from.toordinal()),
        *(list(policy.weights), limits.commute_max_m, limits.waiting_full_weeks),
    )


def _policy(row: Any) -> Policy:
    city, version, valid_from, weights, commute_max_m, waiting_full_weeks = row
    return Policy(
        city, version, date.fromordinal(valid_from), Weights(*weights), Limits(commute_max_m, waiting_full_weeks)
    )


_STATES: dict[EntityKind, Any] = {
    "employer": lambda row: Employer(row),
    "station": lambda row: Station(row[0], FACILITIES_OF[row[1]]),
    "certificate": lambda row: Certificate(row[0], row[1], None if row[2] is None else date.fromordinal(row[2])),
    "policy": lambda rows: Schedule(tuple(_policy(row) for row in rows)),
}
