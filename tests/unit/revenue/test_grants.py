"""Subsidies and grants: dated, limited, to whom they are for, and in accounts of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.revenue.domain.ledger import fund, source, subsidy
from services.revenue.errors import GrantInvalid, PartyUnknown, RevenueError, SourceExhausted, SourceUnknown
from services.revenue.use_cases.grant import MakeGrant, OpenSource, make_grant, open_source
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import GrantMade
from shared.kernel.ids import NewId
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, ids, ledger, spend
from tests.unit.revenue.memory import MemoryLedger

DONATION = OpenSource(CITY, "donation", "a foundation", 10_000, date(2026, 3, 1), date(2026, 12, 31))
SUBSIDY = replace(DONATION, kind="social-insurance-subsidy", giver="the labour bureau")
GRANT = MakeGrant("", COMMUNITIES[0], None, 4_000, date(2026, 3, 10))


async def opened(store: MemoryLedger, command: OpenSource, new_id: NewId) -> str:
    return (await open_source(command, store=store, now=NOW, new_id=new_id)).event.entity_id


async def test_a_donation_is_spent_like_all_of_a_fund_and_a_subsidy_touches_none() -> None:
    store, new_id = await ledger(), ids()
    donation, subsidised = await opened(store, DONATION, new_id), await opened(store, SUBSIDY, new_id)
    await make_grant(replace(GRANT, source_id=donation), store=store, now=NOW, new_id=new_id)
    to_employer = replace(GRANT, source_id=subsidised, employer_id=EMPLOYERS[0])
    await make_grant(to_employer, store=store, now=NOW, new_id=new_id)
    await spend(store, COMMUNITIES[0], 1_000, new_id)
    assert store.funds[COMMUNITIES[0]].balance_fen == 3_000
    audit = await verify_city(CITY, snapshot=store)
    assert audit.findings == []
    assert audit.balances[source(donation)] == audit.balances[source(subsidised)] == 4_000 * 10_000
    assert audit.balances[subsidy(EMPLOYERS[0], COMMUNITIES[0])] == -4_000 * 10_000
    assert audit.balances[fund(COMMUNITIES[0])] == -3_000 * 10_000
    assert [event.employer_id for event in store.events if isinstance(event, GrantMade)] == [None, EMPLOYERS[0]]


async def test_a_source_gives_no_more_than_its_limit() -> None:
    store, new_id = await ledger(), ids()
    source_id = await opened(store, DONATION, new_id)
    for _ in range(2):
        await make_grant(replace(GRANT, source_id=source_id), store=store, now=NOW, new_id=new_id)
    with pytest.raises(SourceExhausted, match="2000 fen left"):
        await make_grant(replace(GRANT, source_id=source_id), store=store, now=NOW, new_id=new_id)
    assert store.funds[COMMUNITIES[0]].granted_fen == 8_000


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ({"amount_fen": 0}, GrantInvalid, "amount_fen"),
        ({"amount_fen": -1}, GrantInvalid, "amount_fen"),
        ({"amount_fen": 10**20}, GrantInvalid, "amount_fen"),
        ({"granted_on": date(2026, 2, 28)}, GrantInvalid, "granted_on"),
        ({"granted_on": date(2026, 12, 31)}, GrantInvalid, "granted_on"),  # not yet
        ({"employer_id": EMPLOYERS[0]}, GrantInvalid, "employer_id"),
        ({"community_id": "com-" + "9" * 32}, PartyUnknown, "community_id"),
        ({"source_id": "src-" + "9" * 32}, SourceUnknown, "source_id"),
    ],
)
async def test_what_is_refused(given: dict[str, Any], error: type[RevenueError], field: str) -> None:
    store, new_id = await ledger(), ids()
    source_id = await opened(store, DONATION, new_id)
    with pytest.raises(error) as caught:
        await make_grant(replace(GRANT, **{"source_id": source_id, **given}), store=store, now=NOW, new_id=new_id)
    assert [fault.field for fault in caught.value.faults] == [field]
    assert store.links == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit_fen": 0}, "limit_fen"),
        ({"limit_fen": 10**20}, "limit_fen"),
        ({"giver": " "}, "giver"),
        ({"valid_from": date(1999, 1, 1)}, "valid_from"),
        ({"valid_until": date(2026, 2, 1)}, "valid_until"),
    ],
)
async def test_bad_sources_are_refused(given: dict[str, Any], field: str) -> None:
    store = await ledger()
    with pytest.raises(GrantInvalid) as caught:
        await open_source(replace(DONATION, **given), store=store, now=NOW, new_id=ids())
    assert [fault.field for fault in caught.value.faults] == [field]


async def test_a_subsidy_names_its_employer() -> None:
    store, new_id = await ledger(), ids()
    source_id = await opened(store, SUBSIDY, new_id)
    with pytest.raises(GrantInvalid) as caught:
        await make_grant(replace(GRANT, source_id=source_id), store=store, now=NOW, new_id=new_id)
    assert caught.value.faults[0].field == "employer_id"
