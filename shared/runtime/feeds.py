"""The feeds over HTTP: pages of NDJSON, Server-Sent Events, and a snapshot that the feed continues.

A service mounts all three with one line: `app.include_router(feeds(SERVICE, mongo, events, readiness.broken))`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import orjson
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from shared.contracts.topics import TOPICS, Topic
from shared.kernel.errors import Fault, Kind, ServiceError
from shared.messaging.events import EventLog
from shared.messaging.feed import Feed, Place, Record
from shared.runtime import metrics
from shared.runtime.auth import Forbidden, Holder
from shared.runtime.cities import CityForbidden
from shared.runtime.http import needs
from shared.runtime.logs import logger
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.supervised import end, supervised

PAGE_DEFAULT = 500
PAGE_MAX = 2000
"""Events of a page, about 1 kB each; larger ones meet the limit in bytes first (`feed.PAGE_MAX_BYTES`)."""

OPEN_MAX = 100
"""Streams and snapshots open at once in one instance: each may hold a page, so 200 MB in the worst case."""

STREAM_READ = 200
"""Events that a stream reads ahead of its reader; the next are read when these are taken."""

STALL_S = 10.0
"""A reader who takes nothing for so long is told to resume when it wakes; one that never wakes is cut off by TCP
(`mamapost.cli`), and resumes as well."""

LOOK_S = 0.05
"""How often it is looked for new events while somebody waits for them: the feed's share of their delay."""

IDLE_LOOK_S = 1.0
"""How often events are numbered while nobody waits, so that the first reader need not wait for a long log."""

AGE_MAX_S = 3600.0
"""A stream ends after an hour, and is resumed: so streams spread anew over instances, and leaked ones end."""

RETRY_MS = 1000
"""How long a browser waits before it connects again."""

NDJSON = "application/x-ndjson"

_log = logger(__name__)

Resume = Literal["shutdown", "stalled", "token-expired", "age", "store-unavailable", "feed-down"]
"""Why a stream asks its reader to resume."""


class TopicUnknown(ServiceError):
    """This service has no such topic; the detail names the one that has."""

    code: ClassVar[str] = "topic-unknown"
    kind: ClassVar[Kind] = "unknown"


class FeedBusy(ServiceError):
    """As many streams and snapshots are open as this instance keeps."""

    code: ClassVar[str] = "feed-busy"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True


class FeedDown(ServiceError):
    """A defect ended what tells this instance's streams of new events; pages and snapshots still work."""

    code: ClassVar[str] = "feed-down"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True


class Desk:
    """What the routes of one service share: its feed, who is waiting for news, how much is open.

    `down` is set when `watch` was ended by a defect: nobody who waits is told of anything any more.
    """

    def __init__(self, service: str, feed: Feed) -> None:
        self.feed = feed
        self._service = service
        self._open = 0
        self._waiting = 0
        self._rounds: dict[str, int] = {}
        self._news = asyncio.Condition()
        self._wanted = asyncio.Event()
        self.down = asyncio.Event()

    def topic(self, name: str) -> Topic:
        """A topic of this service.

        Raises:
            TopicUnknown: see there.
        """
        topic = TOPICS.get(name)
        if topic is None or topic.owner != self._service:
            where = f"it is fed by {topic.owner}" if topic else "GET /feeds lists the topics of this service"
            raise TopicUnknown(f"{self._service} has no such topic; {where}", Fault("topic", "a topic of this service"))
        return topic

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A place among those open at once.

        Raises:
            FeedBusy: there is none.
        """
        if self._open >= OPEN_MAX:
            raise FeedBusy(f"{OPEN_MAX} streams and snapshots are open; read pages, or try again")
        self._open += 1
        metrics.FEED_OPEN.set(self._open)
        try:
            yield
        finally:
            self._open -= 1
            metrics.FEED_OPEN.set(self._open)

    async def watch(self) -> None:
        """Number what is committed and tell those who wait, until cancelled."""
        while True:
            try:
                await self.feed.number()
                rounds = await self.feed.rounds()
            except StoreUnavailable as error:
                _log.warning("the feed waits for the database", cause=str(error))
                await asyncio.sleep(IDLE_LOOK_S)
                continue
            if rounds != self._rounds:
                self._rounds = rounds
                async with self._news:
                    self._news.notify_all()
            if self._waiting:
                await asyncio.sleep(LOOK_S)
            else:
                self._wanted.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), IDLE_LOOK_S)

    def seen(self, topic: str) -> int:
        """The last round of a topic that was told of."""
        return self._rounds.get(topic, 0)

    async def news(self, topic: str, seen: int, stopping: asyncio.Event, timeout_s: float) -> None:
        """Wait for a later round of a topic, for the end of the service or of the feed, or for the time to pass."""

        async def later() -> None:
            async with self._news:
                await self._news.wait_for(lambda: self.seen(topic) > seen)

        waits = [asyncio.ensure_future(one) for one in (later(), stopping.wait(), self.down.wait())]
        self._waiting += 1
        self._wanted.set()
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting -= 1
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """A request that may read a topic."""

    topic: str
    holder: Holder
    stopping: asyncio.Event

    def token_lasts_s(self) -> float:
        """How long its token is still good."""
        expires_at = self.holder.expires_at
        return math.inf if expires_at is None else (expires_at - datetime.now(UTC)).total_seconds()


class FeedTopic(BaseModel):
    """One topic of a service's feeds."""

    topic: str
    access: Literal["open", "restricted"]
    entity: str
    meaning: str


After = Annotated[
    str | None,
    Query(max_length=100, description="The cursor: `id` of the last event that was read; absent for the beginning."),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most events of this page.")]
LastEventId = Annotated[
    str | None, Header(max_length=100, description="As `after`; a browser's EventSource sends it when it resumes.")
]

_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {NDJSON: {"schema": {"type": "string"}}}, "description": "CloudEvents in JSON, one a line."}
}


