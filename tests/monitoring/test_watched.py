"""On running services: every panel has data, no alert fires, commands of runbooks work; then faults, and their alerts.

The tests stand in this order on purpose: what is broken at the end stays broken.
"""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pymongo import MongoClient

from deploy.monitoring.pages import DASHBOARDS
from mamapost.scenario.yantai.facts import CITY
from tests.architecture.source import ROOT
from tests.contract.test_alerts import FENCE, RUNBOOKS
from tests.monitoring.conftest import Watched

ASKERS = 40
"""Requests that fail at once: more than one in a hundred of all that the test makes."""

RANGE = "5m"
"""What Grafana's rate interval stands for here: the whole run."""


def has_data(watched: Watched, expr: str) -> bool:
    series = watched.query(expr.replace("$__rate_interval", RANGE))
    return any(not math.isnan(float(one["value"][1])) for one in series)


def test_every_query_of_every_panel_has_data(watched: Watched) -> None:
    asked = [
        (f"{page.name}: {panel.title}", query.expr)
        for page in DASHBOARDS
        for panel in page.panels
        for query in panel.queries
    ]

    def empty() -> list[tuple[str, str]]:
        return [(title, expr) for title, expr in asked if not has_data(watched, expr)]

    # The last batch is consumed, counted and scraped within a few seconds.
    try:
        watched.wait(lambda: not empty(), "every panel has data", timeout_s=30)
    except AssertionError:
        assert empty() == []


def test_figures_are_those_of_the_programme(watched: Watched) -> None:
    """What Prometheus has is what the registry answers."""
    (registered,) = watched.query("sum(max by (city) (mamapost_registry_women_registered))")
    (participations,) = watched.query("sum(max by (city) (mamapost_registry_placed_participations))")
    (persons,) = watched.query("sum(max by (city) (mamapost_registry_placed_persons))")
    assert float(registered["value"][1]) > float(persons["value"][1]) >= 10
    assert float(participations["value"][1]) >= float(persons["value"][1])
    (imbalance,) = watched.query("max(abs(mamapost_revenue_ledger_imbalance_fen_e4))")
    assert float(imbalance["value"][1]) == 0
    relays = watched.query("sum by (service) (mamapost_relay_active)")
    assert {one["metric"]["service"]: one["value"][1] for one in relays} == dict.fromkeys(watched.local.urls, "1")


def test_no_alert_fires_in_a_healthy_installation(watched: Watched) -> None:
    assert watched.firing() == set()


def test_commands_of_runbooks_work(watched: Watched) -> None:
    env = {
        **os.environ,
        **{service.upper(): url for service, url in watched.local.urls.items()},
        "TOKEN": watched.local.token or "",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "no_proxy": "127.0.0.1",
    }
    ran = 0
    for path in sorted(RUNBOOKS.glob("*.md")):
        for _, language, text in FENCE.findall(path.read_text()):
            if language.strip() != "run":
                continue
            done = subprocess.run(
                ["/bin/bash", "-c", text], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )
            # A grep that finds nothing ends with 1 and says nothing: a counter of faults that never happened.
            assert done.returncode in (0, 1), (path.name, text, done.stderr)
            assert done.stderr == "", (path.name, text)
            ran += 1
    assert ran == len(list(RUNBOOKS.glob("*.md"))) - 1


def test_a_message_that_is_no_event_raises_dead_letters(watched: Watched) -> None:
    async def poison() -> None:
        async with AIOKafkaProducer(bootstrap_servers=watched.local.engines.urls.kafka) as producer:
            await producer.send_and_wait("post-opened", b"no event")

    asyncio.run(poison())
    watched.wait(lambda: watched.firing() == {"DeadLetters"}, "only DeadLetters fires")
    (letter,) = watched.query("sum by (service, topic, reason) (mamapost_dead_letters_total) > 0")
    assert letter["metric"] == {"service": "matching", "topic": "post-opened", "reason": "missing-header"}


def test_a_service_that_is_killed_raises_service_down(watched: Watched) -> None:
    watched.local.fleet.kill("training")
    watched.wait(lambda: "ServiceDown" in watched.firing(), "ServiceDown fires")
    watched.local.fleet.restart("training", wait_ready=False)
    watched.wait(lambda: "ServiceDown" not in watched.firing(), "ServiceDown is over")


def test_reading_many_persons_is_told(watched: Watched) -> None:
    with registry(watched) as http:
        seekers = http.get("/seekers", params={"city": CITY}).json()["items"]
        for number in range(250):
            answer = http.get(f"/seekers/{seekers[number % len(seekers)]['seeker_id']}/person")
            assert answer.status_code == 200, answer.text
    watched.wait(lambda: "PersonsReadOften" in watched.firing(), "PersonsReadOften fires")


def test_a_line_changed_by_hand_is_found_by_verification_and_reconciliation(watched: Watched) -> None:
    assert not {"LedgerWrong", "ShiftsDiffer"} & watched.firing()
    client: MongoClient[dict[str, Any]] = MongoClient(watched.local.engines.urls.mongo)
    # Of a revised shift: what stands of it is kept apart from its lines. A shift's only line is all that is kept, so
    # that verification alone finds it changed.
    changed = client["mamapost_revenue"]["entries"].update_one({"k": "reversal"}, {"$inc": {"v": 100}})
    client.close()
    assert changed.modified_count == 1
    watched.wait(lambda: watched.firing() >= {"LedgerWrong", "ShiftsDiffer"}, "LedgerWrong and ShiftsDiffer fire")


def test_a_lost_database_raises_http_errors_and_failing_batches(watched: Watched) -> None:
    assert not {"HttpErrors", "BatchesFail"} & watched.firing()
    watched.local.engines.kill_store()
    try:
        asyncio.run(publish_again(watched))
        with registry(watched) as http, ThreadPoolExecutor(ASKERS) as askers:
            # Each waits some seconds for a primary, then says that there is none.
            asked = [askers.submit(http.get, "/seekers", params={"city": CITY}) for _ in range(ASKERS)]
            assert {answer.result().status_code for answer in asked} == {503}
        watched.wait(lambda: watched.firing() >= {"HttpErrors", "BatchesFail"}, "HttpErrors and BatchesFail fire")
    finally:
        watched.local.engines.start_store()


def test_a_lost_broker_raises_bus_disconnected_and_events_not_published(watched: Watched) -> None:
    assert not {"BusDisconnected", "EventsNotPublished"} & watched.firing()
    watched.local.engines.kill_broker()
    with registry(watched) as http:
        body = {"city": CITY, "kind": "enterprise", "name": "海味食品"}
        answer = http.post("/employers", json=body, headers={"Idempotency-Key": "while-the-bus-is-gone"})
        assert answer.status_code == 201, answer.text
    watched.wait(lambda: "BusDisconnected" in watched.firing(), "BusDisconnected fires")
    watched.wait(lambda: "EventsNotPublished" in watched.firing(), "EventsNotPublished fires", timeout_s=90)


def registry(watched: Watched) -> httpx.Client:
    headers = {"Authorization": f"Bearer {watched.local.token}"}
    return httpx.Client(base_url=watched.local.urls["registry"], headers=headers, timeout=30, trust_env=False)


async def publish_again(watched: Watched) -> None:
    """Send an event that was consumed once more, as a relay that died before its note would."""
    kafka = watched.local.engines.urls.kafka
    async with AIOKafkaConsumer("shift-completed", bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        known = await consumer.getone()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(
            known.topic, known.value, key=known.key, partition=known.partition, headers=list(known.headers)
        )
