"""Reconciliation on real engines: the topic read from its beginning, held against the ledger, by the command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from deploy.local.engines import Engines
from mamapost import reconcile as command
from mamapost.cli import app as console
from mamapost.reconcile import Reconciled, reconcile
from services.revenue.app import create
from services.revenue.store import snapshot
from shared.kernel.ids import new_id
from shared.messaging.connection import Connection
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.serving import producing, served, without_broker
from tests.integration.town import NOW, Town, settle

OTHER_CITY = "110100"


@pytest.fixture
async def mongo(settings: Settings) -> AsyncIterator[Mongo]:
    connected = Mongo.connect(settings, "revenue")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


async def test_the_command_holds_the_topic_against_the_ledger(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shifts of two cities, waiting and corrected, more than one sorted run holds; then each side is tampered with."""
    monkeypatch.setattr(command, "RUN_MAX", 3)
    monkeypatch.setattr(snapshot, "RUN_ENTRIES", 4)
    town = Town()
    shifts = [town.shift(wage_fen=6_000 + n) for n in range(8)]
    corrected = shifts[0].model_copy(update={"revision": 2, "wage_fen": 5_999})
    elsewhere = town.shift(city=OTHER_CITY, employer_id=new_id("employer"), community_id=new_id("community"))

    async def run(city: str | None = None, *, topics: bool = True) -> Reconciled:
        broker = Connection(settings) if topics else None
        return await asyncio.to_thread(reconcile, settings, broker, city, lambda _told: None)

    async def found(city: str | None = None) -> set[tuple[str, str]]:
        return {(one.kind, one.where) for one in (await run(city)).report.listed}

    async with producing(settings, "registry") as registry:
        async with served(create(settings, lambda: NOW), bus=True) as revenue:
            await registry.tell(town.parties())
            await eventually(lambda: _count(mongo, "parties", 2), "the parties are known")
            await revenue.accepted("/agreements", town.terms())
            await registry.tell([*shifts, corrected, elsewhere])
            await eventually(lambda: _count(mongo, "entries", 11), "all are accrued")
            await eventually(lambda: _count(mongo, "suspense", 1), "the shift of the other city waits")
            await settle(revenue, town.month("2026-03"))
        done = await run()
        assert done.report.listed == []
        assert (done.cities, done.published, done.unusable) == (2, 10, 0)
        assert (done.report.shifts, done.report.lines, done.report.under_way) == (9, 11, 0)
        assert (await run(OTHER_CITY)).report.shifts == 1
        assert (await run(topics=False)).report.listed == []

        # Nobody consumes now: what is told is on its way, and no difference.
        await registry.tell([town.shift()])
        await eventually(lambda: _relayed(mongo, settings), "the shift is on its topic")
        assert ((await run()).report.listed, (await run()).report.under_way) == ([], 1)

    await mongo.db["shifts"].delete_one({"_id": elsewhere.shift_id})
    await mongo.db["suspense"].delete_one({"_id": elsewhere.shift_id})
    await mongo.db["entries"].delete_one({"s": elsewhere.shift_id})
    assert await found() == {("shift-not-taken", elsewhere.shift_id)}
    assert await found(YANTAI) == set()

    await mongo.db["entries"].delete_one({"_id": shifts[3].shift_id})
    settlement = await mongo.db["settlements"].find_one({})
    assert settlement
    assert await found(YANTAI) == {("shift-not-taken", shifts[3].shift_id), ("settlement-differs", settlement["_id"])}

    for name, value in (("KAFKA", settings.kafka), ("MONGO", settings.mongo), ("DB_PREFIX", settings.db_prefix)):
        monkeypatch.setenv(f"MAMAPOST_{name}", value)
    arguments = ["ledger", "reconcile", "--from-topics", "--kafka", settings.kafka]
    shown = await asyncio.to_thread(CliRunner().invoke, console, arguments)
    assert shown.exit_code == 1
    assert f"{YANTAI}: shift-not-taken of {shifts[3].shift_id}" in shown.stdout
    as_json = await asyncio.to_thread(CliRunner().invoke, console, [*arguments, "--city", OTHER_CITY, "--json"])
    told = json.loads(as_json.stdout)
    assert (as_json.exit_code, told["ok"], told["counts"]) == (1, False, {"shift-not-taken": 1})

    # The service finds by itself what needs no topic, and shows it.
    async with served(create(without_broker(settings), lambda: NOW)):
        await eventually(lambda: _shown("settlement-differs", 1), "the difference is a metric")
        assert await _shown("shift-not-taken", 0)
        assert REGISTRY.get_sample_value("mamapost_revenue_reconciled_timestamp_seconds") == NOW.timestamp()


async def _count(mongo: Mongo, collection: str, count: int) -> bool:
    return await mongo.db[collection].count_documents({}) == count


async def _relayed(mongo: Mongo, settings: Settings) -> bool:
    events = mongo.client[f"{settings.db_prefix}_registry"]["events"]
    return await events.count_documents({"topic": "shift-completed", "published": {"$gt": 0}}) == 11


async def _shown(kind: str, count: int) -> bool:
    return REGISTRY.get_sample_value("mamapost_revenue_reconciliation_differences", {"kind": kind}) == count
