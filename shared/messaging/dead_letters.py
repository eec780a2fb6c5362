"""Dead letters: one bad message is set aside with its reason, and the rest of its batch goes on (promise 7).

A dead letter tells where the message stands and why it was refused. It does not repeat the message: a bad message may
hold anything, personal data too (promise 4). Its content is at its origin, named by topic, partition and offset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Reason
from shared.contracts.topics import TOPICS
from shared.messaging.records import Record
from shared.runtime import metrics
from shared.runtime.logs import logger

DETAIL_MAX = 500
"""Characters of a detail: enough for five field paths."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that a consumer cannot use.

    Attributes:
        detail: which field, what was expected; no value of the message.
        attempts: how often it was tried.
        event_id: of a message that is a valid event.
    """

    record: Record
    reason: Reason
    detail: str
    attempts: int = 1
    event_id: str | None = None


class DeadLetters:
    """Sends rejected messages to `<topic>.dlq`.

    Args:
        service: the consumer's name, told in each dead letter.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._producer: AIOKafkaProducer | None = None

    def connect(self, producer: AIOKafkaProducer) -> None:
        """Use this producer from now on."""
        self._producer = producer

    async def send(self, rejected: Sequence[Rejected]) -> None:
        """Send all and await the acknowledgements; only then may the offsets be committed.

        Raises:
            KafkaError: not acknowledged; the batch must come again.
        """
        if not rejected:
            return
        if self._producer is None:
            raise RuntimeError("dead letters were sent before the bus was connected")
        pending = [
            await self._producer.send(TOPICS[item.record.topic].dead_letters, self._body(item)) for item in rejected
        ]
        for acknowledged in pending:
            await acknowledged
        for item in rejected:
            metrics.DEAD_LETTERS.labels(item.record.topic, item.reason).inc()
            _log.warning(
                "dead letter",
                topic=item.record.topic,
                partition=item.record.partition,
                offset=item.record.offset,
                reason=item.reason,
                event_id=item.event_id,
                detail=item.detail[:DETAIL_MAX],
            )

    def _body(self, item: Rejected) -> bytes:
        value = item.record.value or b""
        return orjson.dumps(
            {
                "consumer": self._service,
                "reason": item.reason,
                "detail": item.detail[:DETAIL_MAX],
                "attempts": item.attempts,
                "replays": item.record.replays,
                "origin": {
                    "topic": item.record.topic,
                    "partition": item.record.partition,
                    "offset": item.record.offset,
                },
                "size_bytes": len(value),
                "sha256": hashlib.sha256(value).hexdigest(),
                "rejected_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        )
