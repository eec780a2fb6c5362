"""The registry over HTTP on a real database: promises 1, 4 and 7, and who wins when two want the same."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.engines import Engines
from services.registry.app import create
from shared.contracts.envelope import decode
from shared.contracts.registry import CommunityRegistered
from shared.kernel.clock import civil_day, system_clock
from shared.runtime.auth import hash_of
from shared.runtime.mongo import Document, Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.unit.registry.city import AFTERNOONS, MORNINGS, YANTAI, post_body, seeker_body

TODAY = civil_day(system_clock())
YESTERDAY = TODAY - timedelta(days=1)
NDJSON = {"Content-Type": "application/x-ndjson"}
NOWHERE = "127.0.0.1:1"
"""No broker: the registry serves commands without one, and most of these tests ask nothing of it."""


class Registry:
    """A client of a registry that runs in this process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(
        self, path: str, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        given = {"Content-Type": "application/json", "Idempotency-Key": key or secrets.token_hex(16), **(headers or {})}
        return await self.http.post(path, content=content, headers=given)

    async def done(self, path: str, body: Any) -> str:
        """Run a command that must be accepted; answers the entity's id."""
        response = await self.post(path, body)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def everything(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, **query, **cursor)
            items += page["items"]
            if "next" not in page:
                return items
            cursor = {"cursor": page["next"]}

    async def employer(self) -> str:
        return await self.done("/employers", {"city": YANTAI, "kind": "enterprise", "name": "海味食品"})

    async def station(self, *, accepted: bool = True) -> str:
        community = await self.done("/communities", {"city": YANTAI, "area": "370602001", "name": "东关社区"})
        body = {"community_id": community, "location": {"lat": 37.54, "lon": 121.38}, "name": "东关驿站"}
        return await self.done("/stations", {**body, "production_accepted": accepted, "facilities": ["nursing-room"]})

    async def opened(self, **given: Any) -> str:
        return await self.done("/posts", post_body(await self.employer(), **given))

    async def seeker(self, **given: Any) -> str:
        return await self.done("/seekers", seeker_body(**given))

    async def placed(self, **given: Any) -> str:
        body = placement(await self.opened(**given), await self.seeker())
        return await self.done("/placements", body)


def placement(post_id: str, seeker_id: str, **given: Any) -> dict[str, Any]:
    return {"post_id": post_id, "seeker_id": seeker_id, "starts_on": str(TODAY - timedelta(days=60)), **given}


def shift(placement_id: str, day: date = YESTERDAY, hour: int = 8, **given: Any) -> dict[str, Any]:
    """Two hours in China."""
    return {
        "placement_id": placement_id,
        "started_at": f"{day}T{hour:02d}:00:00+08:00",
        "ended_at": f"{day}T{hour + 2:02d}:00:00+08:00",
        "verdict": "attended",
        **given,
    }


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


@asynccontextmanager
async def serving(settings: Settings, *, until: str | None = "up") -> AsyncIterator[Registry]:
    app = create(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry", timeout=30) as http,
    ):

        async def ready() -> bool:
            return bool((await http.get("/health/ready")).json()["store"] == until)

        if until:
            await eventually(ready, "the registry's store is ready")
        yield Registry(http)


@pytest.fixture
async def registry(settings: Settings) -> AsyncIterator[Registry]:
    async with serving(settings.model_copy(update={"kafka": NOWHERE})) as running:
        yield running


async def stored(mongo: Mongo) -> dict[str, list[Document]]:
    """Everything in the service's database but what the relay notes of its own state."""
    names = await mongo.db.list_collection_names()
    return {name: await mongo.db[name].find().sort("_id", 1).to_list(None) for name in sorted(names) if name != "relay"}


async def events_of(mongo: Mongo) -> list[dict[str, Any]]:
    return [orjson.loads(held["value"]) for held in await mongo.db["events"].find().to_list(None)]


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


Ids = dict[str, str]
BAD: list[tuple[str, Callable[[Ids], str], Callable[[Ids], Any], int, str]] = [
    ("no body", lambda ids: "/seekers", lambda ids: b"", 422, "body"),
    ("empty", lambda ids: "/seekers", lambda ids: {}, 422, "city"),
    ("a list", lambda ids: "/seekers", lambda ids: [], 422, "body"),
    (
        "a child over 12",
        lambda ids: "/seekers",
        lambda ids: seeker_body(person={"children": [{"birth_date": str(TODAY - timedelta(days=366 * 13))}]}),
        422,
        "person.children.0.birth_date",
    ),
    (
        "a name too long",
        lambda ids: "/seekers",
        lambda ids: seeker_body(person={"name": "王" * 101}),
        422,
        "person.name",
    ),
    (
        "half a character",
        lambda ids: "/seekers",
        lambda ids: json.dumps(seeker_body(person={"name": "\ud83d"})).encode(),
        422,
        "person.name",
    ),
    ("a misspelt field", lambda ids: "/seekers", lambda ids: seeker_body(skils=[]), 422, "skils"),
    ("too large", lambda ids: "/seekers", lambda ids: seeker_body(person={"name": "x" * 70_000}), 413, "body"),
    ("a malformed id", lambda ids: "/seekers/somebody/withdraw", lambda ids: {"reason": "own-wish"}, 422, "seeker_id"),
    (
        "an unknown seeker",
        lambda ids: f"/seekers/skr-{'0' * 32}/withdraw",
        lambda ids: {"reason": "own-wish"},
        404,
        "seeker_id",
    ),
    (
        "a reason of ours",
        lambda ids: f"/seekers/{ids['seeker']}/withdraw",
        lambda ids: {"reason": "erased"},
        422,
        "reason",
    ),
    ("an unknown employer", lambda ids: "/posts", lambda ids: post_body(f"emp-{'0' * 32}"), 404, "employer_id"),
    (
        "an unknown station",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], station_id=f"stn-{'0' * 32}"),
        404,
        "station_id",
    ),
    (
        "a station not accepted",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], station_id=ids["station"]),
        409,
        "station_id",
    ),
    ("no seats", lambda ids: "/posts", lambda ids: post_body(ids["employer"], seats=0), 422, "seats"),
    (
        "hours off the grid",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], hours=[{"day": 1, "from": "08:15", "to": "10:00"}]),
        422,
        "hours.0.from",
    ),
    (
        "an unknown post",
        lambda ids: "/placements",
        lambda ids: placement(f"pst-{'0' * 32}", ids["seeker"]),
        404,
        "post_id",
    ),
    (
        "overlapping placements",
        lambda ids: "/placements",
        lambda ids: placement(ids["other post"], ids["seeker"]),
        409,
        "hours",
    ),
    (
        "the same placement",
        lambda ids: "/placements",
        lambda ids: placement(ids["post"], ids["seeker"]),
        409,
        "post_id",
    ),
    (
        "a placement far ahead",
        lambda ids: "/placements",
        lambda ids: placement(ids["post"], ids["free seeker"], starts_on=str(TODAY + timedelta(days=93))),
        422,
        "starts_on",
    ),
    (
        "a shift before its placement",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], TODAY - timedelta(days=61)),
        422,
        "started_at",
    ),
    (
        "a shift in the future",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], TODAY + timedelta(days=1)),
        422,
        "ended_at",
    ),
    (
        "a shift without an offset",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at=f"{YESTERDAY}T08:00:00"),
        422,
        "started_at",
    ),
    (
        "a shift as a number",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at=1_700_000_000),
        422,
        "started_at",
    ),
    (
        "a shift out of time",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at="0001-01-01T00:00:00+14:00"),
        422,
        "started_at",
    ),
    (
        "pieces for hourly pay",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], pieces={"accepted": 1, "rejected": 0}),
        422,
        "pieces",
    ),
    (
        "a stale correction",
        lambda ids: f"/shifts/{ids['shift']}/correct",
        lambda ids: {**{k: v for k, v in shift("").items() if k != "placement_id"}, "revision": 2},
        409,
        "revision",
    ),
    ("nothing to change", lambda ids: f"/posts/{ids['post']}/change", lambda ids: {}, 422, "body"),
    ("another city", lambda ids: f"/seekers/{ids['seeker']}/change", lambda ids: {"city": "370200"}, 422, "city"),
]


