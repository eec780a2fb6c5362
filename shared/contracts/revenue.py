"""Events of revenue: agreements, accruals, settlements, community funds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.fields import (
    OPEN,
    PSEUDONYMOUS,
    City,
    Count,
    Day,
    Event,
    Fen,
    Instant,
    Month,
    OpenId,
    Payload,
    PseudonymId,
    RateBp,
    Sha256,
    SignedFen,
    SignedFenE4,
    Slug,
    Version,
)


class RevenueEvent(Event):
    """Published by revenue."""

    source: ClassVar[str] = "revenue"


class AgreementTier(Payload):
    """A marginal rate: of the part of a month's base above an amount."""

    from_fen: Fen
    rate_bp: RateBp


class AgreementSigned(RevenueEvent):
    """Federation, employer and community agreed on a rebate."""

    topic: ClassVar[str] = "agreement-signed"
    entity: ClassVar[str] = "agreement_id"

    agreement_id: OpenId
    version: Version
    city: City
    employer_id: OpenId
    community_id: OpenId
    base: Annotated[Literal["wages", "output"], OPEN]
    rate_bp: Annotated[RateBp, Field(description="Of a month's base; with `tiers`, of its first part.")]
    tiers: Annotated[
        tuple[AgreementTier, ...] | None,
        Field(min_length=1, max_length=10, description="Further marginal rates, ascending; absent: the rate is flat."),
    ] = None
    valid_from: Day
    valid_until: Annotated[
        Day | None,
        Field(description="Last valid day; absent: until further notice, which a later version gives by beginning."),
    ] = None
    signed_at: Instant


class RebateAccrued(RevenueEvent):
    """A ledger entry for one revision of one shift; a correction is a reversal and a new accrual."""

    topic: ClassVar[str] = "rebate-accrued"
    entity: ClassVar[str] = "entry_id"

    entry_id: PseudonymId
    version: Version = 1
    kind: Annotated[Literal["accrual", "reversal"], OPEN]
    shift_id: PseudonymId
    revision: Version
    community_id: OpenId
    employer_id: OpenId
    city: City
    agreement_id: OpenId
    agreement_version: Version
    base_fen: Annotated[SignedFen, PSEUDONYMOUS]
    rate_bp: RateBp
    before_fen: Annotated[
        Fen | None,
        PSEUDONYMOUS,
        Field(
            description="Under tiers: the agreement's base of the month worked before this line. A base that crosses "
            "tiers has a line for each."
        ),
    ] = None
    amount_fen_e4: Annotated[
        SignedFenE4, PSEUDONYMOUS, Field(description="`base_fen × rate_bp`, exact, in fen × 10 000.")
    ]
    month: Annotated[Month, Field(description="The month that the entry is posted into.")]
    worked_month: Annotated[Month, Field(description="The month in which the shift was worked.")]
    accrued_at: Instant


class MonthClosed(RevenueEvent):
    """A settlement was ordered: this month, and every one before it, takes no further line of this pair."""

    topic: ClassVar[str] = "month-closed"
    entity: ClassVar[str] = "settlement_id"

    settlement_id: OpenId
    version: Version = 1
    community_id: OpenId
    employer_id: OpenId
    city: City
    month: Month
    entries: Annotated[Count, Field(description="Lines that the settlement will sum.")]
    closed_at: Instant


class RebateSettled(RevenueEvent):
    """A month of one employer at one community was summed, rounded once and closed."""

    topic: ClassVar[str] = "rebate-settled"
    entity: ClassVar[str] = "settlement_id"

    settlement_id: OpenId
    version: Version = 1
    community_id: OpenId
    employer_id: OpenId
    city: City
    month: Month
    base_fen: SignedFen
    amount_fen: SignedFen
    carry_fen_e4: Annotated[SignedFenE4, Field(description="Remainder carried into the next month.")]
    entries: Count
    statement_hash: Annotated[Sha256, Field(description="SHA-256 of the statement's canonical CSV.")]
    settled_at: Instant


