"""Plays a stream to a broker, on topics of its own or on the real ones of an empty broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from deploy.local.errors import LocalRunError
from mamapost.kit.stream import TOPICS, Line
from shared.contracts.topics import PARTITIONS
from shared.messaging.connection import Connection
from shared.messaging.reading import hold_messages

REQUEST_TIMEOUT_MS = 10_000
"""A broker that takes longer is not there."""

TOPIC_PAUSE_S = 0.1
"""Pause before a broker is asked again for topics that were just made."""


class TopicsInUse(LocalRunError):
    """The topics hold messages, which would stand among those of the stream."""

    code = "topics-in-use"


async def play(broker: Connection, stream: Sequence[Line], prefix: str) -> None:
    """Make the topics `<prefix><topic>` if need be, and send the stream in its order.

    Raises:
        TopicsInUse: they hold messages.
        KafkaError: the broker does not do what it is asked for.
    """
    names = [prefix + topic for topic in TOPICS]
    await _ensure(broker, names)
    places = [TopicPartition(name, partition) for name in names for partition in range(PARTITIONS)]
    if await hold_messages(broker, places, REQUEST_TIMEOUT_MS):
        raise TopicsInUse(f"{', '.join(names)}: expected empty topics; give another --prefix")
    producer = AIOKafkaProducer(acks="all", request_timeout_ms=REQUEST_TIMEOUT_MS, **broker.arguments())
    await producer.start()
    try:
        pending = [
            await producer.send(
                prefix + line.topic, line.value, key=line.key, partition=line.partition, headers=list(line.headers)
            )
            for line in stream
        ]
        await asyncio.gather(*pending)
    finally:
        await producer.stop()


async def _ensure(broker: Connection, names: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(request_timeout_ms=REQUEST_TIMEOUT_MS, **broker.arguments())
    await admin.start()
    try:
        missing = set(names) - set(await admin.list_topics())
        if missing:
            made = await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in sorted(missing)])
            for _name, code, *_message in made.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise for_code(code)
        topics = await admin.describe_topics(list(names))
        deadline = time.monotonic() + REQUEST_TIMEOUT_MS / 1000
        # Brokers of a cluster hear of a new topic one after another, and who has not does not know it yet.
        while missing and any(topic["error_code"] for topic in topics) and time.monotonic() < deadline:
            await asyncio.sleep(TOPIC_PAUSE_S)
            topics = await admin.describe_topics(list(names))
        for topic in topics:
            # A broker that makes topics by itself, as the embedded one does, made it for a consumer that came first.
            if len(topic["partitions"]) < PARTITIONS:
                raise TopicsInUse(
                    f"{topic['topic']}: expected {PARTITIONS} partitions; give another --prefix, and start your "
                    "consumer when the stream has been played"
                )
    finally:
        await admin.close()
