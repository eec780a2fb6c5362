"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.revenue.app import create
from services.revenue.handlers import Ledger
from services.revenue.store import MongoLedger
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.integration.registry_desk import NOWHERE, Registry, serving
from tests.integration.serving import Client, served, without_broker
from tests.integration.town import NOW, Town, envelopes


@pytest.fixture
async def registry(settings: Settings) -> AsyncIterator[Registry]:
    async with serving(settings.model_copy(update={"kafka": NOWHERE})) as running:
        yield running


@pytest.fixture
async def revenue_mongo(settings: Settings) -> AsyncIterator[Mongo]:
    connected = Mongo.connect(settings, "revenue")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
async def revenue(settings: Settings, revenue_mongo: Mongo) -> AsyncIterator[Client]:
    async with served(create(without_broker(settings), lambda: NOW)) as client:
        yield client


@pytest.fixture
def ledger(revenue_mongo: Mongo, revenue: Client) -> Ledger:
    """The handler of batches, as a second instance of the service has it: no lock is shared with `revenue`."""
    events = EventLog(revenue_mongo.db, "revenue")
    return Ledger(revenue_mongo, lambda session: MongoLedger(revenue_mongo.db, events, session), lambda: NOW)


@pytest.fixture
async def town(ledger: Ledger) -> Town:
    made = Town()
    await ledger.apply(envelopes(made.parties()))
    return made
