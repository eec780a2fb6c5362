"""The relay between clients and engines: everything arrives, in order, and as late as it was told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from deploy.local.process import LOOPBACK
from mamapost.chaos.network import Network


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers what it is sent; its port."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                while chunk := connection.recv(4096):
                    connection.sendall(chunk)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as running:
        yield running


def exchange(port: int, content: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        threading.Thread(target=client.sendall, args=(content,), daemon=True).start()
        got = b""
        while len(got) < len(content):
            chunk = client.recv(65536)
            assert chunk, "closed too early"
            got += chunk
        return got


def test_everything_arrives_in_order(network: Network, echo: int) -> None:
    content = bytes(number % 251 for number in range(3_000_000))
    front = network.front(echo)
    assert exchange(front, content) == content
    network.delay(echo, 0.02)
    assert exchange(front, content) == content


def test_a_delay_holds_both_ways_and_goes_again(network: Network, echo: int) -> None:
    front = network.front(echo)
    with socket.create_connection((LOOPBACK, front), timeout=20) as client:

        def round_trip_s() -> float:
            started = time.monotonic()
            client.sendall(b"?")
            assert client.recv(1) == b"?"
            return time.monotonic() - started

        round_trip_s()
        network.delay(echo, 0.2)
        assert round_trip_s() >= 0.4
        network.delay(echo, 0)
        assert min(round_trip_s() for _ in range(20)) < 0.2


def test_an_engine_that_is_away_closes_the_connection(network: Network, echo: int) -> None:
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))  # taken, and nobody listens
        front = network.front(unused.getsockname()[1])
        with socket.create_connection((LOOPBACK, front), timeout=20) as client:
            assert client.recv(1) == b""
