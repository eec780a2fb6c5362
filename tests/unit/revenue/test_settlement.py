"""Settlement: summed once, rounded once, carried, closed; and a statement that anybody can recompute."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import UTC, datetime

import pytest

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import fund, payable
from services.revenue.domain.settlements import HEADER, Tally, line_of, total_lines
from services.revenue.errors import (
    AlreadyReversed,
    AlreadySettled,
    EarlierMonthOpen,
    LaterMonthClosed,
    MonthClosed,
    MonthNotOver,
    NoAgreement,
    RevenueError,
    ReversalInvalid,
    SettlementRunning,
    SettlementUnknown,
    TotalsDiffer,
)
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import (
    SettleMonth,
    close_month,
    preview_month,
    reverse_settlement,
    settle_month,
    tally_month,
)
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import RebateSettled
from tests.unit.revenue.given import (
    CITY,
    COMMUNITIES,
    EMPLOYERS,
    NOW,
    PAIR,
    ids,
    ledger,
    settled,
    shift,
    terms,
    unheard,
)
from tests.unit.revenue.memory import MemoryLedger

NEW_ID = ids()


@pytest.fixture
async def store() -> MemoryLedger:
    made = await ledger()
    await sign_agreement(terms(rate_bp=500), store=made, now=NOW, new_id=NEW_ID)
    return made


async def settle(store: MemoryLedger, month: str, pair: Pair = PAIR) -> RebateSettled:
    return await settled(SettleMonth(pair, month), store, NEW_ID)


async def refused(error: type[RevenueError], store: MemoryLedger, month: str, pair: Pair = PAIR) -> RevenueError:
    before = (len(store.links), len(store.events), len(store.settlements))
    with pytest.raises(error) as caught:
        await settle(store, month, pair)
    assert (len(store.links), len(store.events), len(store.settlements)) == before
    return caught.value


async def test_the_remainder_goes_into_the_next_month(store: MemoryLedger) -> None:
    # 5 % of 110 fen is 5.5 fen: rounded half to even to 6; of 30 fen, 1.5 fen less the 0.5 given too much: 1.
    await accrue_shifts([shift(wage_fen=110)], store=store, now=NOW)
    march = await settle(store, "2026-03")
    assert (march.amount_fen, march.carry_fen_e4, march.entries) == (6, -5_000, 1)
    april = shift(shift_id="sft-" + "1" * 32, day=shift().day.replace(month=4), wage_fen=30)
    await accrue_shifts([april], store=store, now=NOW)
    april_settled = await settle(store, "2026-04")
    assert (april_settled.amount_fen, april_settled.carry_fen_e4) == (1, 0)
    audit = await verify_city(CITY, snapshot=store)
    assert audit.findings == []
    assert audit.balances[payable(PAIR)] == 7 * 10_000
    assert audit.balances[fund(PAIR.community_id)] == -7 * 10_000


async def test_a_settled_month_names_its_settlement(store: MemoryLedger) -> None:
    first = await settle(store, "2026-03")
    error = await refused(AlreadySettled, store, "2026-03")
    assert first.settlement_id in str(error)
    assert error.faults[0].field == "month"


async def test_settling_a_month_closes_those_before(store: MemoryLedger) -> None:
    await settle(store, "2026-03")
    assert "2026-03" in str(await refused(MonthClosed, store, "2026-02"))


async def test_an_earlier_month_with_entries_comes_first(store: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=store, now=NOW)
    error = await refused(EarlierMonthOpen, store, "2026-04")
    assert "2026-03" in error.faults[0].expected


async def test_a_month_is_over_when_its_last_civil_day_is(store: MemoryLedger) -> None:
    last_hour = datetime(2026, 3, 31, 15, 59, tzinfo=UTC)
    with pytest.raises(MonthNotOver):
        await settled(SettleMonth(PAIR, "2026-03"), store, NEW_ID, last_hour)
    midnight = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    await settled(SettleMonth(PAIR, "2026-03"), store, NEW_ID, midnight)
    await refused(MonthNotOver, store, "2026-09")


async def test_a_pair_without_agreement_has_nothing_to_settle(store: MemoryLedger) -> None:
    await refused(NoAgreement, store, "2026-03", Pair(EMPLOYERS[1], COMMUNITIES[0]))


async def test_corrections_may_turn_a_month_negative(store: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=store, now=NOW)
    await settle(store, "2026-03")
    await accrue_shifts([shift(revision=2, wage_fen=0, output_fen=0)], store=store, now=NOW)
    april = await settle(store, "2026-04")
    assert (april.amount_fen, april.carry_fen_e4, april.base_fen) == (-600, 0, -12_000)
    assert store.funds[PAIR.community_id].balance_fen == 0
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_a_stranger_recomputes_the_statement(store: MemoryLedger) -> None:
    await accrue_shifts(
        [shift(shift_id=f"sft-{n:032x}", wage_fen=1_001 * n) for n in range(1, 20)] + [shift(revision=2, wage_fen=7)],
        store=store,
        now=NOW,
    )
    event = await settle(store, "2026-03")
    settlement = store.settlements[event.settlement_id]
    text = HEADER + "".join([line_of(link.entry) for link in store.links if link.entry.rebate])
    text += "".join(total_lines(settlement))

    assert hashlib.sha256(text.encode()).hexdigest() == event.statement_hash
    rows = list(csv.DictReader(io.StringIO(text)))
    total = {row["record"]: row["value"] for row in rows if row["record"] != "line"}
    amounts = [int(row["amount_fen_e4"]) for row in rows if row["record"] == "line"]
    for row in rows:
        if row["record"] == "line":
            assert int(row["base_fen"]) * int(row["rate_bp"]) == int(row["amount_fen_e4"])
    assert sum(amounts) == int(total["sum_fen_e4"])
    assert len(amounts) == int(total["entries"]) == event.entries
    assert sum(amounts) + int(total["carry_in_fen_e4"]) == int(total["amount_fen"]) * 10_000 + int(
        total["carry_out_fen_e4"]
    )
    assert total["month"] == "2026-03"
    assert '"' not in text
    assert "\r" not in text


async def test_a_dry_run_says_what_the_settlement_will_and_writes_nothing(store: MemoryLedger) -> None:
    await accrue_shifts([shift(wage_fen=110)], store=store, now=NOW)
    await settle(store, "2026-03")
    late = shift(shift_id="sft-" + "1" * 32, wage_fen=50)
    april = shift(shift_id="sft-" + "2" * 32, day=shift().day.replace(month=4), wage_fen=30)
    waits = shift(shift_id="sft-" + "3" * 32, day=shift().day.replace(year=2025))
    await accrue_shifts([late, april, waits], store=store, now=NOW)
    before = (list(store.links), list(store.events), dict(store.kept_accounts))
    dry = await preview_month(SettleMonth(PAIR, "2026-04"), store=store, now=NOW)
    assert (list(store.links), list(store.events), dict(store.kept_accounts)) == before
    made = await settle(store, "2026-04")
    assert (dry.amount_fen, dry.carry_out_fen_e4, dry.base_fen) == (made.amount_fen, made.carry_fen_e4, made.base_fen)
    assert (dry.entries, dry.late_entries, dry.waiting, dry.carry_in_fen_e4) == (2, 1, 1, -5_000)
    with pytest.raises(AlreadySettled):
        await preview_month(SettleMonth(PAIR, "2026-04"), store=store, now=NOW)


async def test_a_month_that_is_being_settled_takes_nothing_and_is_not_ordered_twice(store: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=store, now=NOW)
    closed = await close_month(SettleMonth(PAIR, "2026-03"), store=store, now=NOW, new_id=NEW_ID)
    order = store.orders[closed.event.entity_id]
    await accrue_shifts([shift(shift_id="sft-" + "1" * 32)], store=store, now=NOW)
    assert store.links[-1].entry.month == "2026-04"
    with pytest.raises(AlreadySettled, match=order.settlement_id):
        await close_month(SettleMonth(PAIR, "2026-03"), store=store, now=NOW, new_id=NEW_ID)
    with pytest.raises(SettlementRunning):
        await close_month(SettleMonth(PAIR, "2026-04"), store=store, now=NOW, new_id=NEW_ID)
    tally = await tally_month(store.lines(order), unheard)
    assert await settle_month(order, tally, store=store, now=NOW) is not None
    # Another instance that read the same lines enters nothing.
    assert await settle_month(order, tally, store=store, now=NOW) is None
    assert [link.entry.kind for link in store.links].count("settlement") == 1
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_lines_that_do_not_sum_to_the_totals_are_not_settled(store: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=store, now=NOW)
    closed = await close_month(SettleMonth(PAIR, "2026-03"), store=store, now=NOW, new_id=NEW_ID)
    order = store.orders[closed.event.entity_id]
    with pytest.raises(TotalsDiffer):
        await settle_month(order, Tally(), store=store, now=NOW)
    assert (store.settlements, list(store.orders)) == ({}, [order.settlement_id])


async def test_a_reversal_opens_the_month_and_a_new_settlement_replaces_it(store: MemoryLedger) -> None:
    await accrue_shifts([shift(wage_fen=110)], store=store, now=NOW)
    first = await settle(store, "2026-03")
    await accrue_shifts([shift(shift_id="sft-" + "1" * 32, wage_fen=50)], store=store, now=NOW)
    await reverse_settlement(first.settlement_id, "a shift was missing", store=store, now=NOW)
    assert store.funds[PAIR.community_id].balance_fen == 0
    await accrue_shifts([shift(shift_id="sft-" + "2" * 32, wage_fen=90)], store=store, now=NOW)
    again = await settle(store, "2026-03")
    # What came while the month was closed stays in April; what came after it was opened is in March.
    assert (again.entries, again.base_fen, again.amount_fen) == (2, 200, 10)
    with pytest.raises(AlreadyReversed):
        await reverse_settlement(first.settlement_id, "once more", store=store, now=NOW)
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_settlements_are_reversed_from_the_last_on_and_with_a_reason(store: MemoryLedger) -> None:
    first = await settle(store, "2026-03")
    await settle(store, "2026-04")
    with pytest.raises(LaterMonthClosed) as caught:
        await reverse_settlement(first.settlement_id, "too early", store=store, now=NOW)
    assert "2026-04" in caught.value.faults[0].expected
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(ReversalInvalid) as refusal:
            await reverse_settlement(first.settlement_id, reason, store=store, now=NOW)
        assert [fault.field for fault in refusal.value.faults] == ["reason"]
    with pytest.raises(SettlementUnknown):
        await reverse_settlement("stl-" + "f" * 32, "no such one", store=store, now=NOW)
