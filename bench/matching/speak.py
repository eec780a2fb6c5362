"""A city's rows in the words of others: as facts of the domain, and as messages of the bus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.matching.mix import Change, Stream
from bench.matching.patterns import FACILITIES, FREE, HOURS, KINDS, SKILL_NAMES, mask_of_words, names_in
from bench.matching.tables import CITY, VERDICTS, City, Table, ids
from services.matching.domain import Employer, Fact, Placement, Post, Seeker, Shift, Station
from shared.kernel.geo import Vector

CHUNK = 100_000
"""Rows that become Python objects at a time: a million at once would weigh more than what is measured."""


def seeker_facts(rows: Table) -> list[Fact]:
    """What is known of seekers; nothing of those who withdrew."""
    columns = (
        ids("skr", rows),
        *(
            rows[name].tolist()
            for name in ("version", "alive", "x", "y", "z", "commute_km", "free", "skills", "kinds", "facilities")
        ),
        rows["pay_floor_fen"].tolist(),
        rows["eligible_until"].tolist(),
        _instants(rows["registered_at"]),
    )
    facts = []
    for id_, version, alive, x, y, z, km, free, skills, kinds, wanted, floor, until, since in zip(
        *columns, strict=True
    ):
        state = (
            Seeker(
                home=Vector(x, y, z),
                limit_m=km * 1000,
                free=FREE.masks[free],
                skills=names_in(skills, SKILL_NAMES),
                kinds=names_in(kinds, KINDS),
                facilities=names_in(wanted, FACILITIES),
                pay_floor_fen=floor,
                eligible_until=until,
                registered_at=since,
            )
            if alive
            else None
        )
        facts.append(Fact("seeker", id_, version, CITY, state))
    return facts


def post_facts(rows: Table, city: City) -> list[Fact]:
    """What is known of posts; nothing of those that are closed."""
    columns = (
        ids("pst", rows),
        ids("emp", city.employers[rows["employer"]]),
        ids("stn", city.stations[rows["station"]]),
        *(rows[name].tolist() for name in ("version", "alive", "station", "kind", "located", "x", "y", "z", "hours")),
        *(rows[name].tolist() for name in ("min_minutes", "required", "desired", "pay_fen", "seats", "facilities")),
        rows["urgent"].tolist(),
        _instants(rows["opened_at"]),
        _instants(rows["closes_at"]),
    )
    facts = []
    for values in zip(*columns, strict=True):
        id_, employer, station, version, alive, has_station, kind, located, x, y, z, hours = values[:12]
        asked, required, desired, pay, seats, offered, urgent, opened_at, closes_at = values[12:]
        state = (
            Post(
                employer_id=employer,
                station_id=station if has_station >= 0 else None,
                kind=KINDS[kind],
                location=Vector(x, y, z) if located else None,
                hours=HOURS.masks[hours],
                min_minutes=asked,
                skills_required=names_in(required, SKILL_NAMES),
                skills_desired=names_in(desired, SKILL_NAMES),
                expected_hourly_fen=pay,
                seats=seats,
                facilities=names_in(offered, FACILITIES),
                urgent=urgent,
                opened_at=opened_at,
                closes_at=closes_at,
            )
            if alive
            else None
        )
        facts.append(Fact("post", id_, version, CITY, state))
    return facts


def placement_facts(rows: Table, city: City) -> list[Fact]:
    """Who works where."""
    seekers, posts = ids("skr", city.seekers[rows["seeker"]]), ids("pst", city.posts[rows["post"]])
    return [
        Fact("placement", id_, version, CITY, Placement(post, seeker, mask_of_words(hours)))
        for id_, version, post, seeker, hours in zip(
            ids("plc", rows), rows["version"].tolist(), posts, seekers, rows["hours"], strict=True
        )
    ]


def shift_facts(rows: Table, city: City) -> list[Fact]:
    """How shifts went."""
    seekers = ids("skr", city.seekers[city.placements["seeker"][rows["placement"]]])
    return [
        Fact("shift", id_, version, CITY, Shift(seeker, VERDICTS[verdict], day))
        for id_, version, seeker, verdict, day in zip(
            ids("sft", rows),
            rows["version"].tolist(),
            seekers,
            rows["verdict"].tolist(),
            rows["day"].tolist(),
            strict=True,
        )
    ]


def employer_facts(rows: Table) -> list[Fact]:
    return [Fact("employer", id_, 1, CITY, Employer(active=True)) for id_ in ids("emp", rows)]


def station_facts(rows: Table) -> list[Fact]:
    return [
        Fact("station", id_, 1, CITY, Station(accepted, names_in(facilities, FACILITIES)))
        for id_, accepted, facilities in zip(
            ids("stn", rows), rows["accepted"].tolist(), rows["facilities"].tolist(), strict=True
        )
    ]


def city_facts(city: City, chunk: int = CHUNK) -> Iterator[list[Fact]]:
    """All of a city, a chunk at a time, in the order in which it came to be."""
    yield employer_facts(city.employers) + station_facts(city.stations)
    posts, seekers = city.posts[city.posts["version"] > 0], city.seekers[city.seekers["version"] > 0]
    for rows in pieces(posts, chunk):
        yield post_facts(rows, city)
    for rows in pieces(seekers, chunk):
        yield seeker_facts(rows)
    for rows in pieces(city.placements, chunk):
        yield placement_facts(rows, city)
    for rows in pieces(city.shifts, chunk):
        yield shift_facts(rows, city)


def stream_facts(stream: Stream, city: City) -> list[Fact]:
    """Events of the mix, in order."""
    change, place = stream.change, stream.place
    facts: list[Any] = [None] * len(stream)
    sides = (
        ((Change.SHIFT,), shift_facts(stream.shifts, city)),
        ((Change.SEEKER, Change.WITHDRAWN), seeker_facts(stream.seekers)),
        ((Change.POST, Change.CLOSED), post_facts(stream.posts, city)),
    )
    for kinds, said in sides:
        for event in np.flatnonzero(np.isin(change, kinds)).tolist():
            facts[event] = said[place[event]]
    return facts


def pieces(rows: Table, size: int) -> Iterator[Table]:
    """A table in pieces."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _instants(column: Any) -> list[Any]:
    """Instants in UTC; `None` where there is none."""
    missing = np.isnat(column).tolist()
    numbers = column.astype("M8[ms]").astype(np.int64).tolist()
    return [
        None if gone else _EPOCH + timedelta(milliseconds=number) for gone, number in zip(missing, numbers, strict=True)
    ]
