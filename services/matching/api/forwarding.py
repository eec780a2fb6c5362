"""Any instance answers any read: what it does not hold itself it asks the owner for.

It stands before the routes. A read of one entity goes to whoever answers for its city; where the city is not known
here, to this instance and all others side by side, and the first answer that decides is given. A list of all cities is
put together from the lists of all instances. A request that was passed on is answered from here, never passed on again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.matching import metrics
from services.matching.api.reader import TIMEOUT_DEFAULT_MS, TIMEOUT_MAX_MS, stream_position
from services.matching.api.replies import Guard, Race, Reply, for_client, holder, impatient
from services.matching.domain import EntityKind
from services.matching.errors import CatchingUp, CityUnowned, OwnerSilent
from services.matching.ownership import FORWARDED, KNOWN_S, PARTITIONS_HEADER, Patience, Peers
from services.matching.use_cases import Live
from shared.contracts.topics import PARTITIONS, partition_of
from shared.kernel.errors import ServiceError
from shared.runtime.auth import Tokens
from shared.runtime.http import problem
from shared.runtime.pages import LIMIT_DEFAULT, LIMIT_MAX, encode_cursor

SPARE_S = 1.0
"""What another instance may take beyond the caller's `timeout_ms`."""

EVERYWHERE = frozenset(range(PARTITIONS))

STREAM = "/ranking/stream"
"""End of the path of a stream: it goes on for hours, and says something every 15 seconds at least."""

SILENCE_MAX_S = 40.0
"""Longest silence of another instance's stream: two of its signs of life were lost by then."""

_ONE = re.compile(r"/(posts|seekers)/([^/]+)(/.*)?")
_KINDS: dict[str, EntityKind] = {"posts": "post", "seekers": "seeker"}
_LISTS = {"/rankings": ("rankings", "post_id"), "/best-posts": ("best-posts", "seeker_id")}


@dataclass(slots=True)
class _Request:
    """A read that may have to be passed on.

    Attributes:
        gone: set when its client has gone away.
        started_s: when it came, on the clock of the event loop.
    """

    scope: Scope
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    gone: asyncio.Event
    started_s: float

    def one(self, name: str) -> str | None:
        """A parameter of the query; the routes themselves refuse what is wrong with it."""
        given = self.query.get(name)
        return given[-1] if given else None

    @property
    def asked_s(self) -> float:
        """How long the caller lets it wait."""
        text = self.one("timeout_ms") or ""
        return (min(int(text), TIMEOUT_MAX_MS) if text.isdigit() and len(text) < 9 else TIMEOUT_DEFAULT_MS) / 1000

    @property
    def timeout_s(self) -> float:
        """How long another instance may take to begin its answer."""
        return self.asked_s + SPARE_S

    def left_s(self) -> float:
        """How long it may still wait; nothing for one that waits for no event."""
        if self.one("after") is None:
            return 0.0
        return self.started_s + self.asked_s - asyncio.get_running_loop().time()

    def again(self) -> _Request:
        """The same with the time that is left."""
        query = {**self.query, "timeout_ms": [str(max(int(self.left_s() * 1000), 0))]}
        scope = {**self.scope, "query_string": urlencode(query, doseq=True).encode("latin-1")}
        return replace(self, scope=scope, query=query, started_s=asyncio.get_running_loop().time())

    @property
    def silence_s(self) -> float:
        """Longest pause between two pieces of an answer."""
        return SILENCE_MAX_S if self.scope["path"].endswith(STREAM) else self.timeout_s

    def receiver(self) -> Receive:
        """The request's body, which is none, and its end: for each who reads it."""
        is_first = True

        async def receive() -> Message:
            nonlocal is_first
            if is_first:
                is_first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        return receive


