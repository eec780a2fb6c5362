"""Any instance answers any read: what it does not hold itself it asks the owner for.

It stands before the routes. A read of one entity goes to whoever answers for its city; where the city is not known
here, to this instance and all others side by side, and the first answer that decides is given. A list of all cities is
put together from the lists of all instances. A request that was passed on is answered from here, never passed on again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.matching import metrics
from services.matching.api.reader import TIMEOUT_DEFAULT_MS, TIMEOUT_MAX_MS, stream_position
from services.matching.domain import EntityKind
from services.matching.errors import CatchingUp, CityUnowned, OwnerSilent
from services.matching.ownership import FORWARDED, PARTITIONS_HEADER, Peers
from services.matching.use_cases import Live
from shared.contracts.topics import PARTITIONS, partition_of
from shared.kernel.errors import ServiceError
from shared.runtime.auth import Tokens
from shared.runtime.http import problem
from shared.runtime.pages import LIMIT_DEFAULT, LIMIT_MAX, encode_cursor

SPARE_S = 1.0
"""What another instance may take beyond the caller's `timeout_ms`."""

UNDECIDED = frozenset({404, 503})
"""Answers that another instance may know better."""

EVERYWHERE = frozenset(range(PARTITIONS))

_ONE = re.compile(r"/(posts|seekers)/([^/]+)(/.*)?")
_KINDS: dict[str, EntityKind] = {"posts": "post", "seekers": "seeker"}
_LISTS = {"/rankings": ("rankings", "post_id"), "/best-posts": ("best-posts", "seeker_id")}


@dataclass(slots=True, eq=False)
class _Reply:
    """An answer that is held back."""

    status: int = 503
    messages: list[Message] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        start = self.messages[0]["headers"] if self.messages else ()
        return {name.decode().lower(): value.decode() for name, value in start}

    @property
    def partitions(self) -> set[int]:
        """Partitions that were owned where and when it was made."""
        return {int(number) for number in self.headers.get(PARTITIONS_HEADER, "").split(",") if number}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


class _Race:
    """Lets the first answer that decides through to the client, and holds the others back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.winner: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()

    def is_won_by(self, reply: _Reply) -> bool:
        return self.winner.done() and self.winner.result() is reply

    def entry(self, reply: _Reply) -> Send:
        """Where one contender sends its answer to."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                if reply.status not in UNDECIDED and not self.winner.done():
                    self.winner.set_result(reply)
            if self.is_won_by(reply):
                await self._send(_for_client(message))
            else:
                reply.messages.append(message)

        return send


class _Guard:
    """Lets an answer through, unless it is a "not here" of one that did not own the partition by then."""

    def __init__(self, number: int, send: Send) -> None:
        self._number = number
        self._send = send
        self.is_void = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self.is_void = self._number not in _Reply(404, [message]).partitions
        if not self.is_void:
            await self._send(_for_client(message))


@dataclass(slots=True)
class _Request:
    """A read that may have to be passed on."""

    scope: Scope
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    gone: asyncio.Event

    def one(self, name: str) -> str | None:
        """A parameter of the query; the routes themselves refuse what is wrong with it."""
        given = self.query.get(name)
        return given[-1] if given else None

    @property
    def timeout_s(self) -> float:
        text = self.one("timeout_ms") or ""
        asked_ms = min(int(text), TIMEOUT_MAX_MS) if text.isdigit() and len(text) < 9 else TIMEOUT_DEFAULT_MS
        return asked_ms / 1000 + SPARE_S

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
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
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
        request = _Request(scope, headers, parse_qs(scope["query_string"].decode("latin-1")), asyncio.Event())
        watching = asyncio.create_task(_watch(receive, request.gone))
        try:
            if one is not None:
                await self._answer_one(request, _KINDS[one[1]], one[2], send)
            else:
                await self._answer_list(request, send)
        except ServiceError as error:
            await problem(error)(scope, receive, send)
        finally:
            watching.cancel()

    # --- one entity ---

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
        guard = _Guard(number, send)
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
        race = _Race(send)
        here = _Reply()
        tasks = {here: asyncio.create_task(self._ask_here(request, race, here))}
        for url in {url for url in owners.values() if not self._peers.is_me(url)}:
            there = _Reply()
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

    async def _give_undecided(self, here: _Reply, replies: Sequence[_Reply], send: Send) -> None:
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
            await send(_for_client(message))

    async def _ask_here(self, request: _Request, race: _Race, reply: _Reply) -> None:
        await self._app(request.scope, request.receiver(), self._naming_partitions(race.entry(reply)))

    async def _ask_there(self, url: str, request: _Request, race: _Race, reply: _Reply) -> None:
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
        async with self._peers.ask(url, scope["path"], query, request.headers, request.timeout_s) as answer:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for piece in answer.body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
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
                await send(_for_client(message))
            return
        if not {number for reply in replies for number in reply.partitions} >= EVERYWHERE:
            metrics.FORWARDED.labels("unowned").inc()
            raise CityUnowned
        metrics.FORWARDED.labels("answered").inc()
        body = orjson.dumps(_merged(request, [orjson.loads(reply.body) for reply in replies]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def _list_here(self, request: _Request) -> _Reply:
        reply = _Reply()
        await self._app(request.scope, request.receiver(), self._naming_partitions(_holder(reply)))
        return reply

    async def _list_there(self, url: str, request: _Request) -> _Reply:
        reply = _Reply()
        await self._pass_on(url, request, _holder(reply))
        return reply

    def _naming_partitions(self, send: Send) -> Send:
        """Adds to an answer which partitions are owned here: of what is not in it, those are sure to hold nothing."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                owned = ",".join(str(number) for number in sorted(EVERYWHERE) if self._live.owns(number))
                message["headers"] = [*message["headers"], (PARTITIONS_HEADER.encode(), owned.encode())]
            await send(message)

        return named


def _for_client(message: Message) -> Message:
    """Without what only instances tell each other."""
    if message["type"] != "http.response.start":
        return message
    kept = [(name, value) for name, value in message["headers"] if name.lower() != PARTITIONS_HEADER.encode()]
    return {**message, "headers": kept}


def _holder(reply: _Reply) -> Send:
    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
        reply.messages.append(message)

    return hold


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
