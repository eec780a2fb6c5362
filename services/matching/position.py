"""Where a partition's rankings stand: the next offset of every topic that they are made of.

A ranking is a function of the events before its position and of the instant it was asked at. Whoever replays the topics
up to the position through the pure functions of `domain` gets the same ranking.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from services.matching.facts import CONSUMED
from shared.contracts.topics import PARTITIONS, TOPICS

TOPIC_ORDER: tuple[str, ...] = tuple(name for name in TOPICS if name in {event.topic for event in CONSUMED})
"""Topics that matching consumes, in the order of the catalogue."""

FORM = hashlib.sha256("\n".join(TOPIC_ORDER).encode()).hexdigest()[:4]
"""Tells positions over other lists of topics apart: a release that consumes one more starts new ones."""

CLUSTER_CHARS = 8
"""Hexadecimal digits that a broker's identity is shortened to; it has to be told from its predecessors only."""

CHARS_MAX = 200
"""Characters of the longest position: 16 topics of 2^62 events each."""

OFFSET_MAX = 2**63 - 1
"""Kafka's offsets are signed words of 64 bits."""

_EXPECTED = "a position as matching answers it"


def short(cluster_id: str) -> str:
    """A broker's identity as positions name it."""
    return hashlib.sha256(cluster_id.encode()).hexdigest()[:CLUSTER_CHARS]


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Next offset of each topic of `TOPIC_ORDER` on one partition of one broker.

    As text it is opaque to readers; it has no colon, so that it cannot be taken for a command's position.
    """

    cluster: str
    partition: int
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, cluster_id: str, partition: int, offsets: Mapping[str, int]) -> StreamPosition:
        """The position of a partition; a topic that was not read yet stands at its beginning."""
        return cls(short(cluster_id), partition, tuple(offsets.get(topic, 0) for topic in TOPIC_ORDER))

    def __str__(self) -> str:
        packed = b"".join(map(_varint, self.offsets))
        return f"{FORM}.{self.cluster}.{self.partition}.{base64.urlsafe_b64encode(packed).rstrip(b'=').decode()}"

    @classmethod
    def parse(cls, text: str) -> StreamPosition:
        """The position in a text.

        Raises:
            ValueError: it is none, or one over another list of topics.
        """
        parts = text.split(".")
        if len(text) > CHARS_MAX or len(parts) != 4 or not text.isascii():
            raise ValueError(_EXPECTED)
        form, cluster, partition, packed = parts
        if form != FORM:
            raise ValueError("a position of this release, which reads other topics than the one before")
        if len(cluster) != CLUSTER_CHARS or not set(cluster) <= set("0123456789abcdef"):
            raise ValueError(_EXPECTED)
        if not partition.isdigit() or str(int(partition)) != partition or int(partition) >= PARTITIONS:
            raise ValueError(_EXPECTED)
        try:
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(_EXPECTED) from None
        found = cls(cluster, int(partition), _offsets(raw))
        if str(found) != text:
            raise ValueError(_EXPECTED)
        return found

    def reaches(self, other: StreamPosition) -> bool:
        """Whether everything before the other position lies before this one.

        Raises:
            ValueError: they are positions of different brokers or partitions, which nothing orders.
        """
        if (self.cluster, self.partition) != (other.cluster, other.partition):
            raise ValueError("a position of the same broker and partition")
        return all(mine >= theirs for mine, theirs in zip(self.offsets, other.offsets, strict=True))


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _offsets(raw: bytes) -> tuple[int, ...]:
    offsets: list[int] = []
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            offsets.append(number)
            number = shift = 0
    if shift or len(offsets) != len(TOPIC_ORDER) or max(offsets) > OFFSET_MAX:
        raise ValueError(_EXPECTED)
    return tuple(offsets)
