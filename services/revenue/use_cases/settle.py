"""Settle a month of one employer at one community: sum once, round once, close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import Fund
from services.revenue.domain.ledger import seal
from services.revenue.domain.months import is_over
from services.revenue.domain.settlements import Account, Settlement, Tally, settlement_entry
from services.revenue.errors import AlreadySettled, EarlierMonthOpen, MonthClosed, MonthNotOver, NoAgreement
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import RebateSettled
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class SettleMonth:
    """Close one month of a pair."""

    pair: Pair
    month: str


async def settle_month(command: SettleMonth, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Settle what was posted into a month, with the remainder of the settlement before.

    A month without entries may be settled: it closes, and the remainder passes through. Settling a month closes every
    earlier one; none of them may hold unsettled entries.

    Raises:
        MonthNotOver, NoAgreement, AlreadySettled, MonthClosed, EarlierMonthOpen.
    """
    pair, month = command.pair, command.month
    if not is_over(month, civil_day(now)):
        raise MonthNotOver(f"{month} is not over", Fault("month", f"a month before {civil_day(now):%Y-%m}"))
    city = await _city_of(pair, store)
    head = (await store.lock([city]))[city]
    account = (await store.accounts([pair])).get(pair, Account())
    await _refuse_closed(pair, month, account, store)
    earlier = await store.earliest_open_month(pair, month)
    if earlier is not None:
        raise EarlierMonthOpen(f"{earlier} has entries that are not settled", Fault("month", f"{earlier} first"))
    tally = Tally()
    async for entry in store.rebates(pair, month):
        tally.add(entry)
    settlement = tally.settle(new_id("settlement"), city, pair, month, account.carry_fen_e4, now)
    links, end = seal(head, [settlement_entry(settlement)])
    await store.append(links, [end])
    await store.add_settlement(settlement)
    fund = await store.fund(pair.community_id) or Fund(pair.community_id, city)
    await store.save_fund(Fund(fund.community_id, city, fund.income_fen + settlement.amount_fen, fund.spent_fen))
    [envelope] = await store.publish([_settled(settlement)], now)
    return envelope


async def _city_of(pair: Pair, store: LedgerStore) -> str:
    versions = (await store.agreements([pair])).get(pair)
    if not versions:
        raise NoAgreement(
            "this employer and this community have no agreement",
            Fault("employer_id", "an employer that signed with this community"),
        )
    return versions[0].city


async def _refuse_closed(pair: Pair, month: str, account: Account, store: LedgerStore) -> None:
    if account.settled_through is None or month > account.settled_through:
        return
    settled = await store.settlement_of(pair, month)
    if settled is not None:
        raise AlreadySettled(f"{month} was settled by {settled}", Fault("month", f"one not settled by {settled}"))
    raise MonthClosed(
        f"{month} was closed when {account.settled_through} was settled",
        Fault("month", f"one after {account.settled_through}"),
    )


def _settled(settlement: Settlement) -> RebateSettled:
    return RebateSettled(
        settlement_id=settlement.settlement_id,
        community_id=settlement.pair.community_id,
        employer_id=settlement.pair.employer_id,
        city=settlement.city,
        month=settlement.month,
        base_fen=settlement.base_fen,
        amount_fen=settlement.amount_fen,
        carry_fen_e4=settlement.carry_out_fen_e4,
        entries=settlement.entries,
        statement_hash=settlement.statement_hash,
        settled_at=settlement.settled_at,
    )
