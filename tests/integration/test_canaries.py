"""Promise 4 on running services: made-up personal data goes in by every command, and is searched for in all that
leaves the registry's vault."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.local.engines import Engines
from deploy.local.fleet import SERVICES, Fleet
from services.registry.api.uploads import SEEKER_COLUMNS
from shared.contracts.envelope import Envelope, encode
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.kernel.ids import new_id
from shared.messaging.connection import Connection
from shared.messaging.reading import read_to_end
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, seeker_registered
from tests.integration.canaries import PLACES, RARE, Aviary, Text, leaks, written
from tests.integration.canary_commands import plant_by_other_services, streamed
from tests.integration.forms import FOR_THE_PUBLIC, Forms, spoilt
from tests.integration.registry_desk import TODAY

IN_ORDER = {
    "/communities": "community_id",
    "/stations": "station_id",
    "/stations/{station_id}/accept": None,
    "/stations/{station_id}/change": None,
    "/shuttles": "shuttle_id",
    "/shuttles/{shuttle_id}/change": None,
    "/employers": "employer_id",
    "/seekers": "seeker_id",
    "/seekers/{seeker_id}/change": None,
    "/posts": "post_id",
    "/posts/{post_id}/change": None,
    "/placements": "placement_id",
    "/shifts": "shift_id",
    "/shifts/{shift_id}/correct": None,
    "/placements/{placement_id}/end": None,
    "/employers/{employer_id}/suspend": None,
    "/employers/{employer_id}/reinstate": None,
    "/seekers/bulk": None,
    "/posts/bulk": None,
    "/shifts/bulk": None,
    "/posts/{post_id}/close": None,
    "/seekers/{seeker_id}/withdraw": None,
    "/seekers/{seeker_id}/erase": None,
}
"""The registry's commands in an order in which each is accepted, and what the answer's id is from then on."""

POISONED = "seeker-registered"
"""A topic that matching and training consume."""

SEARCHED_MAX = 100_000
"""Documents of a collection that are read; a test's are some hundred."""


class City:
    """A fleet, what was planted, and what came of it."""

    def __init__(self, fleet: Fleet, settings: Settings, http: httpx.AsyncClient) -> None:
        self.fleet = fleet
        self.settings = settings
        self.aviary = Aviary()
        self.ids: dict[str, str] = {}
        self.sealed: list[str] = []
        self.rogue: set[tuple[str, int, int]] = set()
        self.http = http

    async def forms(self, service: str) -> Forms:
        answer = await self.http.get(f"{self.fleet.url(service)}/openapi.json")
        return Forms(answer.json(), self.aviary)

    async def ask(
        self, method: str, path: str, content: bytes = b"", kind: str = "application/json", service: str = "registry"
    ) -> httpx.Response:
        """A request with a canary wherever a client may write what it likes."""
        headers = {
            "Content-Type": kind,
            "Idempotency-Key": self.aviary.code("an Idempotency-Key"),
            "User-Agent": self.aviary.code("a User-Agent"),
            "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
            "tracestate": f"x={self.aviary.code('a tracestate')}",
        }
        params = {"note": self.aviary.text("a query")}
        answer = await self.http.request(
            method, self.fleet.url(service) + path, content=content, headers=headers, params=params
        )
        assert answer.status_code < 500, f"{method} {path}: {answer.text}"
        return answer

    async def accepted(self, path: str, content: bytes, kind: str = "application/json") -> dict[str, Any]:
        answer = await self.ask("POST", path.format(**self.ids), content, kind)
        assert answer.status_code in (200, 201), f"{path}: {answer.text}"
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
async def city(fresh_broker: Engines, settings: Settings, tmp_path: Path) -> AsyncIterator[City]:
    env = {
        "MAMAPOST_DB_PREFIX": settings.db_prefix,
        "MAMAPOST_MASTER_KEY_FILE": str(settings.master_key_file),
        "MAMAPOST_TRACE_TO": (tmp_path / "spans").as_uri(),
        "MAMAPOST_TRACE_RATIO": "1",
        "MAMAPOST_LOG_LEVEL": "debug",
        "MAMAPOST_MATCHING_CHECKPOINT_INTERVAL_S": "1",
    }
    fleet = await asyncio.to_thread(Fleet.start, fresh_broker.urls, log_dir=tmp_path / "logs", env=env)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        try:
            yield City(fleet, settings, http)
        finally:
            await asyncio.to_thread(fleet.stop)


