"""The bus from outside: topics, and messages onto it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.envelope import Message
from shared.contracts.topics import TOPICS
from shared.messaging.bus import PRODUCER_BATCH_MAX_BYTES
from shared.messaging.topics import ensure_topics

TICK_S = 0.02
"""The pump sends this long's messages at once."""


async def make_topics(kafka: str) -> None:
    """Create all topics, as their owners would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await ensure_topics(admin, list(TOPICS), 1)
    finally:
        await admin.close()


class Sender:
    """Messages onto the bus, fast."""

    def __init__(self, kafka: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka,
            acks="all",
            max_batch_size=PRODUCER_BATCH_MAX_BYTES,
            max_request_size=PRODUCER_BATCH_MAX_BYTES * 2,
        )

    async def __aenter__(self) -> Sender:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when the broker has all of them."""
        for start in range(0, len(messages), 2_000):
            pending = [
                await self._producer.send(m.topic, m.value, key=m.key, partition=m.partition, headers=list(m.headers))
                for m in messages[start : start + 2_000]
            ]
            await asyncio.gather(*pending)


async def pump(kafka: str, messages: Sequence[Message], rate: float) -> None:
    """Send messages at a rate; says `pumping` when it begins and how many it sent when it is through."""
    gc.disable()  # a search through hundreds of thousands of messages would end in a burst of those that are late
    async with Sender(kafka) as sender:
        tell("pumping")
        begun, sent = time.perf_counter(), 0
        while sent < len(messages):
            due = min(len(messages), int((time.perf_counter() - begun) * rate))
            if due > sent:
                await sender.send(messages[sent:due])
                sent = due
            await asyncio.sleep(TICK_S)  # the pace of the load, not a wait for anything
    tell(str(sent))


def tell(what: str) -> None:
    """A line to who has started this process."""
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def main() -> None:
    """`python -m bench.matching.broker KAFKA FILE RATE`: pump the messages of a file, from a process of its own.

    It ends with its input, so that what it has spent can be looked at when it is through.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.matching.broker", description=main.__doc__)
    parser.add_argument("kafka")
    parser.add_argument("file", type=Path, help="pickled messages, made by this benchmark")
    parser.add_argument("rate", type=float)
    arguments = parser.parse_args()
    messages = pickle.loads(arguments.file.read_bytes())  # noqa: S301  written by ourselves a moment ago
    asyncio.run(pump(arguments.kafka, messages, arguments.rate))
    sys.stdin.read()


if __name__ == "__main__":
    main()
