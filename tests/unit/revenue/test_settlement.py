"""Settlement: summed once, rounded once, carried, closed; and a statement that anybody can recompute."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import UTC, datetime

import pytest

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import fund, payable
from services.revenue.domain.settlements import HEADER, line_of, total_lines
from services.revenue.errors import (
    AlreadySettled,
    EarlierMonthOpen,
    MonthClosed,
    MonthNotOver,
    NoAgreement,
    RevenueError,
)
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth, settle_month
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import RebateSettled
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, PAIR, ids, ledger, shift, terms
from tests.unit.revenue.memory import MemoryLedger

NEW_ID = ids()


@pytest.fixture
async def store() -> MemoryLedger:
    made = await ledger()
    await sign_agreement(terms(rate_bp=500), store=made, now=NOW, new_id=NEW_ID)
    return made


async def settle(store: MemoryLedger, month: str, pair: Pair = PAIR) -> RebateSettled:
    envelope = await settle_month(SettleMonth(pair, month), store=store, now=NOW, new_id=NEW_ID)
    assert isinstance(envelope.event, RebateSettled)
    return envelope.event


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
    settled = await settle(store, "2026-04")
    assert (settled.amount_fen, settled.carry_fen_e4) == (1, 0)
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
        await settle_month(SettleMonth(PAIR, "2026-03"), store=store, now=last_hour, new_id=NEW_ID)
    midnight = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    await settle_month(SettleMonth(PAIR, "2026-03"), store=store, now=midnight, new_id=NEW_ID)
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
    text = HEADER + "".join([line_of(entry) async for entry in store.rebates(PAIR, "2026-03")])
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
