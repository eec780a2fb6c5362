"""On running services: every panel has data, no alert fires, commands of runbooks work; then faults, and their alerts.

The tests stand in this order on purpose: what is broken at the end stays broken.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pymongo import MongoClient
from pymongo.database import Database

from deploy.monitoring.pages import DASHBOARDS
from mamapost.scenario.yantai.facts import CITY
from tests.architecture.source import ROOT
from tests.contract.test_alerts import ALERTS, FENCE, RUNBOOKS
from tests.monitoring.conftest import Watched

ASKERS = 40
"""Requests that fail at once: more than one in a hundred of all that the test makes."""

SLOW_S = 3
"""A database that hangs for so long makes what is asked meanwhile slower than the two seconds of HttpSlow."""

STALE_S = 6
"""Matching that hangs for so long, once it has news, is later with them than the five seconds of RankingsStale."""

NEWS = 80
"""Events that come while matching hangs: more than one in a hundred of all that it takes in within five minutes."""

COPIES = 1_100
"""Of one message: a consumer that cannot take them lags by more than a thousand."""

OF_A_BUSY_MACHINE = {"HttpSlow", "RankingsStale"}
"""Alerts of slowness: the programme that was just played may have brought it."""

OF_THE_PROGRAMME = {"ShiftsWithoutAgreement"}
"""Some of its shifts are worked where no agreement was signed."""

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


def test_no_alert_fires_in_a_healthy_installation_and_none_is_about_to(watched: Watched) -> None:
    assert watched.firing() == set()
    # The month is over when the programme ends, and due until it is settled and counted.
    expected = OF_A_BUSY_MACHINE | OF_THE_PROGRAMME
    watched.wait(lambda: watched.pending() <= expected, "no other alert is about to fire")


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


def test_a_message_that_is_no_event_raises_dead_letters(hurried: Watched) -> None:
    async def poison() -> None:
        async with AIOKafkaProducer(bootstrap_servers=hurried.local.engines.urls.kafka) as producer:
            await producer.send_and_wait("post-opened", b"no event")

    asyncio.run(poison())
    hurried.wait(lambda: hurried.firing() - OF_THE_PROGRAMME == {"DeadLetters"}, "only DeadLetters fires")
    hurried.proved.add("DeadLetters")
    (letter,) = hurried.query("sum by (service, topic, reason) (mamapost_dead_letters_total) > 0")
    assert letter["metric"] == {"service": "matching", "topic": "post-opened", "reason": "missing-header"}


def test_a_month_that_is_settled_no_more_and_shifts_without_agreement_are_told(hurried: Watched) -> None:
    with client(hurried, "revenue") as http:
        settled = http.get("/settlements").json()["items"]
        undone = next(one["settlement_id"] for one in settled if "reversed_at" not in one)
        command(http, f"/settlements/{undone}/reverse", {"reason": "hours were wrong"})
    hurried.raises("SettlementLate", "ShiftsWithoutAgreement")


def test_a_service_that_is_killed_raises_service_down(hurried: Watched) -> None:
    hurried.local.fleet.kill("training")
    hurried.raises("ServiceDown")
    hurried.local.fleet.restart("training")
    hurried.wait(lambda: "ServiceDown" not in hurried.firing(), "ServiceDown is over")
    # It was asked whether it is ready until it was, and "not yet" is a 503.
    assert "HttpErrors" not in hurried.firing()


def test_a_lease_of_an_instance_that_is_gone_raises_relay_missing(hurried: Watched) -> None:
    gone = {"owner": "gone:1", "until": datetime.now(UTC) + timedelta(minutes=10)}
    with database(hurried, "training") as training:
        training["relay"].update_one({"_id": "lease"}, {"$set": gone})
        hurried.raises("RelayMissing")
        training["relay"].delete_one({"_id": "lease"})
    hurried.wait(lambda: "RelayMissing" not in hurried.firing(), "another relay took over")


def test_checkpoints_that_cannot_be_written_raise_checkpoint_old(hurried: Watched) -> None:
    folder = hurried.folder / "checkpoints"
    folder.rename(folder.with_name("moved"))
    folder.touch()
    with client(hurried, "registry") as registry:
        command(registry, "/employers", EMPLOYER)
    hurried.raises("CheckpointOld")
    folder.unlink()
    folder.with_name("moved").rename(folder)
    hurried.wait(lambda: "CheckpointOld" not in hurried.firing(), "they are written again")


def test_reading_many_persons_is_told(hurried: Watched) -> None:
    with client(hurried, "registry") as http:
        seekers = http.get("/seekers", params={"city": CITY}).json()["items"]
        for number in range(250):
            answer = http.get(f"/seekers/{seekers[number % len(seekers)]['seeker_id']}/person")
            assert answer.status_code == 200, answer.text
    hurried.raises("PersonsReadOften")


def test_a_database_that_hangs_raises_http_slow(hurried: Watched) -> None:
    assert "HttpSlow" not in hurried.firing()
    hurried.local.engines.pause_store()
    with client(hurried, "registry") as http, ThreadPoolExecutor(ASKERS) as askers:
        try:
            asked = [askers.submit(http.get, "/seekers", params={"city": CITY}) for _ in range(ASKERS)]
            hang(hurried, SLOW_S)
        finally:
            hurried.local.engines.resume_store()
        assert {answer.result().status_code for answer in asked} == {200}
    hurried.raises("HttpSlow")


def test_matching_that_hangs_raises_rankings_stale(hurried: Watched) -> None:
    assert "RankingsStale" not in hurried.firing()
    hurried.local.fleet.pause("matching")
    try:
        with client(hurried, "registry") as http:
            for _ in range(NEWS):
                command(http, "/employers", EMPLOYER)
        hang(hurried, STALE_S)
    finally:
        hurried.local.fleet.resume("matching")
    hurried.raises("RankingsStale")
    others = {"ServiceDown", "CitiesUnanswered", "ConsumerLagging"}
    hurried.wait(lambda: not others & hurried.firing(), "matching answers again")


def test_a_line_changed_by_hand_is_found_by_verification_and_reconciliation(hurried: Watched) -> None:
    assert not {"LedgerWrong", "ShiftsDiffer"} & hurried.firing()
    with database(hurried, "revenue") as revenue:
        # Of a revised shift: what stands of it is kept apart from its lines. A shift's only line is all that is kept,
        # so that verification alone finds it changed.
        changed = revenue["entries"].update_one({"k": "reversal"}, {"$inc": {"v": 100}})
    assert changed.modified_count == 1
    hurried.raises("LedgerWrong", "ShiftsDiffer")


def test_a_lost_database_is_told_by_all_that_stands_still(hurried: Watched) -> None:
    consumption = ("BatchesFail", "CitiesUnanswered", "ConsumerLagging")
    still = (*consumption, "FiguresStale", "HttpErrors", "LedgerNotVerified", "ShiftsNotReconciled")
    assert not set(still) & hurried.firing()
    hurried.local.engines.kill_store()
    try:
        asyncio.run(publish_again(hurried))
        with client(hurried, "registry") as http, ThreadPoolExecutor(ASKERS) as askers:
            # Each waits some seconds for a primary, then says that there is none.
            asked = [askers.submit(http.get, "/seekers", params={"city": CITY}) for _ in range(ASKERS)]
            assert {answer.result().status_code for answer in asked} == {503}
        hurried.raises(*still)
    finally:
        hurried.local.engines.start_store()


def test_a_lost_broker_raises_bus_disconnected_and_events_not_published(hurried: Watched) -> None:
    assert not {"BusDisconnected", "EventsNotPublished"} & hurried.firing()
    hurried.local.engines.kill_broker()
    with client(hurried, "registry") as http:
        command(http, "/employers", EMPLOYER)
    hurried.raises("BusDisconnected")
    hurried.raises("EventsNotPublished", timeout_s=90)


def test_every_alert_was_raised_by_its_fault(hurried: Watched) -> None:
    assert hurried.proved == {alert["alert"] for alert in ALERTS}


EMPLOYER = {"city": CITY, "kind": "enterprise", "name": "海味食品"}


def client(watched: Watched, service: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {watched.local.token}"}
    return httpx.Client(base_url=watched.local.urls[service], headers=headers, timeout=30, trust_env=False)


def command(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = http.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(16)})
    assert answer.status_code == 201, answer.text


@contextmanager
def database(watched: Watched, service: str) -> Iterator[Database[dict[str, Any]]]:
    opened: MongoClient[dict[str, Any]] = MongoClient(watched.local.engines.urls.mongo)
    try:
        yield opened[f"mamapost_{service}"]
    finally:
        opened.close()


def hang(watched: Watched, length_s: float) -> None:
    """Let what is paused stay so; here the time is the fault."""
    until_s = time.monotonic() + length_s
    watched.wait(lambda: time.monotonic() >= until_s, f"{length_s} s have passed")


async def publish_again(watched: Watched) -> None:
    """Send an event that was consumed again and again, as relays that died before their note would."""
    kafka = watched.local.engines.urls.kafka
    async with AIOKafkaConsumer("shift-completed", bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        known = await consumer.getone()
    headers = list(known.headers)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        sent = [
            await producer.send(known.topic, known.value, key=known.key, partition=known.partition, headers=headers)
            for _ in range(COPIES)
        ]
        await asyncio.gather(*sent)
