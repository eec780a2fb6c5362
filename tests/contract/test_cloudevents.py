"""Our ten-line header mapping against the official SDK: Kafka protocol binding, binary mode, CloudEvents 1.0."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from shared.contracts.envelope import decode, encode
from shared.contracts.examples import EXAMPLES
from shared.messaging.feed import structured

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
def test_the_feed_says_in_one_document_what_kafka_says_in_headers_and_value(topic: str) -> None:
    message = encode(EXAMPLES[topic])
    binary = from_binary(KafkaMessage(dict(message.headers), None, message.value), JSONFormat())
    line = structured({name: value.decode() for name, value in message.headers}, message.value)
    read = JSONFormat().read(CloudEvent, line)
    assert b"\n" not in line
    assert read.get_data() == binary.get_data() == json.loads(message.value)
    assert read.get_attributes() == binary.get_attributes()


NAMES = ["content-type", "ce_id", "ce_type", "ce_partitionkey", "traceparent"]
HOSTILE = [',"ce_', '{"ce_', '"content-type":', '","ce_x":"', "\\", "ce_", "content-type", "\n"]


@example({"ce_id": "ce_x"})
@example({"ce_id": "x", "content-type": ',"ce_'})
@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3)).map("".join), min_size=1
    )
)
def test_whatever_a_header_says_only_names_are_translated(headers: dict[str, str]) -> None:
    names = {name: "datacontenttype" if name == "content-type" else name.removeprefix("ce_") for name in headers}
    told = json.loads(structured(headers, b'{"ce_x":1}'))
    assert told == {names[name]: value for name, value in headers.items()} | {"data": {"ce_x": 1}}
