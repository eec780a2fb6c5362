"""A client of aiokafka that has messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRecord

from shared.contracts.envelope import Envelope, encode
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from tests.events import seeker_registered


def message(offset: int) -> ConsumerRecord[bytes, bytes]:
    told = encode(Envelope(new_id("event"), system_clock(), seeker_registered()))
    return ConsumerRecord(
        told.topic, told.partition, offset, 0, 0, told.key, told.value, None, 0, 0, tuple(told.headers)
    )


class Client:
    """A client that has so many messages, and gives the group's decisions a chance at each call after the first."""

    def __init__(self, count: int, between: Callable[[], Awaitable[None]] | None = None) -> None:
        self.left = [message(offset) for offset in range(count)]
        self.calls: list[tuple[int, int]] = []
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=0)
        self._between = between

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        if self.calls and self._between is not None:
            await self._between()
        self.calls.append((timeout_ms, max_records))
        given, self.left = self.left[:max_records], self.left[max_records:]
        return {"a partition": given} if given else {}
