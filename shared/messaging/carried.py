"""What goes between a service and the process that fetches for it (`shared.messaging.fetch`), in MessagePack.

What that process has found valid is not checked again: a record comes as a row of values, and is read into structs
with the same attributes, but without limits and patterns. That takes a third of the time of unpacking and decoding a
message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from shared.contracts import fast
from shared.contracts.envelope import Envelope, Reason, Undecodable
from shared.messaging.records import Record

LENGTH_BYTES = 4
"""Before each of these messages stands its length, big-endian."""

NOTHING = (0).to_bytes(LENGTH_BYTES, "big")
"""The message that nothing was found: who writes it is at work."""

_encode = msgspec.msgpack.Encoder().encode
_PLAIN: dict[str, Any] = {"frozen": True, "gc": False, "array_like": True}


class Fetch(msgspec.Struct, frozen=True, array_like=True):
    """Command: fetch on from these places, and nothing else any more.

    Attributes:
        number: of the command, which all that is fetched by it repeats.
        places: topic, partition, offset.
    """

    number: int
    places: list[tuple[str, int, int]]


class End(msgspec.Struct, frozen=True, array_like=True):
    """What a fetch told of a partition.

    Attributes:
        highwater: offset that the next message gets.
        at_ms: when it was told, Unix time.
    """

    topic: str
    partition: int
    highwater: int
    at_ms: int


class Fetched(msgspec.Struct, frozen=True, array_like=True):
    """What was fetched of one topic by the command of this number; `records_of` gives its records.

    Attributes:
        count: of records.
        valid: rows of the valid ones.
        refused: those that are no events.
    """

    number: int
    topic: str
    count: int
    ends: list[End]
    valid: msgspec.Raw
    refused: list[_Refused]


class _Refused(msgspec.Struct, frozen=True, array_like=True):
    partition: int
    offset: int
    value: bytes | None
    replays: int
    reason: Reason
    detail: str


read_fetch: Callable[[bytes], Fetch] = msgspec.msgpack.Decoder(Fetch).decode
read_fetched: Callable[[bytes], Fetched] = msgspec.msgpack.Decoder(Fetched).decode


def framed(body: bytes) -> bytes:
    """A message with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def messages_in(begun: bytearray | bytes) -> Iterator[bytes]:
    """The whole messages at the beginning of what has come."""
    at = 0
    while (start := at + LENGTH_BYTES) <= len(begun):
        at = start + int.from_bytes(begun[at:start], "big")
        if at > len(begun):
            return
        yield bytes(begun[start:at])


def parts_of(written: bytes) -> list[Fetched]:
    """What `write_fetched` has written, read."""
    return [*map(read_fetched, messages_in(written))]


def write_fetch(fetch: Fetch) -> bytes:
    """A command as `read_fetch` reads it."""
    return framed(_encode(fetch))


def write_fetched(number: int, ends: Sequence[End], records: Sequence[Record]) -> bytes:
    """What was fetched, topic by topic, each as `read_fetched` reads it.

    Args:
        records: decoded by `fast.decode`.
    """
    ends_of, of = defaultdict[str, list[End]](list), defaultdict[str, list[Record]](list)
    for end in ends:
        ends_of[end.topic].append(end)
    for record in records:
        of[record.topic].append(record)
    # One after the other, for the service gives each topic its turn.
    return b"".join(
        framed(_encode((number, topic, len(of[topic]), ends_of[topic], *_split(topic, of[topic]))))
        for topic in {**ends_of, **of}
    )


def _split(topic: str, records: Sequence[Record]) -> tuple[list[Any], list[_Refused]]:
    good = [(one, found) for one in records if not isinstance(found := one.found, Undecodable)]
    refused = [
        _Refused(one.partition, one.offset, one.value, one.replays, found.reason, found.detail)
        for one in records
        if isinstance(found := one.found, Undecodable)
    ]
    return _rows(fast.row_of(topic), good) if good else [], refused


def _rows(row: Callable[[Any], Sequence[Any]], good: Sequence[tuple[Record, Envelope]]) -> list[Any]:
    return [
        (
            one.topic,
            one.partition,
            one.offset,
            one.value,
            one.replays,
            (envelope.id, envelope.time, row(envelope.event), envelope.traceparent),
        )
        for one, envelope in good
    ]


def records_of(fetched: Fetched) -> list[Record]:
    """The records, those of one partition in order."""
    records = _reader_of(fetched.topic)(fetched.valid) if fetched.count > len(fetched.refused) else []
    if fetched.refused:
        records += [
            Record(
                fetched.topic, one.partition, one.offset, one.value, one.replays, Undecodable(one.reason, one.detail)
            )
            for one in fetched.refused
        ]
        records.sort(key=attrgetter("partition", "offset"))
    return records


@cache
def _reader_of(topic: str) -> Callable[[msgspec.Raw], list[Record]]:
    event = ("event", fast.carried_of(topic))
    envelope = msgspec.defstruct(
        "Envelope", [("id", str), ("time", datetime), event, ("traceparent", str | None)], bases=(Envelope,), **_PLAIN
    )
    place = [("topic", str), ("partition", int), ("offset", int), ("value", bytes | None), ("replays", int)]
    record = msgspec.defstruct("Record", [*place, ("found", envelope)], bases=(Record,), **_PLAIN)
    return msgspec.msgpack.Decoder(list.__class_getitem__(record)).decode