def feeds(service: str, mongo: Mongo, events: EventLog, on_defect: Callable[[], object]) -> APIRouter:
    """The feeds of a service's own topics.

    Args:
        events: the service's event log.
        on_defect: called when nothing is numbered any more; makes the service report itself as down.
    """
    desk = Desk(service, Feed(mongo, events))

    def defect() -> None:
        desk.down.set()
        on_defect()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watching = supervised(desk.watch(), "feeds", defect)
        try:
            yield
        finally:
            await end(watching)

    # Dependencies stand as defaults: an annotation could not name a function of this scope.
    async def may_read(topic: str, request: Request, holder: Annotated[Holder, needs("read")]) -> Reading:
        found = desk.topic(topic)
        if found.access == "restricted" and "restricted" not in holder.scopes:
            raise Forbidden(f"{topic} is restricted: this needs a token with the scope `restricted`")
        if holder.cities is not None:
            raise CityForbidden("a feed holds the events of all cities, and this token holds for some only")
        return Reading(topic, holder, request.app.state.stopping)

    async def open_stream(
        reading: Reading = Depends(may_read), after: After = None, last_event_id: LastEventId = None
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        # All that can be refused is refused here, before the first byte; the place is given up after the last.
        if desk.down.is_set():
            raise FeedDown("streams of this instance are told of nothing new; read pages, or ask another instance")
        with desk.opened():
            place = await desk.feed.place_of(reading.topic, last_event_id or after)
            await desk.feed.number()
            yield _stream(desk, reading, place)

    async def open_snapshot(reading: Reading = Depends(may_read)) -> AsyncIterator[AsyncIterator[bytes]]:
        with desk.opened():
            await desk.feed.number()
            yield _snapshot(desk, reading, await desk.feed.end(reading.topic))

    router = APIRouter(prefix="/feeds", tags=["feeds"], lifespan=lifespan)

    @router.get("", dependencies=[needs("read")])
    async def topics() -> list[FeedTopic]:
        """The topics that this service feeds."""
        return [
            FeedTopic(topic=topic.name, access=topic.access, entity=topic.event.entity, meaning=topic.meaning)
            for topic in TOPICS.values()
            if topic.owner == service
        ]

    @router.get("/{topic}", response_class=Response, responses=_LINES)
    async def page(reading: Reading = Depends(may_read), after: After = None, limit: Limit = PAGE_DEFAULT) -> Response:
        """The events of a topic after a cursor, one a line. An empty page: there are no more yet."""
        place = await desk.feed.place_of(reading.topic, after)
        records = await desk.feed.page(reading.topic, place, limit)
        metrics.FEED_EVENTS.labels(reading.topic, "page").inc(len(records))
        return Response(_lines(records), media_type=NDJSON)

    @router.get("/{topic}/stream", response_class=EventSourceResponse)
    async def stream(
        events: AsyncIterator[ServerSentEvent] = Depends(open_stream),
    ) -> AsyncIterator[ServerSentEvent]:
        """The events of a topic after a cursor, then each as it happens; `event: resume` asks to connect again."""
        async for event in events:
            yield event

    @router.get("/{topic}/snapshot", response_class=Response, responses=_LINES)
    async def snapshot(lines: AsyncIterator[bytes] = Depends(open_snapshot)) -> StreamingResponse:
        """The newest version of every entity, one a line; the last line has the cursor that continues them."""
        return StreamingResponse(lines, media_type=NDJSON)

    return router


async def _stream(desk: Desk, reading: Reading, place: Place) -> AsyncIterator[ServerSentEvent]:
    """Events from a place on, for as long as the stream may last.

    Nothing is kept for a slow reader but what it was read ahead; the log itself is the buffer.
    """
    yield ServerSentEvent(comment="events follow", retry=RETRY_MS)
    ends_at = time.monotonic() + min(AGE_MAX_S, reading.token_lasts_s())
    reason: Resume | None = None
    while reason is None:
        seen = desk.seen(reading.topic)
        try:
            records = await desk.feed.stamped(reading.topic, place, STREAM_READ)
        except StoreUnavailable:
            reason = "store-unavailable"
            break
        if not records:
            await desk.news(reading.topic, seen, reading.stopping, ends_at - time.monotonic())
        for record in records:
            given_at = time.monotonic()
            yield ServerSentEvent(raw_data=record.line.decode(), id=record.place.id)
            metrics.FEED_EVENTS.labels(reading.topic, "stream").inc()
            place = record.place
            if time.monotonic() - given_at > STALL_S:
                reason = "stalled"
                break
        if reading.stopping.is_set():
            reason = "shutdown"
        elif desk.down.is_set():
            reason = "feed-down"
        elif time.monotonic() >= ends_at:
            reason = "age" if reading.token_lasts_s() > 0 else "token-expired"
    metrics.FEED_RESUMES.labels(reason).inc()
    yield ServerSentEvent(event="resume", data={"reason": reason})


async def _snapshot(desk: Desk, reading: Reading, upto: Place) -> AsyncIterator[bytes]:
    """Every entity's newest version; the line with the cursor is missing if it was not all."""
    entities = 0
    async for records in desk.feed.newest(reading.topic, upto):
        if reading.stopping.is_set():
            return
        entities += len(records)
        metrics.FEED_EVENTS.labels(reading.topic, "snapshot").inc(len(records))
        yield _lines(records)
    yield orjson.dumps({"cursor": upto.id or None, "entities": entities}) + b"\n"


def _lines(records: Sequence[Record]) -> bytes:
    return b"\n".join([*(record.line for record in records), b""])
