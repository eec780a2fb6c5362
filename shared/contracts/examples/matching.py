"""Examples of the events of matching: the policy, a ranking, an offer."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta

from shared.contracts import matching
from shared.contracts.examples.story import CITY, OFFER, PLACEMENT, POST, SEEKER, Told, at, weekdays
from shared.kernel.ids import PREFIXES


def _policy(version: int, valid_from: date, weights: tuple[int, ...], km: int, at: datetime) -> matching.DatedPolicy:
    named = matching.PolicyWeights(**dict(zip(matching.PolicyWeights.model_fields, weights, strict=True)))
    limits = matching.PolicyLimits(commute_max_m=km * 1000, waiting_full_weeks=26)
    return matching.DatedPolicy(version=version, valid_from=valid_from, weights=named, limits=limits, adopted_at=at)


TOLD: Told = (
    (
        # Mothers of small children asked that the way counts more; from Monday on nobody is sent beyond 40 km.
        matching.PolicyAdopted(
            policy_id=f"{PREFIXES['policy']}-{hashlib.sha256(CITY.encode()).hexdigest()[:32]}",
            city=CITY,
            earlier=(_policy(1, date(2026, 1, 1), (30, 20, 15, 10, 10, 10, 5), 60, at(1, "10:00") - timedelta(80)),),
            **dict(_policy(2, date(2026, 3, 9), (30, 25, 15, 10, 10, 5, 5), 40, at(4, "16:00"))),
        ),
        at(4, "16:00"),
    ),
    (
        matching.RankingChanged(
            post_id=POST,
            sequence=1,
            city=CITY,
            as_of=at(7, "09:00"),
            top=(
                matching.Ranked(
                    seeker_id=SEEKER,
                    score=412_000,
                    parts=matching.Parts(
                        time_fit=200_000,
                        distance=90_000,
                        skills=100_000,
                        pay=10_000,
                        facilities=12_000,
                        reliability=0,
                        waiting=0,
                    ),
                ),
            ),
            position="5ac1.0d6f1c2a.2.AwEAAgEAAAAAAAAAAAE",
            policy=matching.PolicyOf(city="*", version=1),
        ),
        at(7, "09:00"),
    ),
    (
        matching.OfferMade(
            offer_id=OFFER,
            version=1,
            post_id=POST,
            seeker_id=SEEKER,
            city=CITY,
            rank=1,
            hours=weekdays("08:30", "11:30"),
            made_at=at(7, "14:50"),
            expires_at=at(7, "15:05"),
        ),
        at(7, "14:50"),
    ),
    (
        matching.OfferSettled(
            offer_id=OFFER,
            version=2,
            post_id=POST,
            seeker_id=SEEKER,
            city=CITY,
            outcome="accepted",
            placement_id=PLACEMENT,
            settled_at=at(7, "15:00"),
        ),
        at(7, "15:00"),
    ),
)
