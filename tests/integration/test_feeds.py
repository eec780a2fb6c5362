"""The feeds over HTTP, from a real server: pages, streams and snapshots, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.contracts.envelope import encode
from shared.contracts.registry import PlacementMade, SeekerRegistered
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.messaging.feed import Feed
from shared.runtime import feeds as routes
from shared.runtime.auth import hash_of
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.server import Server
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, seeker_registered
from tests.integration.feed_server import served_feed
from tests.unit.shared.served import fields_of, problem_of

TOPIC = SeekerRegistered.topic
PATH = f"/feeds/{TOPIC}"
EVERYTHING = "all"


class Running:
    """A served feed, its client, and what stands in its log."""

    def __init__(self, mongo: Mongo, log: EventLog, server: Server, port: int, broken: asyncio.Event) -> None:
        self._mongo = mongo
        self._log = log
        self.server = server
        self.port = port
        self.broken = broken
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer all"})
        self.written: list[dict[str, Any]] = []
        self._woman = new_id("seeker")
        self._version = 0

    async def write(self, count: int, *, women: int = 1) -> None:
        """Append the next versions of some women, the first of whom the feed must give in this order."""
        for _ in range(count):
            self._version += 1
            events = [seeker_registered(seeker_id=self._woman, version=self._version)]
            events += [seeker_registered() for _ in range(women - 1)]
            told = await self._mongo.transaction(
                lambda session, events=events: self._log.append(session, events, NOW)  # type: ignore[misc]
            )
            for envelope in told:
                message = encode(envelope)
                names = {"content-type": "datacontenttype"}
                attributes = {
                    names.get(name, name.removeprefix("ce_")): value.decode() for name, value in message.headers
                }
                self.written.append(attributes | {"data": json.loads(message.value)})

    async def page(self, **params: str | int) -> list[dict[str, Any]]:
        answer = await self.http.get(PATH, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]

    async def refused(
        self, path: str, status: int, code: str, token: str = EVERYTHING, **params: str
    ) -> dict[str, Any]:
        answer = await self.http.get(path, params=params, headers={"Authorization": f"Bearer {token}"})
        return problem_of(answer, status, code)


@pytest.fixture
async def running(settings: Settings, mongo: Mongo, tmp_path: Path) -> AsyncIterator[Running]:
    soon = (datetime.now(UTC) + timedelta(seconds=2.5)).isoformat()
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f"{hash_of('all')} a read,restricted\n{hash_of('open')} b read\n{hash_of('writes')} c write\n"
        f"{hash_of('over')} d read 2020-01-01T00:00:00Z\n{hash_of('soon')} e read,restricted {soon}\n"
        f"{hash_of('yantai')} f read,restricted cities=370600\n"
    )
    own = settings.model_copy(update={"tokens_file": tokens})
    broken = asyncio.Event()
    async with served_feed(own, mongo, "registry", unread_max_ms=1500, broken=broken) as (server, port):
        feed = Running(mongo, EventLog(mongo.db, "registry"), server, port, broken)
        try:
            yield feed
        finally:
            await feed.http.aclose()


async def sse(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    """Server-Sent Events by the rules of the WHATWG: fields until a blank line; comments are skipped."""
    fields: dict[str, str] = {}
    async for line in lines:
        if not line:
            if "data" in fields:
                yield fields
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


@asynccontextmanager
async def streamed(feed: Running, **headers: str) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    async with feed.http.stream("GET", f"{PATH}/stream", headers=headers, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield sse(answer.aiter_lines())


async def take(events: AsyncIterator[dict[str, str]], count: int) -> list[dict[str, str]]:
    async with asyncio.timeout(20):  # the stream itself never ends: it is kept open by comments
        return [await anext(events) for _ in range(count)]


def open_now() -> float:
    return REGISTRY.get_sample_value("mamapost_feed_open") or 0.0


def given() -> float:
    return REGISTRY.get_sample_value("mamapost_feed_events_total", {"topic": TOPIC, "kind": "stream"}) or 0.0


async def test_pages_hold_what_kafka_carries_and_a_cursor_is_the_id_of_the_last(running: Running) -> None:
    await running.write(7)
    first = await running.page(limit=3)
    second = await running.page(limit=3, after=first[-1]["id"])
    third = await running.page(limit=3, after=second[-1]["id"])
    assert first + second + third == running.written
    assert await running.page(after=third[-1]["id"]) == []
    await running.write(1)
    assert await running.page(after=third[-1]["id"]) == running.written[-1:]
    assert first[0]["specversion"] == "1.0"
    assert first[0]["type"] == "mamapost.seeker-registered.v1"


async def test_a_stream_resumes_after_the_last_event_id(running: Running) -> None:
    await running.write(5)
    async with streamed(running) as events:
        seen = await take(events, 4)
        assert [json.loads(event["data"]) for event in seen] == running.written[:4]
    async with streamed(running, **{"Last-Event-ID": seen[-1]["id"]}) as events:
        (rest,) = await take(events, 1)
        assert json.loads(rest["data"]) == running.written[4]
        assert rest["id"] == running.written[4]["id"]
        # What is committed now comes by itself.
        await running.write(2)
        assert [json.loads(event["data"]) for event in await take(events, 2)] == running.written[5:]
    await eventually(lambda: open_now() == 0, "streams that were left are closed")


async def test_a_waiting_reader_is_told_of_an_event_by_the_next_look_at_the_log(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks are counted, and none happens by itself: only a reader who waits may wake the feed."""
    looks = asyncio.Semaphore(0)
    rounds = Feed.rounds

    async def let_look(feed: Feed) -> dict[str, int]:
        await looks.acquire()
        return await rounds(feed)

    async with streamed(running) as events:
        await running.write(1)
        await take(events, 1)
        monkeypatch.setattr(Feed, "rounds", let_look)
        monkeypatch.setattr(routes, "IDLE_LOOK_S", 3600.0)
        for _ in range(3):
            await running.write(1)
            # The look that is under way may have begun before the event; the one after it has not.
            looks.release()
            looks.release()
            (told,) = await take(events, 1)
            assert json.loads(told["data"]) == running.written[-1]
        monkeypatch.undo()
        looks.release()


