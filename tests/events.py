"""Valid events for tests, with what matters to a test given by name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from shared.contracts.registry import SeekerRegistered, SeekerWithdrawn
from shared.kernel.ids import new_id

YANTAI = "370600"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def seeker_registered(**given: Any) -> SeekerRegistered:
    """A woman with weekday mornings free, in the middle of Yantai."""
    return SeekerRegistered.model_validate(
        {
            "seeker_id": new_id("seeker"),
            "version": 1,
            "city": YANTAI,
            "area": "370602",
            "home": {"lat": 37.535, "lon": 121.39},
            "commute_km": 8,
            "free": [{"day": day, "from": "08:30", "to": "11:30"} for day in range(1, 6)],
            "skills": [],
            "kinds": ["elastic", "team", "mobile", "new-form"],
            "pay_floor_fen": 1200,
            "eligible_until": date(2030, 6, 30),
            "registered_at": NOW,
            **given,
        }
    )


def seeker_withdrawn(seeker_id: str, version: int) -> SeekerWithdrawn:
    return SeekerWithdrawn(seeker_id=seeker_id, version=version, city=YANTAI, reason="own-wish", withdrawn_at=NOW)
