"""`decode` for a service that reads whole topics: what `envelope.decode` answers, several times as fast.

A message as `envelope.encode` writes it is decoded by msgspec into a struct made from the event's model
(`shared.contracts.fast_structs`). All others, from one more header to a broken byte, go to `envelope.decode`, which
alone decides what is refused and why. So the two could only differ if something were accepted here that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast

import msgspec

from shared.contracts import envelope
from shared.contracts.envelope import ID, TRACE, Envelope
from shared.contracts.fast_structs import SEPARATOR, EventStruct, Structs, read_instant
from shared.contracts.fields import Event
from shared.contracts.topics import MESSAGE_MAX_BYTES, TOPICS, Topic

_DOUBTS = (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What a message that is not as expected may raise on the way; then `envelope.decode` says what it is."""

_SEQUENCES = tuple(str(number).encode() for number in range(256))
"""Most entities have few versions, and to look one up is cheaper than to write it."""

_NAMES = ("ce_id", "ce_time", "ce_partitionkey", "ce_sequence")

_time = datetime.fromisoformat

_STRUCTS = Structs()


class _Plan(NamedTuple):
    """What is known of a topic's messages before any comes.

    Attributes:
        constants: headers that are the same on all of them, and the names of the others, in the order of
            `envelope.encode`.
        read: decodes a value.
        texts_of: gives the texts of an event that `read` leaves unchecked.
        is_formed: matches the id of a message and those texts, joined by `SEPARATOR`.
    """

    constants: tuple[object, ...]
    read: Callable[[bytes], Any]
    texts_of: Callable[[Any], tuple[str, ...]]
    is_formed: Callable[[str], object]


def _plan_of(topic: Topic) -> _Plan:
    event = topic.event
    struct = cast(type[EventStruct], _STRUCTS.of(event))
    forms = [ID.pattern, *struct.texts.values()]
    return _Plan(
        constants=(*envelope.constants_of(event), *_NAMES),
        read=msgspec.json.Decoder(struct, dec_hook=read_instant).decode,
        texts_of=attrgetter(*struct.texts),  # at least two, its city and its entity: a tuple
        is_formed=re.compile(SEPARATOR.join(f"(?:{form})" for form in forms)).fullmatch,
    )


class _Plans(dict[str, _Plan]):
    """The plan of each topic, made when its first message comes: a service reads some of them, and none to start."""

    def __missing__(self, name: str) -> _Plan:
        plan = self[name] = _plan_of(TOPICS[name])
        return plan


_PLANS = _Plans()


def decode(topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None) -> Envelope:
    """The event in a message, as a struct with the attributes of its model; not an instance of the model.

    Raises:
        Undecodable: as `envelope.decode` raises for the same message; nothing else is ever raised.
    """
    try:
        constants, read, texts_of, is_formed = _PLANS[topic]
        ours: Any = headers
        body: Any = value
        trace = None
        if len(ours) == 10 and ours[9][0] == "traceparent":
            trace = ours[9][1].decode()
            if not TRACE.fullmatch(trace):
                trace = None
            ours = ours[:9]
        form, version, (a, id_), kind, source, (b, written), schema, (c, city), (d, sequence) = ours
        if (form, version, kind, source, schema, a, b, c, d) == constants and len(body) <= MESSAGE_MAX_BYTES:
            event = read(body)
            count = event.entity_version
            event_id = id_.decode()
            time = _time(written.decode())
            if (
                key == event.entity_id.encode()
                and city == event.city.encode()
                and sequence == (_SEQUENCES[count] if count < 256 else str(count).encode())
                and is_formed(SEPARATOR.join((event_id, *texts_of(event))))
                and time.tzinfo is UTC
            ):
                return Envelope(event_id, time, event, trace)
    except _DOUBTS:
        return _slowly(topic, key, headers, value)
    return _slowly(topic, key, headers, value)


def _slowly(
    topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None
) -> Envelope:
    decoded = envelope.decode(topic, key, headers, value)
    return Envelope(decoded.id, decoded.time, struct_of(decoded.event), decoded.traceparent)


def struct_of(event: Event) -> Event:
    """An event of a model as the struct that `decode` gives for it, which stands in for the model's type."""
    return cast(Event, _STRUCTS.made_from(event))


def carried_of(topic: str) -> type[msgspec.Struct]:
    """The struct of a topic's events for those that were decoded before, by `decode` or in another process."""
    return _STRUCTS.carried(TOPICS[topic].event)


def row_of(topic: str) -> Callable[[Event], Sequence[Any]]:
    """What gives the values of an event in the order of `carried_of`."""
    return _STRUCTS.row_of(TOPICS[topic].event)
