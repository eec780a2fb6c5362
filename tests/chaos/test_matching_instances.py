"""Two instances of matching, each a process: they share the cities, hand them over, and are killed or held up.

Whatever happens, a reader gets an answer of the present owner, or is told to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.engines import Engines
from deploy.local.fleet import Fleet, serve_command
from services.matching.ownership import FORWARDED
from services.matching.position import StreamPosition
from shared.contracts.fields import Event
from shared.contracts.position import Position
from shared.contracts.topics import PARTITIONS, partition_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.test_matching_service import create_topics, send
from tests.integration.test_matching_streams import stream
from tests.unit.matching.wire import id_of, post_opened, seeker_registered

pytestmark = pytest.mark.slow

LEASE_S = 4
CITIES = [next(city for city in (f"{n}00" for n in range(3700, 3800)) if partition_of(city) == p) for p in range(6)]
"""A city on each partition."""


def serve(_name: str, port: int) -> list[str]:
    return serve_command("matching", port)


@dataclass
class Pair:
    """Two instances, and what a test knows of them."""

    settings: Settings
    fleet: Fleet
    http: httpx.AsyncClient

    async def get(self, instance: str, path: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
        return await self.http.get(f"{self.fleet.url(instance)}{path}", params=params, headers=headers)

    async def insist(self, instance: str, path: str, **params: Any) -> Any:
        """Read until it is answered, as a client does."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.get(instance, path, **params)
                if answer.status_code != 503:
                    assert answer.status_code == 200, answer.text
                    return answer.json()
                assert answer.json()["retryable"], answer.text
                await asyncio.sleep(0.05)

    async def metric(self, instance: str, name: str) -> float:
        text = (await self.get(instance, "/metrics")).text
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
        return sum(sample.value for sample in samples)

    async def owned(self, instance: str) -> float:
        return await self.metric(instance, "mamapost_matching_partitions_owned")

    async def shared(self) -> bool:
        owned = [await self.owned(instance) for instance in ("one", "two")]
        return min(owned) > 0 and sum(owned) == PARTITIONS

    async def owners(self) -> dict[int, str]:
        """Who owns each partition, by the answers that only an owner gives."""
        found = {}
        for partition, city in enumerate(CITIES):
            for instance in self.fleet.services:
                answer = await self.get(instance, "/rankings", {FORWARDED: "1"}, city=city)
                if answer.status_code == 200:
                    found[partition] = instance
        return found


def post_of(city: str) -> int:
    return CITIES.index(city) + 1


def events_of(city: str, first: int, count: int) -> list[Event]:
    base = CITIES.index(city) * 1000
    return [seeker_registered(base + number, city=city) for number in range(first, first + count)]


ALL: list[Event] = [
    *(post_opened(post_of(city), city=city) for city in CITIES),
    *(event for city in CITIES for event in events_of(city, 1, 8)),
]


@pytest.fixture
async def pair(fresh_broker: Engines, settings: Settings, tmp_path: Path) -> AsyncIterator[Pair]:
    await create_topics(settings)
    await send(settings, ALL)
    async with two_instances(fresh_broker, settings, tmp_path) as made:
        yield made


@asynccontextmanager
async def two_instances(engines: Engines, settings: Settings, folder: Path) -> AsyncIterator[Pair]:
    env = {
        "MAMAPOST_DB_PREFIX": settings.db_prefix,
        "MAMAPOST_MATCHING_CHECKPOINT_DIR": str(folder / "shared-checkpoints"),
        "MAMAPOST_MATCHING_LEASE_S": str(LEASE_S),
    }
    own = Mongo.connect(settings, "matching")
    fleet = await asyncio.to_thread(
        Fleet.start, engines.urls, log_dir=folder / "log", env=env, services=("one", "two"), command=serve
    )
    try:
        async with httpx.AsyncClient(timeout=60, trust_env=False, limits=httpx.Limits(max_connections=200)) as http:
            made = Pair(settings, fleet, http)
            await eventually(made.shared, "both own some partitions, and together all", 60)
            yield made
    finally:
        await asyncio.to_thread(fleet.stop)
        await own.client.drop_database(own.db.name)
        own.close()


def plainly(answer: Any) -> Any:
    """Without what depends on the moment of the read."""
    return {name: value for name, value in answer.items() if name not in ("age_ms", "at")}


