"""The feeds of one service alone, on a real server of this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from shared.messaging.events import EventLog
from shared.runtime.feeds import feeds
from shared.runtime.http import create_app
from shared.runtime.mongo import Mongo
from shared.runtime.server import UNREAD_MAX_MS, Server
from shared.runtime.settings import Settings
from tests.conftest import eventually


@asynccontextmanager
async def served_feed(
    settings: Settings,
    mongo: Mongo,
    service: str,
    unread_max_ms: int = UNREAD_MAX_MS,
    broken: asyncio.Event | None = None,
) -> AsyncIterator[tuple[Server, int]]:
    """The server and its port, until the block ends; then it must stop within ten seconds.

    Args:
        broken: set when nothing is numbered any more; without it, that must not happen.
    """
    defect = broken or asyncio.Event()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, str]:
        return {"store": "up"}

    app = create_app(service, "A test.", settings, lifespan, ready)
    log = EventLog(mongo.db, service)
    app.include_router(feeds(service, mongo, log, defect.set))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=20)
    server = Server(app, config, unread_max_ms)
    listening = server.bound()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)  # inherited; else it grows to megabytes
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await eventually(lambda: server.started, "the server has started")
    try:
        yield server, listening.getsockname()[1]
    finally:
        server.should_exit = True
        async with asyncio.timeout(10):
            await serving
        assert broken is not None or not defect.is_set(), "nothing was numbered any more"
