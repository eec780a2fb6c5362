"""Periodic verification by several instances: each city once when it is due, by one that lives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from services.revenue.domain.audit import Kept
from services.revenue.handlers import Ledger, Verifier
from services.revenue.store import MongoSnapshot, MongoVerifications, at_one_moment
from services.revenue.store.lines import place_of
from services.revenue.store.verifications import CLAIM
from shared.kernel.clock import Clock
from shared.runtime.mongo import Mongo
from shared.runtime.supervised import end
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.serving import Client
from tests.integration.town import NOW, Town, envelopes

INTERVAL_S = 0.05
"""Of the tests' clock it is nothing, which moves by hand; of the real one the pause between two looks."""


async def test_one_instance_verifies_a_city_when_it_is_due(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift(), town.shift()]))
    now, calls = NOW, Counter[str]()
    looks_of, kept_of = MongoSnapshot.cities, MongoSnapshot.kept

    async def cities(self: MongoSnapshot) -> Sequence[str]:
        calls["looks"] += 1
        return await looks_of(self)

    async def kept(self: MongoSnapshot, city: str) -> Kept:
        calls[city] += 1
        return await kept_of(self, city)

    def instance(clock: Clock) -> asyncio.Task[None]:
        verifications = MongoVerifications(revenue_mongo.db, clock)
        return asyncio.create_task(
            Verifier(lambda: at_one_moment(revenue_mongo), verifications, clock, INTERVAL_S).run()
        )

    async def looked() -> int:
        """How often the city was verified, after both instances have looked again and again."""
        before = calls["looks"]
        await eventually(lambda: calls["looks"] >= before + 6, "the instances look")
        return calls[YANTAI]

    monkeypatch.setattr(MongoSnapshot, "cities", cities)
    monkeypatch.setattr(MongoSnapshot, "kept", kept)
    # Another instance had begun, and did not live to finish.
    assert await MongoVerifications(revenue_mongo.db, lambda: now).claim(YANTAI, now)
    instances = [instance(lambda: now) for _ in range(2)]
    try:
        assert await looked() == 0
        now += CLAIM
        assert await looked() == 1
        assert _shown("findings") == 0
        assert _shown("verified_timestamp_seconds") == now.timestamp()
        await revenue_mongo.db["entries"].update_one({"n": place_of(YANTAI, 2)}, {"$inc": {"v": 1}})
        assert await looked() == 1
        now += timedelta(days=1)
        assert await looked() == 2
        assert _shown("findings") != 0
    finally:
        await end(*instances)


async def test_a_city_is_kept_by_the_one_that_is_at_it(revenue_mongo: Mongo) -> None:
    now = NOW
    verifications = MongoVerifications(revenue_mongo.db, lambda: now)
    assert await verifications.claim(YANTAI, NOW)
    now += CLAIM / 2
    await verifications.keep(YANTAI)
    now += CLAIM * 3 / 4
    assert not await verifications.claim(YANTAI, NOW)
    now += CLAIM
    assert await verifications.claim(YANTAI, NOW)


def _shown(what: str) -> float | None:
    return REGISTRY.get_sample_value(f"mamapost_revenue_ledger_{what}")
