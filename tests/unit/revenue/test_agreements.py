"""Agreements: terms within the programme's limits, known parties of one city, versions that share no day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.revenue.errors import AgreementInvalid, AgreementOverlaps, PartiesApart, PartyUnknown, RevenueError
from services.revenue.ports import Party
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.sign import sign_agreement
from shared.contracts.revenue import AgreementSigned
from tests.unit.revenue.given import COMMUNITIES, NOW, PAIR, ids, ledger, shift, terms


@pytest.mark.parametrize("rate_bp", [500, 1500])
async def test_rates_at_the_limits_are_signed(rate_bp: int) -> None:
    store = await ledger()
    await sign_agreement(terms(rate_bp=rate_bp, valid_until=None), store=store, now=NOW, new_id=ids())
    [event] = store.events
    assert isinstance(event, AgreementSigned)
    assert (event.rate_bp, event.version, event.valid_until) == (rate_bp, 1, None)


@pytest.mark.parametrize(
    ("given", "error", "field", "says"),
    [
        ({"rate_bp": 499}, AgreementInvalid, "rate_bp", "500..1500"),
        ({"rate_bp": 1501}, AgreementInvalid, "rate_bp", "500..1500"),
        ({"rate_bp": -(10**30)}, AgreementInvalid, "rate_bp", "500..1500"),
        ({"valid_until": date(2025, 12, 31)}, AgreementInvalid, "valid_until", "on or after valid_from"),
        ({"valid_from": date(1999, 12, 31)}, AgreementInvalid, "valid_from", "2000-01-01"),
        ({"employer_id": "emp-" + "9" * 32}, PartyUnknown, "employer_id", "registered employer"),
        ({"community_id": "com-" + "9" * 32}, PartyUnknown, "community_id", "registered community"),
        ({"community_id": "com-" + "8" * 32}, PartiesApart, "community_id", "employer's city"),
    ],
)
async def test_what_is_refused(given: dict[str, Any], error: type[RevenueError], field: str, says: str) -> None:
    store = await ledger()
    await store.note_parties([Party("community", "com-" + "8" * 32, "370700", 1)])
    with pytest.raises(error) as caught:
        await sign_agreement(terms(**given), store=store, now=NOW, new_id=ids())
    assert [fault.field for fault in caught.value.faults] == [field]
    assert says in caught.value.faults[0].expected
    assert (store.events, store.versions) == ([], {})


@pytest.mark.parametrize(
    ("valid_from", "valid_until"),
    [
        (date(2026, 12, 31), None),
        (date(2025, 6, 1), date(2026, 1, 1)),
        (date(2026, 5, 1), date(2026, 5, 1)),
        (date(2025, 1, 1), None),
    ],
)
async def test_an_overlap_is_refused_with_the_standing_dates(valid_from: date, valid_until: date | None) -> None:
    store, new_id = await ledger(), ids()
    await sign_agreement(terms(), store=store, now=NOW, new_id=new_id)
    with pytest.raises(AgreementOverlaps) as caught:
        await sign_agreement(terms(valid_from=valid_from, valid_until=valid_until), store=store, now=NOW, new_id=new_id)
    [fault] = caught.value.faults
    assert fault.field == "valid_from"
    assert "2026-01-01 to 2026-12-31" in fault.expected
    assert len(store.versions[PAIR]) == 1


async def test_versions_count_per_pair() -> None:
    store, new_id = await ledger(), ids()
    for given in (
        {},
        {"valid_from": date(2027, 1, 1), "valid_until": None},
        {"community_id": COMMUNITIES[1]},
    ):
        await sign_agreement(terms(**given), store=store, now=NOW, new_id=new_id)
    assert [event.entity_version for event in store.events] == [1, 2, 1]
    assert len({event.entity_id for event in store.events}) == 3


@pytest.mark.parametrize("wage_fen", [0, 12_000])
async def test_a_version_is_not_cut_before_a_shift_that_came_under_it(wage_fen: int) -> None:
    """Also where the base is zero: nothing is owed, but the shift has its terms."""
    store, new_id = await ledger(), ids()
    await sign_agreement(terms(valid_until=None), store=store, now=NOW, new_id=new_id)
    refused, _ = await accrue_shifts([shift(wage_fen=wage_fen)], store=store, now=NOW)
    assert refused == []
    for day, is_free in ((shift().day, False), (shift().day + timedelta(days=1), True)):
        following = sign_agreement(terms(valid_from=day, valid_until=None), store=store, now=NOW, new_id=new_id)
        if is_free:
            await following
        else:
            with pytest.raises(AgreementOverlaps):
                await following