@pytest.fixture
async def ids(registry: Registry) -> Ids:
    """One of each, for bad commands to miss."""
    made = {
        "employer": await registry.employer(),
        "station": await registry.station(accepted=False),
        "seeker": await registry.seeker(),
        "free seeker": await registry.seeker(),
        "post": await registry.opened(),
        "other post": await registry.opened(hours=[MORNINGS[0]], min_minutes=60),
    }
    made["placement"] = await registry.done("/placements", placement(made["post"], made["seeker"]))
    made["shift"] = await registry.done("/shifts", shift(made["placement"], TODAY - timedelta(days=3)))
    return made


async def test_bad_input_names_the_field_and_stores_nothing(registry: Registry, mongo: Mongo, ids: Ids) -> None:
    before = await stored(mongo)
    wrong: list[str] = []
    for name, path, body, status, field in BAD:
        answer = await registry.post(path(ids), body(ids))
        told = answer.json()
        fields = [error["field"] for error in told.get("errors", [])]
        if (answer.status_code, fields[:1]) != (status, [field]):
            wrong.append(f"{name}: {answer.status_code} {told.get('code')} {fields}, not {status} {field}")
        assert answer.headers["content-type"] == "application/problem+json"
    assert not wrong
    assert await stored(mongo) == before


async def test_malformed_text_is_refused(registry: Registry) -> None:
    for body in (b"{", b'{"city": \xff\xfe}', json.dumps(seeker_body(), ensure_ascii=False).encode("gb18030")):
        answer = await registry.post("/seekers", body)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bulk_enters_the_good_rows_and_names_the_bad(registry: Registry, mongo: Mongo) -> None:
    placement_id = await registry.placed()
    rows = [
        shift(placement_id),
        shift(placement_id, hour=9),
        shift(placement_id, TODAY - timedelta(days=70)),
        shift(f"plc-{'0' * 32}"),
        {"placement_id": placement_id},
        shift(placement_id, TODAY - timedelta(days=2), verdict="no-show"),
    ]
    answer = await registry.post("/shifts/bulk", lines(rows), headers=NDJSON)
    assert answer.status_code == 200
    report = answer.json()
    assert (report["accepted"], report["rejected"]) == (2, 4)
    assert [
        (row["row"], row.get("code", "good"), [e["field"] for e in row.get("errors", [])]) for row in report["rows"]
    ] == [
        (1, "good", []),
        (2, "shift-overlap", ["started_at"]),
        (3, "shift-before-placement", ["started_at"]),
        (4, "placement-unknown", ["placement_id"]),
        (5, "invalid", ["started_at", "ended_at", "verdict"]),
        (6, "good", []),
    ]
    good = [row["event_id"] for row in report["rows"] if "event_id" in row]
    assert await mongo.db["events"].count_documents({"_id": {"$in": good}}) == 2
    assert await mongo.db["shifts"].count_documents({}) == 2
    # Rows of an earlier upload are met as well.
    again = (await registry.post("/shifts/bulk", lines(rows[:2]), headers=NDJSON)).json()
    assert [row["code"] for row in again["rows"]] == ["shift-overlap"] * 2


async def test_uploads_that_cannot_be_read_store_nothing(registry: Registry, mongo: Mongo) -> None:
    before = await stored(mongo)
    row = lines([seeker_body()])
    answers = [
        await registry.post("/seekers/bulk", b"\n".join([row] * 1001), headers=NDJSON),
        await registry.post("/seekers/bulk", row.decode().encode("gb18030"), headers=NDJSON),
        await registry.post("/seekers/bulk", row, headers={"Content-Type": "text/plain"}),
        await registry.post("/seekers/bulk", b"", headers=NDJSON),
        await registry.post("/seekers/bulk", b"x" * (4 * 1024 * 1024 + 1), headers=NDJSON),
    ]
    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers] == [
        (413, "rows"),
        (422, "rows.1"),
        (422, "Content-Type"),
        (422, "rows"),
        (413, "body"),
    ]
    assert "UTF-8" in answers[1].json()["errors"][0]["expected"]
    assert await stored(mongo) == before


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
    assert len(commands) == 20
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