async def test_a_reader_who_waits_wakes_an_idle_feed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look without her comes in an hour."""
    looks = 0
    rounds = Feed.rounds

    async def look(feed: Feed) -> dict[str, int]:
        nonlocal looks
        looks += 1
        return await rounds(feed)

    monkeypatch.setattr(routes, "IDLE_LOOK_S", 3600.0)
    monkeypatch.setattr(Feed, "rounds", look)
    await eventually(lambda: looks == 1, "the look that was due when hours were set for seconds")
    async with streamed(running) as events:
        # Its first byte came after it had numbered what was there: of this only a look can tell.
        await running.write(1)
        (told,) = await take(events, 1)
    assert json.loads(told["data"]) == running.written[0]


@pytest.mark.parametrize("part", ["number", "rounds"])
async def test_readers_of_a_feed_whose_numbering_died_are_sent_away(
    running: Running, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async def defect(_: Feed) -> None:
        raise RuntimeError("a defect")

    await running.write(1)
    async with streamed(running) as events, streamed(running) as others:
        await take(events, 1)
        await take(others, 1)
        with monkeypatch.context() as during:
            during.setattr(Feed, part, defect)
            for reader in (events, others):
                (told,) = await take(reader, 1)
                assert told == {"event": "resume", "data": '{"reason": "feed-down"}'}
                assert [event async for event in reader] == []
    assert running.broken.is_set(), "the service says that it is down"
    # What stands in the log can still be had, but nobody is left to wait here.
    assert (await running.refused(f"{PATH}/stream", 503, "feed-down"))["retryable"]
    await running.write(1)
    assert await running.page() == running.written


async def test_a_snapshot_ends_with_the_cursor_that_continues_it(running: Running) -> None:
    empty = (await running.http.get(f"{PATH}/snapshot")).text
    assert json.loads(empty) == {"cursor": None, "entities": 0}
    await running.write(3, women=4)
    *table, last = [json.loads(line) for line in (await running.http.get(f"{PATH}/snapshot")).text.splitlines()]
    newest = {event["data"]["seeker_id"]: event for event in running.written}
    assert {event["data"]["seeker_id"]: event for event in table} == newest
    assert len(table) == last["entities"] == len(newest) == 10
    before = await running.page()
    assert last["cursor"] == before[-1]["id"]
    await running.write(2)
    assert await running.page(after=last["cursor"]) == running.written[12:]


async def test_every_topic_is_listed_with_what_may_read_it(running: Running) -> None:
    listed = {row["topic"]: row for row in (await running.http.get("/feeds")).json()}
    assert listed["post-opened"]["access"] == "open"
    assert listed[PlacementMade.topic]["access"] == "restricted"
    assert "course-scheduled" not in listed


async def test_bad_requests_are_told_what_was_expected(running: Running) -> None:
    await running.write(1)
    assert fields_of(await running.refused(PATH, 422, "cursor-unknown", after="evt-1")) == {"after"}
    assert fields_of(await running.refused(PATH, 422, "cursor-unknown", after=f"evt-{'0' * 32}")) == {"after"}
    refused = await running.refused("/feeds/post-opened", 422, "cursor-unknown", after=running.written[0]["id"])
    assert "feed seeker-registered" in refused["detail"]
    for too_many in ("0", "2001", "all"):
        assert fields_of(await running.refused(PATH, 422, "invalid", limit=too_many)) == {"limit"}
    assert fields_of(await running.refused(PATH, 422, "invalid", after="e" * 101)) == {"after"}
    # A stream is refused before its first byte, in the same form.
    await running.refused(f"{PATH}/stream", 422, "cursor-unknown", after="evt-1")
    elsewhere = await running.refused("/feeds/course-scheduled", 404, "topic-unknown")
    assert "fed by training" in elsewhere["detail"]
    await running.refused("/feeds/no-such-topic/stream", 404, "topic-unknown")


@pytest.mark.parametrize("form", ["", "/stream", "/snapshot"])
async def test_a_token_must_be_known_good_and_carry_the_scope(running: Running, form: str) -> None:
    await running.refused(PATH + form, 401, "unauthorized", token="none")
    expired = await running.refused(PATH + form, 401, "token-expired", token="over")
    assert "2020-01-01" in expired["detail"]
    await running.refused(PATH + form, 403, "forbidden", token="writes")
    refused = await running.refused(f"/feeds/{PlacementMade.topic}{form}", 403, "forbidden", token="open")
    assert "`restricted`" in refused["detail"]
    await running.refused(PATH + form, 403, "city-forbidden", token="yantai")


async def test_a_stream_ends_with_its_token(running: Running) -> None:
    async with streamed(running, Authorization="Bearer soon") as events:
        (told,) = await take(events, 1)
    assert told == {"event": "resume", "data": '{"reason": "token-expired"}'}
    await running.refused(f"{PATH}/stream", 401, "token-expired", token="soon")


async def test_more_streams_than_are_kept_are_refused_and_a_closed_one_makes_room(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "OPEN_MAX", 2)
    async with streamed(running), streamed(running):
        for form in ("/stream", "/snapshot"):
            assert (await running.refused(PATH + form, 503, "feed-busy"))["retryable"]
        assert await running.page() == []
    await eventually(lambda: open_now() == 0, "both are closed")
    async with streamed(running):
        assert open_now() == 1


async def test_a_reader_who_stalled_is_told_to_resume_and_misses_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "STALL_S", 0.0)
    await running.write(3)
    seen: list[dict[str, str]] = []
    for _ in range(3):
        headers = {"Last-Event-ID": seen[-1]["id"]} if seen else {}
        async with streamed(running, **headers) as events:
            event, told = await take(events, 2)
            assert told == {"event": "resume", "data": '{"reason": "stalled"}'}
            seen.append(event)
    assert [json.loads(event["data"]) for event in seen] == running.written


async def test_a_reader_who_takes_nothing_is_cut_off_and_costs_no_memory(running: Running) -> None:
    before = given()
    # Some 1.5 MB: more than all buffers on the way hold, the kernel's on both sides and the server's own.
    await running.write(2, women=1000)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", running.port))
        await loop.sock_sendall(
            deaf, f"GET {PATH}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n\r\n".encode()
        )
        await eventually(lambda: open_now() == 1, "the stream is open")
        await eventually(lambda: open_now() == 0, "the deaf reader is cut off")
    assert 0 < given() - before < len(running.written)


async def test_a_lost_database_is_told_in_every_form(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await running.write(1)

    async def gone(*_: object) -> list[object]:
        raise StoreUnavailable("the database did not answer")

    async with streamed(running) as events:
        await take(events, 1)
        monkeypatch.setattr(Feed, "stamped", gone)
        await running.write(1)
        (told,) = await take(events, 1)
        assert told == {"event": "resume", "data": '{"reason": "store-unavailable"}'}
    assert (await running.refused(PATH, 503, "store-unavailable"))["retryable"]


async def test_the_server_stops_at_once_although_streams_are_open(running: Running) -> None:
    await running.write(2)
    async with streamed(running) as events, streamed(running) as others:
        await take(events, 2)
        running.server.should_exit = True
        async with asyncio.timeout(5):
            (told,) = await take(events, 1)
            assert told == {"event": "resume", "data": '{"reason": "shutdown"}'}
            assert [event["data"] for event in await take(others, 3)][-1] == '{"reason": "shutdown"}'
            await eventually(lambda: not running.server.server_state.connections, "all connections are closed")
