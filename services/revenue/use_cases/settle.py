"""Settle a month of one employer at one community: close it, sum its lines once, round once; or undo that.

In three steps, so that a month may have any number of lines. `close_month` is one short transaction: from then on
nothing comes into the month. `tally_month` reads its lines, which can no longer change, outside of any transaction;
whoever is killed meanwhile has changed nothing, and another reads them again. `settle_month` is one short transaction
that enters the result, if nobody else has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import REASON_MAX, Fund
from services.revenue.domain.ledger import seal
from services.revenue.domain.months import is_over
from services.revenue.domain.settlements import (
    Account,
    Line,
    Order,
    Settlement,
    Tally,
    reversal_entry,
    settlement_entry,
)
from services.revenue.errors import (
    AlreadyReversed,
    AlreadySettled,
    EarlierMonthOpen,
    LaterMonthClosed,
    MonthClosed,
    MonthNotOver,
    NoAgreement,
    ReversalInvalid,
    SettlementRunning,
    SettlementUnknown,
    TotalsDiffer,
)
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import MonthClosed as MonthClosedEvent
from shared.contracts.revenue import RebateSettled, SettlementReversed
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId
from shared.kernel.money import settle_e4

PROGRESS_EVERY = 20_000
"""Lines between two reports of progress: well under a second."""


@dataclass(frozen=True, slots=True)
class SettleMonth:
    """Close one month of a pair."""

    pair: Pair
    month: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a settlement would come to if nothing else were posted.

    Attributes:
        late_entries: lines of shifts that were worked in an earlier month.
        waiting: shifts of the pair without agreement, worked in this month or before; they are not in the sum.
    """

    city: str
    pair: Pair
    month: str
    entries: int
    late_entries: int
    base_fen: int
    sum_fen_e4: int
    carry_in_fen_e4: int
    amount_fen: int
    carry_out_fen_e4: int
    waiting: int


async def preview_month(command: SettleMonth, *, store: LedgerStore, now: datetime) -> Preview:
    """The dry run: what `close_month` would refuse is refused, and nothing is written.

    Raises:
        MonthNotOver, NoAgreement, SettlementRunning, AlreadySettled, MonthClosed, EarlierMonthOpen.
    """
    city = await _check(command, store, now)
    pair, month = command.pair, command.month
    carry_in = (await store.accounts([pair])).get(pair, Account()).carry_fen_e4
    books = await store.open_books(pair, month)
    sum_fen_e4 = sum(totals.sum_fen_e4 for totals in books.values())
    amount_fen, carry_out = settle_e4(sum_fen_e4 + carry_in)
    return Preview(
        city=city,
        pair=pair,
        month=month,
        entries=sum(totals.entries for totals in books.values()),
        late_entries=sum(totals.entries for key, totals in books.items() if key.worked_month < month),
        base_fen=sum(totals.base_fen for totals in books.values()),
        sum_fen_e4=sum_fen_e4,
        carry_in_fen_e4=carry_in,
        amount_fen=amount_fen,
        carry_out_fen_e4=carry_out,
        waiting=await store.count_waiting(pair, month),
    )


