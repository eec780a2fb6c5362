"""A person is erased: her link is gone in the registry, and every statement, hash and ledger stays as it was."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.revenue.app import create
from services.revenue.handlers import CONSUMED, Ledger
from services.revenue.store import MongoLedger
from shared.contracts.envelope import Envelope, decode
from shared.kernel.clock import month_of, system_clock
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.architecture.source import ROOT
from tests.conftest import eventually
from tests.integration.registry_desk import TODAY, Registry, placement, shift
from tests.integration.serving import Client, served, without_broker

WORKED = TODAY - timedelta(days=40)
MONTH = month_of(WORKED)


async def told(settings: Settings) -> list[Envelope]:
    """What the registry published, as revenue's consumer reads it."""
    registry = Mongo.connect(settings, "registry")
    topics = [event.topic for event in CONSUMED]
    held = await registry.db["events"].find({"topic": {"$in": topics}}).sort("at", 1).to_list(None)
    registry.close()
    return [
        decode(
            event["topic"],
            event["entity_id"].encode(),
            [(name, value.encode()) for name, value in event["headers"].items()],
            event["value"],
        )
        for event in held
    ]


async def worked(registry: Registry) -> tuple[str, dict[str, str]]:
    """A woman who worked three shifts at a station; her id, and the pair that owes the rebate."""
    station_id = await registry.station()
    post_id = await registry.opened(station_id=station_id)
    seeker_id = await registry.seeker()
    placement_id = await registry.done("/placements", placement(post_id, seeker_id))
    for day in range(3):
        await registry.done("/shifts", shift(placement_id, WORKED.replace(day=1 + day)))
    [post] = await registry.everything("/posts")
    [station] = await registry.everything("/stations")
    return seeker_id, {"employer_id": post["employer_id"], "community_id": station["community_id"]}


async def settled(revenue: Client, pair: dict[str, str]) -> dict[str, Any]:
    """The settlement of the month, when it is there."""
    await revenue.accepted("/settlements", {**pair, "month": MONTH})

    async def is_there() -> bool:
        return len(await revenue.all("/settlements")) == 1

    await eventually(is_there, "the month is settled")
    [settlement] = await revenue.all("/settlements")
    return dict(settlement)


@pytest.fixture
async def mongo(settings: Settings) -> Any:
    connected = Mongo.connect(settings, "revenue")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


def verified(statement: Path, told_hash: str) -> subprocess.CompletedProcess[str]:
    verifier = ROOT / "examples" / "verify_statement.py"
    command = [sys.executable, "-I", "-S", str(verifier), f"{statement}={told_hash}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_statements_and_hashes_outlive_the_person(
    registry: Registry, settings: Settings, mongo: Mongo, tmp_path: Path
) -> None:
    seeker_id, pair = await worked(registry)
    async with served(create(without_broker(settings), system_clock)) as revenue:
        events = EventLog(mongo.db, "revenue")
        ledger = Ledger(mongo, lambda session: MongoLedger(mongo.db, events, session), system_clock)
        await ledger.apply(await told(settings))
        signatories = {"federation": "F", "employer": "E", "community": "C"}
        terms = {**pair, "base": "wages", "rate_bp": 725, "valid_from": "2026-01-01", "signatories": signatories}
        await revenue.accepted("/agreements", terms)
        settlement = await settled(revenue, pair)
        assert settlement["entries"] == 3
        path = f"/settlements/{settlement['settlement_id']}/statement"
        before = (await revenue.http.get(path, headers={"Accept": "text/csv"})).content

        await registry.done(f"/seekers/{seeker_id}/erase", {})
        assert (await registry.http.get(f"/seekers/{seeker_id}/person")).status_code == 404
        await ledger.apply(await told(settings))

        after = (await revenue.http.get(path, headers={"Accept": "text/csv"})).content
        assert after == before
        assert hashlib.sha256(after).hexdigest() == settlement["statement_hash"]
        assert (await revenue.get("/ledger/verify"))["ok"]
        public = (await revenue.http.get(f"{path}/public", headers={"Accept": "text/html"})).text
        assert settlement["statement_hash"] in public
        statement = tmp_path / "statement.csv"
        statement.write_bytes(after)
        done = await asyncio.to_thread(verified, statement, settlement["statement_hash"])
        assert (done.returncode, done.stdout[:4]) == (0, "pass"), done.stdout
        for name in await mongo.db.list_collection_names():
            async for document in mongo.db[name].find():
                assert seeker_id not in repr(document), name
