"""The registry over HTTP on a real database: promises 1, 4 and 7, and who wins when two want the same."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.engines import Engines
from shared.contracts.envelope import decode
from shared.contracts.registry import CommunityRegistered
from shared.runtime.auth import hash_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.registry_desk import (
    NDJSON,
    NOWHERE,
    TODAY,
    YESTERDAY,
    Registry,
    events_of,
    lines,
    placement,
    serving,
    shift,
    stored,
)
from tests.unit.registry.city import AFTERNOONS, YANTAI, post_body, seeker_body


async def test_each_accepted_command_has_exactly_its_event(registry: Registry, mongo: Mongo) -> None:
    station = await registry.station()
    post_id = await registry.opened(station_id=station)
    seeker_id = await registry.seeker()
    placement_id = await registry.done("/placements", placement(post_id, seeker_id))
    shift_id = await registry.done("/shifts", shift(placement_id))
    correction = {**shift(placement_id), "revision": 1, "verdict": "no-show"}
    del correction["placement_id"]
    answer = (await registry.post(f"/shifts/{shift_id}/correct", correction)).json()
    assert answer["position"] == f"shift-completed:{shift_id}:2"
    held = await mongo.db["events"].find_one({"_id": answer["event_id"]})
    assert held is not None
    assert (held["topic"], held["entity_id"], held["version"]) == ("shift-completed", shift_id, 2)
    counts = Counter(held["topic"] for held in await mongo.db["events"].find().to_list(None))
    assert counts == {
        "community-registered": 1,
        "station-registered": 1,
        "employer-registered": 1,
        "post-opened": 1,
        "seeker-registered": 1,
        "placement-made": 1,
        "shift-completed": 2,
    }
    # The export holds the latest revision, with every field of its event.
    [exported] = await registry.everything("/shifts", month=f"{YESTERDAY:%Y-%m}")
    assert exported == orjson.loads(held["value"])


async def test_the_event_reaches_its_topic(fresh_broker: Engines, settings: Settings) -> None:
    own = settings.model_copy(update={"kafka": fresh_broker.urls.kafka})
    async with serving(own) as registry:
        community = await registry.done("/communities", {"city": YANTAI, "area": "370602", "name": "东关社区"})

        async def published() -> bool:
            return bool((await registry.http.get("/health/ready")).json()["bus"] == "up")

        await eventually(published, "the bus is up")
        consumer = AIOKafkaConsumer(
            CommunityRegistered.topic, bootstrap_servers=own.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        try:
            message = await asyncio.wait_for(consumer.getone(), 20)
        finally:
            await consumer.stop()
        assert decode(message.topic, message.key, message.headers, message.value).event.entity_id == community


async def test_a_key_stands_for_one_command(registry: Registry, mongo: Mongo) -> None:
    body, key = seeker_body(), secrets.token_hex(8)
    first = await registry.post("/seekers", body, key=key)
    before = await stored(mongo)
    again = await registry.post("/seekers", body, key=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = await registry.post("/seekers", seeker_body(commute_km=3), key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    none = await registry.http.post("/seekers", json=body)
    assert (none.status_code, none.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert await stored(mongo) == before


async def test_one_key_sent_many_times_at_once_has_one_effect(registry: Registry, mongo: Mongo) -> None:
    body, key = lines([seeker_body(), seeker_body(commute_km=0)]), secrets.token_hex(8)
    answers = await asyncio.gather(*(registry.post("/seekers/bulk", body, key=key, headers=NDJSON) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    # The attempts that lost the race had written all of it before they were undone.
    for collection in ("seekers", "persons", "events", "command_answers"):
        assert await mongo.db[collection].count_documents({}) == 1, collection


async def test_a_refused_command_frees_its_key(registry: Registry) -> None:
    key, post_id, seeker_id = secrets.token_hex(8), await registry.opened(seats=1), await registry.seeker()
    taken = await registry.done("/placements", placement(post_id, await registry.seeker()))
    refused = await registry.post("/placements", placement(post_id, seeker_id), key=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "no-seat-left")
    await registry.done(f"/placements/{taken}/end", {"reason": "employer", "ends_on": str(TODAY)})
    assert (await registry.post("/placements", placement(post_id, seeker_id), key=key)).status_code == 201


async def race(registry: Registry, path: str, bodies: list[dict[str, Any]]) -> Counter[str]:
    """Send commands at once, again where told to retry; the outcomes by code."""

    async def one(body: dict[str, Any]) -> str:
        while True:
            answer = await registry.post(path, body)
            if answer.status_code == 201:
                return "accepted"
            if not answer.json()["retryable"]:
                return str(answer.json()["code"])

    return Counter(await asyncio.gather(*(one(body) for body in bodies)))


async def test_the_last_seats_have_exactly_as_many_winners(registry: Registry, mongo: Mongo) -> None:
    post_id = await registry.opened(seats=3)
    seekers = [await registry.seeker() for _ in range(8)]
    outcomes = await race(registry, "/placements", [placement(post_id, seeker_id) for seeker_id in seekers])
    assert outcomes == {"accepted": 3, "no-seat-left": 5}
    assert (await registry.get(f"/posts/{post_id}"))["seats_taken"] == 3
    assert await mongo.db["placements"].count_documents({"post_id": post_id, "active": True}) == 3


async def test_of_overlapping_placements_at_once_one_wins(registry: Registry) -> None:
    seeker_id = await registry.seeker()
    posts = [await registry.opened() for _ in range(6)] + [await registry.opened(hours=AFTERNOONS)]
    outcomes = await race(registry, "/placements", [placement(post_id, seeker_id) for post_id in posts])
    assert outcomes == {"accepted": 2, "hours-overlap": 5}


async def test_of_overlapping_shifts_at_once_one_wins(registry: Registry) -> None:
    placement_id = await registry.placed()
    bodies = [shift(placement_id, hour=hour) for hour in (8, 9, 9, 9)]
    outcomes = await race(registry, "/shifts", bodies)
    assert outcomes == {"accepted": 1, "shift-overlap": 3}


async def test_of_corrections_of_one_revision_at_once_one_wins(registry: Registry) -> None:
    shift_id = await registry.done("/shifts", shift(await registry.placed()))
    correction = {k: v for k, v in shift("").items() if k != "placement_id"} | {"revision": 1, "verdict": "left-early"}
    assert await race(registry, f"/shifts/{shift_id}/correct", [correction] * 5) == {
        "accepted": 1,
        "stale-revision": 4,
    }


async def test_changes_at_once_each_get_a_version(registry: Registry, mongo: Mongo) -> None:
    seeker_id = await registry.seeker()
    outcomes = await race(registry, f"/seekers/{seeker_id}/change", [{"commute_km": km} for km in range(1, 7)])
    assert outcomes == {"accepted": 6}
    versions = [event["version"] for event in await events_of(mongo) if event.get("seeker_id") == seeker_id]
    assert sorted(versions) == list(range(1, 8))
    assert (await registry.get(f"/seekers/{seeker_id}"))["version"] == 7


async def test_a_withdrawal_and_a_placement_at_once_leave_no_placement_behind(registry: Registry) -> None:
    seeker_id, post_id = await registry.seeker(), await registry.opened()
    await asyncio.gather(
        registry.post("/placements", placement(post_id, seeker_id)),
        registry.post(f"/seekers/{seeker_id}/withdraw", {"reason": "own-wish"}),
    )
    assert (await registry.get(f"/seekers/{seeker_id}"))["status"] == "withdrawn"
    assert await registry.everything("/placements", seeker_id=seeker_id, status="active") == []
    assert (await registry.get(f"/posts/{post_id}"))["seats_taken"] == 0


PERSONAL = ("王芳", "138 0000 0000", "1990-06-01", "芝罘", "37.53271", "121.39164", "2020-09-10")


async def test_personal_data_stands_nowhere_in_the_clear(
    registry: Registry, mongo: Mongo, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "services")
    body = seeker_body()
    seeker_id = await registry.seeker()
    answers = [
        await registry.post("/seekers", {**body, "commute_km": 0}),
        await registry.post("/seekers", seeker_body(person={"phone": "call 王芳", "birth_date": "1990-06-31"})),
        await registry.post("/seekers", seeker_body(person={"birth_date": "1950-06-01"})),
        await registry.post("/seekers/bulk", lines([body, {**body, "kinds": ["王芳"]}]), headers=NDJSON),
        await registry.post(f"/seekers/{seeker_id}/change", {"person": {"address": "芝罘区 9 号"}}),
        await registry.http.get(f"/seekers/{seeker_id}"),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 200, 201, 200]
    held = repr({name: [str(document) for document in documents] for name, documents in (await stored(mongo)).items()})
    # Texts inside binary values count as well.
    raw = b"".join(
        value
        for documents in (await stored(mongo)).values()
        for document in documents
        for value in document.values()
        if isinstance(value, bytes)
    ).decode(errors="replace")
    shown = capfd.readouterr()
    for text in (held, raw, caplog.text, shown.out, shown.err, *(answer.text for answer in answers)):
        assert not [value for value in PERSONAL if value in text]
    person = await registry.get(f"/seekers/{seeker_id}/person")
    assert (person["name"], person["address"], person["home"]["lat"]) == ("王芳", "芝罘区 9 号", 37.53271)
    assert person["children"] == [{"birth_date": "2020-09-10"}]


async def test_an_erasure_leaves_no_key_and_no_person(registry: Registry, mongo: Mongo) -> None:
    seeker_id = await registry.seeker()
    before = await mongo.db["persons"].find_one({"_id": seeker_id})
    assert before is not None
    assert set(before) == {"_id", "wrapped_key", "ciphertext", "sealed_at"}
    await registry.done(f"/seekers/{seeker_id}/erase", {})
    after = await mongo.db["persons"].find_one({"_id": seeker_id})
    assert after is not None
    assert set(after) == {"_id", "erased_at"}
    gone = await registry.http.get(f"/seekers/{seeker_id}/person")
    assert (gone.status_code, gone.json()["code"]) == (404, "person-erased")
    profile = await registry.get(f"/seekers/{seeker_id}")
    assert (profile["status"], profile["reason"], profile["version"]) == ("withdrawn", "erased", 2)


async def test_only_the_personal_scope_sees_the_person(settings: Settings, tmp_path: Path) -> None:
    tokens = {scope: secrets.token_hex(16) for scope in ("read", "write", "personal")}
    file = tmp_path / "tokens"
    file.write_text("".join(f"{hash_of(token)} {scope}-desk {scope}\n" for scope, token in tokens.items()))
    guarded = settings.model_copy(update={"kafka": NOWHERE, "tokens_file": file})
    async with serving(guarded) as registry:

        def bearer(scope: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {tokens[scope]}"}

        made = await registry.post("/seekers", seeker_body(), headers=bearer("write"))
        seeker_id = made.json()["id"]
        answers = {
            (path, scope): (await registry.http.get(f"/seekers/{seeker_id}{path}", headers=bearer(scope))).status_code
            for path in ("", "/person")
            for scope in tokens
        }
        assert answers == {
            ("", "read"): 200,
            ("", "write"): 403,
            ("", "personal"): 403,
            ("/person", "read"): 403,
            ("/person", "write"): 403,
            ("/person", "personal"): 200,
        }
        assert (await registry.post("/seekers", seeker_body(), headers=bearer("read"))).status_code == 403
        assert (await registry.post("/seekers", seeker_body())).status_code == 401


async def test_a_full_bulk_of_each_kind_enters(registry: Registry) -> None:
    seekers = (await registry.post("/seekers/bulk", lines([seeker_body()] * 1000), headers=NDJSON)).json()
    posts = (
        await registry.post("/posts/bulk", lines([post_body(await registry.employer())] * 1000), headers=NDJSON)
    ).json()
    assert (seekers["accepted"], posts["accepted"]) == (1000, 1000)
    made = [
        await registry.done("/placements", placement(posts["rows"][n]["id"], seekers["rows"][n]["id"]))
        for n in range(20)
    ]
    rows = [shift(made[n % 20], TODAY - timedelta(days=1 + n // 20)) for n in range(1000)]
    report = (await registry.post("/shifts/bulk", lines(rows), headers=NDJSON)).json()
    assert report["accepted"] == 1000
    months = {f"{TODAY - timedelta(days=1 + back):%Y-%m}" for back in range(50)}
    exported = [item for month in months for item in await registry.everything("/shifts", month=month, limit=200)]
    assert {item["shift_id"] for item in exported} == {row["id"] for row in report["rows"]}
    assert len(exported) == 1000


async def test_lists_are_filtered_and_paged(registry: Registry) -> None:
    employers = [await registry.employer() for _ in range(5)]
    await registry.done(f"/employers/{employers[0]}/suspend", {"reason": "safety"})
    elsewhere = await registry.done("/employers", {"city": "370200", "kind": "enterprise", "name": "别处"})
    found = await registry.everything("/employers", limit=2, city=YANTAI)
    assert [item["employer_id"] for item in found] == sorted(employers)
    assert len(await registry.everything("/employers", limit=2)) == 6
    assert [item["status"] for item in await registry.everything("/employers", suspended=True)] == ["suspended"]
    cursor = (await registry.get("/employers", limit=1))["next"]
    for path, query in (
        ("/posts", {"cursor": cursor}),
        ("/employers", {"cursor": "%"}),
        ("/employers", {"limit": 201}),
    ):
        assert (await registry.http.get(path, params=query)).status_code == 422
    assert (await registry.http.get("/shifts")).status_code == 422
    assert (await registry.get(f"/employers/{elsewhere}"))["name"] == "别处"
    assert (await registry.http.get(f"/posts/pst-{'0' * 32}")).json()["code"] == "post-unknown"


async def test_every_command_documents_its_key(registry: Registry) -> None:
    paths = (await registry.get("/openapi.json"))["paths"]
    commands = {path: operations["post"] for path, operations in paths.items() if "post" in operations}
    assert len(commands) == 23
    for path, operation in commands.items():
        assert any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]), path


async def test_without_a_database_commands_answer_503_and_nothing_crashes(settings: Settings) -> None:
    gone = settings.model_copy(update={"kafka": NOWHERE, "mongo": "mongodb://127.0.0.1:1/?replicaSet=rs0"})
    async with serving(gone, until=None) as registry:
        answer = await registry.post("/seekers", seeker_body())
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (
            503,
            "store-unavailable",
            True,
        )
        assert (await registry.http.get("/seekers")).status_code == 503
        assert (await registry.http.get("/health/ready")).status_code == 503
