"""Our ten-line header mapping against the official SDK: Kafka protocol binding, binary mode, CloudEvents 1.0."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from shared.contracts.envelope import decode, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import rfc3339
from shared.messaging.events import document_of
from shared.messaging.feed import records_of

topics = pytest.mark.parametrize("topic", EXAMPLES)


@topics
def test_the_sdk_reads_what_we_write(topic: str) -> None:
    envelope = EXAMPLES[topic]
    message = encode(envelope)
    # Without the message key: the SDK puts it in the place of `partitionkey`, which stands in a header here.
    read = from_binary(KafkaMessage(dict(message.headers), None, message.value), JSONFormat())
    event = envelope.event
    assert isinstance(read, CloudEvent)  # the SDK checks names and types of all attributes when it makes one
    assert read.get_id() == envelope.id
    assert read.get_type() == f"mamapost.{topic}.v1"
    assert read.get_source() == f"/mamapost/{event.source}"
    assert read.get_specversion() == "1.0"
    assert read.get_time() == envelope.time
    assert read.get_datacontenttype() == "application/json"
    assert read.get_dataschema() == f"urn:mamapost:schema:{topic}:v1"
    assert read.get_extension("partitionkey") == event.city
    assert read.get_extension("sequence") == str(event.entity_version)
    assert read.get_data() == json.loads(message.value)


@topics
def test_we_read_what_the_sdk_writes(topic: str) -> None:
    envelope = EXAMPLES[topic]
    ours = encode(envelope)
    read = from_binary(KafkaMessage(dict(ours.headers), None, ours.value), JSONFormat())
    written = to_binary(read, JSONFormat(), key_mapper=lambda _: envelope.event.entity_id.encode())
    assert isinstance(written.key, bytes)
    assert decode(topic, written.key, list(written.headers.items()), written.value) == envelope
    times = [dict(headers)["ce_time"].decode() for headers in (ours.headers, written.headers.items())]
    assert datetime.fromisoformat(times[0]) == datetime.fromisoformat(times[1])
    assert {**dict(ours.headers), "ce_time": b""} == {**written.headers, "ce_time": b""}


@topics
@pytest.mark.parametrize("trace", [None, f"00-{'4b' * 16}-{'0f' * 8}-01"])
def test_the_feed_says_in_one_document_what_kafka_says_in_headers_and_value(topic: str, trace: str | None) -> None:
    envelope = msgspec.structs.replace(EXAMPLES[topic], traceparent=trace)
    message = encode(envelope)
    binary = from_binary(KafkaMessage(dict(message.headers), None, message.value), JSONFormat())
    record = records_of(topic)(document_of(envelope) | {"feed_round": 7})
    read = JSONFormat().read(CloudEvent, record.line)
    assert b"\n" not in record.line
    assert read.get_data() == binary.get_data() == json.loads(message.value)
    traced = {"traceparent": trace} if trace else {}  # in Kafka a header of its own, which is no attribute there
    assert read.get_attributes() == binary.get_attributes() | traced
    assert record.place == (7, envelope.event.entity_version, envelope.id)
    assert record.line.endswith(b',"data":' + message.value + b"}"), "the very bytes"


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(0), "GMT")])))
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(2026, 3, 2, 1, 0, 0, 999_999, tzinfo=UTC))
def test_an_instant_is_written_in_one_form(instant: datetime) -> None:
    assert rfc3339(instant) == instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=8))])
def test_an_instant_of_another_offset_is_not_written(zone: timezone | None) -> None:
    with pytest.raises(ValueError, match="UTC"):
        rfc3339(datetime(2026, 3, 2, 9, 0, tzinfo=zone))
