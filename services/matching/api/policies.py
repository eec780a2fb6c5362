"""The dated policies of a city: adopt one, list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.matching.api.desk import Desk
from services.matching.domain import Policy, Weights
from services.matching.domain.policy import COMMUTE_MAX_M, POLICIES, WAITING_FULL_WEEKS, policy_on
from services.matching.ports import PolicyReads, PolicyStore
from services.matching.use_cases.policies import adopt_policy
from shared.contracts.fields import City
from shared.kernel.clock import civil_day
from shared.runtime.commands import Accepted
from shared.runtime.mongo import Session
from shared.runtime.routers import reading, writing

CityPath = Annotated[City, Path(description="Division code.")]
Whole = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31)]
"""Any whole number; the policy's own rule says which are allowed, and answers for all fields together."""


class Body(BaseModel):
    """A part of a command; a field that nobody knows is refused, since it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsBody(Body):
    """Percent of each part of a score; they sum to 100."""

    time_fit: Whole
    distance: Whole
    skills: Whole
    pay: Whole
    facilities: Whole
    reliability: Whole
    waiting: Whole


class LimitsBody(Body):
    """Bounds for every pair of the city; what is absent is as wide as it can be, or as common."""

    commute_max_m: Annotated[Whole, Field(description="1,000..100,000 metres.")] = COMMUTE_MAX_M
    waiting_full_weeks: Annotated[Whole, Field(description="1..520 weeks.")] = WAITING_FULL_WEEKS


class PolicyBody(Body):
    """A policy to be adopted."""

    weights: WeightsBody
    limits: LimitsBody = LimitsBody()
    valid_from: Annotated[date, Field(description="First civil day in China: today or later, after the latest one.")]


class PolicyView(BaseModel):
    """One version of a policy."""

    city: Annotated[str, Field(description="The city's own, or `*`, common to cities without their own.")]
    version: int
    valid_from: date
    weights: Annotated[dict[str, int], Field(description="Percent; a part of a score is 0..1000 times its weight.")]
    limits: dict[str, int]
    adopted_at: Annotated[
        datetime | None, Field(description="Absent for the common policy, which was always there.")
    ] = None


class PoliciesAnswer(BaseModel):
    """All policies that a city has ranked by or will rank by, oldest first."""

    city: str
    day: Annotated[date, Field(description="Civil day in China on which this was asked.")]
    valid: Annotated[PolicyView, Field(description="The one that holds on `day`.")]
    policies: list[PolicyView]


def router(
    desk: Desk,
    store: Callable[[Session], PolicyStore],
    reads: PolicyReads,
) -> APIRouter:
    """The routes of policies.

    Args:
        store: the store inside the transaction of a session.
    """
    routes = APIRouter()
    write = writing("policies")
    read = reading("policies")

    @write.post("/cities/{city}/policies", status_code=201, response_model=Accepted)
    async def adopt(request: Request, city: CityPath, body: PolicyBody) -> Response:
        """Adopt the next version of a city's policy; its rankings follow on the day from which it holds."""
        weights = Weights(**body.weights.model_dump())
        return await desk.run(
            request,
            "adopt-policy",
            lambda session, now: adopt_policy(
                city,
                body.valid_from,
                weights,
                body.limits.commute_max_m,
                body.limits.waiting_full_weeks,
                store=store(session),
                now=now,
            ),
        )

    @read.get("/cities/{city}/policies", response_model_exclude_none=True)
    async def policies(city: CityPath) -> PoliciesAnswer:
        """All dated versions of a city's policy, the common one first, and which holds today."""
        adopted = await reads.adopted(city)
        views = [_view(policy, None) for policy in POLICIES]
        views += [_view(one.policy, one.adopted_at) for one in adopted]
        day = civil_day(desk.clock())
        valid = policy_on(city, day, POLICIES + tuple(one.policy for one in adopted))
        (held,) = (view for view in views if (view.city, view.version) == (valid.city, valid.version))
        return PoliciesAnswer(city=city, day=day, valid=held, policies=views)

    routes.include_router(write)
    routes.include_router(read)
    return routes


def _view(policy: Policy, adopted_at: datetime | None) -> PolicyView:
    return PolicyView(
        city=policy.city,
        version=policy.version,
        valid_from=policy.valid_from,
        weights=policy.weights._asdict(),
        limits=asdict(policy.limits),
        adopted_at=adopted_at,
    )
