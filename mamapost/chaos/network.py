"""A network that can be made slow: every connection to an engine goes through a relay of our own on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Final

from deploy.local.process import LOOPBACK, pick_port

CHUNK_BYTES: Final = 64 * 1024

CHUNKS_MAX: Final = 256
"""Chunks of one direction of a connection that wait to be sent on; then its sender waits, as with a full socket."""

START_TIMEOUT_S: Final = 10.0


class Network:
    """Forwards ports, each with a delay that can be changed at any time. Use `with Network() as network:`.

    It has a thread of its own, since the engines speak through it before and after the run.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._delays_s: dict[int, float] = {}
        self._servers: list[asyncio.Server] = []

    def front(self, port: int) -> int:
        """A port that leads to this one; ready when it is answered."""
        front = pick_port()
        self._delays_s[port] = 0.0
        opened = asyncio.run_coroutine_threadsafe(self._open(front, port), self._loop)
        opened.result(START_TIMEOUT_S)
        return front

    def delay(self, port: int, delay_s: float) -> None:
        """From now on everything to and from a port takes so much longer, each way; 0 = as it comes."""
        self._delays_s[port] = delay_s

    def __enter__(self) -> Network:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, front: int, port: int) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):  # the engine is away: the client sees a closed connection
                await self._relay(port, reader, writer)

        self._servers.append(await asyncio.start_server(connected, LOOPBACK, front))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _relay(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            writer.close()
            raise
        try:
            # Either side's end is the end of both: nobody here half-closes a connection.
            pumps = [asyncio.create_task(self._pump(port, *ends)) for ends in ((reader, back), (there, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for end in (writer, back):
                end.close()

    async def _pump(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send on what comes, in order, each chunk after the delay that held when it came."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_MAX)

        async def send() -> None:
            while True:
                due, chunk = await waiting.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                writer.write(chunk)
                await writer.drain()

        sender = asyncio.create_task(send())
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await waiting.put((loop.time() + self._delays_s[port], chunk))
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
