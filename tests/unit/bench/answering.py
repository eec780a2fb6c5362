"""A server for the benchmark's client that has one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.matching.web import Web


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[Web]:
    """A client of a server that answers each question with this status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == b"\r\n":
                writer.write(f"HTTP/1.1 {status} said\r\ncontent-length: 4\r\n\r\nbody".encode())
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Web(f"http://{host}:{port}") as web:
            yield web