async def test_no_personal_data_leaves_the_vault(city: City, tmp_path: Path) -> None:
    await plant_by_commands(city)
    await plant_by_refused_requests(city)
    await plant_poison(city)
    await is_through(city)
    await plant_by_other_services(city)
    texts = [text async for text in served(city)]
    texts += await streamed(city)
    await asyncio.to_thread(city.fleet.stop)
    texts += [text async for text in on_topics(city)]
    texts += [text async for text in in_collections(city)]
    texts += files("log", tmp_path / "logs") + files("trace", tmp_path, "spans")
    texts += files("checkpoint", tmp_path / "checkpoints")
    assert len(city.aviary.canaries) > 1000
    found = leaks(texts, city.aviary.canaries)
    assert not found, "\n".join(found)
    saw_everything(city, texts)


# --- what goes in ---


async def plant_by_commands(city: City) -> None:
    """Every command of the registry, accepted."""
    forms = await city.forms("registry")
    assert forms.commands.keys() == IN_ORDER.keys(), "each command stands in the order"
    for path, becomes in IN_ORDER.items():
        form = forms.commands[path]
        if form is None:
            await plant_by_upload(city, forms, path)
            continue
        body = forms.body(form, city.ids)
        answer = await city.accepted(path, json.dumps(body).encode())
        if becomes is not None:
            city.ids[becomes] = answer["id"]
            city.ids |= {"child_care_station_id": city.ids["station_id"]} if becomes == "station_id" else {}
        if form == "RegisterSeeker":
            person = (await city.ask("GET", f"/seekers/{answer['id']}/person")).json()
            assert person["name"] == body["person"]["name"], "it is there, for who may see it"


UPLOADS = {"/seekers/bulk": "RegisterSeeker", "/posts/bulk": "OpenPost", "/shifts/bulk": "RecordShift"}


async def plant_by_upload(city: City, forms: Forms, path: str) -> None:
    """Good and bad rows, as NDJSON; and seekers, whose rows are persons, as CSV too."""
    good = [forms.body(UPLOADS[path], city.ids) for _ in range(2)]
    for number, row in enumerate(good, 2):
        if "started_at" in row:
            day = TODAY - timedelta(days=number)
            row |= {"started_at": f"{day}T08:30:00+08:00", "ended_at": f"{day}T11:30:00+08:00"}
    bad = list(spoilt(good[0], city.aviary, f"a row of {path}"))
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in [*good, *bad]).encode()
    torn = json.dumps({"person": city.aviary.text("a torn row")}).encode()[:-2]
    report = await city.accepted(path, lines + b"\n" + torn, "application/x-ndjson")
    assert (report["accepted"], report["rejected"]) == (2, len(bad) + 1), report
    if path == "/seekers/bulk":
        women = [forms.body(UPLOADS[path], city.ids) for _ in range(2)]
        wrong = [{**woman, "city": city.aviary.text("a city in CSV")} for woman in women]
        report = await city.accepted(path, as_csv([*women, *wrong]), "text/csv")
        assert (report["accepted"], report["rejected"]) == (2, 2), report
        city.sealed += [row["id"] for row in report["rows"] if "id" in row]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    sheet = csv.writer(text)
    sheet.writerow(SEEKER_COLUMNS)
    for row in rows:
        sheet.writerow([cell(row, column) for column in SEEKER_COLUMNS])
    return text.getvalue().encode()