class Forwarding:
    """ASGI middleware before matching's routes."""

    def __init__(self, app: ASGIApp, live: Live, peers: Peers) -> None:
        self._app = app
        self._live = live
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._live.readers += 1
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        if scope["path"].endswith(STREAM):
            send = impatient(send)
        one, is_list = _ONE.fullmatch(scope["path"]), scope["path"] in _LISTS
        if (one is None and not is_list) or all(self._live.owns(number) for number in EVERYWHERE):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if FORWARDED in headers:
            await self._app(scope, receive, self._naming_partitions(send))
            return
        if not _may_read(scope, headers):
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        request = _Request(scope, headers, query, asyncio.Event(), asyncio.get_running_loop().time())
        watching = asyncio.create_task(_watch(receive, request.gone))
        try:
            if one is not None:
                await self._answer_in_time(request, _KINDS[one[1]], one[2], send)
            else:
                await self._answer_list(request, send)
        except ServiceError as error:
            await problem(error)(scope, receive, send)
        finally:
            watching.cancel()

    # --- one entity ---

    async def _answer_in_time(self, request: _Request, kind: EntityKind, id_: str, send: Send) -> None:
        """Who waits for an event waits for an owner of its city too, who may still be starting."""
        has_begun = False

        async def note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        while True:
            try:
                await self._answer_one(request, kind, id_, note)
                return
            except (CatchingUp, CityUnowned, OwnerSilent):
                if has_begun or request.left_s() <= 0:
                    raise
            await self._live.change_of_hands(min(request.left_s(), KNOWN_S))
            request = request.again()

    async def _answer_one(self, request: _Request, kind: EntityKind, id_: str, send: Send) -> None:
        number = self._partition(request, self._live.engine.city_of(kind, id_))
        if number is None:
            await self._answer_unknown(request, send)
        else:
            await self._answer_of(number, request, send)

    def _partition(self, request: _Request, city: str | None) -> int | None:
        """Partition of what is asked for, if it can be told."""
        city = city or request.one("city")
        if city is not None:
            return partition_of(city)
        after = request.one("after")
        return stream_position(after).partition if after is not None and ":" not in after else None

    async def _answer_of(self, number: int, request: _Request, send: Send) -> None:
        """The answer of a partition's owner."""
        url = None if self._live.owns(number) else (await self._peers.owners()).get(number)
        part = self._live.parts.get(number)
        guard = Guard(number, send)
        if url is None and not self._live.owns(number) and (part is None or not part.is_assigned):
            metrics.FORWARDED.labels("unowned").inc()
            raise CityUnowned
        if url is None or self._peers.is_me(url):  # while it waits for the partition, it knows best what it waits for
            await self._app(request.scope, request.receiver(), self._naming_partitions(guard.send))
        else:
            await self._until_gone(self._pass_on(url, request, guard.send), request)
        if guard.is_void:
            raise CatchingUp

    async def _answer_unknown(self, request: _Request, send: Send) -> None:
        """The first answer that decides, of this instance and all others; all must have said that they do not know."""
        owners = await self._peers.owners()
        race = Race(send)
        here = Reply()
        tasks = {here: asyncio.create_task(self._ask_here(request, race, here))}
        for url in {url for url in owners.values() if not self._peers.is_me(url)}:
            there = Reply()
            tasks[there] = asyncio.create_task(self._ask_there(url, request, race, there))
        gone = asyncio.create_task(request.gone.wait())
        running: set[asyncio.Future[Any]] = set(tasks.values())
        try:
            while running and not race.winner.done() and not gone.done():
                await asyncio.wait({*running, race.winner, gone}, return_when=asyncio.FIRST_COMPLETED)
                running = {task for task in running if not task.done()}
            if race.winner.done():
                winner = tasks.pop(race.winner.result())
                for task in tasks.values():
                    task.cancel()
                running = {winner, *tasks.values()}
                await asyncio.wait([winner, gone], return_when=asyncio.FIRST_COMPLETED)
                metrics.FORWARDED.labels("answered").inc()
            elif not gone.done():
                await self._give_undecided(here, list(tasks), send)
        finally:
            for future in (*running, gone):
                future.cancel()
            await asyncio.gather(*running, gone, return_exceptions=True)

    async def _give_undecided(self, here: Reply, replies: Sequence[Reply], send: Send) -> None:
        """Nobody knows it: then it is unknown, provided that for each partition its owner has said so."""
        later = next((reply for reply in replies if reply.status == 503 and reply.messages), None)
        if later is None and any(not reply.messages for reply in replies):
            metrics.FORWARDED.labels("silent").inc()
            raise OwnerSilent
        if later is None and not {number for reply in replies for number in reply.partitions} >= EVERYWHERE:
            metrics.FORWARDED.labels("unowned").inc()
            raise CityUnowned
        metrics.FORWARDED.labels("unknown").inc()
        for message in (later or here).messages:
            await send(for_client(message))

    async def _ask_here(self, request: _Request, race: Race, reply: Reply) -> None:
        await self._app(request.scope, request.receiver(), self._naming_partitions(race.entry(reply)))

    async def _ask_there(self, url: str, request: _Request, race: Race, reply: Reply) -> None:
        try:
            await self._pass_on(url, request, race.entry(reply))
        except OwnerSilent:
            if race.is_won_by(reply):
                raise

    async def _pass_on(self, url: str, request: _Request, send: Send) -> None:
        """Another instance's answer, piece by piece as it comes.

        Raises:
            OwnerSilent
        """
        scope = request.scope
        query = scope["query_string"].decode("latin-1")
        patience = Patience(request.timeout_s, request.silence_s)
        async with self._peers.ask(url, scope["path"], query, request.headers, patience) as answer:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            try:
                async for piece in answer.body:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except OwnerSilent:
                if not scope["path"].endswith(STREAM):
                    raise
                # A stream that breaks off ends: its reader comes again, and goes on after the last whole event.
            await send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, work: Coroutine[Any, Any, None], request: _Request) -> None:
        """Work for a client, until it goes away."""
        task = asyncio.create_task(work)
        gone = asyncio.create_task(request.gone.wait())
        both: set[asyncio.Future[Any]] = {task, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                metrics.FORWARDED.labels("silent" if task.exception() else "answered").inc()
                await task
        finally:
            for future in both:
                future.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    # --- lists ---

    async def _answer_list(self, request: _Request, send: Send) -> None:
        city = request.one("city")
        if city is not None:
            await self._answer_of(partition_of(city), request, send)
            return
        urls = {url for url in (await self._peers.owners()).values() if not self._peers.is_me(url)}
        asked = [self._list_here(request), *(self._list_there(url, request) for url in urls)]
        replies = await asyncio.gather(*asked)
        refused = next((reply for reply in replies if reply.status != 200), None)
        if refused is not None:
            for message in refused.messages:
                await send(for_client(message))
            return
        if not {number for reply in replies for number in reply.partitions} >= EVERYWHERE:
            metrics.FORWARDED.labels("unowned").inc()
            raise CityUnowned
        metrics.FORWARDED.labels("answered").inc()
        body = orjson.dumps(_merged(request, [orjson.loads(reply.body) for reply in replies]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def _list_here(self, request: _Request) -> Reply:
        reply = Reply()
        await self._app(request.scope, request.receiver(), self._naming_partitions(holder(reply)))
        return reply

    async def _list_there(self, url: str, request: _Request) -> Reply:
        reply = Reply()
        await self._pass_on(url, request, holder(reply))
        return reply

    def _naming_partitions(self, send: Send) -> Send:
        """Adds to an answer which partitions are owned here: of what is not in it, those are sure to hold nothing."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                owned = ",".join(str(number) for number in sorted(EVERYWHERE) if self._live.owns(number))
                message["headers"] = [*message["headers"], (PARTITIONS_HEADER.encode(), owned.encode())]
            await send(message)

        return named


def _merged(request: _Request, pages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One page from those of all instances; the cursor is the last item's id, which is good for each of them."""
    name, key = _LISTS[request.scope["path"]]
    limit_text = request.one("limit") or ""
    limit = min(int(limit_text), LIMIT_MAX) if limit_text.isdigit() else LIMIT_DEFAULT
    items = {item[key]: item for page in pages for item in page["items"]}
    ids = sorted(items)
    newest = max(pages, key=lambda page: page.get("as_of") or "")
    merged = {**newest, "items": [items[id_] for id_ in ids[:limit]]}
    merged.pop("next", None)
    if len(ids) > limit or any(page.get("next") for page in pages):
        merged["next"] = encode_cursor(name, ids[:limit][-1])
    return merged


def _may_read(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether the caller may read; who may not is refused by the routes, and troubles no other instance."""
    tokens: Tokens = scope["app"].state.tokens
    try:
        return "read" in tokens.holder(headers.get("authorization")).scopes
    except ServiceError:
        return False


async def _watch(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
