"""The process that fetches for a service: `python -m shared.messaging.fetch SERVICE`, with commands on standard input.

To unpack and decode messages takes a third of what a service does with them. Done here, it takes another core. This
process holds nothing that could be lost: it reads from the places that it is told, is in no group, and commits nothing.
It ends with the service, whose end it sees as the end of its commands.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts import fast
from shared.messaging.carried import LENGTH_BYTES, NOTHING, End, Fetch, read_fetch, write_fetched
from shared.messaging.connection import METADATA_MAX_AGE_MS, REQUEST_TIMEOUT_MS, Connection
from shared.messaging.polling import FETCH_WAIT_MIN_MS, Polling
from shared.messaging.records import Record
from shared.runtime import logs
from shared.runtime.logs import logger
from shared.runtime.settings import Settings

PIPE_BYTES = 1024 * 1024
"""Of the pipe to the service, the most that Linux grants to everybody: two or three batches, so that the next ones are
ready when the service has worked off the last."""

SETTINGS = {"batch_max_records", "fetch_max_wait_ms", "log_level"}
"""Settings that this process is told, besides those of the broker; no others."""

_log = logger(__name__)


def settings_for(settings: Settings) -> bytes:
    """What the process is told first."""
    told = SETTINGS | {name for name in type(settings).model_fields if name.startswith("kafka")}
    return settings.model_dump_json(include=told).encode()


class Fetching:
    """Fetches by the last command.

    Args:
        client: a started consumer of aiokafka, in no group.
    """

    def __init__(self, client: Any, polling: Polling) -> None:
        self._client = client
        self._polling = polling
        self._number = 0
        self._places: list[TopicPartition] = []
        self._told_ms: dict[TopicPartition, int] = {}

    def obey(self, fetch: Fetch) -> None:
        """Forget what was fetched, and begin where the command says."""
        self._number = fetch.number
        self._places = [TopicPartition(topic, partition) for topic, partition, _ in fetch.places]
        self._told_ms.clear()
        self._client.unsubscribe()
        if self._places:
            self._client.assign(self._places)
        for place, (_, _, offset) in zip(self._places, fetch.places, strict=True):
            self._client.seek(place, offset)

    async def next(self) -> bytes:
        """The next records and news of ends, for the service; `NOTHING` after a while without.

        Raises:
            KafkaError: of the client.
        """
        records: list[Record] = []
        async for few in self._polling.batch(self._client):
            records += few
        ends = self._news_of_ends()
        return write_fetched(self._number, ends, records) if records or ends else NOTHING

    def _news_of_ends(self) -> list[End]:
        assignment = self._client._subscription.subscription.assignment
        ends: list[End] = []
        for place in self._places:
            state = assignment.state_value(place)
            if state.timestamp is not None and state.timestamp != self._told_ms.get(place):
                self._told_ms[place] = state.timestamp
                ends.append(End(place.topic, place.partition, state.highwater, state.timestamp))
        return ends


async def fetch(service: str, stdin: asyncio.StreamReader, stdout: asyncio.StreamWriter) -> None:
    """Obey commands until they end.

    Raises:
        KafkaError, OSError, ValueError: the broker cannot be reached, or read from.
    """
    commands = _messages(stdin)
    told = await anext(commands, None)
    if told is None:
        return None
    settings = Settings.model_validate(json.loads(told))
    logs.configure(service, settings.log_level)
    client = AIOKafkaConsumer(
        **Connection(settings).arguments(),
        client_id=f"mamapost-{service}-fetch",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MIN_MS,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    last = Fetch(0, [])
    came = asyncio.Event()

    async def listen() -> None:
        nonlocal last
        try:
            async for body in commands:
                last = read_fetch(body)
                came.set()
        finally:
            came.set()

    await client.start()
    listening = asyncio.create_task(listen())
    fetching = Fetching(client, Polling(fast.decode, settings.batch_max_records, settings.fetch_max_wait_ms))
    try:
        while True:
            if not last.places:
                await came.wait()
            if listening.done():
                return listening.result()
            if came.is_set():
                came.clear()
                fetching.obey(last)
            else:
                stdout.write(await fetching.next())
                await stdout.drain()
    finally:
        listening.cancel()
        await client.stop()


async def _messages(stdin: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with contextlib.suppress(asyncio.IncompleteReadError):  # the service has ended
        while True:
            size = int.from_bytes(await stdin.readexactly(LENGTH_BYTES), "big")
            yield await stdin.readexactly(size)


async def main(service: str) -> int:
    """Fetch for a service; the exit code says whether it was the service that ended."""
    loop = asyncio.get_running_loop()
    for end in (signal.SIGINT, signal.SIGTERM):  # may go to all processes at once; the service says when it is done
        loop.add_signal_handler(end, lambda: None)
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(PermissionError):  # all that this user may have is taken; the usual size will do
            fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        await fetch(service, stdin, asyncio.StreamWriter(transport, protocol, None, loop))
    except ConnectionError:  # nobody reads what is fetched: the service has ended
        return 0
    except (KafkaError, OSError, ValueError) as error:
        _log.error("fetching ended; the service will begin it again", error=type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m shared.messaging.fetch", description=__doc__)
    parser.add_argument("service", help="whose process this is; it begins this by itself")
    sys.exit(asyncio.run(main(parser.parse_args().service)))
