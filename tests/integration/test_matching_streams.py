"""Changes and the live stream of one ranking over HTTP, served by a real server on real engines."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from deploy.local.engines import Engines
from deploy.local.process import pick_port
from services.matching.app import create
from services.matching.position import StreamPosition
from services.matching.use_cases import watching
from shared.contracts.position import Position
from shared.runtime.mongo import Mongo
from shared.runtime.server import Server
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.test_matching_service import create_topics, own, send
from tests.unit.matching.wire import id_of, post_closed, post_opened, seeker_registered, seeker_withdrawn

__all__ = ["own"]

POST = id_of("pst", 1)


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """Matching as `mamapost serve` runs it, in this process."""
    await create_topics(settings)
    app = create(settings)
    server = Server(app, uvicorn.Config(app, port=pick_port(), log_config=None, timeout_graceful_shutdown=10))
    serving = asyncio.create_task(server._serve())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.config.port}", timeout=20) as http:

            async def ready() -> bool:
                return server.started and (await http.get("/health/ready")).status_code == 200

            await eventually(ready, "matching is ready", 60)
            yield server, http
    finally:
        server.handle_exit(signal.SIGTERM, None)
        await serving


class Stream:
    """A reader of the stream, who keeps what she is told as a browser would."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.id: str | None = None
        self.places: dict[int, dict[str, Any]] = {}

    async def event(self) -> tuple[str, Any]:
        """The next event; comments are passed over."""
        kind, data = "", ""
        async with asyncio.timeout(15):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data += value
                elif name == "id":
                    self.id = value
                elif not line and kind:
                    body = json.loads(data)
                    self._take(kind, body)
                    return kind, body
        raise AssertionError("the stream ended without saying why")

    @property
    def seekers(self) -> list[str]:
        return [self.places[place]["seeker_id"] for place in sorted(self.places)]

    def _take(self, kind: str, body: Any) -> None:
        if kind == "snapshot":
            self.places = {one["place"]: one for one in body["top"]}
        elif kind == "change":
            gone = {*body["left"], *(one["seeker_id"] for one in body["moved"])}
            self.places = {place: one for place, one in self.places.items() if one["seeker_id"] not in gone}
            self.places |= {one["place"]: one for one in (*body["entered"], *body["moved"])}
            assert sorted(self.places) == list(range(1, body["size"] + 1))


@asynccontextmanager
async def stream(
    http: httpx.AsyncClient, since: str | None = None, post: str = POST, url: str = ""
) -> AsyncIterator[Stream]:
    headers = {} if since is None else {"Last-Event-ID": since}
    async with http.stream("GET", f"{url}/posts/{post}/ranking/stream", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())


async def test_a_ranking_is_followed_live_and_a_stop_lets_its_readers_go(
    fresh_broker: Engines, settings: Settings, own: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(settings) as (server, http):
        await send(settings, [post_opened(1), post_opened(2), seeker_registered(1)])
        for event in (post_opened(1), post_opened(2), seeker_registered(1)):
            await http.get(f"/posts/{POST}/ranking", params={"after": str(Position.of(event)), "timeout_ms": 10_000})

        async def changes(since: int) -> Any:
            return (await http.get(f"/posts/{POST}/ranking/changes", params={"since": since})).json()

        async def is_published() -> bool:
            return bool((await changes(0))["sequence"])

        await eventually(is_published, "the first ranking is published")
        async with stream(http) as reader:
            kind, first = await reader.event()
            assert (kind, reader.id, first["sequence"]) == ("snapshot", "1", 1)
            assert first["policy"] == {"city": "*", "version": 1}
            StreamPosition.parse(first["position"])
            await send(settings, [seeker_registered(2, pay_floor_fen=1500)])
            kind, second = await reader.event()
            assert (kind, reader.id, second["since"], second["size"]) == ("change", "2", 1, 2)
            assert set(reader.seekers) == {id_of("skr", 1), id_of("skr", 2)}
            kept, since = dict(reader.places), reader.id
        ranking = (await http.get(f"/posts/{POST}/ranking")).json()
        assert [one["seeker_id"] for one in ranking["top"]] == [kept[1]["seeker_id"], kept[2]["seeker_id"]]

        # Meanwhile she is away: nothing is missed, and nothing comes twice.
        withdrawn = seeker_withdrawn(1, 2)
        await send(settings, [withdrawn])
        await eventually(lambda: _is(changes, 3), "it is published")
        async with stream(http, since) as reader:
            reader.places = kept
            kind, third = await reader.event()
            assert (kind, third["since"], third["sequence"], third["left"]) == ("change", 2, 3, [id_of("skr", 1)])
            assert reader.seekers == [id_of("skr", 2)]
        assert (await changes(2)) == third
        everything = await changes(0)
        assert [one["seeker_id"] for one in everything["entered"]] == [id_of("skr", 2)]
        nothing = await changes(3)
        assert (nothing["entered"], nothing["left"], nothing["moved"]) == ([], [], [])
        gone = await http.get(f"/posts/{POST}/ranking/changes", params={"since": 99})
        assert (gone.status_code, gone.json()["code"]) == (410, "sequence-unknown")
        assert gone.json()["errors"][0]["field"] == "since"
        async with stream(http, "99") as reader:
            assert (await reader.event())[0] == "snapshot", "who knows what never was is told everything"
        for path in ("changes", "stream"):
            unknown = await http.get(f"/posts/{id_of('pst', 9)}/ranking/{path}")
            assert (unknown.status_code, unknown.json()["code"]) == (404, "post-unknown")
        wrong = await http.get(f"/posts/{POST}/ranking/stream", headers={"Last-Event-ID": "x"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")

        with monkeypatch.context() as patched:
            patched.setattr(watching, "WATCHERS_MAX", 0)
            full = await http.get(f"/posts/{POST}/ranking/stream")
            assert (full.status_code, full.json()["code"]) == (503, "streams-full")
        async with stream(http) as reader:
            await reader.event()
            await send(settings, [post_closed(1, 2)])
            assert [(await reader.event())[0], await reader.event()] == ["change", ("closed", {"reason": "closed"})]
            assert reader.places == {}
        async with stream(http, post=id_of("pst", 2)) as reader:
            await reader.event()
            asked_s = asyncio.get_running_loop().time()
            server.handle_exit(signal.SIGTERM, None)
            assert await reader.event() == ("resume", {"reason": "stopping"})
    assert asyncio.get_running_loop().time() - asked_s < 5, "a stop does not wait for streams"


async def _is(changes: Any, sequence: int) -> bool:
    return bool((await changes(0))["sequence"] == sequence)
