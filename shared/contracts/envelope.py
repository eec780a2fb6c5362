"""An event on the wire: CloudEvents 1.0, Kafka binding, binary mode. Encoding, and decoding that never guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Literal

import msgspec
from pydantic import ValidationError

from shared.contracts.fields import Event, rfc3339
from shared.contracts.topics import MESSAGE_MAX_BYTES, TOPICS, partition_of

Reason = Literal[
    "too-large",
    "bad-header",
    "missing-header",
    "unknown-type",
    "wrong-version",
    "wrong-topic",
    "not-json",
    "invalid",
    "wrong-key",
    "handler-failed",
    "refused",
]
"""Why a message was dead-lettered; also a metric label, so the list is closed."""

ID = re.compile(r"evt-[0-9a-f]{32}")
"""The whole id of an event."""

TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""A whole `traceparent` of W3C; any other is ignored, as it demands."""

_TYPE = re.compile(r"mamapost\.([a-z][a-z-]{0,60})\.v([1-9][0-9]{0,3})")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,9}")
_REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time", "ce_partitionkey", "ce_sequence")


class Undecodable(Exception):
    """A message is not an event of its topic.

    Attributes:
        reason: closed code.
        detail: what was expected and where; never a value of the message, which may be personal.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A valid event with its CloudEvents attributes. A struct, for it is made a hundred thousand times a second."""

    id: str
    time: datetime
    event: Event
    traceparent: str | None = None


Decode = Callable[[str, bytes | None, Sequence[tuple[str, bytes | None]], bytes | None], Envelope]
"""What makes an event of a message's topic, key, headers and value, or raises `Undecodable`; nothing else ever."""


Header = tuple[str, bytes]


class Message(msgspec.Struct, frozen=True, gc=False):
    """An event as it goes to the broker; a struct as `Envelope` is, and for the same reason."""

    topic: str
    partition: int
    key: bytes
    headers: Sequence[Header]
    value: bytes


KEPT_MAX = 1024
"""Headers of each kind that are kept for the next events: a batch has one moment and few cities, versions are small."""


@cache
def constants_of(model: type[Event]) -> tuple[Header, ...]:
    """The headers that are the same on all events of a model."""
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", model.type().encode()),
        ("ce_source", f"/mamapost/{model.source}".encode()),
        ("ce_dataschema", model.schema_id().encode()),
    )


@lru_cache(KEPT_MAX)
def _time_header(time: datetime) -> Header:
    return "ce_time", rfc3339(time).encode()


@lru_cache(KEPT_MAX)
def _city_header(city: str) -> Header:
    return "ce_partitionkey", city.encode()


@lru_cache(KEPT_MAX)
def _sequence_header(version: int) -> Header:
    return "ce_sequence", str(version).encode()


def _headers_of(envelope: Envelope) -> list[Header]:
    """CloudEvents headers of an event, plus `traceparent` where there is one."""
    event = envelope.event
    form, version, kind, source, schema = constants_of(type(event))
    headers = [
        form,
        version,
        ("ce_id", envelope.id.encode()),
        kind,
        source,
        _time_header(envelope.time),
        schema,
        _city_header(event.city),
        _sequence_header(event.entity_version),
    ]
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def encode(envelope: Envelope) -> Message:
    """An event as a Kafka message on its topic, keyed by its entity, in its city's partition.

    Raises:
        TypeError: it is no event of the catalogue, but perhaps a model made from one, with fields that nobody classed.
    """
    event = envelope.event
    topic = TOPICS.get(event.topic)
    if topic is None or type(event) is not topic.event:
        raise TypeError(f"{type(event).__name__} is not in the catalogue of topics")
    return Message(
        topic=event.topic,
        partition=partition_of(event.city),
        key=event.entity_id.encode(),
        headers=_headers_of(envelope),
        # As `model_dump_json`, which would make a text of these bytes first.
        value=event.__pydantic_serializer__.to_json(event, by_alias=True, exclude_none=True),
    )


def decode(topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None) -> Envelope:
    """The event in a message.

    Raises:
        Undecodable: the message is not a valid event of this topic; nothing else is ever raised.
    """
    if value is None:
        raise Undecodable("not-json", "expected a JSON object, got a tombstone")
    if len(value) > MESSAGE_MAX_BYTES:
        raise Undecodable("too-large", f"expected at most {MESSAGE_MAX_BYTES} bytes, got {len(value)}")
    attributes: dict[str, str] = {}
    for name, raw in headers:
        if not name.startswith("ce_") and name != "traceparent":
            continue
        try:
            attributes[name] = (raw or b"").decode()
        except UnicodeDecodeError:
            raise Undecodable("bad-header", "expected UTF-8 in every ce_ header") from None
    missing = [name for name in _REQUIRED if not attributes.get(name)]
    if missing:
        raise Undecodable("missing-header", f"expected headers {', '.join(missing)}")
    if attributes["ce_specversion"] != "1.0":
        raise Undecodable("wrong-version", "ce_specversion: expected 1.0")
    model = _model_of(topic, attributes["ce_type"])
    if attributes["ce_source"] != f"/mamapost/{model.source}":
        raise Undecodable("bad-header", f"ce_source: expected /mamapost/{model.source}, the owner of the topic")
    time = _time_of(attributes["ce_time"])
    if not _SEQUENCE.fullmatch(attributes["ce_sequence"]):
        raise Undecodable("bad-header", "ce_sequence: expected a whole number from 1")
    try:
        # Strict, and by the published names only: exactly what the JSON Schema of the topic allows.
        event = model.model_validate_json(value, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _undecodable(error) from None
    if key is None or key != event.entity_id.encode():
        raise Undecodable("wrong-key", f"key: expected the value of {model.entity}")
    if int(attributes["ce_sequence"]) != event.entity_version or attributes["ce_partitionkey"] != event.city:
        raise Undecodable("bad-header", f"expected ce_sequence = {model.order} and ce_partitionkey = city")
    # These two are logged and passed on, so they may hold nothing but what a machine made up (promise 4).
    if not ID.fullmatch(attributes["ce_id"]):
        raise Undecodable("bad-header", "ce_id: expected the id of an event, `evt-` and 32 hexadecimal digits")
    trace = attributes.get("traceparent", "")
    return Envelope(attributes["ce_id"], time, event, trace if TRACE.fullmatch(trace) else None)


def _time_of(ce_time: str) -> datetime:
    """An instant in UTC; a producer other than ours may write it with any offset and precision."""
    expected = Undecodable("bad-header", "ce_time: expected RFC 3339 with an offset")
    try:
        time = datetime.fromisoformat(ce_time)
        if time.tzinfo is None:
            raise expected
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise expected from None


def _model_of(topic: str, ce_type: str) -> type[Event]:
    match = _TYPE.fullmatch(ce_type)
    if not match or match[1] not in TOPICS:
        raise Undecodable("unknown-type", "ce_type: expected mamapost.<event>.v<number> of the catalogue")
    model = TOPICS[topic if topic in TOPICS else match[1]].event
    if model.event_name() != match[1] or model.topic != topic:
        raise Undecodable("wrong-topic", f"ce_type: expected {match[1]} on its own topic")
    if int(match[2]) != model.major:
        raise Undecodable("wrong-version", f"ce_type: expected v{model.major}")
    return model


def _undecodable(error: ValidationError) -> Undecodable:
    """Field paths and rules only; pydantic's own text would repeat the offending values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if any(fault["type"].startswith("json_") for fault in faults):
        return Undecodable("not-json", "expected a JSON object in UTF-8")
    shown = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['type']}" for fault in faults[:5])
    return Undecodable("invalid", shown)
