"""Reads all topics from their beginning while the run goes on, so that what a lost broker held is known."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from mamapost.broker import broker_of
from mamapost.chaos.evidence import INJECTED_HEADER, Letter, Message, Spot, Topics
from services.matching.position import short
from shared.contracts.envelope import Envelope, Undecodable, decode
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.messaging.reading import stop_reading

POLL_MS = 100
"""Longest wait of one poll."""

FETCH_MAX_WAIT_MS = 300
"""It reads over 200 partitions: asking for all of them more often would slow down what it watches."""

RETRY_S = 0.5
"""Pause before a broker that does not answer is asked again."""


class Recorder:
    """Messages of all brokers that followed each other.

    Attributes:
        generations: identities of the brokers, shortened.
        raw: key, headers and value of every message, for the search for personal data.
    """

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._task: asyncio.Task[None] | None = None
        self.generations: list[str] = []
        self.messages: list[Message] = []
        self.letters: list[Letter] = []
        self.raw: dict[str, list[bytes]] = {}
        self.published: set[str] = set()
        self.ends: dict[tuple[str, int], int] = {}

    @property
    def generation(self) -> str:
        """The broker that is read now."""
        return self.generations[-1]

    async def begin(self) -> None:
        """Read the broker that is there now from its beginning. Waits until it answers and has the topics."""
        cluster_id = await self._await_topics()
        self.generations.append(short(cluster_id))
        self.published, self.ends = set(), {}
        self._task = asyncio.create_task(self._read(self.generation), name="recorder")

    async def end(self) -> None:
        """Read no more; what was read is kept. To be called before the broker's messages are gone."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def check(self) -> None:
        """Raise what ended the reading, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()

    def topics(self) -> Topics:
        """All that was read so far."""
        return Topics(list(self.generations), list(self.messages), list(self.letters))

    async def _await_topics(self) -> str:
        while True:
            admin = AIOKafkaAdminClient(**broker_of(self._kafka).arguments())
            try:
                await admin.start()
                if TOPICS.keys() <= set(await admin.list_topics()):
                    return str((await admin.describe_cluster())["cluster_id"])
            except (KafkaError, OSError):
                pass  # it is coming; asked again below
            finally:
                with contextlib.suppress(KafkaError, OSError):
                    await admin.close()
            await asyncio.sleep(RETRY_S)

    async def _read(self, generation: str) -> None:
        consumer = AIOKafkaConsumer(
            **broker_of(self._kafka).arguments(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        while True:
            try:
                await consumer.start()
                break
            except (KafkaError, OSError):
                await asyncio.sleep(RETRY_S)
        try:
            consumer.assign(
                [TopicPartition(name, partition) for name in TOPICS for partition in range(PARTITIONS)]
                + [TopicPartition(topic.dead_letters, 0) for topic in TOPICS.values()]
            )
            while True:
                polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=2000)
                for records in polled.values():
                    for record in records:
                        self._take(generation, record)
        finally:
            await stop_reading(consumer)

    def _take(self, generation: str, record: ConsumerRecord[bytes, bytes]) -> None:
        value = record.value or b""
        headers = b" ".join(name.encode() + b"=" + (text or b"") for name, text in record.headers)
        injected = any(name == INJECTED_HEADER for name, _ in record.headers)
        self.ends[record.topic, record.partition] = record.offset + 1
        if record.topic not in TOPICS:
            self.letters.append(letter_of(generation, value))
        else:
            envelope = _event(record)
            spot = Spot(generation, record.topic, record.partition, record.offset)
            self.messages.append(Message(spot, envelope, hashlib.sha256(value).digest(), injected))
            if envelope is not None:
                self.published.add(envelope.id)
        if not injected:
            self.raw.setdefault(record.topic, []).append((record.key or b"") + b" " + headers + b" " + value)


def letter_of(generation: str, value: bytes) -> Letter:
    """Who set what aside, by the body of a dead letter."""
    body = orjson.loads(value)
    origin = body["origin"]
    return Letter(body["consumer"], Spot(generation, origin["topic"], origin["partition"], origin["offset"]))


def _event(record: ConsumerRecord[bytes, bytes]) -> Envelope | None:
    try:
        return decode(record.topic, record.key, record.headers, record.value)
    except Undecodable:
        return None
