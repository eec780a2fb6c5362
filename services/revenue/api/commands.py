"""Routes that change the terms: sign."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.revenue.api.desk import Desk
from services.revenue.domain.agreements import TIERS_MAX, Tier
from services.revenue.ports import Signatories, Signature
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from shared.kernel.clock import civil_day
from shared.kernel.ids import ID_PATTERN
from shared.runtime.commands import Accepted
from shared.runtime.routers import writing

EntityId = Annotated[str, Field(pattern=ID_PATTERN, max_length=40)]
Office = Annotated[str, Field(min_length=1, max_length=100, description="Name of an office, never of a person.")]
Whole = Annotated[int, Field(strict=True)]
"""An integer that is written as one: no fraction, no text. Its range is a rule of the domain."""


class Body(BaseModel):
    """A command's body; a field that nobody knows is refused, since it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignatoriesBody(Body):
    """The offices that signed."""

    federation: Office
    employer: Office
    community: Office


class SignedOnBody(Body):
    """On which days they signed; absent: on the day of the command."""

    federation: date
    employer: date
    community: date


class TierBody(Body):
    """A marginal rate."""

    from_fen: Annotated[Whole, Field(description="The part of a month's base above this amount has this rate.")]
    rate_bp: Whole


class AgreementBody(Body):
    """What the three parties agreed on."""

    employer_id: EntityId
    community_id: EntityId
    base: Literal["wages", "output"]
    rate_bp: Annotated[Whole, Field(description="500..1500 basis points, 5 % to 15 %; with tiers, of the first part.")]
    tiers: Annotated[
        list[TierBody], Field(max_length=TIERS_MAX, description="Further marginal rates by monthly base, ascending.")
    ] = []
    valid_from: date
    valid_until: Annotated[date | None, Field(description="Last valid day; absent: until further notice.")] = None
    signatories: SignatoriesBody
    signed_on: SignedOnBody | None = None


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of commands."""
    return [_agreements(desk)]


def _agreements(desk: Desk) -> APIRouter:
    write = writing("agreements")

    @write.post("/agreements", status_code=201, response_model=Accepted)
    async def sign(request: Request, body: AgreementBody) -> Response:
        """Sign an agreement. It is never edited; shifts that waited for it are accrued with it."""
        today = civil_day(desk.clock())
        signed_on = body.signed_on or SignedOnBody(federation=today, employer=today, community=today)
        command = SignAgreement(
            employer_id=body.employer_id,
            community_id=body.community_id,
            base=body.base,
            rate_bp=body.rate_bp,
            valid_from=body.valid_from,
            valid_until=body.valid_until,
            signatories=Signatories(
                federation=Signature(body.signatories.federation, signed_on.federation),
                employer=Signature(body.signatories.employer, signed_on.employer),
                community=Signature(body.signatories.community, signed_on.community),
            ),
            tiers=tuple(Tier(tier.from_fen, tier.rate_bp) for tier in body.tiers),
        )
        response = await desk.run(
            request,
            "sign-agreement",
            lambda store, now: sign_agreement(command, store=store, now=now, new_id=desk.new_id),
        )
        desk.look_for_releases()
        return response

    return write