class SettlementReversed(RevenueEvent):
    """A settlement was undone: its amount left the fund, and its month is open again."""

    topic: ClassVar[str] = "settlement-reversed"
    entity: ClassVar[str] = "settlement_id"

    settlement_id: OpenId
    version: Version = 1
    community_id: OpenId
    employer_id: OpenId
    city: City
    month: Month
    amount_fen: Annotated[SignedFen, Field(description="What was settled and is taken back.")]
    statement_hash: Annotated[Sha256, Field(description="Of the statement that no longer holds.")]
    reversed_at: Instant


class SpendingRequested(RevenueEvent):
    """Somebody asks a community's fund to pay for something; whoever may approve it is told by this."""

    topic: ClassVar[str] = "spending-requested"
    entity: ClassVar[str] = "spending_id"

    spending_id: OpenId
    version: Version = 1
    community_id: OpenId
    city: City
    category: Slug
    amount_fen: Fen
    receipt_hash: Annotated[Sha256, Field(description="SHA-256 of the receipt's file.")]
    requested_at: Instant


class SpendingDeclined(RevenueEvent):
    """A spending request was declined: the fund will not pay for it."""

    topic: ClassVar[str] = "spending-declined"
    entity: ClassVar[str] = "spending_id"

    spending_id: OpenId
    version: Version = 1
    community_id: OpenId
    city: City
    category: Slug
    amount_fen: Fen
    declined_at: Instant


class PayoutsOrdered(RevenueEvent):
    """What was settled in a city was ordered from the bank, in one file."""

    topic: ClassVar[str] = "payouts-ordered"
    entity: ClassVar[str] = "batch_id"

    batch_id: OpenId
    version: Version = 1
    city: City
    count: Count
    amount_fen: Fen
    file_hash: Annotated[Sha256, Field(description="SHA-256 of the file for the bank.")]
    ordered_at: Instant


class PayoutConfirmed(RevenueEvent):
    """The bank said what became of a payout from an employer to a community."""

    topic: ClassVar[str] = "payout-confirmed"
    entity: ClassVar[str] = "payout_id"

    payout_id: OpenId
    version: Version = 1
    batch_id: OpenId
    employer_id: OpenId
    community_id: OpenId
    city: City
    amount_fen: Fen
    state: Annotated[Literal["paid", "failed"], OPEN]
    booked_on: Day
    confirmed_at: Instant


class FundingSourceOpened(RevenueEvent):
    """Somebody gives money beside the rebates, from one day to another and up to a limit."""

    topic: ClassVar[str] = "funding-source-opened"
    entity: ClassVar[str] = "source_id"

    source_id: OpenId
    version: Version = 1
    city: City
    kind: Annotated[Literal["social-insurance-subsidy", "donation", "grant"], OPEN]
    limit_fen: Fen
    valid_from: Day
    valid_until: Annotated[Day, Field(description="Last day.")]
    opened_at: Instant


class GrantMade(RevenueEvent):
    """A source gave: into a community's fund, or as a subsidy to an employer at a community."""

    topic: ClassVar[str] = "grant-made"
    entity: ClassVar[str] = "grant_id"

    grant_id: OpenId
    version: Version = 1
    source_id: OpenId
    kind: Annotated[Literal["social-insurance-subsidy", "donation", "grant"], OPEN]
    community_id: OpenId
    employer_id: Annotated[OpenId | None, Field(description="Of a subsidy; absent: the fund received it.")] = None
    city: City
    amount_fen: Fen
    granted_on: Day
    granted_at: Instant


class FundSpent(RevenueEvent):
    """A community paid for something out of its fund: a spending request was approved by a second person."""

    topic: ClassVar[str] = "fund-spent"
    entity: ClassVar[str] = "spending_id"

    spending_id: OpenId
    version: Version = 1
    community_id: OpenId
    city: City
    category: Slug
    amount_fen: Fen
    receipt_hash: Annotated[Sha256, Field(description="SHA-256 of the receipt's file.")]
    spent_at: Instant
