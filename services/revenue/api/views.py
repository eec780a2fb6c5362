"""What the routes answer. Amounts are integers: `*_fen`, or `*_fen_e4` for fen × 10 000."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.revenue.domain.accrual import Shift
from services.revenue.domain.audit import Audit
from services.revenue.domain.funds import Fund, SpendingRequest
from services.revenue.domain.grants import Grant
from services.revenue.domain.ledger import Block, Entry, EntryKind, Link
from services.revenue.domain.settlements import Settlement
from services.revenue.domain.statements import Statement
from services.revenue.ports import Movement
from shared.kernel.clock import month_of
from shared.runtime.pages import Page


class SettlementView(BaseModel):
    """A closed month: `sum_fen_e4 + carry_in_fen_e4 = amount_fen × 10 000 + carry_out_fen_e4`."""

    settlement_id: str
    city: str
    employer_id: str
    community_id: str
    month: str
    entries: int
    base_fen: int
    sum_fen_e4: int
    carry_in_fen_e4: int
    amount_fen: Annotated[int, Field(description="Into the fund; negative after corrections: out of it.")]
    carry_out_fen_e4: int
    statement_hash: Annotated[str, Field(description="SHA-256 of the statement as CSV.")]
    settled_at: datetime
    reversed_at: Annotated[datetime | None, Field(description="Present: it was undone, and counts no more.")] = None


def settlement_view(settlement: Settlement) -> SettlementView:
    return SettlementView(
        settlement_id=settlement.settlement_id,
        city=settlement.city,
        employer_id=settlement.pair.employer_id,
        community_id=settlement.pair.community_id,
        month=settlement.month,
        entries=settlement.entries,
        base_fen=settlement.base_fen,
        sum_fen_e4=settlement.sum_fen_e4,
        carry_in_fen_e4=settlement.carry_in_fen_e4,
        amount_fen=settlement.amount_fen,
        carry_out_fen_e4=settlement.carry_out_fen_e4,
        statement_hash=settlement.statement_hash,
        settled_at=settlement.settled_at,
        reversed_at=settlement.reversed_at,
    )


class LineView(BaseModel):
    """One line of a statement: `amount_fen_e4 = base_fen × rate_bp`."""

    entry_id: str
    shift_id: str
    revision: int
    worked_day: date
    kind: Literal["accrual", "reversal"]
    agreement_id: str
    agreement_version: int
    before_fen: Annotated[int | None, Field(description="Under tiers: the month's base before this line.")] = None
    base_fen: int
    rate_bp: int
    amount_fen_e4: int


class StatementView(SettlementView):
    """A settlement with every line that it sums."""

    lines: list[LineView]


def line_view(entry: Entry) -> LineView:
    """Raises ValueError for an entry that is no rebate."""
    rebate = entry.rebate
    if rebate is None:
        raise ValueError(f"{entry.entry_id} is no rebate")
    return LineView(
        entry_id=entry.entry_id,
        shift_id=rebate.shift_id,
        revision=rebate.revision,
        worked_day=rebate.worked_day,
        kind="accrual" if entry.kind == "accrual" else "reversal",
        agreement_id=rebate.agreement_id,
        agreement_version=rebate.agreement_version,
        before_fen=rebate.before_fen,
        base_fen=rebate.base_fen,
        rate_bp=rebate.rate_bp,
        amount_fen_e4=entry.amount_fen_e4,
    )


class GroupView(BaseModel):
    """Lines under one version of the agreement, worked in one month; absent: several, put together."""

    agreement_version: int | None = None
    worked_month: str | None = None
    lines: int
    base_fen: int
    amount_fen_e4: int


class PublicStatementView(SettlementView):
    """A settlement in groups of at least five lines: what everybody may read."""

    employer: Annotated[str, Field(description="The office that signed for the employer.")]
    community: Annotated[str, Field(description="The office that signed for the community.")]
    groups: list[GroupView]


def public_statement_view(statement: Statement) -> PublicStatementView:
    return PublicStatementView(
        **settlement_view(statement.settlement).model_dump(),
        employer=statement.employer,
        community=statement.community,
        groups=[
            GroupView(
                agreement_version=group.agreement_version or None,
                worked_month=group.worked_month or None,
                lines=group.lines,
                base_fen=group.base_fen,
                amount_fen_e4=group.amount_fen_e4,
            )
            for group in statement.groups
        ],
    )


class PostingView(BaseModel):
    """One leg: positive debits the account, negative credits it."""

    account: str
    amount_fen_e4: int


class EntryView(BaseModel):
    """One ledger entry and its number in its city. Lines of shifts carry the fields from `shift_id` on."""

    entry_id: str
    city: str
    seq: int
    kind: EntryKind
    posted_at: datetime
    month: Annotated[str, Field(description="The month that the entry is posted into.")]
    employer_id: str | None = None
    community_id: str
    amount_fen_e4: int
    cause: Annotated[str, Field(description="The event, settlement or spending that this is the effect of.")]
    document_hash: Annotated[str | None, Field(description="Of the statement or the receipt.")] = None
    postings: list[PostingView]
    shift_id: str | None = None
    revision: int | None = None
    worked_day: date | None = None
    worked_month: str | None = None
    agreement_id: str | None = None
    agreement_version: int | None = None
    before_fen: int | None = None
    base_fen: int | None = None
    rate_bp: int | None = None


def entry_view(link: Link) -> EntryView:
    """An entry as it is answered; fields that its kind does not have are absent."""
    entry = link.entry
    rebate = entry.rebate
    return EntryView(
        entry_id=entry.entry_id,
        city=entry.city,
        seq=link.seq,
        kind=entry.kind,
        posted_at=entry.posted_at,
        month=entry.month,
        employer_id=entry.employer_id,
        community_id=entry.community_id,
        amount_fen_e4=entry.amount_fen_e4,
        cause=entry.cause,
        document_hash=entry.document_hash,
        postings=[PostingView(account=p.account, amount_fen_e4=p.amount_fen_e4) for p in entry.postings],
        shift_id=rebate.shift_id if rebate else None,
        revision=rebate.revision if rebate else None,
        worked_day=rebate.worked_day if rebate else None,
        worked_month=month_of(rebate.worked_day) if rebate else None,
        agreement_id=rebate.agreement_id if rebate else None,
        agreement_version=rebate.agreement_version if rebate else None,
        before_fen=rebate.before_fen if rebate else None,
        base_fen=rebate.base_fen if rebate else None,
        rate_bp=rebate.rate_bp if rebate else None,
    )


class BlockView(BaseModel):
    """What one transaction posted in a city; `hash` seals its entries and the block before."""

    city: str
    first: Annotated[int, Field(description="Number of its first entry.")]
    last: int
    prev_hash: str
    hash: str


def block_view(block: Block) -> BlockView:
    return BlockView(city=block.city, first=block.first, last=block.last, prev_hash=block.prev_hash, hash=block.hash)


class MovementView(BaseModel):
    """Something that came into a fund (`settlement`, `grant`) or left it (`spending`, `settlement-reversal`)."""

    kind: Literal["settlement", "settlement-reversal", "spending", "grant"]
    at: datetime
    amount_fen: Annotated[int, Field(description="As it changes the balance: a spending is negative.")]
    settlement_id: str | None = None
    employer_id: str | None = None
    month: str | None = None
    spending_id: str | None = None
    category: str | None = None
    purpose: str | None = None
    receipt_hash: str | None = None
    grant_id: str | None = None
    source_kind: str | None = None


def movement_view(movement: Movement) -> MovementView:
    """A settlement or a spending, signed as it changes the balance."""
    source = movement.source
    if isinstance(source, Settlement):
        reversed_at = source.reversed_at if movement.is_reversal else None
        return MovementView(
            kind="settlement" if reversed_at is None else "settlement-reversal",
            at=reversed_at or source.settled_at,
            amount_fen=source.amount_fen if reversed_at is None else -source.amount_fen,
            settlement_id=source.settlement_id,
            employer_id=source.pair.employer_id,
            month=source.month,
        )
    if isinstance(source, Grant):
        return MovementView(
            kind="grant",
            at=source.granted_at,
            amount_fen=source.amount_fen,
            grant_id=source.grant_id,
            source_kind=source.kind,
        )
    request = source.request
    return MovementView(
        kind="spending",
        at=source.spent_at,
        amount_fen=-request.amount_fen,
        spending_id=request.spending_id,
        category=request.category,
        purpose=request.purpose,
        receipt_hash=request.receipt_hash,
    )


class SpendingRequestView(BaseModel):
    """What somebody wants a fund to pay for."""

    spending_id: str
    community_id: str
    city: str
    category: str
    amount_fen: int
    purpose: str
    receipt_hash: str
    requested_by: Annotated[str, Field(description="Holder of the token; another one must approve.")]
    requested_at: datetime


def spending_request_view(request: SpendingRequest) -> SpendingRequestView:
    return SpendingRequestView(
        spending_id=request.spending_id,
        community_id=request.community_id,
        city=request.city,
        category=request.category,
        amount_fen=request.amount_fen,
        purpose=request.purpose,
        receipt_hash=request.receipt_hash,
        requested_by=request.requested_by,
        requested_at=request.requested_at,
    )


class FundView(BaseModel):
    """A community's fund: `balance_fen = income_fen + granted_fen - spent_fen`; movements in pages, oldest first."""

    community_id: str
    city: str
    balance_fen: int
    income_fen: Annotated[int, Field(description="From settlements.")]
    granted_fen: Annotated[int, Field(description="From donations and grants.")]
    spent_fen: int
    movements: Page[MovementView]


