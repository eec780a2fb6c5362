"""The client that asks for fresh rankings takes no other answer for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.matching.web import Web

PATH = "/posts/pst-1/ranking?after=seeker-registered:skr-1:2"


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[Web]:
    """A client of a server that answers each question with this status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} said\r\ncontent-length: 4\r\n\r\nbody".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Web(f"http://{host}:{port}") as web:
            yield web


@pytest.mark.parametrize(("status", "fresh"), [(200, True), (404, True), (503, False)])
async def test_a_ranking_is_fresh_or_not_yet(status: int, fresh: bool) -> None:
    async with answering(status) as web:
        assert await web.is_fresh(PATH) is fresh


@pytest.mark.parametrize("status", [400, 410, 500])
async def test_any_other_answer_is_an_error_that_tells_it(status: int) -> None:
    async with answering(status) as web:
        with pytest.raises(RuntimeError, match=f"expected 200, got {status}: body"):
            await web.is_fresh(PATH)
