"""Revenue on real engines: shifts from the broker into the ledger, agreements, settlements, funds, over HTTP."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.engines import Engines
from services.revenue.app import create
from services.revenue.domain.agreements import Pair
from services.revenue.handlers import Ledger, Settler
from services.revenue.store import MongoLedger, MongoOrders
from services.revenue.use_cases import accrue
from services.revenue.use_cases.settle import SettleMonth, close_month
from shared.contracts.fields import Event
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo, Session
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.serving import Client, producing, served
from tests.integration.town import NOW, Town, envelopes, healthy, is_settled, settle


async def test_from_shift_to_fund(fresh_broker: Engines, settings: Settings, revenue_mongo: Mongo) -> None:
    """Over the broker: a shift without agreement waits, is accrued, corrected, settled, proven and spent."""
    town = Town()
    first, second = town.shift(), town.shift(wage_fen=6_001)
    corrected = first.model_copy(update={"revision": 2, "wage_fen": 5_999})
    app = create(settings, lambda: NOW)
    async with producing(settings, "registry") as registry, served(app, bus=True) as revenue:
        problem = await revenue.refused("/agreements", town.terms(), 422)
        assert problem["retryable"]
        assert [error["field"] for error in problem["errors"]] == ["employer_id", "community_id"]

        await registry.tell([*town.parties(), first])
        await eventually(lambda: suspended(revenue, 1), "the first shift waits for an agreement")
        await revenue.accepted("/agreements", town.terms())
        await registry.tell([second, corrected])
        await eventually(lambda: lines(revenue, 4), "two accruals, a reversal and a new accrual stand")
        assert await suspended(revenue, 0)

        settlement = await settle(revenue, town.month("2026-03"))
        statement = await revenue.http.get(f"/settlements/{settlement}/statement", headers={"Accept": "text/csv"})
        [settled] = await revenue.all("/settlements", month="2026-03")
        assert hashlib.sha256(statement.content).hexdigest() == settled["statement_hash"]
        rows = list(csv.DictReader(io.StringIO(statement.text)))
        total = sum(int(row["base_fen"]) * int(row["rate_bp"]) for row in rows if row["record"] == "line")
        assert total == (6_001 + 5_999) * 800
        assert settled["amount_fen"] == 960
        told = await revenue.get(f"/settlements/{settlement}/statement")
        assert (len(told["lines"]), told["sum_fen_e4"], told["amount_fen"]) == (4, total, 960)
        for form, begins in (("text/html", b"<!doctype html>"), ("application/pdf", b"%PDF-")):
            for path in (f"/settlements/{settlement}/statement", f"/settlements/{settlement}/statement/public"):
                paper = await revenue.http.get(path, headers={"Accept": form})
                assert (paper.status_code, paper.headers["content-type"].split(";")[0]) == (200, form)
                assert paper.content.startswith(begins)

        fund = await revenue.get(f"/communities/{town.community_id}/fund")
        assert (fund["income_fen"], fund["spent_fen"], fund["balance_fen"]) == (960, 0, 960)
        verified = await revenue.get("/ledger/verify")
        assert verified["ok"]
        assert verified["cities"][0]["entries"] == 7

        async def published() -> bool:
            topics = Counter([d["topic"] async for d in revenue_mongo.db["events"].find({"published": {"$gt": 0}})])
            once = {"agreement-signed": 1, "month-closed": 1, "rebate-settled": 1}
            return topics == {**once, "rebate-accrued": 4}

        await eventually(published, "every event is on its topic, once")


async def suspended(revenue: Client, count: int) -> bool:
    return len(await revenue.all("/suspense")) == count


async def lines(revenue: Client, count: int) -> bool:
    return len(await revenue.all("/ledger/entries", limit=2)) == count


async def test_a_batch_twice_reordered_and_in_two_instances(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    """Promise 1: whatever comes twice, in another order, or to two instances at once, has one effect."""
    await revenue.accepted("/agreements", town.terms())
    story: list[Event] = []
    for n in range(20):
        shift = town.shift(wage_fen=5_000 + n)
        story += [shift, *(shift.model_copy(update={"revision": r, "wage_fen": 4_000 + n * r}) for r in (3, 2))]
    batch = envelopes(story)
    events = EventLog(revenue_mongo.db, "revenue")
    other = Ledger(revenue_mongo, lambda session: MongoLedger(revenue_mongo.db, events, session), lambda: NOW)
    refused = await asyncio.gather(
        ledger.apply(batch), other.apply(batch[::-1]), ledger.apply(batch[:30]), other.apply(batch[10:])
    )
    assert [list(each) for each in refused] == [[], [], [], []]
    entries = await revenue.all("/ledger/entries", limit=50)
    assert sum(entry["amount_fen_e4"] for entry in entries) == sum(4_000 + n * 3 for n in range(20)) * 800

    async def told() -> bool:
        return await revenue_mongo.db["events"].count_documents({"topic": "rebate-accrued"}) == len(entries)

    await eventually(told, "there is an event of each entry")
    await healthy(revenue_mongo)


async def test_an_unusable_revision_is_refused_and_the_rest_stands(revenue: Client, ledger: Ledger, town: Town) -> None:
    await revenue.accepted("/agreements", town.terms())
    shift = town.shift()
    await ledger.apply(envelopes([shift]))
    batch = envelopes([town.shift(), shift.model_copy(update={"wage_fen": 1}), town.shift()])
    [refusal] = await ledger.apply(batch)
    assert refusal.envelope is batch[1]
    assert "another content" in refusal.detail
    assert await lines(revenue, 3)


async def test_more_waiting_shifts_than_one_transaction_takes(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accrue, "RELEASE_MAX", 7)
    await ledger.apply(envelopes([town.shift() for _ in range(30)]))
    await revenue.accepted("/agreements", town.terms())
    await eventually(lambda: lines(revenue, 30), "all shifts are released")
    assert await suspended(revenue, 0)
    assert await revenue_mongo.db["agreements"].count_documents({"release_pending": True}) == 0
    await healthy(revenue_mongo)


async def test_signing_while_shifts_come_drops_none(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    """A shift that finds no agreement while one is being signed must not be left in suspense."""
    batches = [envelopes([town.shift() for _ in range(5)]) for _ in range(10)]

    async def come() -> None:
        for batch in batches:
            await ledger.apply(batch)

    async def sign() -> None:
        while (await revenue.post("/agreements", town.terms())).status_code == 503:
            pass

    await asyncio.gather(come(), sign())
    assert await lines(revenue, 50)
    assert await suspended(revenue, 0)
    await healthy(revenue_mongo)


async def test_settling_while_shifts_come_loses_none(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    """An entry is in the month's statement, or in the next month; never in a closed one."""
    await revenue.accepted("/agreements", town.terms())

    async def come() -> None:
        for _ in range(10):
            await ledger.apply(envelopes([town.shift() for _ in range(5)]))

    async def order() -> int:
        while (response := await revenue.post("/settlements", town.month("2026-03"))).status_code == 503:
            pass
        return response.status_code

    _, status = await asyncio.gather(come(), order())
    assert status == 201

    async def entered() -> bool:
        return len(await revenue.all("/settlements")) == 1

    await eventually(entered, "the settlement is entered")
    await settle(revenue, town.month("2026-04"))
    settled = await revenue.all("/settlements")
    assert sum(settlement["entries"] for settlement in settled) == 50
    assert sum(settlement["sum_fen_e4"] for settlement in settled) == 50 * 6_000 * 800
    await healthy(revenue_mongo)


