"""Rows as profiles of the domain: the way back from arrays, for explanations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from services.matching.domain import Candidate, Placement, Post, Seeker, waited_weeks_of
from services.matching.engine.layout import NEVER_MS, U64, City
from services.matching.engine.staging import FACILITIES_OF, KIND_BITS, KINDS_OF, URGENT, WORD, SkillBook, id_of
from shared.kernel.clock import civil_day
from shared.kernel.geo import Vector
from shared.kernel.week import FULL_WEEK

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KIND_OF_BIT = {bit: kind for kind, bit in KIND_BITS.items()}


def skill_mask(first: int, more: U64) -> int:
    """A skill mask from its words."""
    mask = int(first)
    for n, word in enumerate(more.tolist(), 1):
        mask |= word << (WORD * n)
    return mask


def instant(ms: int) -> datetime:
    """An instant from milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def candidate(
    city: City,
    s: int,
    book: SkillBook,
    city_code: str,
    at: datetime,
    declared: int | None,
    placements: Iterable[Placement],
) -> Candidate:
    """A seeker's profile.

    Args:
        declared: mask of the skills that she declared herself, where that is not all she has.
    """
    record, word = city.seekers[s], int(city.seekers.row[s, 5])
    skills = skill_mask(record["row"][6], city.seeker_more[s])
    seeker = Seeker(
        home=Vector(*record["home"].tolist()),
        limit_m=word >> 32,
        free=int.from_bytes(record["row"][:6].tobytes(), "little") & FULL_WEEK,
        skills=book.skills_of(skills if declared is None else declared),
        kinds=KINDS_OF[word >> 16 & 15],
        facilities=FACILITIES_OF[word >> 20 & 15],
        pay_floor_fen=int(record["row"][7]),
        eligible_until=date.fromordinal(int(record["until"])),
        registered_at=instant(int(record["at"])),
    )
    busy, posts = 0, []
    for placement in placements:
        busy |= placement.hours
        posts.append(placement.post_id)
    return Candidate(
        id=id_of("skr-", record["key"]),
        city=city_code,
        seeker=seeker,
        eligible=seeker.eligible_until >= civil_day(at),
        skills=book.skills_of(skills),
        busy=busy,
        posts=frozenset(posts),
        attended=int(record["attended"]),
        left_early=int(record["left_early"]),
        shifts=int(record["shifts"]),
        waited_weeks=waited_weeks_of(seeker.registered_at, at),
    )


def post(city: City, p: int, book: SkillBook, employer_id: str, station_id: str | None) -> Post:
    """What an employer offers."""
    record, word = city.posts[p], int(city.posts.row[p, 5])
    half = city.post_more.shape[1] // 2
    closes, own = int(record["closes"]), int(record["own"])
    return Post(
        employer_id=employer_id,
        station_id=station_id,
        kind=_KIND_OF_BIT[word >> 16 & 15],
        location=Vector(*record["place"].tolist()) if word >> 24 & 1 else None,
        hours=int.from_bytes(record["row"][:6].tobytes(), "little") & FULL_WEEK,
        min_minutes=word >> 48,
        skills_required=book.skills_of(skill_mask(record["row"][6], city.post_more[p, :half])),
        skills_desired=book.skills_of(skill_mask(record["row"][7], city.post_more[p, half:])),
        expected_hourly_fen=int(record["pay"]),
        seats=int(record["seats"]),
        facilities=FACILITIES_OF[own & 15],
        urgent=bool(own & URGENT),
        opened_at=instant(int(record["at"])),
        closes_at=None if closes == NEVER_MS else instant(closes),
    )
