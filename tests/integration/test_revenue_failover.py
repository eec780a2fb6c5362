"""Money and a database of three: its primary is killed, and the next one steps down, while shifts are accrued. What the
ledger holds afterwards is what the topic says, each once. Runs with `make cluster-test`, on a cluster of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, PyMongoError

from deploy.local.cluster import NODES, Cluster
from deploy.local.errors import EngineMissing
from deploy.local.node import Node
from deploy.local.recipes import KAFKA_VARIABLE
from mamapost.reconcile import reconcile
from services.revenue.app import create
from shared.contracts.fields import Event
from shared.messaging.connection import Connection
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.settings import Settings
from tests.conftest import eventually, settings_in
from tests.integration.serving import Producer, producing, served
from tests.integration.town import NOW, Town, healthy

pytestmark = pytest.mark.slow

BATCHES, SIZE = 30, 20

PATIENCE_S = 90.0
"""For an election on a machine that does much else."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Not the one that the other tests stand on: that is to keep its databases."""
    if KAFKA_VARIABLE not in os.environ:
        pytest.skip("needs a cluster: `make cluster-test`")
    try:
        started = Cluster.start(tmp_path / "data", tmp_path / "log")
    except EngineMissing as error:
        pytest.skip(str(error))
    with started:
        yield started


@pytest.fixture
def settings(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_in(tmp_path, cluster.urls, monkeypatch).model_copy(update={"replication_factor": NODES})


async def tell(registry: Producer, events: Sequence[Event]) -> None:
    """As a client of the registry does: again, until the answer is there; told before is told."""
    while True:
        try:
            await registry.tell(events)
        except StoreUnavailable:
            await asyncio.sleep(0.1)
        except DuplicateKeyError:
            return
        else:
            return


async def stand(mongo: Mongo, lines: int) -> bool:
    """Whether so many lines are in the ledger; not while there is no primary to ask."""
    try:
        return await mongo.db["entries"].count_documents({}) >= lines
    except PyMongoError:
        return False


async def primary_of(cluster: Cluster, mongo: Mongo) -> Node:
    address = (await mongo.client.admin.command("hello"))["primary"]
    return next(node for node in cluster.stores if node.address == address)


async def has_other_primary(cluster: Cluster, mongo: Mongo, before: Node) -> bool:
    try:
        return await primary_of(cluster, mongo) is not before
    except (PyMongoError, KeyError):
        return False


async def test_ledger_and_topic_agree_after_the_primary_was_killed_and_the_next_stepped_down(
    cluster: Cluster, settings: Settings
) -> None:
    town, mongo = Town(), Mongo.connect(settings, "revenue")
    shifts = [[town.shift(wage_fen=6_000 + number) for number in range(SIZE)] for _ in range(BATCHES)]
    corrected = [batch[0].model_copy(update={"revision": 2, "wage_fen": 5_000}) for batch in shifts]
    lines = BATCHES * (SIZE + 2)  # a correction reverses and posts anew

    async def come(registry: Producer) -> None:
        for batch, correction in zip(shifts, corrected, strict=True):
            await tell(registry, batch)
            await tell(registry, [correction])

    async def fail_over() -> None:
        await eventually(partial(stand, mongo, lines // 5), "a part of the lines stands", PATIENCE_S)
        first = await primary_of(cluster, mongo)
        first.kill()
        await eventually(partial(has_other_primary, cluster, mongo, first), "another one is elected", PATIENCE_S)
        await eventually(partial(stand, mongo, lines // 2), "accrual goes on", PATIENCE_S)
        first.start()
        second = await primary_of(cluster, mongo)
        with contextlib.suppress(AutoReconnect):  # the answer may be lost with the connection
            await mongo.client.admin.command("replSetStepDown", 10, force=True)
        await eventually(partial(has_other_primary, cluster, mongo, second), "one more is elected", PATIENCE_S)

    async with producing(settings, "registry") as registry:
        async with served(create(settings, lambda: NOW), bus=True) as revenue:
            await tell(registry, town.parties())
            await eventually(lambda: known(mongo), "the parties are known", PATIENCE_S)
            await revenue.accepted("/agreements", town.terms())
            await asyncio.gather(come(registry), fail_over())
            await eventually(partial(stand, mongo, lines), "all lines stand", PATIENCE_S)
        done = await asyncio.to_thread(reconcile, settings, Connection(settings), None, lambda _told: None)
    assert done.report.listed == []
    assert (done.report.shifts, done.report.lines, done.report.under_way) == (BATCHES * SIZE, lines, 0)
    assert await mongo.db["entries"].count_documents({}) == lines
    await healthy(mongo)
    mongo.close()


async def known(mongo: Mongo) -> bool:
    return await mongo.db["parties"].count_documents({}) == 2
