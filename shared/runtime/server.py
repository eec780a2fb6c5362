"""The HTTP server of a service: uvicorn, which tells streams of its end and cuts off readers who take nothing."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

UNREAD_MAX_MS = 30_000
"""A peer who has taken nothing for so long of what waits for it is gone: its connection ends, its memory is free."""


class Server(uvicorn.Server):
    """Runs one app of `create_app`.

    Args:
        unread_max_ms: see `UNREAD_MAX_MS`.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config, unread_max_ms: int = UNREAD_MAX_MS) -> None:
        super().__init__(config)
        self._stopping: asyncio.Event = app.state.stopping
        self._unread_max_ms = unread_max_ms

    def bound(self) -> socket.socket:
        """The listening socket; accepted connections inherit its limit.

        Raises:
            SystemExit: the address is not to be had; uvicorn has logged why.
        """
        listening = self.config.bind_socket()
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the system's own, longer limits hold
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._unread_max_ms)
        return listening

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have open streams end by themselves, then wait for the requests under way."""
        self._stopping.set()
        await super().shutdown(sockets)


def serve(app: FastAPI, config: uvicorn.Config) -> bool:
    """Serve until SIGTERM or Ctrl-C.

    Returns:
        Whether it had started.
    """
    server = Server(app, config)
    try:
        server.run(sockets=[server.bound()])
    except KeyboardInterrupt:  # uvicorn raises the signal again once it has stopped
        return True
    return server.started
