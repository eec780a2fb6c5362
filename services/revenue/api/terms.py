"""What is answered of agreements."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.revenue.ports import Signed


class SignatoriesView(BaseModel):
    """The offices that signed."""

    federation: str
    employer: str
    community: str


class SignedOnView(BaseModel):
    """On which days they signed."""

    federation: date
    employer: date
    community: date


class TierView(BaseModel):
    """The rate of the part of a month's base above an amount."""

    from_fen: int
    rate_bp: int


class AgreementView(BaseModel):
    """One signed version."""

    agreement_id: str
    version: Annotated[int, Field(description="Ordinal among the agreements of this employer and this community.")]
    city: str
    employer_id: str
    community_id: str
    base: Literal["wages", "output"]
    rate_bp: Annotated[int, Field(description="Of a month's base; with tiers, of its first part.")]
    tiers: list[TierView]
    valid_from: date
    valid_until: Annotated[
        date | None,
        Field(description="Last valid day; absent: until further notice, or until the next version begins."),
    ] = None
    signatories: SignatoriesView
    signed_on: SignedOnView
    signed_at: datetime


def agreement_view(signed: Signed) -> AgreementView:
    """An agreement as it is answered."""
    agreement, signatures = signed.agreement, signed.signatories.by_party()
    return AgreementView(
        agreement_id=agreement.agreement_id,
        version=agreement.version,
        city=agreement.city,
        employer_id=agreement.pair.employer_id,
        community_id=agreement.pair.community_id,
        base=agreement.base,
        rate_bp=agreement.rate_bp,
        tiers=[TierView(from_fen=tier.from_fen, rate_bp=tier.rate_bp) for tier in agreement.tiers],
        valid_from=agreement.valid_from,
        valid_until=agreement.valid_until,
        signatories=SignatoriesView(**{party: one.office for party, one in signatures.items()}),
        signed_on=SignedOnView(**{party: one.signed_on for party, one in signatures.items()}),
        signed_at=signed.signed_at,
    )
