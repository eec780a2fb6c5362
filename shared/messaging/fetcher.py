"""The process that fetches for a service, as the service holds it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from aiokafka.errors import KafkaError

from shared.messaging.carried import LENGTH_BYTES, Fetch, Fetched, framed, messages_in, read_fetched, write_fetch
from shared.messaging.fetch import settings_for
from shared.runtime import metrics
from shared.runtime.settings import Settings

AHEAD_BYTES = 4 * 1024 * 1024
"""What is held of what was fetched: some 5,000 events. Within that, what has its turn first overtakes the rest; what
is beyond waits in the pipe and at the broker."""

SILENT_S = 30.0
"""Silence after which the process is taken to hang. At work, it says so every tenth of a second (`polling.POLL_MS`);
while it starts, it imports and connects, on a busy machine for some seconds."""


class FetcherLost(KafkaError):  # type: ignore[misc]  # aiokafka's base is untyped
    """The process that fetches for the service has ended, hangs, or could not be started."""


class Held(asyncio.Protocol):
    """What came through the pipe and was not given yet, by topic.

    Args:
        topics: in the order of their turns.
    """

    def __init__(self, topics: Sequence[str]) -> None:
        self._of: dict[str, deque[tuple[int, int, Fetched]]] = {topic: deque() for topic in topics}
        self._begun = bytearray()
        self._count = self._bytes = 0
        self._transport: asyncio.ReadTransport | None = None
        self._is_held_back = False
        self.came = asyncio.Event()
        self.is_over = False
        self.heard_s = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        self._begun += data
        whole = 0
        for message in messages_in(self._begun):
            whole += LENGTH_BYTES + len(message)
            if not message:
                continue
            self._count += 1
            self._bytes += len(message)
            fetched = read_fetched(message)
            self._of[fetched.topic].append((self._count, len(message), fetched))
            self.came.set()
        del self._begun[:whole]
        self._hold_back()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True
        self.came.set()

    def _hold_back(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        is_full = self._bytes >= AHEAD_BYTES
        if is_full and not self._is_held_back:
            self._transport.pause_reading()
        elif self._is_held_back and not is_full:
            self._transport.resume_reading()
        self._is_held_back = is_full

    def take(self, most: int) -> list[Fetched]:
        """What is given next: half of it by turns, half by age, so that nothing waits for ever.

        Args:
            most: records after which nothing more is taken.
        """
        taken, count = list[Fetched](), 0
        for share, order in ((most // 2, self._by_turns()), (most, self._by_age())):
            for queue in order:
                if count >= share:
                    break
                _, size, fetched = queue.popleft()
                self._bytes -= size
                count += fetched.count
                taken.append(fetched)
        if not any(self._of.values()) and not self.is_over:
            self.came.clear()
        self._hold_back()
        return taken

    def _by_turns(self) -> Iterator[deque[tuple[int, int, Fetched]]]:
        for queue in self._of.values():
            while queue:
                yield queue

    def _by_age(self) -> Iterator[deque[tuple[int, int, Fetched]]]:
        while waiting := [queue for queue in self._of.values() if queue]:
            yield min(waiting, key=lambda queue: queue[0][0])


class Fetcher:
    """Starts the process, which ends by `stop` or with this one.

    Args:
        topics: in the order of their turns.

    Attributes:
        has_given: whether anything came from it. One that gave nothing cannot reach the broker; another would not.

    Raises:
        FetcherLost: it cannot be started.
    """

    def __init__(self, service: str, topics: Sequence[str], settings: Settings) -> None:
        self._command = [sys.executable, "-m", "shared.messaging.fetch", service]
        self._topics = topics
        self._first = framed(settings_for(settings))
        self._batch_max = settings.batch_max_records
        self._fetch = Fetch(0, [])
        self._start()

    def _start(self) -> None:
        self.has_given = False
        self._held = Held(self._topics)
        self._commands: asyncio.WriteTransport | None = None
        self._pipe: asyncio.ReadTransport | None = None
        try:
            # Not asyncio's: that one never ends if it is cancelled while it starts.
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise FetcherLost(type(error).__name__) from error
        metrics.FETCH_PROCESS.pids.append(self._process.pid)

    def fetch_from(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Fetch on from here, by topic and partition; what was fetched before, and not given, is dropped."""
        places = [(*place, offset) for place, offset in offsets.items()]
        self._fetch = Fetch(self._fetch.number + 1, places)
        self._held.heard_s = time.monotonic()  # told to fetch nothing, it said nothing
        if self._commands is not None:
            self._commands.write(write_fetch(self._fetch))

    async def next(self, timeout_s: float) -> list[Fetched]:
        """What was fetched, of each topic in order, a batch at the most; nothing when nothing comes within that time.

        Raises:
            FetcherLost: see there.
        """
        if self._commands is None:
            await self._connect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._held.came.wait()
        taken = self._held.take(self._batch_max)
        if taken:
            self.has_given = True
        elif self._held.is_over or (self._fetch.places and time.monotonic() - self._held.heard_s > SILENT_S):
            raise FetcherLost
        return [fetched for fetched in taken if fetched.number == self._fetch.number]

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(lambda: self._held, self._process.stdout)
        self._commands, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self._process.stdin)
        self._commands.write(self._first + write_fetch(self._fetch))

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
        if self._process.pid in metrics.FETCH_PROCESS.pids:
            metrics.FETCH_PROCESS.pids.remove(self._process.pid)
        if self._commands is not None and not self._commands.is_closing():
            self._commands.abort()
        if self._pipe is not None:
            self._pipe.close()
        await asyncio.to_thread(self._process.wait)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
