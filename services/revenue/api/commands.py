"""Routes that change something: sign and settle."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.revenue.api.desk import Desk
from services.revenue.domain.agreements import Pair
from services.revenue.ports import Signatories
from services.revenue.use_cases.settle import SettleMonth, settle_month
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from shared.contracts.fields import Month
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


class AgreementBody(Body):
    """What the three parties agreed on."""

    employer_id: EntityId
    community_id: EntityId
    base: Literal["wages", "output"]
    rate_bp: Annotated[Whole, Field(description="500..1500 basis points, 5 % to 15 %.")]
    valid_from: date
    valid_until: Annotated[date | None, Field(description="Last valid day; absent: until further notice.")] = None
    signatories: SignatoriesBody


class SettlementBody(Body):
    """Which month of which pair to close."""

    employer_id: EntityId
    community_id: EntityId
    month: Month


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of commands."""
    return [_agreements(desk), _settlements(desk)]


def _agreements(desk: Desk) -> APIRouter:
    write = writing("agreements")

    @write.post("/agreements", status_code=201, response_model=Accepted)
    async def sign(request: Request, body: AgreementBody) -> Response:
        """Sign an agreement. It is never edited; shifts that waited for it are accrued with it."""
        command = SignAgreement(
            employer_id=body.employer_id,
            community_id=body.community_id,
            base=body.base,
            rate_bp=body.rate_bp,
            valid_from=body.valid_from,
            valid_until=body.valid_until,
            signatories=Signatories(**body.signatories.model_dump()),
        )
        response = await desk.run(
            request,
            "sign-agreement",
            lambda store, now: sign_agreement(command, store=store, now=now, new_id=desk.new_id),
        )
        desk.look_for_releases()
        return response

    return write


def _settlements(desk: Desk) -> APIRouter:
    write = writing("settlements")

    @write.post("/settlements", status_code=201, response_model=Accepted)
    async def settle(request: Request, body: SettlementBody) -> Response:
        """Settle a month of an employer at a community: sum once, round once, close it and all before it."""
        command = SettleMonth(Pair(body.employer_id, body.community_id), body.month)
        return await desk.run(
            request,
            "settle-month",
            lambda store, now: settle_month(command, store=store, now=now, new_id=desk.new_id),
        )

    return write
