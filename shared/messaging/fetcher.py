"""The process that fetches for a service, as the service holds it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping

from aiokafka.errors import KafkaError

from shared.messaging.carried import LENGTH_BYTES, Fetch, Fetched, framed, read_fetched, write_fetch
from shared.messaging.fetch import settings_for
from shared.runtime.settings import Settings

AHEAD_BYTES = 512 * 1024
"""What is taken from the pipe before it is asked for: a batch or two, so that none is waited for. Twice as much may be
held."""


class FetcherLost(KafkaError):  # type: ignore[misc]  # aiokafka's base is untyped
    """The process that fetches for the service has ended, or could not be started."""


class Fetcher:
    """Starts the process, which ends by `stop` or with this one.

    Attributes:
        has_given: whether anything came from it. One that gave nothing cannot reach the broker; another would not.

    Raises:
        FetcherLost: it cannot be started.
    """

    def __init__(self, service: str, settings: Settings) -> None:
        self._command = [sys.executable, "-m", "shared.messaging.fetch", service]
        self._first = framed(settings_for(settings))
        self._fetch = Fetch(0, [])
        self._start()

    def _start(self) -> None:
        self.has_given = False
        self._size: int | None = None
        self._commands: asyncio.WriteTransport | None = None
        self._fetched: asyncio.ReadTransport | None = None
        self._stream = asyncio.StreamReader(AHEAD_BYTES)
        try:
            # Not asyncio's: that one never ends if it is cancelled while it starts.
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise FetcherLost(type(error).__name__) from error

    def fetch_from(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Fetch on from here, by topic and partition; what was fetched before, and not given, is dropped."""
        places = [(*place, offset) for place, offset in offsets.items()]
        self._fetch = Fetch(self._fetch.number + 1, places)
        if self._commands is not None:
            self._commands.write(write_fetch(self._fetch))

    async def next(self, timeout_s: float) -> Fetched | None:
        """What was fetched next; `None`: nothing came within that time.

        Raises:
            FetcherLost: see there.
        """
        if self._commands is None:
            await self._connect()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    fetched = await self._next()
                    self.has_given = True
                    if fetched.number == self._fetch.number:
                        return fetched
        except TimeoutError:
            return None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise FetcherLost(type(error).__name__) from error

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(self._stream)
        self._fetched, _ = await loop.connect_read_pipe(lambda: protocol, self._process.stdout)
        self._commands, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self._process.stdin)
        self._commands.write(self._first + write_fetch(self._fetch))

    async def _next(self) -> Fetched:
        """May be cancelled while it waits, and asked again."""
        if self._size is None:
            self._size = int.from_bytes(await self._stream.readexactly(LENGTH_BYTES), "big")
        body = await self._stream.readexactly(self._size)
        self._size = None
        return read_fetched(body)

    async def restart(self) -> None:
        """Start another one, which fetches nothing until it is told.

        Raises:
            FetcherLost: it cannot be started.
        """
        await self.stop()
        self._fetch = Fetch(self._fetch.number + 1, [])
        self._start()

    async def stop(self) -> None:
        """End it; it holds nothing that would have to be saved."""
        self._process.kill()
        if self._commands is not None and not self._commands.is_closing():
            self._commands.abort()
        if self._fetched is not None:
            self._fetched.close()
        await asyncio.to_thread(self._process.wait)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
