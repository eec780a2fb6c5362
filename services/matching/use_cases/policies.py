"""A city adopts a policy: weights and limits for its rankings, from a day on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime

from services.matching.domain.policy import POLICIES_MAX, Limits, Policy, Weights, policy_faults, policy_id_of
from services.matching.errors import PoliciesFull, PolicyInvalid
from services.matching.ports import Adoption, PolicyStore
from shared.contracts.envelope import Envelope
from shared.contracts.matching import DatedPolicy, PolicyAdopted, PolicyLimits, PolicyWeights
from shared.kernel.clock import civil_day


async def adopt_policy(
    city: str,
    valid_from: date,
    weights: Weights,
    commute_max_m: int,
    waiting_full_weeks: int,
    *,
    store: PolicyStore,
    now: datetime,
) -> Envelope:
    """Adopt the next version of a city's policy. Those before it stay as they are.

    Raises:
        PolicyInvalid, PoliciesFull
    """
    known = await store.adopted(city)
    if len(known) >= POLICIES_MAX:
        raise PoliciesFull(POLICIES_MAX)
    faults = policy_faults(
        [one.policy for one in known], valid_from, weights, (commute_max_m, waiting_full_weeks), civil_day(now)
    )
    if faults:
        raise PolicyInvalid(*faults)
    policy = Policy(
        city=city,
        version=len(known) + 1,
        valid_from=valid_from,
        weights=weights,
        limits=Limits(commute_max_m=commute_max_m, waiting_full_weeks=waiting_full_weeks),
    )
    adoptions = [*known, Adoption(policy, now)]
    await store.save(city, adoptions)
    return await store.publish(_event(city, adoptions), now)


def _event(city: str, adoptions: Sequence[Adoption]) -> PolicyAdopted:
    *earlier, last = map(_dated, adoptions)
    return PolicyAdopted(
        policy_id=policy_id_of(city),
        city=city,
        version=last.version,
        valid_from=last.valid_from,
        weights=last.weights,
        limits=last.limits,
        adopted_at=last.adopted_at,
        earlier=tuple(earlier),
    )


def _dated(adoption: Adoption) -> DatedPolicy:
    policy = adoption.policy
    return DatedPolicy(
        version=policy.version,
        valid_from=policy.valid_from,
        weights=PolicyWeights(**policy.weights._asdict()),
        limits=PolicyLimits(**asdict(policy.limits)),
        adopted_at=adoption.adopted_at,
    )
