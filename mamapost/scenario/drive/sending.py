"""One request until it has its answer: a service may be killed at any moment, and what it accepted must not be doubled.

The same request is repeated with the same Idempotency-Key and body, so that a command whose answer was lost is answered
again and not done again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import orjson

DEADLINE_S = 120.0
"""How long one request is repeated. A killed service is back within some ten seconds, an election of the database takes
about as long; a machine under full load needs several times that."""

BACKOFF_FIRST_S = 0.05
BACKOFF_MOST_S = 1.0
"""Pauses between repetitions, each twice the one before: the first for an event that is just on its way, the longest so
that a service that comes back is not asked for in vain for long."""

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""An upload of 1,000 rows takes about a second; one that takes thirty was lost with its service."""

GONE = frozenset({429, 502, 503, 504})
"""Statuses by which a service, or what stands before it, says: not now."""


class Undelivered(Exception):
    """A request had no final answer within the deadline."""

    def __init__(self, service: str, what: str, last: str, deadline_s: float) -> None:
        super().__init__(f"{service}: {what} had no final answer within {deadline_s:.0f} s; the last was: {last}")
        self.service = service


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer.

    Attributes:
        document: the JSON of the body; empty if it is none.
    """

    status: int
    document: dict[str, object]

    @property
    def code(self) -> str:
        return str(self.document.get("code", ""))

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.document)


def fields_of(document: dict[str, object]) -> tuple[str, ...]:
    """Fields that a problem, or a row of a bulk report, names."""
    errors = document.get("errors")
    if not isinstance(errors, list):
        return ()
    return tuple(str(error["field"]) for error in errors if isinstance(error, dict) and "field" in error)


class Lanes:
    """Connections to one service, each kept alive and used by one request at a time.

    A client with a pool of its own for each connection: the pool of httpx looks through all its connections at each
    request, which at sixteen of them costs more processor time than the request itself (3.0 against 1.1 ms).

    Args:
        make: a new client with the service's base URL and token, for one connection.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._all: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    @contextmanager
    def one(self) -> Iterator[httpx.AsyncClient]:
        """An idle connection, or a new one; it is idle again afterwards."""
        if not self._idle:
            self._all.append(self._make())
            self._idle.append(self._all[-1])
        client = self._idle.pop()
        try:
            yield client
        finally:
            self._idle.append(client)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()


class Sender:
    """Sends requests to one service.

    Args:
        on_retry: called at each repetition.
    """

    def __init__(self, service: str, lanes: Lanes, deadline_s: float, on_retry: Callable[[], None]) -> None:
        self._service = service
        self._lanes = lanes
        self._deadline_s = deadline_s
        self._on_retry = on_retry

    async def post(
        self, path: str, key: str, content: bytes, media_type: str, is_final: Callable[[Answer], bool]
    ) -> Answer:
        """Send a command or an upload.

        Args:
            key: Idempotency-Key.
            is_final: whether an answer that says `retryable` is nevertheless the expected one.

        Raises:
            Undelivered: no final answer within the deadline.
        """
        headers = {"Idempotency-Key": key, "Content-Type": media_type}

        def send(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
            return client.post(path, content=content, headers=headers)

        return await self._until_answered(f"POST {path}", send, is_final)

    async def get(self, path: str, query: dict[str, str]) -> Answer:
        """Read something.

        Raises:
            Undelivered: no final answer within the deadline.
        """
        return await self._until_answered(
            f"GET {path}", lambda client: client.get(path, params=query), lambda _answer: False
        )

    async def _until_answered(
        self,
        what: str,
        send: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
        is_final: Callable[[Answer], bool],
    ) -> Answer:
        until = time.monotonic() + self._deadline_s
        pause = BACKOFF_FIRST_S
        while True:
            try:
                with self._lanes.one() as client:
                    response = await send(client)
            except httpx.TransportError as error:
                last = type(error).__name__
            else:
                answer = Answer(response.status_code, _document_of(response))
                if not _says_later(answer) or is_final(answer):
                    return answer
                last = f"{answer.status} {answer.code}".rstrip()
            if time.monotonic() + pause > until:
                raise Undelivered(self._service, what, last, self._deadline_s)
            self._on_retry()
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_MOST_S)


def _says_later(answer: Answer) -> bool:
    return answer.status in GONE or (answer.status >= 400 and answer.document.get("retryable") is True)


def _document_of(response: httpx.Response) -> dict[str, object]:
    """The JSON object of a body; an error page of something in between is none, and its status says enough."""
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
