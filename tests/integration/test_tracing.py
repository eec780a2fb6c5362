"""One trace from an HTTP command to its effects in other services; and nothing of it where nobody asked for traces."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.engines import Engines
from deploy.local.fleet import Fleet
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.registry import EmployerRegistered, SeekerRegistered
from shared.messaging.consume import TRACED_MAX, Refusal
from shared.messaging.events import EventLog
from shared.runtime import tracing
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, YANTAI, seeker_registered, seeker_withdrawn
from tests.integration.test_bus import append, create_topics, is_up, read_all, running
from tests.integration.test_openapi import all_topics

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def spans_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def trace_of(parent: str | None) -> str | None:
    return parent.split("-")[1] if parent else None


async def test_one_command_is_one_trace_in_both_services_that_it_touches(
    fresh_broker: Engines, settings: Settings, tmp_path: Path
) -> None:
    await all_topics(settings)
    file = tmp_path / "spans"
    env = {
        "MAMAPOST_DB_PREFIX": settings.db_prefix,
        "MAMAPOST_MASTER_KEY_FILE": str(settings.master_key_file),
        "MAMAPOST_TRACE_TO": file.as_uri(),
        "MAMAPOST_TRACE_RATIO": "0",  # only what a caller traces
        "MAMAPOST_LOG_LEVEL": "debug",
    }

    def start() -> Fleet:
        return Fleet.start(fresh_broker.urls, log_dir=tmp_path, services=("registry", "revenue"), env=env)

    fleet = await asyncio.to_thread(start)
    try:
        async with httpx.AsyncClient(base_url=fleet.url("registry")) as http:
            for headers in ({"traceparent": PARENT}, {}):
                key = {"Idempotency-Key": secrets.token_hex(16)}
                body = {"city": YANTAI, "kind": "enterprise", "name": "Example knitwear"}
                answer = await http.post("/employers", json=body, headers=key | headers)
                assert answer.status_code == 201, answer.text
                if headers:
                    traced = answer.json()

        def complete() -> bool:
            found = {(span["service"], span["name"]) for span in spans_in(file) if span["trace_id"] == TRACE}
            return found >= {
                ("mamapost-registry", "POST /employers"),
                ("mamapost-registry", "publish employer-registered"),
                ("mamapost-revenue", "process employer-registered"),
            }

        await eventually(complete, "all spans of the trace are written")
    finally:
        await asyncio.to_thread(fleet.stop)

    found = spans_in(file)
    (request,) = [span for span in found if span["name"] == "POST /employers"]
    assert (request["parent_id"], request["status"]) == ("00f067aa0ba902b7", "unset")
    assert request["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/employers",
        "http.response.status_code": 201,
    }
    of_event = [span for span in found if span["name"].endswith(" employer-registered")]
    assert {span["trace_id"] for span in of_event} == {TRACE}, "the command without a trace has none"
    assert {span["parent_id"] for span in of_event} == {request["span_id"]}
    assert {span["attributes"]["messaging.message.id"] for span in of_event} == {traced["event_id"]}
    assert [span["links"] for span in found if span["name"] == "process batch"] == [[TRACE]]

    records = await read_all(settings, EmployerRegistered.topic)
    parents = [dict(record.headers).get("traceparent") for record in records]
    assert sorted(parents, key=bool) == [None, f"00-{TRACE}-{request['span_id']}-01".encode()]

    # A log line of the command has both ids.
    lines = [json.loads(line) for line in (tmp_path / "registry.log").read_text().splitlines() if line.startswith("{")]
    stored = [line for line in lines if line["event"] == "event stored"]
    assert [line.get("trace_id") for line in stored if line["event_id"] == traced["event_id"]] == [TRACE]
    assert len(stored) == 2


@pytest.fixture
async def spans_file(tmp_path: Path, settings: Settings) -> AsyncIterator[Path]:
    """Traces of this process, written to a file at the end."""
    file = tmp_path / "spans"
    tracing.start("training", settings.model_copy(update={"trace_to": file.as_uri(), "trace_ratio": 0.0}))
    yield file
    tracing.stop()


async def test_what_an_event_causes_belongs_to_its_trace_in_a_batch_of_many(
    fresh_broker: Engines, settings: Settings, mongo: Mongo, spans_file: Path
) -> None:
    sink = Mongo.connect(settings, "training")
    caused = EventLog(sink.db, "registry")
    sizes: list[int] = []

    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        sizes.append(len(batch))
        effects: list[Event] = [seeker_withdrawn(envelope.event.entity_id, version=2) for envelope in batch]
        await sink.transaction(lambda session: caused.append(session, effects, NOW))
        return []

    await create_topics(settings)
    await caused.ensure_indexes()
    seekers = [seeker_registered() for _ in range(TRACED_MAX + 10)]
    spans = tracing.spans()
    assert spans is not None
    plain = await append(mongo, seekers[:5])
    told: dict[str, str] = {}
    for seeker in seekers[5:]:
        parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        with spans.request("POST", parent):
            (envelope,) = await append(mongo, [seeker])
        assert trace_of(envelope.traceparent) == trace_of(parent)
        told[seeker.seeker_id] = parent
    assert [envelope.traceparent for envelope in plain] == [None] * 5
    # All are published before anybody consumes, so that they come in one batch.
    async with running(settings, mongo, "registry", None) as relaying:
        await is_up(relaying)

        async def published() -> bool:
            return await mongo.db["events"].count_documents({"topic": SeekerRegistered.topic, "published": 0}) == 0

        await eventually(published, "all are published")
    async with running(settings, sink, "training", apply) as consuming:
        await is_up(consuming)

        async def applied() -> bool:
            return await caused.collection.count_documents({}) == len(seekers)

        await eventually(applied, "all are applied")
    effects = await caused.collection.find().to_list(None)
    followed = {effect["entity_id"] for effect in effects if "traceparent" in effect["headers"]}
    for effect in effects:
        if effect["entity_id"] in followed:
            assert trace_of(effect["headers"]["traceparent"]) == trace_of(told[effect["entity_id"]])
    assert len(followed) >= TRACED_MAX
    assert followed <= told.keys()
    assert max(sizes) >= 5, "those without a trace went together"
    tracing.stop()
    by_name: dict[str, int] = {}
    for span in spans_in(spans_file):
        by_name[span["name"]] = by_name.get(span["name"], 0) + 1
    assert by_name["publish seeker-registered"] == len(told)
    assert by_name["process seeker-registered"] == len(followed)
    await sink.client.drop_database(sink.db.name)
    sink.close()


async def test_an_error_is_told_by_its_type_alone(settings: Settings, spans_file: Path) -> None:
    spans = tracing.spans()
    assert spans is not None
    with pytest.raises(ValueError, match="13800138000"), spans.request("POST", PARENT):
        raise ValueError("no such telephone: 13800138000")
    with spans.request("GET", "00-made-up-01"):
        assert tracing.traceparent() is None, "what is no trace context begins none, at a ratio of 0"
    tracing.stop()
    (span,) = spans_in(spans_file)
    assert (span["status"], span["attributes"]) == ("error", {"error.type": "ValueError"})
    assert "13800138000" not in str(span)


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    """Nor where FastAPI, which has traces of its own, is asked for them."""
    program = (
        "import sys, mamapost.cli\n"
        "from shared.runtime import tracing\n"
        "from shared.runtime.http import create_app\n"
        "from shared.runtime.settings import Settings\n"
        "for service in ('registry', 'matching', 'training', 'revenue'):\n"
        "    __import__(f'services.{service}.app')\n"
        "    tracing.start(service, Settings())\n"
        "    assert not create_app(service, '', Settings(), None, None)._native_telemetry.enabled()\n"
        "assert tracing.spans() is None and tracing.traceparent() is None\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])\n"
    )
    asked = {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    told = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert told.stdout.strip() == "[]", told.stdout + told.stderr