async def test_a_read_to_either_is_answered_alike(pair: Pair) -> None:
    assert set((await pair.owners()).values()) == {"one", "two"}
    for city in CITIES:
        path = f"/posts/{id_of('pst', post_of(city))}/ranking"
        one, two = [plainly(await pair.insist(instance, path)) for instance in ("one", "two")]
        assert one == two
        assert len(one["top"]) == 8
        seeker = one["top"][0]["seeker_id"]
        for about in (f"/seekers/{seeker}/posts", f"/posts/{id_of('pst', post_of(city))}/seekers/{seeker}/why"):
            assert plainly(await pair.insist("one", about)) == plainly(await pair.insist("two", about))
        there = plainly(await pair.insist("one", "/rankings", city=city))
        assert there == plainly(await pair.insist("two", "/rankings", city=city))
        assert [item["post_id"] for item in there["items"]] == [id_of("pst", post_of(city))]
    for instance in ("one", "two"):
        unknown = await pair.get(instance, f"/posts/{id_of('pst', 999)}/ranking")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "post-unknown")
        invalid = await pair.get(instance, f"/posts/{id_of('pst', 1)}/ranking", limit=99)
        assert (invalid.status_code, invalid.json()["errors"][0]["field"]) == (422, "limit")
    assert await pair.metric("one", "mamapost_matching_forwarded_total") > 0


async def test_lists_of_all_cities_are_put_together(pair: Pair) -> None:
    for instance in ("one", "two"):
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await pair.insist(instance, "/best-posts", limit=7, **cursor)
            ids += [item["seeker_id"] for item in page["items"]]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}
        assert ids == sorted(event.entity_id for event in ALL if event.topic == "seeker-registered")
        rankings = await pair.insist(instance, "/rankings")
        assert [item["post_id"] for item in rankings["items"]] == [id_of("pst", post_of(city)) for city in CITIES]


async def test_a_reader_of_either_can_wait_for_an_event_of_any_city(pair: Pair) -> None:
    for city in CITIES:
        for number, instance in enumerate(("one", "two")):
            [news] = events_of(city, 100 + number, 1)
            known = f"/posts/{id_of('pst', post_of(city))}/ranking"
            unknown = f"/seekers/{news.entity_id}/posts"
            waits = [
                asyncio.create_task(pair.get(instance, path, after=str(Position.of(news)), timeout_ms=10_000))
                for path in (known, unknown)
            ]
            await asyncio.sleep(0)
            await send(pair.settings, [news])
            ranking, posts = await asyncio.gather(*waits)
            assert ranking.status_code == posts.status_code == 200, posts.text
            assert news.entity_id in [place["seeker_id"] for place in ranking.json()["top"]]
            again = await pair.get(instance, known, after=ranking.json()["position"], timeout_ms=0)
            assert again.status_code == 200


@dataclass
class Seen:
    """What a reader saw of one city: nothing may ever go back."""

    last: StreamPosition | None = None
    answers: int = 0
    refusals: int = 0

    def note(self, answer: httpx.Response) -> None:
        if answer.status_code == 503:
            assert answer.json()["retryable"], answer.text
            self.refusals += 1
            return
        assert answer.status_code == 200, answer.text
        position = StreamPosition.parse(answer.json()["position"])
        assert self.last is None or position.reaches(self.last), "a later read shows an earlier state"
        self.last = position
        self.answers += 1


@asynccontextmanager
async def reading(pair: Pair, instances: Sequence[str]) -> AsyncIterator[dict[str, Seen]]:
    """Readers of every city who ask the instances in turn, one question after the other."""
    seen = {city: Seen() for city in CITIES}
    stop = asyncio.Event()

    async def read(city: str) -> None:
        while not stop.is_set():
            for instance in instances:
                try:
                    answer = await pair.get(instance, f"/posts/{id_of('pst', post_of(city))}/ranking")
                except httpx.TransportError:
                    seen[city].refusals += 1
                else:
                    seen[city].note(answer)
            await asyncio.sleep(0.02)

    readers = [asyncio.create_task(read(city)) for city in CITIES]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*readers)


async def changes(pair: Pair, instance: str, number: int) -> None:
    """One more seeker in each city, until a read shows her."""
    news = [events_of(city, number, 1)[0] for city in CITIES]
    await send(pair.settings, news)
    for city, event in zip(CITIES, news, strict=True):
        path = f"/posts/{id_of('pst', post_of(city))}/ranking"
        answer = await pair.insist(instance, path, after=str(Position.of(event)), timeout_ms=5_000)
        assert event.entity_id in [place["seeker_id"] for place in answer["top"]]


async def test_a_city_changes_hands_without_a_reader_seeing_it_go_back(pair: Pair) -> None:
    async with reading(pair, ("one", "two")) as seen:
        await changes(pair, "one", 20)
        await asyncio.to_thread(pair.fleet.stop_one, "two")
        await eventually(lambda: owns_all(pair, "one"), "the one that is left owns all", 60)
        await changes(pair, "one", 21)
        await asyncio.to_thread(pair.fleet.restart, "two")
        await eventually(pair.shared, "they share again", 60)
        await changes(pair, "two", 22)
    assert min(one.answers for one in seen.values()) > 20
    loaded = await pair.metric("one", "mamapost_matching_checkpoint_loads_total")
    assert loaded >= 1


