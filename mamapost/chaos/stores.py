"""What the services keep: their event logs, how far they have consumed, and the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
from aiokafka import TopicPartition
from pymongo import MongoClient

from deploy.local.fleet import SERVICES
from mamapost.broker import broker_of
from mamapost.chaos.evidence import Logged, Money
from mamapost.chaos.recorder import Recorder
from mamapost.chaos.world import World
from mamapost.demo.commands import is_derived
from mamapost.demo.reads import items
from services.matching.facts import CONSUMED as MATCHING_CONSUMES
from services.revenue.handlers import CONSUMED as REVENUE_CONSUMES
from services.training.handlers import CONSUMED as TRAINING_CONSUMES
from shared.contracts.envelope import decode
from shared.contracts.position import Position
from shared.contracts.topics import PARTITIONS
from shared.messaging.reading import consumed_by
from shared.runtime.settings import Settings

PREFIX: Final = str(Settings.model_fields["db_prefix"].default)
"""Of databases and consumer groups."""

CONSUMERS: Final[Mapping[str, frozenset[str]]] = {
    service: frozenset(event.topic for event in consumed)
    for service, consumed in (
        ("matching", MATCHING_CONSUMES),
        ("training", TRAINING_CONSUMES),
        ("revenue", REVENUE_CONSUMES),
    )
}
"""Topics that each service consumes."""

LOOK_S: Final = 1.0
"""Pause between looks whether all has come to rest."""

QUIET_LOOKS: Final = 2
"""Looks in a row that find nothing on its way: what a service does with the last event is published by then."""

REST_TIMEOUT_S: Final = 240.0
"""How long it may take until all is published and consumed after the last fault."""


def event_logs(mongo: str) -> dict[str, Logged]:
    """All events of all services, by id, as their databases hold them.

    Raises:
        PyMongoError: the database did not answer.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(mongo)
    try:
        return {
            document["_id"]: _logged(document)
            for service in SERVICES
            for document in client[f"{PREFIX}_{service}"]["events"].find()
        }
    finally:
        client.close()


def _logged(document: Mapping[str, Any]) -> Logged:
    headers = [(name, text.encode()) for name, text in document["headers"].items()]
    event = decode(document["topic"], document["entity_id"].encode(), headers, document["value"]).event
    digest = hashlib.sha256(document["value"]).digest()
    return Logged(document["_id"], str(Position.of(event)), digest, "derived" if is_derived(event) else "")


async def rest(world: World, recorder: Recorder) -> bool:
    """Wait until every event is on its topic and every consumer has read its topics to the end.

    Returns:
        Whether that came to pass in time.
    """
    until = time.monotonic() + REST_TIMEOUT_S
    quiet = 0
    while quiet < QUIET_LOOKS and time.monotonic() < until:
        recorder.check()
        ids = await asyncio.to_thread(_event_ids, world.urls.mongo)
        quiet = quiet + 1 if ids <= recorder.published and await _all_consumed(world, recorder) else 0
        await asyncio.sleep(LOOK_S)
    return quiet >= QUIET_LOOKS


def _event_ids(mongo: str) -> set[str]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo)
    try:
        return {
            document["_id"]
            for service in SERVICES
            for document in client[f"{PREFIX}_{service}"]["events"].find({}, {"_id": 1})
        }
    finally:
        client.close()


async def _all_consumed(world: World, recorder: Recorder) -> bool:
    for service, topics in CONSUMERS.items():
        places = {TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)}
        ends = {place: end for place in places if (end := recorder.ends.get((place.topic, place.partition), 0))}
        consumed = await consumed_by(broker_of(world.urls.kafka), f"{PREFIX}.{service}", ends)
        if any(consumed[place] < end for place, end in ends.items()):
            return False
    return True


async def money(world: World) -> Money:
    """What revenue tells of its ledger.

    Raises:
        httpx.HTTPError: it does not answer as it should.
    """
    async with client(world, "revenue") as revenue:
        entries = await items(revenue, "/ledger/entries")
        verified = (await revenue.get("/ledger/verify")).raise_for_status().json()
    return Money(entries, verified["cities"])


def client(world: World, service: str) -> httpx.AsyncClient:
    """A client of a service's first instance."""
    headers = {"Authorization": f"Bearer {world.credentials.token}"}
    return httpx.AsyncClient(base_url=world.fleet.url(service), headers=headers, timeout=120.0, trust_env=False)
