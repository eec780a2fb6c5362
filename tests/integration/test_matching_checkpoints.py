"""Matching's restart: from a checkpoint it goes on where it was; without one, or with a broken one, it rebuilds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from deploy.local.engines import Engines
from services.matching.api.reader import TIMEOUT_MAX_MS
from services.matching.checkpoint import read
from shared.contracts.position import Position
from shared.contracts.topics import TOPICS, partition_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.test_matching_service import Get, create_topics, running, send, told
from tests.unit.matching.wire import YANTAI, id_of, post_opened, seeker_registered, seeker_withdrawn, skill_certified

HERE = partition_of(YANTAI)
EVENTS = [
    *(seeker_registered(number, commute_km=number % 9 + 4) for number in range(1, 40)),
    *(post_opened(number, skills_desired=["sewing"]) for number in range(1, 8)),
    seeker_withdrawn(5, 2),
    skill_certified(1, 2, "sewing"),
]


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Mongo]:
    """Matching's own database, dropped after the test."""
    connected = Mongo.connect(settings, "matching")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / settings.db_prefix


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def consumed() -> float:
    return sum(counted("mamapost_consumed_events_total", topic=topic) for topic in TOPICS)


def loads(outcome: str) -> float:
    return counted("mamapost_matching_checkpoint_loads_total", outcome=outcome)


async def everything(get: Get) -> Any:
    """All rankings and lists, and the position that they are of."""
    rankings = (await get("/rankings", parts=True, city=YANTAI)).json()
    lists = (await get("/best-posts", parts=True, city=YANTAI)).json()
    return rankings["items"], lists["items"], rankings["position"]


async def told_all(settings: Settings, get: Get) -> Any:
    await told(settings, get, EVENTS)
    return await everything(get)


async def test_a_restart_goes_on_from_its_checkpoint(fresh_broker: Engines, settings: Settings, own: Mongo) -> None:
    async with running(settings) as (_, get):
        before = await told_all(settings, get)
    read_before, loaded_before = consumed(), loads("loaded")
    late = seeker_registered(50)
    await send(settings, [late])
    async with running(settings, wait=False) as (_, get):
        # Asked at once: who waits for an event waits for the start, too, and is refused only after her time.
        again = await patiently(get, f"/posts/{id_of('pst', 1)}/ranking", str(Position.of(late)))
        assert id_of("skr", 50) in [place["seeker_id"] for place in again["top"]]
        assert consumed() - read_before == 1, "what the checkpoint stands for is not read again"
        assert loads("loaded") - loaded_before >= 1
        await send(settings, [seeker_withdrawn(50, 2)])
        await patiently(get, f"/posts/{id_of('pst', 1)}/ranking", f"seeker-withdrawn:{id_of('skr', 50)}:2")
        after = await everything(get)
        assert after[:2] == before[:2]
    fresh_broker.kill_broker()
    try:
        async with running(settings, wait=False) as (_, get):

            async def answers() -> bool:
                return (await get("/rankings", city=YANTAI)).status_code == 200

            await eventually(answers, "after a clean stop it answers without a broker")
            assert await everything(get) == after
    finally:
        fresh_broker.start_broker()


async def patiently(get: Get, path: str, position: str) -> Any:
    """Read what shows an event, with all the patience that a reader may ask for, again and again for 90 s."""
    async with asyncio.timeout(90):
        while True:
            asked_s = asyncio.get_running_loop().time()
            answer = await get(path, after=position, timeout_ms=TIMEOUT_MAX_MS)
            if answer.status_code == 200:
                return answer.json()
            assert answer.status_code == 503, answer.text
            assert asyncio.get_running_loop().time() - asked_s > TIMEOUT_MAX_MS / 1000 - 1, answer.text


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(f"partition-{HERE}.")]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096 + 11] ^= 4
    path.write_bytes(whole)


