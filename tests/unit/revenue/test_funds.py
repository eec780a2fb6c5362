"""Spending: earmarked, receipted, never more than there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.revenue.domain.funds import CATEGORIES, Fund
from services.revenue.errors import CommunityUnknown, FundTooSmall, RevenueError, SpendingInvalid
from services.revenue.use_cases.spend import SpendFromFund, spend_from_fund
from shared.contracts.revenue import FundSpent
from tests.unit.revenue.given import CITY, COMMUNITIES, NOW, ids, ledger
from tests.unit.revenue.memory import MemoryLedger

SIX_LED_LIGHTS = SpendFromFund(COMMUNITIES[0], "lighting", 30_000, "six LED lights", "a" * 64)


@pytest.fixture
async def store() -> MemoryLedger:
    made = await ledger()
    await made.save_fund(Fund(COMMUNITIES[0], CITY, income_fen=50_000))
    return made


@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_earmark_can_be_paid(store: MemoryLedger, category: str) -> None:
    command = replace(SIX_LED_LIGHTS, category=category, amount_fen=50_000)
    await spend_from_fund(command, store=store, now=NOW, new_id=ids())
    [event] = store.events
    assert isinstance(event, FundSpent)
    assert (event.category, event.amount_fen) == (category, 50_000)
    assert store.funds[COMMUNITIES[0]].balance_fen == 0


async def test_the_purpose_is_not_published(store: MemoryLedger) -> None:
    await spend_from_fund(SIX_LED_LIGHTS, store=store, now=NOW, new_id=ids())
    assert "LED" not in store.events[0].model_dump_json()
    assert "LED" not in repr(store.links)


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ({"category": "banquet"}, SpendingInvalid, "category"),
        ({"amount_fen": 0}, SpendingInvalid, "amount_fen"),
        ({"amount_fen": -1}, SpendingInvalid, "amount_fen"),
        ({"amount_fen": 10**20}, SpendingInvalid, "amount_fen"),
        ({"amount_fen": 50_001}, FundTooSmall, "amount_fen"),
        ({"community_id": COMMUNITIES[1]}, FundTooSmall, "amount_fen"),
        ({"purpose": "  "}, SpendingInvalid, "purpose"),
        ({"purpose": "x" * 201}, SpendingInvalid, "purpose"),
        ({"receipt_hash": "A" * 64}, SpendingInvalid, "receipt_hash"),
        ({"receipt_hash": "a" * 63}, SpendingInvalid, "receipt_hash"),
    ],
)
async def test_what_is_refused(
    store: MemoryLedger, given: dict[str, Any], error: type[RevenueError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await spend_from_fund(replace(SIX_LED_LIGHTS, **given), store=store, now=NOW, new_id=ids())
    assert [fault.field for fault in caught.value.faults] == [field]
    assert (store.links, store.events, store.spendings) == ([], [], [])


async def test_an_unknown_community_is_not_found(store: MemoryLedger) -> None:
    with pytest.raises(CommunityUnknown):
        await spend_from_fund(
            replace(SIX_LED_LIGHTS, community_id="com-" + "9" * 32), store=store, now=NOW, new_id=ids()
        )