async def close_month(command: SettleMonth, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Order a settlement: the month, and every one before it, takes nothing any more.

    A month without entries may be settled: it closes, and the remainder passes through. No earlier month may hold
    unsettled entries.

    Raises:
        MonthNotOver, NoAgreement, SettlementRunning, AlreadySettled, MonthClosed, EarlierMonthOpen.
    """
    pair, month = command.pair, command.month
    city = await _check(command, store, now, lock=True)
    books = await store.open_books(pair, month)
    entries = sum(totals.entries for totals in books.values())
    order = Order(new_id("settlement"), city, pair, month, entries, now)
    await store.add_order(order)
    [envelope] = await store.publish([_closed(order)], now)
    return envelope


async def tally_month(lines: AsyncIterator[Line], progress: Callable[[int], Awaitable[None]]) -> Tally:
    """Read the lines of a closed month.

    Args:
        progress: told now and then how many were read.
    """
    tally = Tally()
    async for text, base_fen, amount_fen_e4 in lines:
        tally.count(text, base_fen, amount_fen_e4)
        if tally.entries % PROGRESS_EVERY == 0:
            await progress(tally.entries)
    return tally


async def settle_month(order: Order, tally: Tally, *, store: LedgerStore, now: datetime) -> Envelope | None:
    """Enter the settlement of a closed month, with the remainder of the one before.

    Args:
        tally: of the month's lines.

    Returns:
        Its event; `None` if it was entered before, by another instance.

    Raises:
        TotalsDiffer: the lines do not sum up to the running totals, so one of them was tampered with.
    """
    pair, month = order.pair, order.month
    head = (await store.lock([order.city]))[order.city]
    if await store.order(order.settlement_id) is None:
        return None
    books = (await store.open_books(pair, month)).values()
    kept = (sum(one.entries for one in books), sum(one.base_fen for one in books), sum(one.sum_fen_e4 for one in books))
    if kept != (tally.entries, tally.base_fen, tally.sum_fen_e4):
        raise TotalsDiffer(f"{month} of {pair.key}: entries, base and sum are {kept} by the totals kept")
    account = (await store.accounts([pair])).get(pair, Account())
    settlement = tally.settle(order.settlement_id, order.city, pair, month, account.carry_fen_e4, now)
    links, block = seal(head, [settlement_entry(settlement)])
    await store.append(links, [block])
    await store.add_settlement(settlement)
    await _earn(pair, order.city, settlement.amount_fen, store)
    [envelope] = await store.publish([_settled(settlement)], now)
    return envelope


async def reverse_settlement(settlement_id: str, reason: str, *, store: LedgerStore, now: datetime) -> Envelope:
    """Undo the last settlement of a pair, by an entry of its own; its month is open again and may be settled anew.

    What was spent of it stays spent: the fund may fall below zero by this, and pays for nothing until it is back.

    Raises:
        ReversalInvalid, SettlementUnknown, AlreadyReversed, SettlementRunning, LaterMonthClosed.
    """
    if not 1 <= len(reason.strip()) <= REASON_MAX:
        raise ReversalInvalid("a reversal says why", Fault("reason", f"1 to {REASON_MAX} characters"))
    found = await store.settlement(settlement_id)
    if found is None:
        raise SettlementUnknown("there is no such settlement", Fault("settlement_id", "the id of a settlement"))
    head = (await store.lock([found.city]))[found.city]
    settlement = await store.settlement(settlement_id) or found
    pair = settlement.pair
    if settlement.reversed_at is not None:
        raise AlreadyReversed(
            f"{settlement_id} was reversed at {settlement.reversed_at:%Y-%m-%dT%H:%M:%SZ}",
            Fault("settlement_id", "a settlement that stands"),
        )
    account = (await store.accounts([pair])).get(pair, Account())
    _refuse_running(account)
    if account.settled_through != settlement.month:
        raise LaterMonthClosed(
            f"{account.settled_through} was settled after it, with its remainder",
            Fault("settlement_id", f"the settlement of {account.settled_through} first"),
        )
    links, block = seal(head, [reversal_entry(settlement, now)])
    await store.append(links, [block])
    before = await store.settlement_before(pair, settlement.month)
    await store.reopen(
        replace(settlement, reversed_at=now),
        Account(before.month, before.carry_out_fen_e4) if before else Account(),
        reason.strip(),
    )
    await _earn(pair, settlement.city, -settlement.amount_fen, store)
    [envelope] = await store.publish([_reversed(settlement, now)], now)
    return envelope


async def _earn(pair: Pair, city: str, amount_fen: int, store: LedgerStore) -> None:
    fund = await store.fund(pair.community_id) or Fund(pair.community_id, city)
    await store.save_fund(replace(fund, income_fen=fund.income_fen + amount_fen))


async def _check(command: SettleMonth, store: LedgerStore, now: datetime, *, lock: bool = False) -> str:
    """The city of a month that may be settled; its chain is locked if that is asked for."""
    pair, month = command.pair, command.month
    if not is_over(month, civil_day(now)):
        raise MonthNotOver(f"{month} is not over", Fault("month", f"a month before {civil_day(now):%Y-%m}"))
    city = await _city_of(pair, store)
    if lock:
        await store.lock([city])
    account = (await store.accounts([pair])).get(pair, Account())
    await _refuse_closed(pair, month, account, store)
    _refuse_running(account)
    earlier = await store.earliest_open_month(pair, month)
    if earlier is not None:
        raise EarlierMonthOpen(f"{earlier} has entries that are not settled", Fault("month", f"{earlier} first"))
    return city


async def _city_of(pair: Pair, store: LedgerStore) -> str:
    versions = (await store.agreements([pair])).get(pair)
    if not versions:
        raise NoAgreement(
            "this employer and this community have no agreement",
            Fault("employer_id", "an employer that signed with this community"),
        )
    return versions[0].city


def _refuse_running(account: Account) -> None:
    if account.closing is not None:
        raise SettlementRunning(
            f"{account.closing} is being settled", Fault("month", f"after {account.closing} is settled")
        )


async def _refuse_closed(pair: Pair, month: str, account: Account, store: LedgerStore) -> None:
    closed = account.closed_through
    if closed is None or month > closed:
        return
    settled = await store.settlement_of(pair, month)
    if settled is not None:
        raise AlreadySettled(f"{month} is settled by {settled}", Fault("month", f"one not settled by {settled}"))
    raise MonthClosed(f"{month} was closed when {closed} was settled", Fault("month", f"one after {closed}"))


def _closed(order: Order) -> MonthClosedEvent:
    return MonthClosedEvent(
        settlement_id=order.settlement_id,
        community_id=order.pair.community_id,
        employer_id=order.pair.employer_id,
        city=order.city,
        month=order.month,
        entries=order.entries,
        closed_at=order.ordered_at,
    )


def _reversed(settlement: Settlement, now: datetime) -> SettlementReversed:
    return SettlementReversed(
        settlement_id=settlement.settlement_id,
        community_id=settlement.pair.community_id,
        employer_id=settlement.pair.employer_id,
        city=settlement.city,
        month=settlement.month,
        amount_fen=settlement.amount_fen,
        statement_hash=settlement.statement_hash,
        reversed_at=now,
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