async def test_a_month_is_settled_once_by_a_crowd(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift()]))
    answers = await asyncio.gather(*(revenue.post("/settlements", town.month("2026-03")) for _ in range(6)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 5}
    [settlement_id] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert all(settlement_id in answer.json()["detail"] for answer in answers if answer.status_code == 409)
    await eventually(lambda: is_settled(revenue, settlement_id), "the settlement is entered")
    await healthy(revenue_mongo)


async def test_a_retried_command_is_answered_once(revenue: Client, revenue_mongo: Mongo, town: Town) -> None:
    first = await revenue.accepted("/agreements", town.terms(), key="the-same-key")
    assert await revenue.accepted("/agreements", town.terms(), key="the-same-key") == first
    reused = await revenue.post("/agreements", town.terms(rate_bp=900), key="the-same-key")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
    assert await revenue_mongo.db["agreements"].count_documents({}) == 1


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"rate_bp": 499}, "rate_bp", "500..1500"),
        ({"rate_bp": 1501}, "rate_bp", "500..1500"),
        ({"rate_bp": 10**30}, "rate_bp", "500..1500"),
        ({"rate_bp": 800.5}, "rate_bp", "integer"),
        ({"rate_bp": "800"}, "rate_bp", "integer"),
        ({"base": "profit"}, "base", "wages"),
        ({"valid_from": "2026-02-30"}, "valid_from", "date"),
        ({"valid_until": "2025-12-31"}, "valid_until", "valid_from"),
        ({"employer_id": "x"}, "employer_id", "pattern"),
        ({"signatories": {"federation": "F", "employer": "E"}}, "signatories.community", "given"),
        ({"valid_to": "2026-12-31"}, "valid_to", "no such field"),
    ],
)
async def test_bad_agreements_are_refused_by_field(
    revenue: Client, town: Town, given: dict[str, Any], field: str, says: str
) -> None:
    problem = await revenue.refused("/agreements", town.terms(**given), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert says in problem["errors"][0]["expected"]
    assert await revenue.all("/agreements") == []


async def test_an_overlap_names_the_standing_dates(revenue: Client, town: Town) -> None:
    await revenue.accepted("/agreements", town.terms(valid_until="2026-06-30"))
    problem = await revenue.refused("/agreements", town.terms(valid_from="2026-06-30"), 409)
    assert problem["errors"][0]["field"] == "valid_from"
    assert "2026-01-01 to 2026-06-30" in problem["errors"][0]["expected"]
    await revenue.accepted("/agreements", town.terms(valid_from="2026-07-01"))
    assert sorted(a["version"] for a in await revenue.all("/agreements", limit=1)) == [1, 2]


async def test_what_else_is_refused(revenue: Client, town: Town) -> None:
    await revenue.refused("/settlements", town.month("2026-03"), 422)
    await revenue.accepted("/agreements", town.terms())
    for month in ("2026-13", "2026-3", "2026-05", "2099-01"):
        problem = await revenue.refused("/settlements", town.month(month), 422)
        assert problem["errors"][0]["field"] == "month"
    stranger = f"/communities/{new_id('community')}"
    assert (await revenue.http.get(f"{stranger}/fund")).status_code == 404
    assert (await revenue.http.get(f"/settlements/{new_id('settlement')}/statement")).status_code == 404
    assert (await revenue.http.get("/ledger/entries", params={"cursor": "AAAA"})).status_code == 422
    assert await revenue.all("/settlements") == []


async def test_tiers_dry_run_late_shift_and_reversal_over_http(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    """A tiered month is shown dry, settled, joined by a late shift, reversed and settled anew."""
    tiers = [{"from_fen": 10_000, "rate_bp": 500}]
    await revenue.accepted("/agreements", town.terms(tiers=tiers))
    assert [one["tiers"] for one in await revenue.all("/agreements")] == [tiers]
    await ledger.apply(envelopes([town.shift(wage_fen=6_000), town.shift(wage_fen=6_000)]))
    month = town.month("2026-03")
    dry = (await revenue.post("/settlements/dry-run", month)).json()
    assert (dry["entries"], dry["amount_fen"], dry["late_entries"]) == (3, 900, 0)
    assert await revenue.all("/settlements") == []
    first = await settle(revenue, month)
    await ledger.apply(envelopes([town.shift(wage_fen=6_000)]))
    pair = {"employer_id": town.employer_id, "community_id": town.community_id}
    known = await revenue.get("/ledger/months/2026-03", **pair)
    assert (known["as_known_then"]["base_fen"], known["as_known_now"]["base_fen"]) == (12_000, 18_000)
    assert [late["month"] for late in known["late"]] == ["2026-04"]
    await revenue.accepted(f"/settlements/{first}/reverse", {"reason": "the late shift belongs to it"})
    await revenue.refused(f"/settlements/{first}/reverse", {"reason": "again"}, 409)
    assert (await revenue.get(f"/settlements/{first}/progress"))["state"] == "reversed"
    assert await settle(revenue, month) != first
    await settle(revenue, town.month("2026-04"))
    fund = await revenue.get(f"/communities/{town.community_id}/fund")
    assert fund["income_fen"] == 900 + 300
    await healthy(revenue_mongo)


async def test_an_order_outlives_the_instance_that_had_it(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    """An instance that was killed has read lines and entered nothing; when its claim is over, another one settles."""
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift(), town.shift()]))
    events = EventLog(revenue_mongo.db, "revenue")

    async def order(session: Session) -> str:
        command = SettleMonth(Pair(town.employer_id, town.community_id), "2026-03")
        store = MongoLedger(revenue_mongo.db, events, session)
        return (await close_month(command, store=store, now=NOW, new_id=new_id)).event.entity_id

    clock = NOW
    orders = MongoOrders(revenue_mongo.db, lambda: clock)
    settlement_id = await revenue_mongo.transaction(order)
    assert await orders.claim(settlement_id)
    assert not await orders.claim(settlement_id)
    assert await orders.pending() == []
    clock = NOW + timedelta(minutes=1)
    settler = asyncio.create_task(Settler(ledger, orders, events).run())
    try:
        await eventually(lambda: is_settled(revenue, settlement_id), "the order is carried out")
    finally:
        settler.cancel()
    assert await orders.pending() == []
    await healthy(revenue_mongo)
