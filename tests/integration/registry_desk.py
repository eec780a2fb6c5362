"""A registry in this process and what tests say to it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import httpx
import orjson

from services.registry.app import create
from shared.kernel.clock import civil_day, system_clock
from shared.runtime.mongo import Document, Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.unit.registry.city import YANTAI, post_body, seeker_body

TODAY = civil_day(system_clock())
YESTERDAY = TODAY - timedelta(days=1)
NDJSON = {"Content-Type": "application/x-ndjson"}
NOWHERE = "127.0.0.1:1"
"""No broker: the registry serves commands without one, and most of these tests ask nothing of it."""


class Registry:
    """A client of a registry that runs in this process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(
        self, path: str, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        given = {"Content-Type": "application/json", "Idempotency-Key": key or secrets.token_hex(16), **(headers or {})}
        return await self.http.post(path, content=content, headers=given)

    async def done(self, path: str, body: Any) -> str:
        """Run a command that must be accepted; answers the entity's id."""
        response = await self.post(path, body)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def everything(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, **query, **cursor)
            items += page["items"]
            if "next" not in page:
                return items
            cursor = {"cursor": page["next"]}

    async def employer(self) -> str:
        return await self.done("/employers", {"city": YANTAI, "kind": "enterprise", "name": "海味食品"})

    async def station(self, *, accepted: bool = True) -> str:
        community = await self.done("/communities", {"city": YANTAI, "area": "370602001", "name": "东关社区"})
        body = {"community_id": community, "location": {"lat": 37.54, "lon": 121.38}, "name": "东关驿站"}
        return await self.done("/stations", {**body, "production_accepted": accepted, "facilities": ["nursing-room"]})

    async def opened(self, **given: Any) -> str:
        return await self.done("/posts", post_body(await self.employer(), **given))

    async def seeker(self, **given: Any) -> str:
        return await self.done("/seekers", seeker_body(**given))

    async def placed(self, **given: Any) -> str:
        body = placement(await self.opened(**given), await self.seeker())
        return await self.done("/placements", body)


def placement(post_id: str, seeker_id: str, **given: Any) -> dict[str, Any]:
    return {"post_id": post_id, "seeker_id": seeker_id, "starts_on": str(TODAY - timedelta(days=60)), **given}


def shift(placement_id: str, day: date = YESTERDAY, hour: int = 8, **given: Any) -> dict[str, Any]:
    """Two hours in China."""
    return {
        "placement_id": placement_id,
        "started_at": f"{day}T{hour:02d}:00:00+08:00",
        "ended_at": f"{day}T{hour + 2:02d}:00:00+08:00",
        "verdict": "attended",
        **given,
    }


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


@asynccontextmanager
async def serving(settings: Settings, *, until: str | None = "up") -> AsyncIterator[Registry]:
    app = create(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry", timeout=30) as http,
    ):

        async def ready() -> bool:
            return bool((await http.get("/health/ready")).json()["store"] == until)

        if until:
            await eventually(ready, "the registry's store is ready")
        yield Registry(http)


OWN_STATE = ("relay", "feed")
"""Collections in which relay and feed note how far they are."""


async def stored(mongo: Mongo) -> dict[str, list[Document]]:
    """Everything in the service's database but what relay and feed note of their own state."""
    names = set(await mongo.db.list_collection_names()) - set(OWN_STATE)
    kept = {"feed_round": False}
    return {name: await mongo.db[name].find({}, kept).sort("_id", 1).to_list(None) for name in sorted(names)}


async def events_of(mongo: Mongo) -> list[dict[str, Any]]:
    return [orjson.loads(held["value"]) for held in await mongo.db["events"].find().to_list(None)]
