"""One measurement with its reference, and made-up events to measure with."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import NamedTuple

from shared.contracts.registry import SeekerRegistered
from shared.kernel.ids import new_id

YANTAI = "370600"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class Measured(NamedTuple):
    """Both sides of one comparison, from one run."""

    name: str
    ours: float
    reference: float
    unit: str
    against: str


def seeker(dice: random.Random, seeker_id: str | None = None, version: int = 1) -> SeekerRegistered:
    """A random woman of a city of the size of Yantai."""
    return SeekerRegistered.model_validate(
        {
            "seeker_id": seeker_id or new_id("seeker"),
            "version": version,
            "city": YANTAI,
            "area": "370602",
            "home": {
                "lat": round(37.3 + dice.randrange(60) * 0.005, 3),
                "lon": round(121.2 + dice.randrange(80) * 0.005, 3),
            },
            "commute_km": dice.randrange(2, 20),
            "free": [{"day": day, "from": "08:30", "to": dice.choice(["11:00", "15:30"])} for day in range(1, 6)],
            "skills": dice.sample(["sewing", "packing", "knitting", "elder-care", "live-sales"], dice.randrange(3)),
            "kinds": dice.sample(["elastic", "team", "mobile", "new-form"], 2),
            "pay_floor_fen": dice.randrange(1000, 2000, 50),
            "eligible_until": date(2031, 5, 31),
            "registered_at": NOW,
        }
    )