def cell(row: Mapping[str, Any], column: str) -> str:
    value: Any = row
    for name in column.split("."):
        value = value[name]
    if not isinstance(value, list):
        return str(value)
    return ";".join(
        f"{item['day']} {item['from']}-{item['to']}"
        if "day" in item
        else item["birth_date"]
        if isinstance(item, dict)
        else str(item)
        for item in value
    )


async def plant_by_refused_requests(city: City) -> None:
    """Every command with each field spoilt, torn, too long, as no object; and every route of every service astray."""
    forms = await city.forms("registry")
    for path, form in forms.commands.items():
        where = path.format(**city.ids)
        whole = json.dumps(forms.body(form or UPLOADS[path], city.ids)).encode()
        bodies = [json.dumps(one).encode() for one in spoilt(json.loads(whole), city.aviary, form or path)]
        bodies += [whole[:-3], json.dumps([city.aviary.text("no object")]).encode(), b"\xff" + whole]
        if form is not None:
            bodies.append(json.dumps({"x": city.aviary.text("a body too large") * 3000}, ensure_ascii=False).encode())
        for body in bodies:
            answer = await city.ask("POST", where, body, "application/json" if form else "application/x-ndjson")
            assert form is None or answer.status_code >= 400, f"{path}: {answer.text}"
    for service in SERVICES:
        known = await city.forms(service)
        for method, paths in (("POST", list(known.commands)), ("GET", known.reads)):
            for path in paths:
                if "{" in path:
                    astray = "/".join(
                        city.aviary.code(f"{part} of {path}") if part.startswith("{") else part
                        for part in path.split("/")
                    )
                    await city.ask(method, astray, b'{"' + city.aviary.code(path).encode() + b'":1}', service=service)
        await city.ask("GET", f"/{city.aviary.code('a route')}", service=service)
        await city.ask(city.aviary.code("a method").upper(), "/health/live", service=service)


async def plant_poison(city: City) -> None:
    """Messages of somebody who may write to a topic, and should not have."""
    a = city.aviary
    message = encode(Envelope(new_id("event"), NOW, seeker_registered()))
    data, headers = json.loads(message.value), list(message.headers)
    broken: list[dict[str, Any]] = [
        {"value": a.text("a poison text").encode()},
        {"value": json.dumps(data).encode()[:-1] + a.text("torn poison").encode()},
        {"value": b"\xff\xfe" + a.text("poison in no UTF-8").encode()},
        {"key": a.text("a poison key").encode()},
        {"headers": [*headers, ("note", a.text("a poison header").encode() + b"\xff")], "value": b"{}"},
        {"headers": list((dict(headers) | {"ce_type": a.code("a poison type").encode()}).items())},
        {"headers": [(name, a.code(f"a poison {name}").encode()) for name, _ in headers]},
        *({"value": json.dumps(one).encode()} for one in spoilt(data, a, "poison") if set(one) == set(data)),
    ]
    producer = AIOKafkaProducer(bootstrap_servers=city.settings.kafka)
    await producer.start()
    try:
        for instead in broken:
            fields = {"value": message.value, "key": message.key, "headers": headers, **instead}
            sent = await producer.send_and_wait(POISONED, partition=message.partition, **fields)
            city.rogue.add((sent.topic, sent.partition, sent.offset))
    finally:
        await producer.stop()


async def is_through(city: City) -> None:
    """All of it has gone as far as it goes: to dead letters, rankings, the events of rankings, a checkpoint."""
    forms = await city.forms("registry")
    for path, becomes in (("/seekers", "seeker_id"), ("/posts", "post_id")):
        body = forms.body(forms.commands[path] or "", city.ids)
        city.ids[becomes] = (await city.accepted(path, json.dumps(body).encode()))["id"]
    city.sealed.append(city.ids["seeker_id"])

    async def ranked() -> bool:
        answer = await city.ask("GET", f"/posts/{city.ids['post_id']}/ranking", service="matching")
        return answer.status_code == 200 and city.ids["seeker_id"] in answer.text

    async def told() -> bool:
        return city.ids["post_id"] in (await city.ask("GET", "/feeds/ranking-changed", service="matching")).text

    async def buried() -> bool:
        letters = [json.loads(record.value) async for record in records(city.settings, [f"{POISONED}.dlq"])]
        offsets = {(letter["consumer"], letter["origin"]["offset"]) for letter in letters}
        return {("matching", offset) for _, _, offset in city.rogue} <= offsets

    await eventually(ranked, "she is ranked behind the poison")
    await eventually(told, "her ranking is published")
    await eventually(buried, "all poison is dead-lettered")


