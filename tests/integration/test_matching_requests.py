"""What is asked wrongly is named, what is unusable is dead-lettered, and lists come in pages: one matching for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.engines import Engines
from shared.contracts.envelope import Envelope, encode
from shared.contracts.fields import Event
from shared.kernel.ids import new_id
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import empty_broker, settings_in
from tests.integration.test_matching_service import Get, running, send, told
from tests.unit.matching.wire import AT, id_of, post_opened, seeker_registered

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNUSABLE, PAGED, EMPTY = "370700", "370800", "441200"
"""Cities of one test each, since they share the service."""

Matching = tuple[Settings, Get]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matching(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matching]:
    """The service on a broker of its own; its start takes longer than all tests of it."""
    await empty_broker(engines)
    with pytest.MonkeyPatch.context() as patched:
        settings = settings_in(tmp_path_factory.mktemp("matching"), engines.urls, patched)
        async with running(settings) as (_, get):
            yield settings, get
    own = Mongo.connect(settings, "matching")
    await own.client.drop_database(own.db.name)
    own.close()


async def test_what_is_wrong_with_a_request_is_named(matching: Matching) -> None:
    settings, get = matching
    await send(settings, [post_opened(1)])
    post_id = id_of("pst", 1)
    await get(f"/posts/{post_id}/ranking", after=f"post-opened:{post_id}:1", timeout_ms=10_000)

    async def problem(path: str, **params: Any) -> tuple[int, str, list[str]]:
        answer = await get(path, **params)
        body = answer.json()
        return answer.status_code, body["code"], [fault["field"] for fault in body["errors"]]

    unknown = id_of("skr", 9)
    assert await problem(f"/posts/{id_of('pst', 9)}/ranking") == (404, "post-unknown", ["post_id"])
    assert await problem(f"/posts/{unknown}/ranking") == (404, "post-unknown", ["post_id"]), "an id of another kind"
    assert await problem(f"/seekers/{unknown}/posts") == (404, "seeker-unknown", ["seeker_id"])
    assert await problem(f"/posts/{post_id}/seekers/{unknown}/why") == (404, "seeker-unknown", ["seeker_id"])
    assert await problem(f"/posts/{post_id}/ranking", limit=51) == (422, "invalid", ["limit"])
    assert await problem("/posts/robert'); drop/ranking") == (422, "invalid", ["post_id"])
    for bad in ("x", "post-opened::1", "course-scheduled:crs-1:1", "post-opened:pst-1:-1"):
        assert await problem(f"/posts/{post_id}/ranking", after=bad) == (422, "position-invalid", ["after"]), bad
    assert await problem(f"/posts/{post_id}/ranking", after="x" * 201) == (422, "invalid", ["after"])
    late = await problem(f"/posts/{post_id}/ranking", after=f"post-opened:{post_id}:2", timeout_ms=50)
    assert late == (503, "not-fresh-yet", [])
    assert await problem("/rankings", cursor="nonsense") == (422, "cursor-invalid", ["cursor"])


async def test_an_unusable_event_is_dead_lettered_and_the_rest_applied(matching: Matching) -> None:
    settings, get = matching
    good = encode(Envelope(new_id("event"), AT, post_opened(103, city=UNUSABLE)))
    many = json.dumps([f"skill-{number}" for number in range(10_000)]).encode()
    refused = {
        "hours: to: expected a time after": good.value.replace(
            b'"from":"08:30","to":"11:30"', b'"from":"12:00","to":"09:00"'
        ),
        "hours.0.day": good.value.replace(b'"day":1', b'"day":8'),
        "skills_required": good.value.replace(b'"skills_required":[]', b'"skills_required":' + many),
        "location.lat": good.value.replace(b'"lat":37.53', b'"lat":NaN'),
    }
    assert len({*refused.values(), good.value}) == 5, "each is another message"
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    async with producer:
        for value in refused.values():
            headers = [(name, new_id("event").encode() if name == "ce_id" else held) for name, held in good.headers]
            await producer.send_and_wait(good.topic, value, good.key, good.partition, headers=headers)
    await told(settings, get, [seeker_registered(101, city=UNUSABLE), post_opened(101, city=UNUSABLE)])
    assert (await get(f"/posts/{id_of('pst', 101)}/ranking")).json()["top"] != []
    assert (await get(f"/posts/{id_of('pst', 103)}/ranking")).status_code == 404
    listed = (await get("/rankings", city=UNUSABLE)).json()["items"]
    assert [item["post_id"] for item in listed] == [id_of("pst", 101)]
    consumer = AIOKafkaConsumer(
        "post-opened.dlq", bootstrap_servers=settings.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    async with consumer:
        letters = [(await asyncio.wait_for(consumer.getone(), 20)).value or b"" for _ in refused]
    for expected in refused:
        assert [letter for letter in letters if expected.encode() in letter], (expected, letters)


async def test_pages_cover_everything_once(matching: Matching) -> None:
    settings, get = matching
    posts, seekers = range(200, 225), range(200, 260)
    events: list[Event] = [seeker_registered(number, city=PAGED) for number in seekers]
    events += [post_opened(number, city=PAGED) for number in posts]
    await told(settings, get, events)
    for path, prefix, key in (("/rankings", "pst", "post_id"), ("/best-posts", "skr", "seeker_id")):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = (await get(path, limit=7, city=PAGED, **({"cursor": cursor} if cursor else {}))).json()
            seen += [item[key] for item in page["items"]]
            cursor = page.get("next")
            if cursor is None:
                break
        assert seen == [id_of(prefix, number) for number in (posts if prefix == "pst" else seekers)]
    assert (await get("/rankings", city=EMPTY)).json()["items"] == []
