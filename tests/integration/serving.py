"""A service's app, served in this process, and a stand-in for the services whose events it consumes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI

from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.clock import system_clock
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually


class Client:
    """HTTP to a service; commands get an Idempotency-Key of their own unless one is given."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers={"Idempotency-Key": key or secrets.token_hex(16)})

    async def accepted(self, path: str, body: Any, key: str | None = None) -> dict[str, Any]:
        """Post a command that must be accepted."""
        response = await self.post(path, body, key)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def refused(self, path: str, body: Any, status: int) -> dict[str, Any]:
        """Post a command that must be refused."""
        response = await self.post(path, body)
        assert response.status_code == status, response.text
        problem: dict[str, Any] = response.json()
        return problem

    async def read(self, path: str, **params: str | int) -> httpx.Response:
        """The answer, whatever its status."""
        return await self.http.get(path, params=params)

    async def get(self, path: str, **params: str | int) -> Any:
        response = await self.read(path, **params)
        assert response.status_code == 200, response.text
        return response.json()

    async def is_ready(self) -> bool:
        """Whether the service says so itself."""
        return (await self.http.get("/health/ready")).status_code == 200

    async def all(self, path: str, **params: str | int) -> list[Any]:
        """Every item of a list, page by page."""
        items: list[Any] = []
        page = await self.get(path, **params)
        while True:
            items += page["items"]
            if "next" not in page:
                return items
            page = await self.get(path, cursor=page["next"], **params)


def without_broker(settings: Settings) -> Settings:
    """Settings under which nothing answers as the broker: commands and readers work all the same, and start sooner."""
    return settings.model_copy(update={"kafka": "127.0.0.1:1"})


@asynccontextmanager
async def served(app: FastAPI, *, bus: bool = False) -> AsyncIterator[Client]:
    """The app, started; its store is ready, and with `bus` its subscription too."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as http,
    ):

        async def ready() -> bool:
            parts = (await http.get("/health/ready")).json()
            return parts["store"] == "up" and (not bus or parts["bus"] == "up")

        await eventually(ready, "the service is ready", timeout_s=60)
        yield Client(http)


class Producer:
    """Stands for a service: what is told here reaches its topics through its own log and relay."""

    def __init__(self, mongo: Mongo, events: EventLog) -> None:
        self._mongo = mongo
        self._events = events

    async def tell(self, events: Sequence[Event], at: datetime | None = None) -> list[Envelope]:
        told = await self._mongo.transaction(lambda session: self._events.append(session, events, at or system_clock()))
        self._events.wake()
        return told


@asynccontextmanager
async def producing(settings: Settings, service: str) -> AsyncIterator[Producer]:
    """A stand-in for a service, with its topics."""
    mongo = Mongo.connect(settings, service)
    events = EventLog(mongo.db, service)
    await events.ensure_indexes()
    bus = Bus(settings, service, mongo, events, system_clock)
    await bus.start()
    try:
        await eventually(lambda: bus.state == "up", f"the stand-in for {service} is up")
        yield Producer(mongo, events)
    finally:
        await bus.stop()
        await mongo.client.drop_database(mongo.db.name)
        mongo.close()
