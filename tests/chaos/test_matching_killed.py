"""Matching is killed at random points while events stream in and a reader reads: no answer is ever wrong.

Each answer names the position, instant and policy that it is made of. Afterwards the topics are read from their
beginning, and the pure functions of `domain` are asked what the ranking is there; so for every published ranking.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.engines import Engines
from deploy.local.fleet import Fleet, serve_command
from services.matching.domain import Fact, Programme, rank_post, view_of
from services.matching.facts import fact_of
from services.matching.position import TOPIC_ORDER, StreamPosition
from shared.contracts.envelope import decode
from shared.contracts.fields import Event
from shared.contracts.matching import RankingChanged
from shared.contracts.position import Position
from shared.contracts.topics import partition_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.test_matching_service import create_topics, send
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
)

pytestmark = pytest.mark.slow

SEED = 20_261
KILLS = 2
POSTS, SEEKERS = 8, 40


@dataclass
class Town:
    """A city at random: every event is one that the registry or training could send."""

    rng: random.Random
    versions: Counter[tuple[str, int]] = field(default_factory=Counter)
    sent: list[Event] = field(default_factory=list)

    def events(self, count: int) -> list[Event]:
        made = [self._one() for _ in range(count)]
        self.sent += made
        return made

    def _next(self, kind: str, number: int) -> int:
        self.versions[kind, number] += 1
        return self.versions[kind, number]

    def _one(self) -> Event:
        rng, dice = self.rng, self.rng.random()
        post, seeker = rng.randrange(POSTS), rng.randrange(SEEKERS)
        skills = [skill for skill in ("sewing", "packing") if rng.random() < 0.5]
        if dice < 0.45:
            home = {"lat": 37.5 + rng.randrange(20) * 0.005, "lon": 121.35 + rng.randrange(20) * 0.005}
            version, floor = self._next("skr", seeker), rng.randrange(1000, 2200, 100)
            return seeker_registered(seeker, version=version, home=home, skills=skills, pay_floor_fen=floor)
        if dice < 0.52:
            return seeker_withdrawn(seeker, self._next("skr", seeker))
        if dice < 0.70:
            return post_opened(post, version=self._next("pst", post), skills_desired=skills, min_minutes=300)
        if dice < 0.73:
            return post_closed(post, self._next("pst", post))
        if dice < 0.78:
            number = rng.randrange(100)
            return placement_made(number, post, seeker, version=self._next("plc", number))
        if dice < 0.9:
            number = rng.randrange(300)
            verdict = rng.choice(("attended", "left-early", "no-show"))
            return shift_completed(number, seeker, revision=self._next("sft", number), verdict=verdict)
        number = rng.randrange(100)
        return skill_certified(number, seeker, "sewing", version=self._next("crt", number))


@dataclass
class Reading:
    """What a reader was told, and how often she was told to come again."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0

    def has(self, count: int) -> bool:
        return len(self.answers) >= count

    def is_varied(self) -> bool:
        """Whether there are positions enough to be checked."""
        return len({answer["position"] for answer in self.answers}) > 10

    async def read(self, http: httpx.AsyncClient, path: str, **params: Any) -> None:
        try:
            answer = await http.get(path, params=params)
        except httpx.TransportError:
            self.refusals += 1
            return
        if answer.status_code == 200:
            self.answers.append(answer.json())
        elif answer.status_code == 503:
            assert answer.json()["retryable"], answer.text
            self.refusals += 1
        else:
            assert (answer.status_code, answer.json()["code"]) == (404, "post-unknown"), answer.text


