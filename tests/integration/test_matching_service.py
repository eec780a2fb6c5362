"""Matching on real engines: events in over the broker, rankings out over HTTP and as events, killed and restarted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI

from deploy.local.engines import Engines
from services.matching.app import create
from services.matching.domain import Parts, RankedSeeker
from services.matching.errors import PublishedElsewhereError
from services.matching.facts import CONSUMED
from services.matching.ports import Basis, Noted, Published, digest_of
from services.matching.position import StreamPosition
from services.matching.store import STEPS, MongoRankings
from shared.contracts.envelope import Envelope, encode
from shared.contracts.fields import Event
from shared.contracts.position import Position
from shared.contracts.topics import partition_of
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.topics import make_topics
from tests.unit.matching import cities
from tests.unit.matching.wire import (
    YANTAI,
    id_of,
    placement_made,
    post_closed,
    post_opened,
    seeker_registered,
    seeker_withdrawn,
    shift_completed,
    skill_certified,
    station_registered,
)

BASIS = Basis(cities.NOW, "5ac1.0d6f1c2a.2.AwEAAgEAAAAAAAAAAAE", ("*", 1))

Get = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def running(settings: Settings, *, wait: bool = True) -> AsyncIterator[tuple[FastAPI, Get]]:
    """The service, and with `wait` its topics and it once it is ready; `get` reads from it."""
    if wait:
        await create_topics(settings)
    app = create(settings)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://m") as client:

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        if wait:
            await eventually(ready, "matching is ready")

        async def get(path: str, **params: Any) -> httpx.Response:
            return await client.get(path, params=params)

        yield app, get


async def create_topics(settings: Settings) -> None:
    """The topics of registry and training, which do not run here."""
    await make_topics(settings, [event.topic for event in CONSUMED if event.source != "matching"])


async def send(settings: Settings, events: Sequence[Event]) -> None:
    """Publish events as the registry and training would."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        for event in events:
            message = encode(Envelope(new_id("event"), datetime.now(UTC), event))
            await producer.send_and_wait(
                message.topic, message.value, message.key, message.partition, headers=list(message.headers)
            )
    finally:
        await producer.stop()


async def told(settings: Settings, get: Get, events: Sequence[Event]) -> None:
    """Publish events and wait until each is applied: between topics there is no order, so the last one says nothing of
    the others."""
    await send(settings, events)
    for event in events:
        answer = await get(f"/posts/{id_of('pst', 0)}/ranking", after=str(Position.of(event)), timeout_ms=10_000)
        assert answer.status_code in (200, 404), answer.text


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Mongo]:
    """Matching's own database, dropped after the test."""
    connected = Mongo.connect(settings, "matching")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


def ids(answer: httpx.Response) -> list[str]:
    return [place["seeker_id"] for place in answer.json()["top"]]


