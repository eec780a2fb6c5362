"""An independent reader of every topic: it knows the contracts and nothing of the services."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.contracts.envelope import Envelope, Undecodable, decode
from shared.contracts.fields import Event
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.messaging.connection import Connection
from shared.messaging.reading import stop_reading

POLL_MS = 50
"""Longest wait of one poll."""

FETCH_MAX_WAIT_MS = 200
"""It reads some 150 partitions: asking for them all more often would slow down what it watches."""

MESSAGES_MAX = 2_000_000
"""What is kept in memory at most, about 1 kB a message; the scenario at scale 1 makes about 100,000."""


class Reader:
    """Collects all messages of all topics from their beginning, in the background.

    Attributes:
        events: distinct events by id, in the order of arrival.
        deliveries: how often each event id came; more than once is allowed (at least once), a second event is not.
        sent_at: when the relay handed each event to the broker (the message's own timestamp).
        undecodable: messages that are no valid events, with the reason.
        dead_letters: raw dead letters.
        raw: the bytes of every message with its key and headers, by topic, for the search for personal data.
    """

    def __init__(self, broker: Connection) -> None:
        self._broker = broker
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.events: dict[str, Envelope] = {}
        self.deliveries: Counter[str] = Counter()
        self.sent_at: dict[str, datetime] = {}
        self.undecodable: list[str] = []
        self.dead_letters: list[bytes] = []
        self.raw: defaultdict[str, list[bytes]] = defaultdict(list)

    async def __aenter__(self) -> Reader:
        consumer = AIOKafkaConsumer(
            **self._broker.arguments(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        await consumer.start()
        consumer.assign(
            [TopicPartition(name, partition) for name in TOPICS for partition in range(PARTITIONS)]
            + [TopicPartition(topic.dead_letters, 0) for topic in TOPICS.values()]
        )
        self._task = asyncio.create_task(self._read(consumer), name="reader")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=2000)
                if not polled:
                    continue
                for records in polled.values():
                    for record in records:
                        self._take(record)
                if len(self.events) > MESSAGES_MAX:
                    raise RuntimeError(f"more than {MESSAGES_MAX} events")
                async with self._changed:
                    self._changed.notify_all()
        finally:
            await stop_reading(consumer)

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        headers = b" ".join(name.encode() + b"=" + value for name, value in record.headers)
        self.raw[record.topic].append((record.key or b"") + b" " + headers + b" " + (record.value or b""))
        if record.topic not in TOPICS:
            self.dead_letters.append(record.value or b"")
            return
        try:
            envelope = decode(record.topic, record.key, record.headers, record.value)
        except Undecodable as error:
            self.undecodable.append(f"{record.topic}:{record.partition}:{record.offset} {error}")
            return
        self.deliveries[envelope.id] += 1
        self.events.setdefault(envelope.id, envelope)
        self.sent_at.setdefault(envelope.id, datetime.fromtimestamp(record.timestamp / 1000, UTC))

    async def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition on what was read holds; answers whether it did in time."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while not condition():
                    if self._task is not None and self._task.done():
                        self._task.result()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    async def wait_for(self, event_ids: Iterable[str], timeout_s: float) -> set[str]:
        """Wait until these events were read; answers those that were not."""
        wanted = set(event_ids)
        await self.wait(lambda: wanted <= self.events.keys(), timeout_s)
        return wanted - self.events.keys()

    def of(self, model: type[Event]) -> list[Envelope]:
        """Distinct events of one kind, in the order of arrival."""
        return [envelope for envelope in self.events.values() if isinstance(envelope.event, model)]
