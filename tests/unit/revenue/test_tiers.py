"""Marginal tiers: exact whatever the order in which shifts come, and recomputable from the sum of a month alone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.revenue.domain.agreements import Agreement, Tier
from services.revenue.errors import AgreementGap, AgreementInvalid, AgreementOverlaps
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.tell import tell_entries
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import AgreementSigned, RebateAccrued
from shared.kernel.money import FEN_MAX
from tests.unit.revenue.given import CITY, NOW, PAIR, ids, ledger, settled, shift, terms
from tests.unit.revenue.memory import MemoryLedger

NEW_ID = ids()
TIERS = (Tier(10_000, 800), Tier(30_000, 500))
"""10 % of the first 100 yuan of a month, 8 % of what is above, 5 % above 300."""


async def tiered(**given: Any) -> MemoryLedger:
    store = await ledger()
    await sign_agreement(terms(tiers=TIERS, **given), store=store, now=NOW, new_id=NEW_ID)
    return store


def agreement(tiers: tuple[Tier, ...]) -> Agreement:
    return Agreement("agr-1", 1, CITY, PAIR, "wages", 1000, date(2026, 1, 1), None, tiers)


async def test_a_base_that_crosses_tiers_has_a_line_for_each() -> None:
    store = await tiered()
    await accrue_shifts([shift(wage_fen=8_000)], store=store, now=NOW)
    await accrue_shifts([shift(shift_id="sft-" + "1" * 32, wage_fen=25_000)], store=store, now=NOW)
    await tell_entries(CITY, store=store)
    told = [event for event in store.events if isinstance(event, RebateAccrued)]
    assert [(event.before_fen, event.base_fen, event.rate_bp) for event in told] == [
        (0, 8_000, 1000),
        (8_000, 2_000, 1000),
        (10_000, 20_000, 800),
        (30_000, 3_000, 500),
    ]
    assert len({event.entry_id for event in told}) == 4
    assert all(event.amount_fen_e4 == event.base_fen * event.rate_bp for event in told)
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_a_correction_leaves_the_month_from_the_top() -> None:
    store = await tiered()
    second = shift(shift_id="sft-" + "1" * 32, wage_fen=25_000)
    await accrue_shifts(
        [shift(wage_fen=8_000), second, shift(revision=2, wage_fen=0, output_fen=0)], store=store, now=NOW
    )
    assert sum(link.entry.amount_fen_e4 for link in store.links) == 10_000 * 1000 + 15_000 * 800
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_the_order_of_shifts_changes_no_month() -> None:
    sums = set()
    days = [shift(shift_id=f"sft-{n:032x}", wage_fen=wage) for n, wage in enumerate((9_999, 2, 25_000, 400))]
    story = [*days[:3], shift(shift_id=days[0].shift_id, revision=2, wage_fen=12_001)]
    for order in itertools.permutations(story):
        store = await tiered()
        await accrue_shifts(order, store=store, now=NOW)
        event = await settled(SettleMonth(PAIR, "2026-03"), store, NEW_ID)
        sums.add((event.amount_fen, event.carry_fen_e4, event.base_fen))
    assert len(sums) == 1


@examples(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(500, 1500)), max_size=5),
    st.lists(st.integers(1, 10**6), max_size=8),
)
def test_parts_sum_to_the_whole_and_leave_as_they_came(tiers: list[tuple[int, int]], bases: list[int]) -> None:
    ordered = tuple(Tier(*tier) for tier in sorted({first: (first, rate) for first, rate in tiers}.values()))
    one = agreement(ordered)
    total, amount = 0, 0
    for base in [*bases, *(-base for base in reversed(bases))]:
        parts = one.slices(total, base)
        assert sum(part.base_fen for part in parts) == base
        amount += sum(part.base_fen * part.rate_bp for part in parts)
        total += base
        whole = one.slices(0, total) if total else []
        assert amount == sum(part.base_fen * part.rate_bp for part in whole)
    assert (total, amount) == (0, 0)


@pytest.mark.parametrize(
    ("tiers", "field", "says"),
    [
        ((Tier(10_000, 800), Tier(10_000, 500)), "tiers.1.from_fen", "above the tier before it (10000 fen)"),
        ((Tier(30_000, 800), Tier(10_000, 500)), "tiers.1.from_fen", "above the tier before it (30000 fen)"),
        ((Tier(0, 800),), "tiers.0.from_fen", "above"),
        ((Tier(-1, 800),), "tiers.0.from_fen", "above"),
        ((Tier(FEN_MAX + 1, 800),), "tiers.0.from_fen", str(FEN_MAX)),
        ((Tier(10_000, 499),), "tiers.0.rate_bp", "500..1500"),
        ((Tier(10_000, 1501),), "tiers.0.rate_bp", "500..1500"),
        (tuple(Tier(n, 800) for n in range(1, 12)), "tiers", "at most 10"),
    ],
)
async def test_tiers_that_are_refused(tiers: tuple[Tier, ...], field: str, says: str) -> None:
    store = await ledger()
    with pytest.raises(AgreementInvalid) as caught:
        await sign_agreement(terms(tiers=tiers), store=store, now=NOW, new_id=NEW_ID)
    assert [fault.field for fault in caught.value.faults] == [field]
    assert says in caught.value.faults[0].expected
    assert store.versions == {}


async def test_a_gap_is_refused_with_its_days() -> None:
    store = await ledger()
    await sign_agreement(terms(), store=store, now=NOW, new_id=NEW_ID)
    for days, gap in (
        ({"valid_from": date(2027, 1, 3), "valid_until": None}, "2027-01-01 to 2027-01-02"),
        ({"valid_from": date(2025, 1, 1), "valid_until": date(2025, 12, 30)}, "2025-12-31 to 2025-12-31"),
    ):
        with pytest.raises(AgreementGap) as caught:
            await sign_agreement(terms(**days), store=store, now=NOW, new_id=NEW_ID)
        assert gap in caught.value.faults[0].expected


async def test_a_later_version_ends_one_until_further_notice() -> None:
    store = await tiered(valid_until=None)
    await accrue_shifts([shift(wage_fen=8_000)], store=store, now=NOW)
    with pytest.raises(AgreementOverlaps) as caught:
        await sign_agreement(terms(valid_from=date(2026, 3, 9)), store=store, now=NOW, new_id=NEW_ID)
    assert "2026-03-09" in caught.value.faults[0].expected
    await sign_agreement(terms(valid_from=date(2026, 3, 10), rate_bp=500), store=store, now=NOW, new_id=NEW_ID)
    later = shift(shift_id="sft-" + "1" * 32, day=date(2026, 3, 10), wage_fen=8_000)
    earlier = shift(shift_id="sft-" + "2" * 32, day=date(2026, 3, 9), wage_fen=8_000)
    await accrue_shifts([later, earlier], store=store, now=NOW)
    versions = [link.entry.rebate.agreement_version for link in store.links if link.entry.rebate]
    assert versions == [1, 2, 1, 1]
    assert [event.version for event in store.events if isinstance(event, AgreementSigned)] == [1, 2]
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_nobody_signs_tomorrow() -> None:
    store = await ledger()
    signed = terms().signatories
    late = replace(signed, employer=signed.employer._replace(signed_on=date(2026, 9, 2)))
    with pytest.raises(AgreementInvalid) as caught:
        await sign_agreement(terms(signatories=late), store=store, now=NOW, new_id=NEW_ID)
    assert [fault.field for fault in caught.value.faults] == ["signed_on.employer"]
