"""Spending: earmarked, receipted, requested by one and approved by another, never more than there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.revenue.domain.funds import CATEGORIES, RECEIPT_MAX_BYTES, Fund, Receipt
from services.revenue.errors import (
    AlreadyApproved,
    CommunityUnknown,
    FundTooSmall,
    ReceiptUsed,
    RequestDeclined,
    RevenueError,
    SelfApproval,
    SpendingInvalid,
    SpendingUnknown,
)
from services.revenue.use_cases.spend import (
    ApproveSpending,
    DeclineSpending,
    RequestSpending,
    approve_spending,
    decline_spending,
    request_spending,
)
from shared.contracts.revenue import FundSpent, SpendingDeclined, SpendingRequested
from shared.kernel.ids import NewId
from tests.unit.revenue.given import CITY, COMMUNITIES, NOW, ids, ledger
from tests.unit.revenue.memory import MemoryLedger

PDF = b"%PDF-1.4 a receipt"
SIX_LED_LIGHTS = RequestSpending(COMMUNITIES[0], "lighting", 30_000, "six LED lights", Receipt(PDF), "a-desk")


@pytest.fixture
async def store() -> MemoryLedger:
    made = await ledger()
    await made.save_fund(Fund(COMMUNITIES[0], CITY, income_fen=50_000))
    return made


async def requested(store: MemoryLedger, new_id: NewId | None = None, **given: Any) -> str:
    """Id of a request of the six lights, with what a test says."""
    command = replace(SIX_LED_LIGHTS, **given)
    envelope = await request_spending(command, store=store, now=NOW, new_id=new_id or ids())
    return envelope.event.entity_id


async def approve(store: MemoryLedger, spending_id: str, by: str = "another-desk") -> None:
    await approve_spending(ApproveSpending(spending_id, by), store=store, now=NOW)


@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_earmark_can_be_paid(store: MemoryLedger, category: str) -> None:
    spending_id = await requested(store, category=category, amount_fen=50_000)
    assert store.funds[COMMUNITIES[0]].balance_fen == 50_000
    await approve(store, spending_id)
    asked, spent = store.events
    assert isinstance(asked, SpendingRequested)
    assert isinstance(spent, FundSpent)
    assert asked.spending_id == spent.spending_id == spending_id
    assert (spent.category, spent.amount_fen, spent.receipt_hash) == (category, 50_000, Receipt(PDF).receipt_hash)
    assert store.funds[COMMUNITIES[0]].balance_fen == 0
    assert store.links[0].entry.document_hash == Receipt(PDF).receipt_hash


async def test_purpose_and_receipt_are_not_published(store: MemoryLedger) -> None:
    await approve(store, await requested(store))
    told = "".join(event.model_dump_json() for event in store.events) + repr(store.links)
    assert "LED" not in told
    assert "desk" not in told


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
        ({"receipt": Receipt(b"")}, SpendingInvalid, "receipt"),
        ({"receipt": Receipt(b"GIF89a")}, SpendingInvalid, "receipt"),
        ({"receipt": Receipt(PDF.ljust(RECEIPT_MAX_BYTES + 1))}, SpendingInvalid, "receipt"),
    ],
)
async def test_what_is_refused(
    store: MemoryLedger, given: dict[str, Any], error: type[RevenueError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await requested(store, **given)
    assert [fault.field for fault in caught.value.faults] == [field]
    assert (store.links, store.events, store.requests) == ([], [], {})


async def test_an_unknown_community_is_not_found(store: MemoryLedger) -> None:
    with pytest.raises(CommunityUnknown):
        await requested(store, community_id="com-" + "9" * 32)


async def test_a_receipt_of_the_most_that_is_allowed(store: MemoryLedger) -> None:
    assert await requested(store, receipt=Receipt(PDF.ljust(RECEIPT_MAX_BYTES)))


async def test_a_receipt_pays_once(store: MemoryLedger) -> None:
    first = await requested(store)
    with pytest.raises(ReceiptUsed, match=first):
        await requested(store, amount_fen=1)


async def test_nobody_approves_what_they_requested(store: MemoryLedger) -> None:
    spending_id = await requested(store)
    with pytest.raises(SelfApproval) as caught:
        await approve(store, spending_id, by="a-desk")
    assert caught.value.faults[0].field == "Authorization"
    assert store.spendings == []


async def test_a_request_is_approved_once(store: MemoryLedger) -> None:
    spending_id = await requested(store, amount_fen=10_000)
    await approve(store, spending_id)
    with pytest.raises(AlreadyApproved):
        await approve(store, spending_id)
    assert store.funds[COMMUNITIES[0]].balance_fen == 40_000


async def test_the_balance_counts_at_the_approval(store: MemoryLedger) -> None:
    new_id = ids()
    first = await requested(store, new_id)
    second = await requested(store, new_id, receipt=Receipt(PDF + b" another"))
    await approve(store, first)
    with pytest.raises(FundTooSmall, match="20000"):
        await approve(store, second)
    assert not store.requests[second].is_approved


async def test_an_unknown_request_is_not_found(store: MemoryLedger) -> None:
    with pytest.raises(SpendingUnknown):
        await approve(store, "spd-" + "9" * 32)


async def test_a_request_is_declined_once_and_never_paid(store: MemoryLedger) -> None:
    decline = DeclineSpending(await requested(store), "the lights still work", "another-desk")
    for reason in ("", " ", "x" * 201):
        with pytest.raises(SpendingInvalid, match="says why"):
            await decline_spending(replace(decline, reason=reason), store=store, now=NOW)
    told = await decline_spending(decline, store=store, now=NOW)
    assert isinstance(told.event, SpendingDeclined)
    assert "lights" not in told.event.model_dump_json()
    with pytest.raises(RequestDeclined):
        await decline_spending(decline, store=store, now=NOW)
    with pytest.raises(RequestDeclined):
        await approve(store, decline.spending_id)
    assert (store.spendings, store.links) == ([], [])
    with pytest.raises(SpendingUnknown):
        await decline_spending(replace(decline, spending_id="spd-" + "9" * 32), store=store, now=NOW)


async def test_what_was_paid_cannot_be_declined(store: MemoryLedger) -> None:
    spending_id = await requested(store)
    await approve(store, spending_id)
    with pytest.raises(AlreadyApproved):
        await decline_spending(DeclineSpending(spending_id, "too late", "a-desk"), store=store, now=NOW)
