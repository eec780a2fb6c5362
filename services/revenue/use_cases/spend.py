"""Spend from a community's fund: one person asks, another one approves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.revenue.domain.funds import (
    REASON_MAX,
    Declined,
    Fund,
    Receipt,
    Spending,
    SpendingRequest,
    faults_of_request,
    spending_entry,
)
from services.revenue.domain.ledger import seal
from services.revenue.errors import (
    AlreadyApproved,
    CommunityUnknown,
    FundTooSmall,
    ReceiptUsed,
    RequestDeclined,
    SelfApproval,
    SpendingInvalid,
    SpendingUnknown,
)
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import FundSpent, SpendingDeclined, SpendingRequested
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class RequestSpending:
    """Ask a fund to pay for something earmarked."""

    community_id: str
    category: str
    amount_fen: int
    purpose: str
    receipt: Receipt
    requested_by: str


@dataclass(frozen=True, slots=True)
class ApproveSpending:
    """Let the fund pay for what somebody else requested."""

    spending_id: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class DeclineSpending:
    """Say that the fund will not pay for what was requested."""

    spending_id: str
    reason: str
    declined_by: str


async def request_spending(command: RequestSpending, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Keep a request with its receipt, if the fund holds the amount at this moment; nothing is set aside for it.

    Raises:
        SpendingInvalid, CommunityUnknown, FundTooSmall, ReceiptUsed.
    """
    faults = faults_of_request(command.category, command.amount_fen, command.purpose, command.receipt)
    if faults:
        raise SpendingInvalid("a fund cannot pay for this", *faults)
    city = await store.city_of("community", command.community_id)
    if city is None:
        raise CommunityUnknown("there is no such community")
    await store.lock([city])
    await _fund_with(command.community_id, city, command.amount_fen, store)
    other = await store.request_with(command.receipt.receipt_hash)
    if other is not None:
        raise ReceiptUsed(f"{other} has the same receipt", Fault("receipt", f"one that {other} does not have"))
    request = SpendingRequest(
        spending_id=new_id("spending"),
        city=city,
        community_id=command.community_id,
        category=command.category,
        amount_fen=command.amount_fen,
        purpose=command.purpose.strip(),
        receipt_hash=command.receipt.receipt_hash,
        requested_by=command.requested_by,
        requested_at=now,
    )
    await store.add_request(request, command.receipt)
    [envelope] = await store.publish([_requested(request)], now)
    return envelope


async def approve_spending(command: ApproveSpending, *, store: LedgerStore, now: datetime) -> Envelope:
    """Pay what was requested, if the fund holds the amount at this moment.

    Raises:
        SpendingUnknown, SelfApproval, AlreadyApproved, RequestDeclined, FundTooSmall.
    """
    found = await store.request(command.spending_id)
    if found is None:
        raise SpendingUnknown("there is no such request", Fault("spending_id", "the id of a spending request"))
    if found.requested_by == command.approved_by:
        raise SelfApproval(
            f"{found.requested_by} requested it",
            Fault("Authorization", f"the token of another one than {found.requested_by}"),
        )
    head = (await store.lock([found.city]))[found.city]
    # Again, now that nobody else can approve it.
    request = await store.request(command.spending_id) or found
    _refuse_decided(request)
    fund = await _fund_with(request.community_id, request.city, request.amount_fen, store)
    spending = Spending(replace(request, is_approved=True), command.approved_by, now)
    links, block = seal(head, [spending_entry(spending)])
    await store.append(links, [block])
    await store.add_spending(spending)
    await store.save_fund(replace(fund, spent_fen=fund.spent_fen + request.amount_fen))
    [envelope] = await store.publish([_spent(spending)], now)
    return envelope


async def decline_spending(command: DeclineSpending, *, store: LedgerStore, now: datetime) -> Envelope:
    """Decline a request, for good: its receipt stays kept, and the fund never pays for it.

    Raises:
        SpendingInvalid, SpendingUnknown, AlreadyApproved, RequestDeclined.
    """
    reason = command.reason.strip()
    if not 1 <= len(reason) <= REASON_MAX:
        raise SpendingInvalid("a refusal says why", Fault("reason", f"1 to {REASON_MAX} characters"))
    found = await store.request(command.spending_id)
    if found is None:
        raise SpendingUnknown("there is no such request", Fault("spending_id", "the id of a spending request"))
    await store.lock([found.city])
    # Again, now that nobody else can approve it.
    request = await store.request(command.spending_id) or found
    _refuse_decided(request)
    await store.save_request(replace(request, declined=Declined(command.declined_by, now, reason)))
    [envelope] = await store.publish([_declined(request, now)], now)
    return envelope


def _refuse_decided(request: SpendingRequest) -> None:
    if request.is_approved:
        raise AlreadyApproved("the fund has paid for it", Fault("spending_id", "a request that is not approved"))
    if request.declined is not None:
        raise RequestDeclined(
            f"it was declined at {request.declined.at:%Y-%m-%dT%H:%M:%SZ}",
            Fault("spending_id", "a request that was not declined"),
        )


async def _fund_with(community_id: str, city: str, amount_fen: int, store: LedgerStore) -> Fund:
    """The fund, if it holds an amount."""
    fund = await store.fund(community_id) or Fund(community_id, city)
    if fund.balance_fen < amount_fen:
        raise FundTooSmall(
            f"the fund holds {fund.balance_fen} fen", Fault("amount_fen", f"at most {max(fund.balance_fen, 0)} fen")
        )
    return fund


def _requested(request: SpendingRequest) -> SpendingRequested:
    return SpendingRequested(
        spending_id=request.spending_id,
        community_id=request.community_id,
        city=request.city,
        category=request.category,
        amount_fen=request.amount_fen,
        receipt_hash=request.receipt_hash,
        requested_at=request.requested_at,
    )


def _declined(request: SpendingRequest, now: datetime) -> SpendingDeclined:
    return SpendingDeclined(
        spending_id=request.spending_id,
        community_id=request.community_id,
        city=request.city,
        category=request.category,
        amount_fen=request.amount_fen,
        declined_at=now,
    )


def _spent(spending: Spending) -> FundSpent:
    request = spending.request
    return FundSpent(
        spending_id=request.spending_id,
        community_id=request.community_id,
        city=request.city,
        category=request.category,
        amount_fen=request.amount_fen,
        receipt_hash=request.receipt_hash,
        spent_at=spending.spent_at,
    )
