"""Messages as a consumer holds them: decoded, and without what nobody asks for any more.

A message of aiokafka is dozens of objects, most of them headers. A batch of them does not fit into the cache of a
processor: to unpack a whole one, then to decode it, then to let it go, waits for memory three times. So a few are
unpacked, decoded and let go at a time (`AT_ONCE`), and what is kept of each is a `Record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

import msgspec
from aiokafka import ConsumerRecord

from shared.contracts.envelope import Decode, Envelope, Undecodable, decode

AT_ONCE = 64
"""Messages that are unpacked before they are decoded: some 150 KB, a fraction of a processor's own cache. Fewer would
not be faster, and each such handful costs a call of the client."""

REPLAYS_HEADER = "mamapost_replays"
"""Header of a message that was sent again: how often. Its dead letter repeats the number: no loop goes unseen."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message, decoded. A struct, for it is made a hundred thousand times a second.

    Attributes:
        value: what a dead letter tells the size and digest of.
        replays: how often the message was sent again.
        found: the event in it, or why there is none.
    """

    topic: str
    partition: int
    offset: int
    value: bytes | None
    replays: int
    found: Envelope | Undecodable


PLACE: Callable[[Record], tuple[str, int]] = attrgetter("topic", "partition")
"""Topic and partition of a record. In a batch those of one partition stand together, in order."""


def records_of(messages: Iterable[ConsumerRecord[bytes, bytes]], decode: Decode = decode) -> list[Record]:
    """Messages of the client library as records, in order. Never raises."""
    records = []
    for message in messages:
        topic, headers, value = message.topic, message.headers, message.value
        found: Envelope | Undecodable
        try:
            found = decode(topic, message.key, headers, value)
        except Undecodable as error:
            found = error.with_traceback(None)  # which would keep the whole message
        records.append(Record(topic, message.partition, message.offset, value, replays_of(headers), found))
    return records


def replays_of(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """How often a message was sent again; 0 where nothing, or nothing sensible, is said of it."""
    said = next((value for name, value in headers if name == REPLAYS_HEADER), None) or b""
    return int(said) if len(said) <= 4 and said.isdigit() else 0
