"""Matching's restart: from a checkpoint it goes on where it was; without one, or with a broken one, it rebuilds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from deploy.local.engines import Engines
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
    async with running(settings) as (_, get):
        again = await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(Position.of(late)), timeout_ms=10_000)
        assert again.status_code == 200
        assert consumed() - read_before == 1, "what the checkpoint stands for is not read again"
        assert loads("loaded") - loaded_before >= 1
        await send(settings, [seeker_withdrawn(50, 2)])
        path = f"/posts/{id_of('pst', 1)}/ranking"
        await get(path, after=f"seeker-withdrawn:{id_of('skr', 50)}:2", timeout_ms=10_000)
        items, lists, _ = await everything(get)
        assert (items, lists) == before[:2]


async def test_a_restart_after_a_clean_stop_answers_before_the_group_has_met(
    fresh_broker: Engines, settings: Settings, own: Mongo
) -> None:
    async with running(settings) as (_, get):
        before = await told_all(settings, get)
    fresh_broker.kill_broker()
    try:
        async with running(settings, wait=False) as (_, get):

            async def answers() -> bool:
                return (await get("/rankings", city=YANTAI)).status_code == 200

            await eventually(answers, "it answers without a broker")
            assert await everything(get) == before
    finally:
        fresh_broker.start_broker()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(f"partition-{HERE}.")]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096 + 11] ^= 4
    path.write_bytes(whole)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink], ids=["cut", "flipped", "gone"])
async def test_without_a_whole_checkpoint_the_state_is_rebuilt(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path, damage: Any
) -> None:
    async with running(settings) as (_, get):
        before = await told_all(settings, get)
    written = _files(folder)
    assert len(written) >= 1
    for path in written:
        damage(path)
    outcome = "missing" if damage is Path.unlink else "damaged"
    read_before, loaded_before = consumed(), loads(outcome)
    async with running(settings) as (_, get):
        assert await everything(get) == before
        assert consumed() - read_before == len(EVENTS)
        assert loads(outcome) > loaded_before


async def test_the_checkpoint_before_takes_over_from_a_broken_one(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path
) -> None:
    async with running(settings) as (_, get):
        await told_all(settings, get)
    async with running(settings) as (_, get):
        late = seeker_registered(60)
        await send(settings, [late])
        await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(Position.of(late)), timeout_ms=10_000)
        before = await everything(get)
    _flip(folder / f"partition-{HERE}.checkpoint")
    read_before, loaded_before = consumed(), loads("fallback")
    async with running(settings) as (_, get):
        assert await everything(get) == before
        assert consumed() - read_before == 1
        assert loads("fallback") - loaded_before == 1


async def test_the_checkpoint_of_another_database_is_not_taken(
    fresh_broker: Engines, settings: Settings, own: Mongo, folder: Path
) -> None:
    async with running(settings) as (_, get):
        await told_all(settings, get)
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
        answer = await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(Position.of(news)), timeout_ms=10_000)
        while answer.status_code == 503:
            assert answer.json()["retryable"]
            answer = await get(f"/posts/{id_of('pst', 1)}/ranking", after=str(Position.of(news)), timeout_ms=10_000)
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
