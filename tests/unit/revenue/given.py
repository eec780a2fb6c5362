"""Values for the tests of revenue, with what matters to a test given by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import Receipt
from services.revenue.ports import Party, Signatories, Signature
from services.revenue.use_cases.settle import SettleMonth, close_month, settle_month, tally_month
from services.revenue.use_cases.sign import SignAgreement
from services.revenue.use_cases.spend import ApproveSpending, RequestSpending, approve_spending, request_spending
from shared.contracts.revenue import RebateSettled
from shared.kernel.ids import PREFIXES, NewId
from tests.unit.revenue.memory import MemoryLedger

CITY = "370600"
EMPLOYERS = tuple(f"emp-{n:032x}" for n in range(2))
COMMUNITIES = tuple(f"com-{n:032x}" for n in range(2))
PAIR = Pair(EMPLOYERS[0], COMMUNITIES[0])
NOW = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
SIGNED_ON = date(2025, 12, 1)
SIGNATORIES = Signatories(
    Signature("Yantai Women's Federation", SIGNED_ON),
    Signature("an employer", SIGNED_ON),
    Signature("a community", SIGNED_ON),
)


def ids() -> Callable[[str], str]:
    """Predictable ids, in the shape of real ones."""
    counter = itertools.count()
    return lambda entity: f"{PREFIXES[entity]}-{next(counter):032x}"


def shift(**given: Any) -> Shift:
    """One attended shift of 9 March 2026: 120 yuan earned, output worth 300."""
    base = Shift(
        shift_id="sft-" + "0" * 32,
        revision=1,
        city=CITY,
        employer_id=EMPLOYERS[0],
        community_id=COMMUNITIES[0],
        day=date(2026, 3, 9),
        wage_fen=12_000,
        output_fen=30_000,
        event_id="evt-" + "0" * 32,
    )
    return replace(base, **given)


def terms(**given: Any) -> SignAgreement:
    """10 % of wages in 2026."""
    base = SignAgreement(
        employer_id=EMPLOYERS[0],
        community_id=COMMUNITIES[0],
        base="wages",
        rate_bp=1000,
        valid_from=date(2026, 1, 1),
        valid_until=date(2026, 12, 31),
        signatories=SIGNATORIES,
    )
    return replace(base, **given)


async def settled(command: SettleMonth, store: MemoryLedger, new_id: NewId, now: datetime = NOW) -> RebateSettled:
    """All three steps of a settlement."""
    closed = await close_month(command, store=store, now=now, new_id=new_id)
    order = store.orders[closed.event.entity_id]
    envelope = await settle_month(order, await tally_month(store.lines(order), unheard), store=store, now=now)
    assert envelope is not None
    assert isinstance(envelope.event, RebateSettled)
    return envelope.event


async def unheard(_read: int) -> None:
    """Hears of the progress and does nothing."""


async def ledger() -> MemoryLedger:
    """An empty ledger that knows the parties."""
    store = MemoryLedger()
    await store.note_parties(
        [Party("employer", party_id, CITY, 1) for party_id in EMPLOYERS]
        + [Party("community", party_id, CITY, 1) for party_id in COMMUNITIES]
    )
    return store


async def spend(store: MemoryLedger, community_id: str, amount_fen: int, new_id: NewId) -> None:
    """A clinic, requested by one desk and approved by another."""
    receipt = Receipt(f"%PDF- {len(store.requests)}".encode())
    command = RequestSpending(community_id, "clinic", amount_fen, "a clinic", receipt, "a-desk")
    envelope = await request_spending(command, store=store, now=NOW, new_id=new_id)
    await approve_spending(ApproveSpending(envelope.event.entity_id, "another-desk"), store=store, now=NOW)