def fund_view(fund: Fund, movements: Page[MovementView]) -> FundView:
    return FundView(
        community_id=fund.community_id,
        city=fund.city,
        balance_fen=fund.balance_fen,
        income_fen=fund.income_fen,
        granted_fen=fund.granted_fen,
        spent_fen=fund.spent_fen,
        movements=movements,
    )


class SuspendedView(BaseModel):
    """A shift at a community without an agreement valid on its day."""

    shift_id: str
    revision: int
    city: str
    employer_id: str
    community_id: str
    worked_day: date
    wage_fen: int
    base_fen: int


def suspended_view(shift: Shift) -> SuspendedView:
    return SuspendedView(
        shift_id=shift.shift_id,
        revision=shift.revision,
        city=shift.city,
        employer_id=shift.employer_id,
        community_id=shift.community_id or "",
        worked_day=shift.day,
        wage_fen=shift.wage_fen,
        base_fen=shift.output_fen,
    )


class FindingView(BaseModel):
    """Something wrong, and where."""

    rule: str
    where: str


class CityVerification(BaseModel):
    """One city's ledger, read again."""

    city: str
    entries: int
    head_hash: Annotated[str, Field(description="Hash of the last block; note it down to notice a later rewriting.")]
    debits_fen_e4: int
    credits_fen_e4: int
    findings: list[FindingView]


class VerificationView(BaseModel):
    """The ledger, read again from its first entry. `ok` only without any finding."""

    ok: bool
    cities: list[CityVerification]


def verification_view(audits: list[Audit]) -> VerificationView:
    return VerificationView(
        ok=not any(audit.findings for audit in audits),
        cities=[
            CityVerification(
                city=audit.city,
                entries=audit.entries,
                head_hash=audit.kept.head.hash,
                debits_fen_e4=audit.debits_fen_e4,
                credits_fen_e4=audit.credits_fen_e4,
                findings=[FindingView(rule=finding.rule, where=finding.where) for finding in audit.findings],
            )
            for audit in audits
        ],
    )
