"""Events as they come over the bus, for the tests of matching."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from shared.contracts import registry, training

YANTAI = "370600"
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
MORNINGS = [{"day": day, "from": "08:30", "to": "11:30"} for day in range(1, 6)]


def id_of(prefix: str, number: int) -> str:
    """A well-formed id that sorts by number."""
    return f"{prefix}-{number:032x}"


def seeker_registered(number: int, **given: Any) -> registry.SeekerRegistered:
    base = {
        "seeker_id": id_of("skr", number),
        "version": 1,
        "city": YANTAI,
        "area": "370602",
        "home": {"lat": 37.535, "lon": 121.39},
        "commute_km": 8,
        "free": MORNINGS,
        "skills": [],
        "kinds": ["elastic", "mobile"],
        "pay_floor_fen": 1200,
        "eligible_until": date(2040, 6, 30),
        "registered_at": AT,
    }
    return registry.SeekerRegistered.model_validate(base | given)


def seeker_withdrawn(number: int, version: int) -> registry.SeekerWithdrawn:
    return registry.SeekerWithdrawn(
        seeker_id=id_of("skr", number), version=version, city=YANTAI, reason="own-wish", withdrawn_at=AT
    )


def post_opened(number: int, **given: Any) -> registry.PostOpened:
    base = {
        "post_id": id_of("pst", number),
        "version": 1,
        "employer_id": id_of("emp", 1),
        "city": YANTAI,
        "area": "370602",
        "kind": "elastic",
        "trade": "garment",
        "location": {"lat": 37.53, "lon": 121.4},
        "hours": MORNINGS,
        "min_minutes": 300,
        "skills_required": [],
        "skills_desired": [],
        "pay": {"per": "hour", "fen": 1800, "expected_hourly_fen": 1800},
        "seats": 2,
        "facilities": [],
        "urgent": False,
        "opened_at": AT,
    }
    return registry.PostOpened.model_validate(base | given)


def post_closed(number: int, version: int) -> registry.PostClosed:
    return registry.PostClosed(
        post_id=id_of("pst", number), version=version, city=YANTAI, reason="withdrawn", closed_at=AT
    )


def station_registered(number: int, **given: Any) -> registry.StationRegistered:
    base = {
        "station_id": id_of("stn", number),
        "version": 1,
        "city": YANTAI,
        "area": "370602",
        "community_id": id_of("com", 1),
        "location": {"lat": 37.5, "lon": 121.4},
        "production_accepted": True,
        "facilities": ["nursing-room"],
        "registered_at": AT,
    }
    return registry.StationRegistered.model_validate(base | given)


def placement_made(number: int, post: int, seeker: int, **given: Any) -> registry.PlacementMade:
    base = {
        "placement_id": id_of("plc", number),
        "version": 1,
        "post_id": id_of("pst", post),
        "seeker_id": id_of("skr", seeker),
        "employer_id": id_of("emp", 1),
        "city": YANTAI,
        "hours": MORNINGS,
        "starts_on": AT.date(),
        "made_at": AT,
    }
    return registry.PlacementMade.model_validate(base | given)


def shift_completed(number: int, seeker: int, **given: Any) -> registry.ShiftCompleted:
    base = {
        "shift_id": id_of("sft", number),
        "revision": 1,
        "placement_id": id_of("plc", 1),
        "post_id": id_of("pst", 1),
        "seeker_id": id_of("skr", seeker),
        "employer_id": id_of("emp", 1),
        "city": YANTAI,
        "started_at": AT,
        "ended_at": AT,
        "minutes": 180,
        "wage_fen": 5400,
        "base_fen": 5400,
        "verdict": "attended",
    }
    return registry.ShiftCompleted.model_validate(base | given)


def skill_certified(number: int, seeker: int, skill: str, **given: Any) -> training.SkillCertified:
    base = {
        "certificate_id": id_of("crt", number),
        "version": 1,
        "seeker_id": id_of("skr", seeker),
        "city": YANTAI,
        "skill": skill,
        "level": 1,
        "certified_at": AT,
    }
    return training.SkillCertified.model_validate(base | given)
