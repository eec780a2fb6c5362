"""The ledger on a real database: sealed, tampered with, and left in the middle of a batch."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError

from mamapost.ledger import verify
from services.revenue.domain.accrual import Standing
from services.revenue.handlers import Ledger
from services.revenue.store import MongoLedger, refuse_old_ledger
from services.revenue.store.indexes import OldLedger
from services.revenue.store.lines import place_of
from shared.kernel.ids import new_id
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.serving import Client
from tests.integration.town import NOW, WORKED, Town, envelopes, healthy, settle


async def test_a_lost_database_in_the_middle_leaves_nothing_behind(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of the batch fails in turn; then nothing stands, and the same batch comes again and stands once."""
    await revenue.accepted("/agreements", town.terms())
    batch = envelopes([town.shift(), town.shift(wage_fen=0, base_fen=0, verdict="no-show"), *town.parties()])
    steps = ("note_parties", "lock", "standing", "accounts", "agreements", "bases")
    for step in (*steps, "append_lines", "add_to_books", "save_shifts"):

        async def fails(*_args: Any, **_kwargs: Any) -> None:
            raise AutoReconnect("the connection was lost")

        with monkeypatch.context() as patched:
            patched.setattr(MongoLedger, step, fails)
            with pytest.raises(Exception, match="did not answer"):
                await ledger.apply(batch)
        assert await revenue_mongo.db["entries"].count_documents({}) == 0
        assert await revenue_mongo.db["shifts"].count_documents({}) == 0
        assert await revenue_mongo.db["books"].count_documents({}) == 0
    for _ in range(2):
        await ledger.apply(batch)
    assert await revenue_mongo.db["entries"].count_documents({}) == 1
    await healthy(revenue_mongo)


async def test_a_line_that_stands_already_fails_its_transaction(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should what stands ever not be seen, the same line cannot be posted twice, and nothing beside it is."""
    await revenue.accepted("/agreements", town.terms())
    again = town.shift()
    await ledger.apply(envelopes([again]))

    async def nothing(*_args: Any) -> dict[str, Standing]:
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(MongoLedger, "standing", nothing)
        with pytest.raises(BulkWriteError):
            await ledger.apply(envelopes([town.shift(), again]))
    assert await revenue_mongo.db["entries"].count_documents({}) == 1
    await healthy(revenue_mongo)


async def test_tampering_in_the_database_is_found(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift(), town.shift(), town.shift(started_at=WORKED + timedelta(days=31))]))
    await settle(revenue, town.month("2026-03"))
    assert (await revenue.get("/ledger/verify"))["ok"]
    entry = await revenue_mongo.db["entries"].find_one({"n": place_of(YANTAI, 2)})
    assert entry
    for change in (
        {"v": entry["v"] + 1},
        {"p": entry["p"] + 1},
        {"d": entry["d"] + 1},
        {"t": NOW + timedelta(milliseconds=1)},
        {"e": new_id("event")},
        {"b": entry["b"] + 1},
        {"f": 0},
    ):
        await revenue_mongo.db["entries"].update_one({"_id": entry["_id"]}, {"$set": change})
        verified = await revenue.get("/ledger/verify", city=YANTAI)
        assert not verified["ok"], change
        assert verified["cities"][0]["findings"]
        await revenue_mongo.db["entries"].replace_one({"_id": entry["_id"]}, entry)
    await revenue_mongo.db["entries"].delete_one({"n": place_of(YANTAI, 4)})
    assert not (await revenue.get("/ledger/verify"))["ok"]


async def test_blocks_seal_the_entries_without_a_gap(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town
) -> None:
    await revenue.accepted("/agreements", town.terms())
    for _ in range(3):
        await ledger.apply(envelopes([town.shift(), town.shift()]))
    blocks = await revenue.all("/ledger/blocks", limit=1, city=YANTAI)
    assert [(block["first"], block["last"]) for block in blocks] == [(1, 2), (3, 4), (5, 6)]
    assert [block["prev_hash"] for block in blocks] == ["0" * 64, blocks[0]["hash"], blocks[1]["hash"]]
    assert (await revenue.get("/ledger/verify"))["cities"][0]["head_hash"] == blocks[2]["hash"]
    await revenue_mongo.db["blocks"].delete_one({"_id": place_of(YANTAI, 3)})
    assert not (await revenue.get("/ledger/verify"))["ok"]


async def test_a_ledger_of_an_older_form_is_refused_at_the_start(revenue_mongo: Mongo) -> None:
    await refuse_old_ledger(revenue_mongo.db)
    await revenue_mongo.db["entries"].create_index([("city", 1), ("seq", 1)], name="chain", unique=True)
    with pytest.raises(OldLedger, match="MAMAPOST_DB_PREFIX"):
        await refuse_old_ledger(revenue_mongo.db)


async def test_the_command_reads_the_ledger_and_says_what_is_wrong(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town, settings: Settings
) -> None:
    """`mamapost ledger verify`: passes, then names what was taken away."""
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift(), town.shift()]))
    read: list[tuple[str, int, int]] = []
    done = await asyncio.to_thread(verify, settings, None, lambda *progress: read.append(progress))
    assert ([audit.findings for audit in done.audits], read[-1]) == ([[]], (YANTAI, 2, 2))

    async def lost() -> bool:
        return (await revenue_mongo.db["events"].delete_one({"topic": "rebate-accrued"})).deleted_count == 1

    await eventually(lost, "an event is told, and lost")
    done = await asyncio.to_thread(verify, settings, YANTAI, lambda *_: None)
    assert [finding.rule for finding in done.audits[0].findings] == ["event-missing"]