async def test_no_answer_is_one_that_the_rules_would_not_give(
    fresh_broker: Engines, settings: Settings, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    town, reading = Town(rng), Reading()
    await create_topics(settings)
    await send(settings, town.events(60))
    env = {
        "MAMAPOST_DB_PREFIX": settings.db_prefix,
        "MAMAPOST_MATCHING_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
        "MAMAPOST_MATCHING_CHECKPOINT_INTERVAL_S": "1",
        "MAMAPOST_MATCHING_LEASE_S": "30",
    }
    fleet = await asyncio.to_thread(
        Fleet.start, fresh_broker.urls, log_dir=tmp_path / "log", env=env, services=("matching",), command=_serve
    )
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            await send(settings, town.events(rng.randrange(1, 12)))
            await asyncio.sleep(rng.random() * 0.1)

    async def read() -> None:
        async with httpx.AsyncClient(base_url=fleet.url("matching"), timeout=15, trust_env=False) as http:
            while not over.is_set():
                after = {"after": str(Position.of(town.sent[-1]))} if rng.random() < 0.3 else {}
                path = f"/posts/{id_of('pst', rng.randrange(POSTS))}/ranking"
                await reading.read(http, path, timeout_ms=2_000, **after)
                await asyncio.sleep(0.01)

    own = Mongo.connect(settings, "matching")
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            tasks.create_task(read())
            for _ in range(KILLS):
                enough = len(reading.answers) + rng.randrange(20, 80)
                await eventually(partial(reading.has, enough), "it is read", 60)
                fleet.kill("matching")
                await asyncio.to_thread(fleet.restart, "matching")
            await eventually(partial(reading.has, len(reading.answers) + 20), "it is read after the last kill", 60)
            await eventually(reading.is_varied, "answers name more than ten positions", 60)
            await eventually(partial(_published, settings), "more than ten rankings are published", 60)
            over.set()
    finally:
        await asyncio.to_thread(fleet.stop)
        await own.client.drop_database(own.db.name)
        own.close()

    history = await History.read(settings)
    for answer in reading.answers:
        assert answer["also_before"] == []
        policy = (answer["policy"]["city"], answer["policy"]["version"])
        _check(history, answer["post_id"], answer["position"], answer["at"], policy, _places(answer["top"]), 50)
    assert len(history.published) > 10
    for event in history.published:
        assert event.position is not None
        assert event.policy is not None
        policy = (event.policy.city, event.policy.version)
        top = _places(event.model_dump(mode="json")["top"])
        _check(history, event.post_id, event.position, event.as_of.isoformat(), policy, top, 10)
    assert reading.refusals > 0


async def _published(settings: Settings) -> bool:
    """Whether there are rankings enough to be checked."""
    partition = TopicPartition(RankingChanged.topic, partition_of(YANTAI))
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([partition])
        return ends[partition] > 10


def _serve(_name: str, port: int) -> list[str]:
    return serve_command("matching", port)


def _places(top: Iterable[dict[str, Any]]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(one["seeker_id"], one["score"], tuple(one["parts"].values())) for one in top]


def _check(
    history: History,
    post_id: str,
    position: str,
    at: str,
    policy: tuple[str, int],
    top: list[tuple[str, int, tuple[int, ...]]],
    limit: int,
) -> None:
    view = view_of(history.until(StreamPosition.parse(position)), datetime.fromisoformat(at))
    used = view.policy_of(YANTAI)
    assert policy == (used.city, used.version)
    expected = rank_post(used, view.openings[post_id], view.candidates.values(), limit)
    assert top == [(one.seeker_id, one.score, tuple(one.parts)) for one in expected], (post_id, position, at)


@dataclass
class History:
    """Everything that stands on the city's partition.

    Attributes:
        facts: of each topic, with their offsets.
        published: rankings, in order.
        known: what was known before the positions that were asked for.
    """

    facts: dict[str, list[tuple[int, Fact]]]
    published: list[RankingChanged]
    known: dict[StreamPosition, Programme] = field(default_factory=dict)

    @classmethod
    async def read(cls, settings: Settings) -> History:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
        await consumer.start()
        facts: dict[str, list[tuple[int, Fact]]] = {topic: [] for topic in TOPIC_ORDER}
        published: list[RankingChanged] = []
        try:
            consumer.assign(
                [TopicPartition(topic, partition_of(YANTAI)) for topic in (*TOPIC_ORDER, RankingChanged.topic)]
            )
            quiet = 0
            while quiet < 3:
                polled = await consumer.getmany(timeout_ms=300, max_records=5000)
                quiet = 0 if polled else quiet + 1
                for records in polled.values():
                    for record in records:
                        event = decode(record.topic, record.key, record.headers, record.value).event
                        if isinstance(event, RankingChanged):
                            published.append(event)
                        else:
                            facts[record.topic].append((record.offset, fact_of(event)))
        finally:
            await consumer.stop()
        return cls(facts, published)

    def until(self, position: StreamPosition) -> Programme:
        """All that is known before a position; many answers are of the same one."""
        if position not in self.known:
            self.known[position] = Programme.of(
                fact
                for topic, end in zip(TOPIC_ORDER, position.offsets, strict=True)
                for offset, fact in self.facts[topic]
                if offset < end
            )
        return self.known[position]
