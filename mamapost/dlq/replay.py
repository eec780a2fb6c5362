"""Sends messages that were set aside again: from their origin to the same topic, partition and key.

Every consumer of the topic sees them again, which its idempotence makes harmless. What could do harm is left out and
counted: see `Outcome`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from mamapost.dlq.letters import Letter, Origin, by_origin, starts
from shared.contracts.envelope import Undecodable, decode
from shared.contracts.topics import TOPICS
from shared.messaging.connection import Connection
from shared.messaging.reading import read_to_end
from shared.messaging.records import REPLAYS_HEADER, replays_of

BATCH = 500
"""Messages sent before their replay is noted: so many come twice at most when a replay is broken off."""


class Outcome(StrEnum):
    """What becomes of a message."""

    READY = "ready"
    GONE = "gone"
    CHANGED = "changed"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"
    UNUSABLE = "unusable"

    @property
    def told(self) -> str:
        return {
            "ready": "sent again",
            "gone": "retention or compaction removed it",
            "changed": "another message stands at its place: the broker was refilled, and the event came again anyway",
            "exhausted": "was sent again as often as allowed",
            "superseded": "a newer message of its key stands on the topic; compaction would keep the old one instead",
            "unusable": "is still no event of its topic; its producer has to send a right one",
        }[self.value]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay does with each message, in the order in which they stand on their topics."""

    outcomes: Mapping[Origin, Outcome]

    @property
    def ready(self) -> list[Origin]:
        return [origin for origin, outcome in self.outcomes.items() if outcome is Outcome.READY]

    @property
    def counts(self) -> dict[Outcome, int]:
        found = Counter(self.outcomes.values())
        return {outcome: found[outcome] for outcome in Outcome if found[outcome]}


async def plan(broker: Connection, letters: Sequence[Letter], replays_max: int, limit: int | None = None) -> Plan:
    """Look at the messages that open letters name.

    Args:
        replays_max: a message that was sent again so often is left alone.
        limit: at most so many messages, the earliest on their topics.

    Raises:
        KafkaError: the broker does not answer.
    """
    wanted = by_origin([letter for letter in letters if not letter.is_replayed])
    chosen = sorted(wanted)[:limit]
    outcomes = dict.fromkeys(chosen, Outcome.GONE)
    keys: dict[tuple[str, bytes], Origin] = {}
    async for record in read_to_end(broker, starts(chosen)):
        origin = Origin(record.topic, record.partition, record.offset)
        older = keys.get((record.topic, record.key or b""))
        if older is not None and outcomes[older] is Outcome.READY:
            outcomes[older] = Outcome.SUPERSEDED
        if origin in outcomes:
            outcomes[origin] = _judged(record, wanted[origin], replays_max)
            if TOPICS[record.topic].compacted:
                keys[record.topic, record.key or b""] = origin
    return Plan(outcomes)


def _judged(record: ConsumerRecord[bytes, bytes], letter: Letter, replays_max: int) -> Outcome:
    if hashlib.sha256(record.value or b"").hexdigest() != letter.sha256:
        return Outcome.CHANGED
    if replays_of(record.headers) >= replays_max:
        return Outcome.EXHAUSTED
    try:
        decode(record.topic, record.key, record.headers, record.value)
    except Undecodable:
        return Outcome.UNUSABLE
    return Outcome.READY


async def replay(broker: Connection, ready: Sequence[Origin], tell: Callable[[int], None]) -> int:
    """Send these messages again, each batch noted before the next; answers how many were sent.

    At least once: what was sent and not yet noted when this breaks off is sent again by the next replay.

    Args:
        tell: called with the number sent so far.

    Raises:
        KafkaError: the broker does not answer; what was noted stays noted.
    """
    wanted = set(ready)
    sent = 0
    batch: list[ConsumerRecord[bytes, bytes]] = []
    producer = AIOKafkaProducer(**broker.arguments(), acks="all", linger_ms=5)
    await producer.start()
    try:
        left = len(wanted)
        async for record in read_to_end(broker, starts(ready)):
            if Origin(record.topic, record.partition, record.offset) not in wanted:
                continue
            batch.append(record)
            left -= 1
            if len(batch) >= BATCH or not left:
                await _send(producer, batch)
                sent += len(batch)
                tell(sent)
                batch = []
            if not left:
                break
        if batch:
            await _send(producer, batch)
            sent += len(batch)
            tell(sent)
    finally:
        await producer.stop()
    return sent


async def _send(producer: AIOKafkaProducer, batch: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
    """Send a batch, await it, then note it."""
    pending = []
    for record in batch:
        count = str(replays_of(record.headers) + 1).encode()
        headers = [(name, value) for name, value in record.headers if name != REPLAYS_HEADER]
        pending.append(
            await producer.send(
                record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=[*headers, (REPLAYS_HEADER, count)],
            )
        )
    for acknowledged in pending:
        await acknowledged
    noted = [await producer.send(TOPICS[record.topic].dead_letters, _note(record)) for record in batch]
    for acknowledged in noted:
        await acknowledged


def _note(record: ConsumerRecord[bytes, bytes]) -> bytes:
    origin = Origin(record.topic, record.partition, record.offset)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"origin": origin._asdict(), "replayed_at": now})


async def message_at(broker: Connection, origin: Origin) -> ConsumerRecord[bytes, bytes] | None:
    """The message at a place; `None` when it is not there any more.

    Raises:
        KafkaError: the broker does not answer.
    """
    async for record in read_to_end(broker, {TopicPartition(origin.topic, origin.partition): origin.offset}):
        return record if record.offset == origin.offset else None
    return None
