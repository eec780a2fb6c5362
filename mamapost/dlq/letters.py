"""Dead letters read from their topics. A letter names its message by origin and holds nothing of it (decision 0006).

What was sent again is noted on the same topic, as a message with `replayed_at`; so every operator sees the same state,
and a replay that was broken off goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.errors import LocalRunError
from shared.contracts.topics import TOPICS
from shared.messaging.connection import Connection
from shared.messaging.reading import read_to_end

LETTERS_MAX = 200_000
"""Letters looked at in one call, under 1 kB each; more of them want `--since` or a topic."""


class Origin(NamedTuple):
    """Where the message itself stands."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Attributes:
        offset: its own place, on the one partition of the dead-letter topic.
        replays: how often the message had been sent again before it was set aside this time.
        is_replayed: whether it has been sent again since.
    """

    offset: int
    consumer: str
    reason: str
    detail: str
    attempts: int
    replays: int
    origin: Origin
    size_bytes: int
    sha256: str
    rejected_at: datetime
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; what is `None` does not matter."""

    topics: tuple[str, ...] = ()
    reason: str | None = None
    consumer: str | None = None
    since: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        return (
            (self.reason is None or letter.reason == self.reason)
            and (self.consumer is None or letter.consumer == self.consumer)
            and (self.since is None or letter.rejected_at >= self.since)
        )


async def read_letters(broker: Connection, wanted: Filter) -> list[Letter]:
    """The letters that are meant, in the order in which they were written, topic by topic.

    Raises:
        LocalRunError: there are more than `LETTERS_MAX`.
        KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**broker.arguments())
    await admin.start()
    try:
        existing = set(await admin.list_topics())
    finally:
        await admin.close()
    names = [TOPICS[name].dead_letters for name in wanted.topics or TOPICS]
    places = {TopicPartition(name, 0): 0 for name in names if name in existing}
    letters: dict[tuple[str, int], Letter] = {}
    replayed: dict[Origin, int] = {}
    async for record in read_to_end(broker, places):
        body = _body(record)
        if body is None:
            continue
        if "replayed_at" in body:
            replayed[Origin(**body["origin"])] = record.offset
        elif wanted.takes(letter := _letter(record.offset, body)):
            letters[record.topic, record.offset] = letter
            if len(letters) > LETTERS_MAX:
                raise LocalRunError(f"more than {LETTERS_MAX:,} dead letters: name a topic, a reason, or --since")
    return [_noted(letter, replayed) for letter in letters.values()]


def _body(record: ConsumerRecord[bytes, bytes]) -> dict[str, Any] | None:
    """The content of a message on a dead-letter topic; `None` for what is none of ours."""
    try:
        body = json.loads(record.value or b"")
        return body if isinstance(body, dict) and isinstance(body.get("origin"), dict) else None
    except ValueError:
        return None


def _letter(offset: int, body: Mapping[str, Any]) -> Letter:
    return Letter(
        offset=offset,
        consumer=str(body["consumer"]),
        reason=str(body["reason"]),
        detail=str(body["detail"]),
        attempts=int(body["attempts"]),
        replays=int(body.get("replays", 0)),
        origin=Origin(**body["origin"]),
        size_bytes=int(body["size_bytes"]),
        sha256=str(body["sha256"]),
        rejected_at=datetime.fromisoformat(body["rejected_at"]).astimezone(UTC),
    )


def _noted(letter: Letter, replayed: Mapping[Origin, int]) -> Letter:
    """A letter written after the note is about a message that was read again from its old place: it is open."""
    if replayed.get(letter.origin, -1) <= letter.offset:
        return letter
    fields = {name: getattr(letter, name) for name in Letter.__slots__}
    return Letter(**{**fields, "is_replayed": True})


def starts(origins: Iterable[Origin]) -> dict[TopicPartition, int]:
    """The earliest of the origins in each partition."""
    found: dict[TopicPartition, int] = {}
    for origin in origins:
        place = TopicPartition(origin.topic, origin.partition)
        found[place] = min(origin.offset, found.get(place, origin.offset))
    return found


def by_origin(letters: Collection[Letter]) -> dict[Origin, Letter]:
    """One letter for each message: several consumers may have set it aside, or one of them twice."""
    return {letter.origin: letter for letter in letters}
