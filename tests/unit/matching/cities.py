"""Random and seeded programmes for the tests of matching."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st
from msgspec import structs

from services.matching.domain import (
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Limits,
    Placement,
    Policy,
    Post,
    Schedule,
    Seeker,
    Shift,
    State,
    Station,
    Weights,
    policy_id_of,
)
from services.matching.domain.state import Facility, PostKind, ShiftVerdict
from shared.kernel.geo import Place, coarse, vector_of
from shared.kernel.ids import PREFIXES
from shared.kernel.week import mask_of
from tests.unit.matching.wire import id_of

NOW = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
YANTAI, ELSEWHERE = "370600", "441200"
KINDS: tuple[PostKind, ...] = ("elastic", "team", "mobile", "new-form")
FACILITIES: tuple[Facility, ...] = ("child-care-room", "nursing-room", "shuttle-bus", "parental-leave")
VERDICTS: tuple[ShiftVerdict, ...] = ("attended", "left-early", "no-show")
SKILLS = tuple(f"skill-{number}" for number in range(70))
"""More than fit one machine word."""

SEEKERS, POSTS = 9, 6
"""How many of each a random city has."""


def seeker(**changes: object) -> Seeker:
    """A seeker whom the post of `post()` suits."""
    base = Seeker(
        home=vector_of(Place(37.46, 121.445)),
        limit_m=10_000,
        free=mask_of([(day, "08:00", "12:00") for day in range(1, 6)]),
        skills=frozenset({"sewing", "packing"}),
        kinds=frozenset({"elastic", "mobile"}),
        facilities=frozenset(),
        pay_floor_fen=1500,
        eligible_until=date(2030, 1, 31),
        registered_at=datetime(2026, 1, 5, 1, tzinfo=UTC),
    )
    return structs.replace(base, **changes)


def post(**changes: object) -> Post:
    """A post near the seeker of `seeker()`, on weekday mornings."""
    base = Post(
        employer_id=id_of("emp", 1),
        station_id=None,
        kind="elastic",
        location=vector_of(Place(37.47, 121.45)),
        hours=mask_of([(day, "08:30", "11:30") for day in range(1, 6)]),
        min_minutes=600,
        skills_required=frozenset({"sewing"}),
        skills_desired=frozenset({"packing"}),
        expected_hourly_fen=1800,
        seats=2,
        facilities=frozenset(),
        urgent=False,
        opened_at=datetime(2026, 2, 1, tzinfo=UTC),
        closes_at=None,
    )
    return structs.replace(base, **changes)


def _some_skills() -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from((*SKILLS[:4], *SKILLS[-2:])), max_size=3)


_places = st.builds(
    lambda lat, lon: vector_of(coarse(Place(37.4 + lat * 0.005, 121.4 + lon * 0.005))),
    st.integers(0, 12),
    st.integers(0, 12),
)
_far = st.just(vector_of(Place(40.5, 121.4)))
_masks = st.one_of(
    st.just(mask_of([(day, "08:00", "12:00") for day in range(1, 6)])),
    st.just(mask_of([(day, "09:00", "16:30") for day in range(1, 8)])),
    st.just(mask_of([(6, "00:00", "24:00"), (7, "13:00", "13:30")])),
    st.just(0),
)
_instants = st.integers(0, 3).map(lambda days: datetime(2026, 2, 26 - days, 16, 30, tzinfo=UTC))


@st.composite
def _seekers(draw: st.DrawFn) -> Seeker:
    return Seeker(
        home=draw(_places),
        limit_m=draw(st.sampled_from((1000, 3000, 9000, 100_000))),
        free=draw(_masks),
        skills=draw(_some_skills()),
        kinds=draw(st.frozensets(st.sampled_from(KINDS), min_size=1)),
        facilities=draw(st.frozensets(st.sampled_from(FACILITIES))),
        pay_floor_fen=draw(st.sampled_from((0, 1, 1500, 2000))),
        eligible_until=draw(
            st.sampled_from((date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 10), date(2031, 5, 31)))
        ),
        registered_at=draw(_instants),
    )


def _ids(prefix: str, city: str, count: int) -> tuple[str, ...]:
    """Ids of one city; no entity is ever in two."""
    return tuple(id_of(prefix, number + (100 if city == ELSEWHERE else 0)) for number in range(count))


@st.composite
def _posts(draw: st.DrawFn, city: str) -> Post:
    closes = st.sampled_from((NOW, NOW + timedelta(hours=1), NOW + timedelta(days=2)))
    return Post(
        employer_id=draw(st.sampled_from(_ids("emp", city, 2))),
        station_id=draw(st.sampled_from((None, None, *_ids("stn", city, 2)))),
        kind=draw(st.sampled_from(KINDS)),
        location=draw(st.one_of(st.none(), _places, _places, _far)),
        hours=draw(_masks),
        min_minutes=draw(st.sampled_from((0, 30, 600, 1500))),
        skills_required=draw(st.one_of(st.just(frozenset[str]()), _some_skills())),
        skills_desired=draw(_some_skills()),
        expected_hourly_fen=draw(st.sampled_from((0, 1500, 1999, 2500, 10**13))),
        seats=draw(st.integers(1, 2)),
        facilities=draw(st.frozensets(st.sampled_from(FACILITIES))),
        urgent=draw(st.booleans()),
        opened_at=draw(_instants),
        closes_at=draw(st.one_of(st.none(), st.none(), closes)),
    )


def _of(
    kind: EntityKind, ids: tuple[str, ...], city: str, states: st.SearchStrategy[State | None]
) -> st.SearchStrategy[Fact]:
    return st.builds(Fact, st.just(kind), st.sampled_from(ids), st.integers(1, 9), st.just(city), states)


def _facts_of(city: str) -> st.SearchStrategy[Fact]:
    seekers, posts = _ids("skr", city, SEEKERS), _ids("pst", city, POSTS)
    stations = st.builds(Station, st.booleans(), st.frozensets(st.sampled_from(FACILITIES)))
    placements = st.builds(Placement, st.sampled_from(posts), st.sampled_from(seekers), _masks)
    certificates = st.builds(
        Certificate,
        st.sampled_from(seekers),
        st.sampled_from(SKILLS[:4]),
        st.sampled_from((None, date(2026, 3, 9), date(2026, 3, 1), date(2026, 3, 10))),
    )
    days = st.sampled_from((date(2026, 3, 8), date(2025, 3, 10), date(2025, 3, 9), date(2024, 1, 1)))
    shifts = st.builds(Shift, st.sampled_from(seekers), st.sampled_from(VERDICTS), days)
    over = st.none()
    schedules = st.builds(
        lambda days, weights, limits: Schedule(
            tuple(
                Policy(city, number + 1, date(2026, 3, 9) + timedelta(days=day), Weights(*weights), Limits(*limits))
                for number, day in enumerate(sorted(days))
            )
        ),
        st.sets(st.integers(-3, 8), min_size=1, max_size=3),
        st.sampled_from(((30, 20, 15, 10, 10, 10, 5), (0, 0, 0, 0, 0, 0, 100), (50, 50, 0, 0, 0, 0, 0))),
        st.sampled_from(((100_000, 26), (2_000, 1))),
    )
    return st.one_of(
        _of("seeker", seekers, city, st.one_of(_seekers(), _seekers(), _seekers(), over)),
        _of("seeker", seekers, city, _seekers()),
        _of("post", posts, city, st.one_of(_posts(city), _posts(city), _posts(city), over)),
        _of("employer", _ids("emp", city, 2), city, st.builds(Employer, st.booleans())),
        _of("station", _ids("stn", city, 2), city, stations),
        _of("placement", _ids("plc", city, 3), city, st.one_of(over, placements)),
        _of("certificate", _ids("crt", city, 3), city, st.one_of(over, certificates)),
        _of("shift", _ids("sft", city, 4), city, shifts),
        _of("policy", (policy_id_of(city),), city, schedules),
    )


facts: st.SearchStrategy[Fact] = st.one_of(*[_facts_of(YANTAI)] * 5, _facts_of(ELSEWHERE))
"""Any fact: versions collide, arrive out of order and name entities that are not known yet."""


def seeded_city(seed: int, seekers: int, posts: int) -> list[Fact]:
    """A city in the proportions of the Yantai scenario, always the same for a seed."""
    rng = random.Random(seed)
    skills = [f"trade-{number}" for number in range(16)]
    facts_: list[Fact] = [Fact("employer", id_of("emp", n), 1, YANTAI, Employer(True)) for n in range(126)]
    for n in range(20):
        offered = frozenset(rng.sample(FACILITIES, rng.randint(0, 3)))
        facts_.append(Fact("station", id_of("stn", n), 1, YANTAI, Station(True, offered)))
    for n in range(seekers):
        facts_.append(Fact("seeker", id_of("skr", n), 1, YANTAI, _seeded_seeker(rng, skills)))
    for n in range(posts):
        facts_.append(Fact("post", id_of("pst", n), 1, YANTAI, _seeded_post(rng, skills)))
    return facts_


def _place(rng: random.Random) -> Place:
    return Place(37.46 + rng.gauss(0, 0.05), 121.44 + rng.gauss(0, 0.08))


def _seeded_seeker(rng: random.Random, skills: list[str]) -> Seeker:
    start, end = rng.choice([("08:00", "11:30"), ("08:30", "16:00"), ("09:00", "15:30"), ("13:00", "17:00")])
    registered_at = NOW - timedelta(days=rng.randint(0, 300), minutes=rng.randint(0, 600))
    return Seeker(
        home=vector_of(coarse(_place(rng))),
        limit_m=rng.choice([2, 3, 5, 8, 12]) * 1000,
        free=mask_of([(day, start, end) for day in range(1, rng.randint(6, 8))]),
        skills=frozenset(rng.sample(skills, rng.randint(0, 4))),
        kinds=frozenset(rng.sample(KINDS, rng.randint(1, 3))),
        facilities=frozenset(rng.sample(FACILITIES, rng.randint(0, 2))),
        pay_floor_fen=rng.choice([0, 1200, 1400, 1600, 1800]),
        eligible_until=date(2026 + rng.randint(0, 10), rng.randint(4, 12), 28),
        registered_at=registered_at,
    )


def _seeded_post(rng: random.Random, skills: list[str]) -> Post:
    kind = rng.choice(KINDS)
    start, end = rng.choice([("08:30", "11:30"), ("09:00", "15:30"), ("13:30", "16:30")])
    at_home = kind in ("mobile", "new-form") and rng.random() < 0.7
    return Post(
        employer_id=id_of("emp", rng.randrange(126)),
        station_id=None if at_home or rng.random() < 0.7 else id_of("stn", rng.randrange(20)),
        kind=kind,
        location=None if at_home else vector_of(_place(rng)),
        hours=0 if at_home else mask_of([(day, start, end) for day in range(1, 6)]),
        min_minutes=0 if at_home else rng.choice([300, 600, 900]),
        skills_required=frozenset(rng.sample(skills, rng.choice([0, 0, 1, 1, 2]))),
        skills_desired=frozenset(rng.sample(skills, rng.randint(0, 2))),
        expected_hourly_fen=rng.randint(1200, 2600),
        seats=rng.randint(1, 4),
        facilities=frozenset(rng.sample(FACILITIES, rng.randint(0, 2))),
        urgent=rng.randrange(16) == 0,
        opened_at=NOW - timedelta(days=rng.randint(0, 60)),
        closes_at=None,
    )


def crowded_facts(seed: int, count: int) -> list[Fact]:
    """Facts of one small city in which nearly everybody matches every post, so that lists overflow and run short.

    With an odd seed all seekers are alike, so that only ties decide.
    """
    rng = random.Random(seed)
    versions: dict[str, int] = {}
    facts_: list[Fact] = []
    for _ in range(count):
        kind, number = rng.choices(
            [("seeker", 30), ("post", 6), ("placement", 8), ("shift", 40), ("certificate", 20)], (50, 6, 20, 15, 9)
        )[0]
        id_ = id_of(PREFIXES[kind], rng.randrange(number))
        version = versions[id_] = versions.get(id_, 0) + 1
        facts_.append(Fact(kind, id_, version, YANTAI, _crowded_state(rng, kind, alike=seed % 2 == 1)))  # type: ignore[arg-type]
    return facts_


def _crowded_state(rng: random.Random, kind: str, *, alike: bool) -> State | None:
    if kind != "shift" and rng.random() < 0.25:
        return None
    someone = id_of("skr", rng.randrange(30))
    if kind == "seeker" and alike:
        return seeker(registered_at=NOW - timedelta(minutes=rng.randrange(9)))
    if kind == "seeker":
        registered_at = NOW - timedelta(days=rng.randrange(4))
        return seeker(
            home=vector_of(coarse(Place(37.46, 121.44 + rng.randrange(3) * 0.01))),
            facilities=frozenset(rng.sample(FACILITIES, rng.randint(0, 1))),
            skills=frozenset({"sewing", rng.choice(("packing", "cooking"))}),
            registered_at=registered_at,
        )
    if kind == "post":
        return post(
            seats=rng.randint(1, 3),
            hours=rng.choice((0, post().hours)),
            skills_required=frozenset(),
            expected_hourly_fen=rng.choice((1400, 1500, 1800, 2900)),
            min_minutes=rng.choice((600, 600, 900, 930)),
            facilities=frozenset(rng.sample(FACILITIES, rng.randint(0, 2))),
        )
    if kind == "placement":
        return Placement(id_of("pst", rng.randrange(6)), someone, rng.choice((0, 0, post().hours)))
    if kind == "certificate":
        return Certificate(someone, "cooking", None)
    return Shift(someone, rng.choice(VERDICTS), date(2026, 3, rng.randrange(1, 9)))
