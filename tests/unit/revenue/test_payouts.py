"""Payouts: what was settled is ordered once, the bank's word counts once, and whatever does not fit is named."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.revenue.domain.ledger import bank, payable
from services.revenue.domain.payouts import (
    CONFIRMATION_HEADER,
    PAYOUTS_MAX,
    Payout,
    order_file,
    read_confirmation,
)
from services.revenue.errors import ConfirmationInvalid, NothingDue
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.pay import Confirmed, confirm_payouts, order_payouts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import PayoutConfirmed, PayoutsOrdered
from shared.kernel.clock import civil_day
from shared.kernel.ids import NewId
from tests.unit.revenue.given import CITY, NOW, PAIR, ids, ledger, settled, shift, terms
from tests.unit.revenue.memory import MemoryLedger

TODAY = civil_day(NOW)


async def owed(new_id: NewId) -> MemoryLedger:
    """A ledger with 1,200 fen settled for March."""
    store = await ledger()
    await sign_agreement(terms(), store=store, now=NOW, new_id=new_id)
    await accrue_shifts([shift()], store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), store, new_id)
    return store


async def ordered(store: MemoryLedger, new_id: NewId) -> Payout:
    """The one payout of a new batch."""
    envelope = await order_payouts(CITY, store=store, now=NOW, new_id=new_id)
    [payout] = [one for one in store.kept_payouts.values() if one.batch_id == envelope.event.entity_id]
    return payout


def row(payout: Payout, **given: object) -> str:
    """What the bank says of a payout."""
    told = {"amount_fen": payout.amount_fen, "state": "paid", "reference": "REF-1", "booked_on": TODAY, **given}
    return f"payout,{payout.payout_id},{told['amount_fen']},{told['state']},{told['reference']},{told['booked_on']},"


def told(*rows: str) -> str:
    total = sum(int(one.split(",")[2]) for one in rows)
    return "\n".join([CONFIRMATION_HEADER, *rows, f"count,,,,,,{len(rows)}", f"amount_fen,,,,,,{total}"]) + "\n"


async def confirm(store: MemoryLedger, text: str) -> Confirmed:
    return await confirm_payouts(CITY, text, store=store, now=NOW)


async def test_what_was_settled_is_ordered_once_and_paid_once() -> None:
    new_id = ids()
    store = await owed(new_id)
    payout = await ordered(store, new_id)
    assert (payout.pair, payout.amount_fen, payout.state) == (PAIR, 1_200, "ordered")
    with pytest.raises(NothingDue):
        await order_payouts(CITY, store=store, now=NOW, new_id=new_id)
    [batch] = store.kept_batches.values()
    file = order_file(batch.batch_id, [payout])
    assert hashlib.sha256(file.encode()).hexdigest() == batch.file_hash
    assert file.splitlines()[1:] == [
        f"payout,{payout.payout_id},{PAIR.employer_id},{PAIR.community_id},1200,",
        f"batch_id,,,,,{batch.batch_id}",
        "count,,,,,1",
        "amount_fen,,,,,1200",
    ]
    first = await confirm(store, told(row(payout)))
    again = await confirm(store, told(row(payout), row(payout)))
    assert (first.paid, first.repeated, again.paid, again.repeated) == (1, 0, 0, 2)
    events = [event for event in store.events if isinstance(event, PayoutsOrdered | PayoutConfirmed)]
    assert len(events) == 2
    audit = await verify_city(CITY, snapshot=store)
    assert audit.findings == []
    assert audit.balances[payable(PAIR)] == 0
    assert audit.balances[bank(PAIR.community_id)] == 1_200 * 10_000


async def test_a_failed_payout_is_ordered_anew() -> None:
    new_id = ids()
    store = await owed(new_id)
    failed = await ordered(store, new_id)
    assert (await confirm(store, told(row(failed, state="failed")))).failed == 1
    payout = await ordered(store, new_id)
    assert (payout.amount_fen, payout.payout_id == failed.payout_id) == (1_200, False)
    late = await confirm(store, told(row(failed)))
    assert [one.fault.field for one in late.refused] == ["state"]
    assert (await confirm(store, told(row(payout)))).paid == 1


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"amount_fen": 1_199}, "amount_fen", "1200 fen, as ordered"),
        ({"amount_fen": 0}, "amount_fen", "1.."),
        ({"state": "maybe"}, "state", "paid or failed"),
        ({"reference": ""}, "bank_reference", "letters"),
        ({"booked_on": TODAY + timedelta(days=1)}, "booked_on", "not after"),
        ({"booked_on": "2026-02-30"}, "booked_on", "YYYY-MM-DD"),
    ],
)
async def test_a_line_that_does_not_fit_is_named_and_the_rest_is_taken_in(
    given: dict[str, object], field: str, says: str
) -> None:
    new_id = ids()
    store = await owed(new_id)
    payout = await ordered(store, new_id)
    stranger = row(payout).replace(payout.payout_id, "pay-" + "9" * 32)
    result = await confirm(store, told(row(payout, **given), stranger, row(payout)))
    assert [(one.line, one.fault.field) for one in result.refused] == [(2, field), (3, "payout_id")]
    assert says in result.refused[0].fault.expected
    assert result.paid == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda text: text.replace("count,,,,,,1", "count,,,,,,2"), "count"),
        (lambda text: text.replace("amount_fen,,,,,,1200", "amount_fen,,,,,,1201"), "amount_fen"),
        (lambda text: text[: text.index("amount_fen,,")], "amount_fen"),
        (lambda text: text.replace("record,", "records,"), "line 1"),
        (lambda text: "", "line 1"),
        (lambda text: text + text * PAYOUTS_MAX, "body"),
    ],
)
async def test_a_file_that_does_not_hold_together_changes_nothing(change: object, field: str) -> None:
    assert callable(change)
    new_id = ids()
    store = await owed(new_id)
    payout = await ordered(store, new_id)
    with pytest.raises(ConfirmationInvalid) as caught:
        await confirm(store, change(told(row(payout))))
    assert [fault.field for fault in caught.value.faults] == [field]
    assert store.kept_payouts[payout.payout_id].state == "ordered"


@given(st.text(alphabet="payout,-0123456789\ncount amount_fen", max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    good, _, wrong = read_confirmation(f"{CONFIRMATION_HEADER}\n{text}", date(2026, 9, 1))
    assert good == [] or wrong == []
