"""Every route of the running services, with requests made from their OpenAPI: no answer is a server's fault, and each
is one that the OpenAPI tells of.

Half of the requests fit the schema, half break it. `make fuzz` asks for more of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.contracts.topics import TOPICS
from shared.messaging.topics import ensure_topics
from shared.runtime.settings import Settings

EXAMPLES = int(os.environ.get("MAMAPOST_FUZZ_EXAMPLES", "2"))
"""Requests to each route and of each kind, fitting and broken."""

ROUTES = int(os.environ.get("MAMAPOST_FUZZ_ROUTES", "5"))
"""Routes of each service, spread over all of them: making a request from its schema takes longer than the answer."""

TIMEOUT_S = 20

ENDLESS = {"text/event-stream"}
"""Answers that never end; their tests read them."""

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
"""What each answer must pass: no 5xx, and of a status, a media type and a form that the OpenAPI names."""

few = hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def running(service: str, settings: Settings) -> Iterator[str]:
    """A service on a port of this machine, ready."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server: uvicorn.Server | None = None

    def serve() -> None:
        nonlocal server
        # Everything that belongs to an event loop is made in the thread that runs it.
        app = importlib.import_module(f"services.{service}.app").create(settings)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
        asyncio.run(server.serve())

    thread = threading.Thread(target=serve, name=service, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health/ready").status_code == 200:
                    break
            assert time.monotonic() < deadline, f"{service} is not ready"
            assert thread.is_alive(), f"{service} could not be started"
            time.sleep(0.05)
        yield url
    finally:
        if server is not None:
            server.should_exit = True
        thread.join(30)


async def all_topics(settings: Settings) -> None:
    """Every topic, as the other services would make them; a consumer is ready when it can read theirs."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await ensure_topics(admin, list(TOPICS), 1)
    await admin.close()


def is_endless(operation: Any) -> bool:
    responses = operation.definition.raw.get("responses", {})
    return any(kind in ENDLESS for answer in responses.values() for kind in answer.get("content", {}))


@pytest.mark.parametrize("service", ["registry", "matching", "training", "revenue"])
def test_no_request_makes_a_service_fail(service: str, settings: Settings) -> None:
    asyncio.run(all_topics(settings))
    with running(service, settings) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        asked: set[tuple[str, str]] = set()
        statuses: set[int] = set()
        wrong: dict[str, str] = {}
        found: Any = schema.get_all_operations()
        operations = [result.ok() for result in found]
        operations = [operation for operation in operations if not is_endless(operation)]
        for operation in operations[:: max(1, len(operations) // ROUTES)]:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @few
                @given(operation.as_strategy(generation_mode=mode))
                def ask(case: Any) -> None:
                    answer = case.call(base_url=url, timeout=TIMEOUT_S)
                    statuses.add(answer.status_code)
                    try:
                        case.validate_response(answer, checks=CHECKS)
                    except FailureGroup as failures:
                        for failure in failures.exceptions:
                            told = f"{failure}\n{case.as_curl_command()}\n{answer.status_code} {answer.text}"
                            wrong.setdefault(f"{case.operation.label}: {failure.title}", told)

                # A route that takes nothing cannot be asked wrongly.
                with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
                    ask()
                asked.add((operation.method, operation.path))
        assert len(asked) >= min(ROUTES, len(operations))
        assert not wrong, "\n\n".join(f"{where}\n{told}" for where, told in wrong.items())
        assert {200, 422} <= statuses, "requests of both kinds arrived"
        assert httpx.get(f"{url}/health/ready").status_code == 200
