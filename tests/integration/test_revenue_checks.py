"""Periodic verification and reconciliation by several instances: each city once when it is due, by one that lives."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pymongo.errors import OperationFailure

from services.revenue import metrics
from services.revenue.domain.reconciliation import KINDS
from services.revenue.handlers import Ledger, Reconciler, Verifier
from services.revenue.store import MongoSnapshot, at_one_moment, reconciliations, verifications
from services.revenue.store.checks import CLAIM, MongoChecks
from shared.kernel.clock import Clock
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from shared.runtime.supervised import end
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.serving import Client
from tests.integration.town import NOW, Town, envelopes

INTERVAL_S = 0.05
"""Of the tests' clock it is nothing, which moves by hand; of the real one the pause between two looks."""

ELSEWHERE = "110100"
"""A city that comes before the other."""

SNAPSHOT_TOO_OLD = 239

STEPS = {"verification": "kept", "reconciliation": "money"}
"""What a check of a city reads first."""


def instance(check: str, mongo: Mongo, clock: Clock) -> Verifier | Reconciler:
    """What an instance of revenue has of a check."""

    def snapshot() -> Any:
        return at_one_moment(mongo)

    if check == "verification":
        return Verifier(snapshot, verifications(mongo.db, clock), clock, INTERVAL_S)
    return Reconciler(snapshot, reconciliations(mongo.db, clock), clock, INTERVAL_S)


def die_at_it(check: str, settings: Settings) -> None:
    """A process that is killed in the middle of its first check."""

    async def killed(_self: MongoSnapshot, _city: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(MongoSnapshot, STEPS[check], killed)
    asyncio.run(instance(check, Mongo.connect(settings, "revenue"), lambda: NOW).run())


@pytest.mark.parametrize("check", STEPS)
async def test_one_instance_checks_a_city_when_it_is_due(
    check: str,
    settings: Settings,
    revenue: Client,
    ledger: Ledger,
    revenue_mongo: Mongo,
    town: Town,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await revenue.accepted("/agreements", town.terms())
    shift = town.shift()
    await ledger.apply(envelopes([town.shift(), shift, shift.model_copy(update={"revision": 2, "wage_fen": 5_999})]))
    now, calls = NOW, Counter[str]()
    looks_of, step_of = MongoSnapshot.cities, getattr(MongoSnapshot, STEPS[check])

    async def cities(self: MongoSnapshot) -> Sequence[str]:
        calls["looks"] += 1
        return await looks_of(self)

    async def step(self: MongoSnapshot, city: str) -> object:
        calls[city] += 1
        return await step_of(self, city)

    async def looked() -> int:
        """How often the city was checked, after both instances have looked again and again."""
        before = calls["looks"]
        await eventually(lambda: calls["looks"] >= before + 6, "the instances look")
        return calls[YANTAI]

    monkeypatch.setattr(MongoSnapshot, "cities", cities)
    monkeypatch.setattr(MongoSnapshot, STEPS[check], step)
    other = multiprocessing.get_context("spawn").Process(target=die_at_it, args=(check, settings))
    other.start()
    await asyncio.to_thread(other.join)
    assert other.exitcode == -signal.SIGKILL
    instances = [asyncio.create_task(instance(check, revenue_mongo, lambda: now).run()) for _ in range(2)]
    try:
        assert await looked() == 0  # the other one may be at it, for all that these know
        now += CLAIM
        assert await looked() == 1
        assert shown(check) == (0, now.timestamp())
        await revenue_mongo.db["entries"].update_one({"k": "reversal"}, {"$inc": {"v": 1}})
        assert await looked() == 1
        now += timedelta(days=1)
        assert await looked() == 2
        wrong, at = shown(check)
        assert (wrong > 0, at) == (True, now.timestamp())
        # Who has checked nothing itself shows it all the same.
        metrics.show_verifications([], NOW)
        metrics.show_reconciliations([], KINDS, NOW)
        assert await looked() == 2
        assert shown(check) == (wrong, at)
    finally:
        await end(*instances)


@pytest.mark.parametrize("check", STEPS)
async def test_a_city_that_takes_too_long_holds_up_no_other(
    check: str, ledger: Ledger, revenue_mongo: Mongo, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.apply(envelopes([town.shift(), town.shift(city=ELSEWHERE)]))
    step_of, failed = getattr(MongoSnapshot, STEPS[check]), asyncio.Event()

    async def step(self: MongoSnapshot, city: str) -> object:
        if city == ELSEWHERE:
            failed.set()
            raise OperationFailure("the moment is not kept any more", SNAPSHOT_TOO_OLD)
        return await step_of(self, city)

    monkeypatch.setattr(MongoSnapshot, STEPS[check], step)
    checks: MongoChecks[Any] = (verifications if check == "verification" else reconciliations)(
        revenue_mongo.db, lambda: NOW
    )

    async def checked() -> bool:
        return bool(await checks.last())

    looking = asyncio.create_task(instance(check, revenue_mongo, lambda: NOW).run())
    try:
        await eventually(checked, "a city is checked")
    finally:
        await end(looking)
    assert failed.is_set()
    assert [one.city for one in await checks.last()] == [YANTAI]


async def test_a_city_is_kept_by_the_one_that_is_at_it(revenue_mongo: Mongo) -> None:
    now = NOW
    checks = verifications(revenue_mongo.db, lambda: now)
    assert await checks.claim(YANTAI, NOW)
    now += CLAIM / 2
    await checks.keep(YANTAI)
    now += CLAIM * 3 / 4
    assert not await checks.claim(YANTAI, NOW)
    now += CLAIM
    assert await checks.claim(YANTAI, NOW)


def shown(check: str) -> tuple[float, float]:
    """How much is wrong, and as of when, by the metrics."""
    if check == "verification":
        at = REGISTRY.get_sample_value("mamapost_revenue_ledger_verified_timestamp_seconds")
        wrong = REGISTRY.get_sample_value("mamapost_revenue_ledger_findings")
    else:
        at = REGISTRY.get_sample_value("mamapost_revenue_reconciled_timestamp_seconds")
        kinds = [
            sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name == "mamapost_revenue_reconciliation_differences"
        ]
        wrong = sum(kinds)
    assert wrong is not None
    assert at is not None
    return wrong, at
