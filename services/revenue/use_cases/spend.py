"""Spend from a community's fund."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.revenue.domain.funds import Fund, Spending, faults_of_spending, spending_entry
from services.revenue.domain.ledger import seal
from services.revenue.errors import CommunityUnknown, FundTooSmall, SpendingInvalid
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import FundSpent
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class SpendFromFund:
    """Pay for something earmarked."""

    community_id: str
    category: str
    amount_fen: int
    purpose: str
    receipt_hash: str


async def spend_from_fund(command: SpendFromFund, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Record a spending, if the fund holds the amount at this moment.

    Raises:
        SpendingInvalid, CommunityUnknown, FundTooSmall.
    """
    faults = faults_of_spending(command.category, command.amount_fen, command.purpose, command.receipt_hash)
    if faults:
        raise SpendingInvalid("a fund cannot pay for this", *faults)
    city = await store.city_of("community", command.community_id)
    if city is None:
        raise CommunityUnknown("there is no such community")
    head = (await store.lock([city]))[city]
    fund = await store.fund(command.community_id) or Fund(command.community_id, city)
    if fund.balance_fen < command.amount_fen:
        raise FundTooSmall(
            f"the fund holds {fund.balance_fen} fen", Fault("amount_fen", f"at most {max(fund.balance_fen, 0)} fen")
        )
    spending = Spending(
        spending_id=new_id("spending"),
        city=city,
        community_id=command.community_id,
        category=command.category,
        amount_fen=command.amount_fen,
        purpose=command.purpose.strip(),
        receipt_hash=command.receipt_hash,
        spent_at=now,
    )
    links, end = seal(head, [spending_entry(spending)])
    await store.append(links, [end])
    await store.add_spending(spending)
    await store.save_fund(Fund(fund.community_id, city, fund.income_fen, fund.spent_fen + spending.amount_fen))
    [envelope] = await store.publish([_spent(spending)], now)
    return envelope


def _spent(spending: Spending) -> FundSpent:
    return FundSpent(
        spending_id=spending.spending_id,
        community_id=spending.community_id,
        city=spending.city,
        category=spending.category,
        amount_fen=spending.amount_fen,
        receipt_hash=spending.receipt_hash,
        spent_at=spending.spent_at,
    )