async def test_a_checkpoint_that_cannot_be_used_is_passed_over(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path
) -> None:
    async with running(settings) as (_, get):
        before = await told_all(settings, get)
    for damage, outcome in ((_cut, "damaged"), (_flip, "damaged"), (Path.unlink, "missing")):
        written = _files(folder)
        assert len(written) >= 1
        for path in written:
            damage(path)
        read_before, loaded_before = consumed(), loads(outcome)
        async with running(settings) as (_, get):
            assert await everything(get) == before, outcome
            assert consumed() - read_before == len(EVENTS), "rebuilt from the topics"
            assert loads(outcome) > loaded_before
    # With a whole one before it, that takes over.
    async with running(settings) as (_, get):
        late = seeker_registered(60)
        await send(settings, [late])
        await patiently(get, f"/posts/{id_of('pst', 1)}/ranking", str(Position.of(late)))
        before = await everything(get)
    _flip(folder / f"partition-{HERE}.checkpoint")
    read_before, loaded_before = consumed(), loads("fallback")
    async with running(settings) as (_, get):
        assert await everything(get) == before
        assert consumed() - read_before == 1
        assert loads("fallback") - loaded_before == 1
    # One of another database is none.
    (folder / f"partition-{HERE}.previous").unlink()  # the flipped one
    await own.client.drop_database(own.db.name)
    fresh_broker.kill_broker()
    fresh_broker.start_broker()
    loaded_before = loads("foreign")
    async with running(settings) as (_, get):
        assert (await get("/rankings", city=YANTAI)).json()["items"] == []
        assert loads("foreign") > loaded_before


async def test_a_new_broker_takes_no_knowledge_away_and_is_read_from_its_beginning(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path
) -> None:
    async with running(settings) as (_, get):
        before = await told_all(settings, get)
        fresh_broker.kill_broker()
        fresh_broker.start_broker()
        await create_topics(settings)
        news = seeker_registered(70)
        await send(settings, [news])
        answer = await patiently(get, f"/posts/{id_of('pst', 1)}/ranking", str(Position.of(news)))
        assert answer["also_before"] == [before[2]], "the old position and the new one together name what was ranked"
        items, _, position = await everything(get)
        assert len(items[0]["top"]) == len(before[0][0]["top"]) + 1
        assert position.split(".")[1] != before[2].split(".")[1]
        refused = await get(f"/posts/{id_of('pst', 1)}/ranking", after=before[2])
        assert (refused.status_code, refused.json()["code"]) == (422, "position-invalid")
    kept = read(folder / f"partition-{HERE}.checkpoint")
    assert kept.offsets["seeker-registered"] == 1
    fresh_broker.kill_broker()
    fresh_broker.start_broker()
    async with running(settings) as (_, get):
        assert (await everything(get))[0] == items, "also from a checkpoint"
        lost = (await get("/rankings", city=YANTAI)).json()["also_before"]
        assert lost[0] == before[2]
        assert lost[1:] in ([], [position]), "before and after the group has met at the next broker"


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMAPOST_MATCHING_CHECKPOINT_INTERVAL_S", "1")


async def test_checkpoints_are_written_in_the_background_when_something_has_changed(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path, often: None
) -> None:
    def written() -> float:
        return counted("mamapost_matching_checkpoints_total", outcome="written")

    start = written()
    async with running(settings) as (_, get):
        await told_all(settings, get)
        path = folder / f"partition-{HERE}.checkpoint"
        await eventually(lambda: path.exists() and sum(read(path).offsets.values()) == len(EVENTS), "it is written")
        first = path.stat().st_mtime_ns
        size = path.stat().st_size
        await eventually(lambda: counted("mamapost_matching_checkpoint_bytes") >= size, "its writer has said so")
    assert written() > start
    assert path.stat().st_mtime_ns == first, "nothing changed since, so that the stop has nothing to write"
    assert counted("mamapost_matching_checkpoint_age_seconds") == 0