async def test_events_become_rankings_that_survive_a_restart(
    fresh_broker: Engines, settings: Settings, own: Mongo
) -> None:
    events = [
        placement_made(1, 2, 3),  # before its post and its seeker
        *(seeker_registered(number, commute_km=number + 4) for number in range(1, 5)),
        station_registered(1),
        post_opened(1, skills_desired=["sewing"]),
        post_opened(2, hours=[], min_minutes=0),
        seeker_withdrawn(4, 2),
        seeker_registered(4),  # older than the withdrawal
        shift_completed(1, 3, verdict="no-show"),
        shift_completed(1, 3, revision=2),
        skill_certified(1, 2, "sewing"),
    ]
    async with running(settings) as (_, get):
        await told(settings, get, events)
        answer = await get(f"/posts/{id_of('pst', 1)}/ranking")
        assert answer.status_code == 200, answer.text
        assert ids(answer) == [id_of("skr", 2), id_of("skr", 1)]
        body = answer.json()
        assert body["top"][0]["score"] == sum(body["top"][0]["parts"].values())
        assert body["age_ms"] >= 0
        assert body["day"]
        assert datetime.fromisoformat(body["at"]).tzinfo is not None
        position = StreamPosition.parse(body["position"])
        assert position.partition == partition_of(YANTAI)
        assert sum(position.offsets) == len(events)
        again = await get(f"/posts/{id_of('pst', 1)}/ranking", after=body["position"], timeout_ms=0)
        assert again.json()["top"] == body["top"]
        later = replace(position, offsets=tuple(offset + 1 for offset in position.offsets))
        refused = await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(later), timeout_ms=50)
        assert (refused.status_code, refused.json()["code"]) == (503, "not-fresh-yet")
        lost = replace(position, cluster="0" * 8)
        refused = await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(lost))
        assert (refused.status_code, refused.json()["code"]) == (422, "position-invalid")
        assert datetime.fromisoformat(body["as_of"]).tzinfo is not None
        why = (await get(f"/posts/{id_of('pst', 1)}/seekers/{id_of('skr', 3)}/why")).json()
        assert not why["matches"]
        says = "a placement of hers takes 900 minutes a week of these hours"
        assert why["failed"] == [
            {"reason": "already-placed", "says": says, "by": 900, "unit": "minutes-a-week", "names": []}
        ]
        gone = (await get(f"/posts/{id_of('pst', 1)}/seekers/{id_of('skr', 4)}/why")).json()
        assert [failed["reason"] for failed in gone["failed"]] == ["withdrawn"]
        posts = (await get(f"/seekers/{id_of('skr', 1)}/posts")).json()["posts"]
        assert {place["post_id"] for place in posts} == {id_of("pst", 1), id_of("pst", 2)}
        for number in (1, 2):
            await eventually(partial(_published, own, id_of("pst", number)), "each ranking is published")
        rankings = (await get("/rankings", parts=True)).json()
    async with running(settings) as (_, get):
        again = (await get("/rankings", parts=True)).json()
        assert again["items"] == rankings["items"]
        await send(settings, [post_closed(1, 2)])
        await get(f"/posts/{id_of('pst', 1)}/ranking", after=f"post-closed:{id_of('pst', 1)}:2", timeout_ms=10_000)
        closed = partial(_published, own, id_of("pst", 1), b'"top":[]')
        await eventually(closed, "the closed post's empty ranking is published")
    events_kept = await own.db["events"].find({"entity_id": id_of("pst", 1)}).sort("version", 1).to_list(None)
    assert [event["version"] for event in events_kept] == list(range(1, len(events_kept) + 1))
    assert b'"top":[]' in events_kept[-1]["value"]


async def _published(own: Mongo, post_id: str, says: bytes = b"") -> bool:
    """Whether the newest ranking of a post says so, and is on its topic."""
    newest = await own.db["events"].find_one({"topic": "ranking-changed", "entity_id": post_id}, sort=[("version", -1)])
    return newest is not None and newest["published"] > 0 and says in newest["value"]


async def test_a_ranking_is_published_with_its_note_or_not_at_all(engines: Engines, own: Mongo) -> None:
    log = EventLog(own.db, "matching")
    outbox = MongoRankings(own, log)
    await Migrations(own.db, STEPS).run()
    top = (RankedSeeker(id_of("skr", 1), 28, Parts(1, 2, 3, 4, 5, 6, 7)),)
    first = [Published(id_of("pst", number), YANTAI, 1, top, BASIS) for number in range(3)]
    await outbox.publish(first, cities.NOW)
    noted = {change.post_id: Noted(1, change.digest) for change in first}
    assert dict(await outbox.last_published(partition_of(YANTAI))) == noted
    assert dict(await outbox.last_published(partition_of(cities.ELSEWHERE))) == {}
    second = Published(id_of("pst", 0), YANTAI, 2, (), BASIS)
    for wrong in (Published(id_of("pst", 1), YANTAI, 1, (), BASIS), Published(id_of("pst", 1), YANTAI, 3, (), BASIS)):
        with pytest.raises(PublishedElsewhereError):
            await outbox.publish([second, wrong], cities.NOW)
    assert dict(await outbox.last_published(partition_of(YANTAI))) == noted
    await outbox.publish([second], cities.NOW)
    kept = await log.collection.find({"entity_id": id_of("pst", 0)}).sort("version", 1).to_list(None)
    assert [event["version"] for event in kept] == [1, 2]


async def test_notes_of_before_digests_are_published_once_more(engines: Engines, own: Mongo) -> None:
    outbox = MongoRankings(own, EventLog(own.db, "matching"))
    await own.db[MongoRankings.NAME].insert_one({"_id": id_of("pst", 0), "city": YANTAI, "sequence": 4, "top": [1]})
    await Migrations(own.db, STEPS).run()
    here = partition_of(YANTAI)
    assert dict(await outbox.last_published(here)) == {id_of("pst", 0): Noted(4, None)}
    await outbox.publish([Published(id_of("pst", 0), YANTAI, 5, (), BASIS)], cities.NOW)
    assert dict(await outbox.last_published(here)) == {id_of("pst", 0): Noted(5, digest_of(()))}
    assert "top" not in (await own.db[MongoRankings.NAME].find_one({}) or {})