# --- what came out ---


async def served(city: City) -> AsyncIterator[Text]:
    """Metrics and feeds, of the services that still run."""
    for service in SERVICES:
        yield Text("metrics", service, (await city.ask("GET", "/metrics", service=service)).content)
        for listed in (await city.ask("GET", "/feeds", service=service)).json():
            for form in ("", "/snapshot"):
                path = f"/feeds/{listed['topic']}{form}"
                yield Text("feed", listed["topic"], (await city.ask("GET", path, service=service)).content)


async def on_topics(city: City) -> AsyncIterator[Text]:
    """Records of all topics but those that the test itself has sent."""
    names = [name for topic in TOPICS.values() for name in (topic.name, topic.dead_letters)]
    async for record in records(city.settings, names):
        if (record.topic, record.partition, record.offset) in city.rogue:
            continue
        dead = record.topic.endswith(".dlq")
        yield Text("dead letter" if dead else "record value", record.topic, record.value or b"")
        yield Text("dead letter" if dead else "record key", record.topic, record.key or b"")
        for name, value in record.headers:
            yield Text("dead letter" if dead else "record header", record.topic, name.encode() + b"=" + (value or b""))


async def records(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Any]:
    """Every record of some topics."""
    places = {
        TopicPartition(name, number): 0
        for name in topics
        for number in range(1 if name.endswith(".dlq") else PARTITIONS)
    }
    async with asyncio.timeout(30):
        async for record in read_to_end(Connection(settings), places):
            yield record


async def in_collections(city: City) -> AsyncIterator[Text]:
    """Every document of every database of the services."""
    client: Any = AsyncIOMotorClient(city.settings.mongo)
    for database in await client.list_database_names():
        if not database.startswith(city.settings.db_prefix):
            continue
        for name in await client[database].list_collection_names():
            for document in await client[database][name].find().to_list(SEARCHED_MAX):
                yield Text("collection", name, written(document))
        await client.drop_database(database)
    client.close()


def files(place: str, folder: Path, pattern: str = "**/*") -> list[Text]:
    return [Text(place, path.name, path.read_bytes()) for path in sorted(folder.glob(pattern)) if path.is_file()]


def saw_everything(city: City, texts: Sequence[Text]) -> None:
    """The search looked where it says: in each place stands what must stand there."""
    by_place = {place: b"\n".join(text.content for text in texts if text.place == place) for place in PLACES}
    pseudonym, post = city.ids["seeker_id"].encode(), city.ids["post_id"].encode()
    for place in ("record key", "record value", "feed", "stream", "collection"):
        assert pseudonym in by_place[place], place
        assert post in by_place[place], place
    assert b"ce_id=evt-" in by_place["record header"]
    assert b'"seeker-registered"' in by_place["dead letter"]
    assert b'"event": "event stored"' in by_place["log"], "at the level of debug"
    assert b'route="/seekers/{seeker_id}/change",status="422"' in by_place["metrics"]
    assert b"process seeker-registered" in by_place["trace"]
    assert b"MAMACKPT" in by_place["checkpoint"]
    held = [text for text in texts if (text.place, text.name) == ("collection", "persons")]
    assert len(held) >= len(city.sealed) > 0
    told = {text.name for text in texts if text.place == "collection" and RARE.encode() in text.content}
    assert told >= set(FOR_THE_PUBLIC.values()), "what is for the public stands where it may"
    assert {text.name for text in texts if text.place == "log"} >= {f"{service}.log" for service in SERVICES}
