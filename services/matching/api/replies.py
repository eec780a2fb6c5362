"""Answers on their way to a client: held back, raced against each other, guarded, cut off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import Message, Send

from services.matching import use_cases
from services.matching.ownership import PARTITIONS_HEADER

UNDECIDED = frozenset({404, 503})
"""Answers that another instance may know better."""

SEND_MAX_S = 20.0
"""A stream's reader who takes nothing for so long is cut off, as what she is told waits in memory meanwhile."""


@dataclass(slots=True, eq=False)
class Reply:
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


class Race:
    """Lets the first answer that decides through to the client, and holds the others back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.winner: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def is_won_by(self, reply: Reply) -> bool:
        return self.winner.done() and self.winner.result() is reply

    def entry(self, reply: Reply) -> Send:
        """Where one contender sends its answer to."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                if reply.status not in UNDECIDED and not self.winner.done():
                    self.winner.set_result(reply)
            if self.is_won_by(reply):
                await self._send(for_client(message))
            else:
                reply.messages.append(message)

        return send


class Guard:
    """Lets an answer through, unless it is a "not here" of one that did not own the partition by then."""

    def __init__(self, number: int, send: Send) -> None:
        self._number = number
        self._send = send
        self.is_void = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self.is_void = self._number not in Reply(404, [message]).partitions
        if not self.is_void:
            await self._send(for_client(message))


def for_client(message: Message) -> Message:
    """Without what only instances tell each other."""
    if message["type"] != "http.response.start":
        return message
    kept = [(name, value) for name, value in message["headers"] if name.lower() != PARTITIONS_HEADER.encode()]
    return {**message, "headers": kept}


def holder(reply: Reply) -> Send:
    """Where an answer is sent to that is held back whole."""

    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
        reply.messages.append(message)

    return hold


def impatient(send: Send) -> Send:
    """Cuts off a reader who takes nothing any more."""

    async def limited(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_MAX_S):
                await send(message)
        except TimeoutError:
            use_cases.count_end("slow")
            raise ClientDisconnect from None

    return limited
