"""An HTTP client that costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from shared.contracts.position import Position

FRESH_TIMEOUT_MS = 10_000
"""As long as the service lets a reader wait at most."""


class Web:
    """One kept connection to a server. Use `async with Web(url) as web:`."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    async def __aenter__(self) -> Web:
        self._reader, self._writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body.

        Raises:
            OSError, asyncio.IncompleteReadError: the server ended.
        """
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        size = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        return status, await self._reader.readexactly(size) if size else b""

    async def json(self, path: str) -> Any:
        """The body of a good answer.

        Raises:
            RuntimeError: the answer was another one.
        """
        status, body = await self.get(path)
        if status != 200:
            raise _unexpected(path, status, body)
        return json.loads(body)

    async def is_fresh(self, post: str, position: Position, *, rows: int) -> bool:
        """Whether the ranking of a post came to show a position within `FRESH_TIMEOUT_MS`. It waits until it does.

        Raises:
            RuntimeError: the answer was neither.
        """
        path = f"/posts/{post}/ranking?limit={rows}&after={position}&timeout_ms={FRESH_TIMEOUT_MS}"
        status, body = await self.get(path)
        if status not in (200, 404, 503):  # 404: the position is reached, the post is gone
            raise _unexpected(path, status, body)
        return status != 503


def _unexpected(path: str, status: int, body: bytes) -> RuntimeError:
    return RuntimeError(f"GET {path}: expected 200, got {status}: {body[:300].decode(errors='replace')}")


def percentile(times: list[float], percent: float) -> float:
    """The smallest value that so many of a hundred do not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
