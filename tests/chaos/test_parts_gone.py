"""Promises 1 and 2 with real processes: services, broker and database are killed with SIGKILL while commands arrive."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.engines import Engines
from deploy.local.process import Deadline
from mamapost.local import Running, running
from shared.contracts.envelope import decode
from shared.contracts.registry import EmployerRegistered
from shared.contracts.topics import PARTITIONS
from shared.messaging.connection import Connection
from shared.messaging.reading import read_to_end
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import YANTAI

pytestmark = pytest.mark.slow

ANSWER_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Engines of these tests alone, since they kill them, and all four services; each test leaves them running."""
    with running(tmp_path_factory.mktemp("local"), with_token=False) as started:
        yield started


def employer() -> dict[str, Any]:
    return {"city": YANTAI, "kind": "enterprise", "name": "示例工厂"}


def insist(url: str, body: dict[str, Any], key: str) -> dict[str, Any]:
    """Send a command until it is answered, as a client does: the same key and body each time."""
    deadline = Deadline(ANSWER_TIMEOUT_S)
    with httpx.Client(timeout=5) as client:
        while not deadline.passed:
            try:
                answer = client.post(url, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                threading.Event().wait(0.05)
                continue
            if answer.status_code != 503:
                assert answer.status_code == 201, answer.text
                return dict(answer.json())
            assert answer.json()["retryable"] is True
            threading.Event().wait(0.05)
    raise AssertionError("no answer in time")


async def event_ids(engines: Engines) -> list[str]:
    """Ids of all employer events on the topic, duplicates included; none until its owner has made it."""
    topic = EmployerRegistered.topic
    consumer = AIOKafkaConsumer(bootstrap_servers=engines.urls.kafka)
    await consumer.start()
    try:
        await consumer.topics()
        if consumer.partitions_for_topic(topic) != set(range(PARTITIONS)):
            return []
    finally:
        await consumer.stop()
    records = read_to_end(
        Connection(Settings(kafka=engines.urls.kafka)),
        {TopicPartition(topic, number): 0 for number in range(PARTITIONS)},
    )
    return [decode(topic, record.key, record.headers, record.value).id async for record in records]


async def all_on_topic(engines: Engines, wanted: set[str]) -> bool:
    return wanted <= set(await event_ids(engines))


async def test_a_service_killed_under_fire_loses_and_doubles_nothing(local: Running) -> None:
    url = f"{local.urls['registry']}/employers"
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(insist, url, employer(), str(uuid.uuid4())) for _ in range(300)]
        for pause_s in (0.3, 0.8):
            threading.Event().wait(pause_s)
            local.fleet.kill("registry")
            local.fleet.restart("registry", wait_ready=False)
        accepted = [future.result() for future in answers]
    assert len({answer["id"] for answer in accepted}) == 300
    await eventually(lambda: all_on_topic(local.engines, {a["event_id"] for a in accepted}), "all events are there", 60)
    on_topic = await event_ids(local.engines)
    assert set(on_topic) == {answer["event_id"] for answer in accepted}, "no event of a command that was not answered"


async def test_without_a_broker_commands_are_accepted_and_their_events_wait(local: Running) -> None:
    url = f"{local.urls['registry']}/employers"
    before = [insist(url, employer(), str(uuid.uuid4())) for _ in range(5)]
    await eventually(lambda: all_on_topic(local.engines, {a["event_id"] for a in before}), "they are on the topic")
    local.engines.kill_broker()
    during = [insist(url, employer(), str(uuid.uuid4())) for _ in range(20)]
    ready = await asyncio.to_thread(httpx.get, f"{local.urls['registry']}/health/ready")
    assert ready.status_code == 200, "a lost broker must not take the commands away"
    local.engines.start_broker()
    wanted = {answer["event_id"] for answer in before + during}
    await eventually(lambda: all_on_topic(local.engines, wanted), "old and new events are on the new broker", 60)
    # The consumers follow without a restart: revenue knows an employer that was registered while the broker was gone.
    community = insist(
        f"{local.urls['registry']}/communities",
        {"city": YANTAI, "area": "370602001", "name": "示例社区"},
        str(uuid.uuid4()),
    )
    agreement = {
        "employer_id": during[-1]["id"],
        "community_id": community["id"],
        "base": "wages",
        "rate_bp": 1000,
        "valid_from": "2026-01-01",
        "signatories": {"federation": "f", "employer": "e", "community": "c"},
    }
    await eventually(lambda: signs(local, agreement), "revenue knows the employer", 60)


def signs(local: Running, agreement: dict[str, Any]) -> bool:
    answer = httpx.post(
        f"{local.urls['revenue']}/agreements", json=agreement, headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    assert answer.status_code == 201 or answer.json()["retryable"], answer.text
    return answer.status_code == 201


async def test_without_a_database_commands_are_refused_for_now_and_nothing_is_lost(local: Running) -> None:
    url = f"{local.urls['registry']}/employers"
    before = [insist(url, employer(), str(uuid.uuid4())) for _ in range(5)]
    local.engines.kill_store()
    key = str(uuid.uuid4())
    refused = await asyncio.to_thread(
        httpx.post, url, json=employer(), headers={"Idempotency-Key": key}, timeout=ANSWER_TIMEOUT_S
    )
    assert refused.status_code == 503
    assert refused.json()["code"] == "store-unavailable"
    assert refused.json()["retryable"] is True
    local.engines.start_store()
    after = insist(url, employer(), key)
    wanted = {answer["event_id"] for answer in [*before, after]}
    await eventually(lambda: all_on_topic(local.engines, wanted), "all events are there", 60)
    for service in local.urls:
        await eventually(
            lambda url=local.urls[service]: httpx.get(f"{url}/health/ready").status_code == 200,  # type: ignore[misc]
            f"{service} is ready without a restart",
            60,
        )
