"""One measurement with its reference, and made-up events to measure with."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from shared.contracts.registry import SeekerRegistered, ShiftCompleted
from shared.kernel.ids import new_id

YANTAI = "370600"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class Goal(NamedTuple):
    """What is asked of a comparison.

    Attributes:
        limit: of the cost of ours in terms of the reference where `at_most`; else of our rate in terms of its rate.
    """

    name: str
    limit: float
    at_most: bool = False

    def measured(self, ratio: float) -> float:
        """What the goal is about.

        Args:
            ratio: our rate over the reference's.
        """
        return 1 / ratio if self.at_most else ratio

    def met(self, ratio: float) -> bool:
        """Whether a comparison reaches the goal; `ratio` as in `measured`."""
        return self.measured(ratio) <= self.limit if self.at_most else self.measured(ratio) >= self.limit


class Measured(NamedTuple):
    """Both sides of one comparison, from one run; rates, so that more is better."""

    name: str
    ours: float
    reference: float
    unit: str
    against: str
    goal: Goal | None = None


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


def shift(dice: random.Random) -> ShiftCompleted:
    """A morning's work at a station, by the hour."""
    started = NOW + timedelta(minutes=30 * dice.randrange(480))
    minutes = dice.randrange(90, 241, 30)
    return ShiftCompleted(
        shift_id=new_id("shift"),
        revision=1,
        placement_id=new_id("placement"),
        post_id=new_id("post"),
        seeker_id=new_id("seeker"),
        employer_id=new_id("employer"),
        community_id=new_id("community"),
        city=YANTAI,
        started_at=started,
        ended_at=started + timedelta(minutes=minutes),
        minutes=minutes,
        wage_fen=minutes * 40,
        base_fen=minutes * 40,
        verdict="attended",
    )