async def owns_all(pair: Pair, instance: str) -> bool:
    return await pair.owned(instance) == PARTITIONS


async def test_a_killed_instance_is_followed_and_comes_back(pair: Pair) -> None:
    async with reading(pair, ("one",)) as seen:
        await changes(pair, "one", 20)
        pair.fleet.kill("two")
        await eventually(lambda: owns_all(pair, "one"), "the one that is left owns all", 60)
        await changes(pair, "one", 21)
        await asyncio.to_thread(pair.fleet.restart, "two")
        await eventually(pair.shared, "they share again", 60)
        await changes(pair, "one", 22)
    assert min(one.answers for one in seen.values()) > 20


async def test_an_instance_that_was_held_up_never_gives_a_stale_answer(pair: Pair) -> None:
    await changes(pair, "one", 20)
    mine = [city for city in CITIES if (await pair.owners())[partition_of(city)] == "two"]
    assert mine
    before = {city: await pair.insist("two", f"/posts/{id_of('pst', post_of(city))}/ranking") for city in mine}
    pair.fleet.pause("two")
    try:
        await eventually(lambda: owns_all(pair, "one"), "the other owns all", 60)
        await changes(pair, "one", 21)
        # These wait in the sockets of the stopped process, and are what it reads first when it goes on.
        waiting = [
            asyncio.create_task(pair.get("two", f"/posts/{id_of('pst', post_of(city))}/ranking", headers))
            for city in mine
            for headers in ({}, {FORWARDED: "1"})
            for _ in range(20)
        ]
        await asyncio.sleep(0.2)
    finally:
        pair.fleet.resume("two")
    answers = await asyncio.gather(*waiting)
    newest = {city: await pair.insist("one", f"/posts/{id_of('pst', post_of(city))}/ranking") for city in mine}
    for answer in answers:
        if answer.status_code == 200:
            city = next(c for c in mine if id_of("pst", post_of(c)) == answer.json()["post_id"])
            position = StreamPosition.parse(answer.json()["position"])
            assert position.reaches(StreamPosition.parse(newest[city]["position"])), "a stale answer"
            assert answer.json()["top"] == newest[city]["top"]
        else:
            assert answer.status_code in (404, 503), answer.text
    assert {answer.status_code for answer in answers} >= {200} or any(a.status_code == 503 for a in answers)
    assert all(before[city]["top"] != newest[city]["top"] for city in mine)
    await eventually(pair.shared, "they share again", 60)
    await changes(pair, "two", 22)


async def test_a_read_for_a_city_that_nobody_owns_is_told_so(pair: Pair) -> None:
    mine = [city for city in CITIES if (await pair.owners())[partition_of(city)] == "two"]
    pair.fleet.kill("two")
    await asyncio.sleep(LEASE_S + 0.5)
    codes = set()
    for city in mine:
        answer = await pair.get("one", f"/posts/{id_of('pst', post_of(city))}/ranking", city=city)
        codes.add((answer.status_code, answer.json().get("code")))
    assert codes <= {(503, "city-unowned"), (503, "catching-up"), (200, None)}
    await eventually(lambda: owns_all(pair, "one"), "the one that is left owns all", 60)


async def test_a_stream_is_passed_on_and_resumed_wherever_its_city_goes(pair: Pair) -> None:
    owners = await pair.owners()
    city = next(city for city in CITIES if owners[partition_of(city)] == "two")
    post, url = id_of("pst", post_of(city)), pair.fleet.url("one")

    async def is_published() -> bool:
        answer = await pair.get("one", f"/posts/{post}/ranking/changes")
        return answer.status_code == 200 and bool(answer.json()["size"] == 8)

    await eventually(is_published, "the ranking is published", 60)
    async with stream(pair.http, post=post, url=url) as reader:
        assert (await reader.event())[0] == "snapshot"
        await send(pair.settings, events_of(city, 30, 1))
        kind, change = await reader.event()
        assert (kind, change["size"]) == ("change", 9)
        await asyncio.to_thread(pair.fleet.stop_one, "two")
        assert await reader.event() == ("resume", {"reason": "stopping"})
        since, kept = reader.id, dict(reader.places)
    await send(pair.settings, events_of(city, 31, 1))
    await eventually(lambda: owns_all(pair, "one"), "the one that is left owns all", 60)
    await pair.insist("one", f"/posts/{post}/ranking", after=str(Position.of(events_of(city, 31, 1)[0])))
    async with stream(pair.http, since, post, url) as reader:
        reader.places = kept
        kind, change = await reader.event()
        assert (kind, str(change["since"]), change["size"]) == ("change", since, 10), "she goes on where she was"
    top = (await pair.insist("one", f"/posts/{post}/ranking"))["top"]
    assert reader.seekers == [place["seeker_id"] for place in top]
