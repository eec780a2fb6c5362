"""`decode` takes anything from anyone, answers with an event or `Undecodable`, and repeats no value (promise 4)."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from aiokafka import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import Envelope, Undecodable, decode
from shared.contracts.topics import MESSAGE_MAX_BYTES, TOPICS
from shared.messaging.consume import split
from shared.messaging.dead_letters import DeadLetters, Rejected
from shared.messaging.records import records_of
from tests.contract.mutations import at, paths_of, put
from tests.contract.schemas import example_of, message_of

Headers = list[tuple[str, bytes | None]]
TOPIC = "post-opened"


def try_decode(topic: str, key: bytes | None, headers: Headers, value: bytes | None) -> Envelope | Undecodable:
    try:
        return decode(topic, key, headers, value)
    except Undecodable as error:
        return error


def reason_of(key: bytes | None, headers: Headers, value: bytes | None, topic: str = TOPIC) -> str:
    outcome = try_decode(topic, key, headers, value)
    assert isinstance(outcome, Undecodable), "it was accepted"
    return outcome.reason


def good() -> tuple[bytes, Headers, bytes]:
    _, key, headers, value = message_of(example_of(TOPIC))
    return key, headers, value


def with_header(name: str, value: bytes | None) -> Headers:
    return [(known, value if known == name else raw) for known, raw in good()[1]]


_bytes = st.binary(max_size=60)
_names = st.sampled_from([name for name, _ in good()[1]]) | st.text(max_size=12) | st.just("traceparent")
_headers = st.lists(st.tuples(_names, st.none() | _bytes), max_size=12)


@settings(max_examples=250)
@given(st.sampled_from([*TOPICS, "no-such-topic"]), st.none() | _bytes, _headers, st.none() | _bytes)
def test_anything_at_all(topic: str, key: bytes | None, headers: Headers, value: bytes | None) -> None:
    try_decode(topic, key, headers, value)


@settings(max_examples=250)
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_an_event_with_bytes_changed(topic: str, data: st.DataObject) -> None:
    """Near misses reach the later checks, which noise never does."""
    name, key, headers, value = message_of(example_of(topic))
    what = data.draw(st.sampled_from(["key", "header", "value", "all"]))
    if what in ("key", "all"):
        key = data.draw(_bytes)
    if what in ("header", "all"):
        place = data.draw(st.integers(0, len(headers) - 1))
        headers[place] = (headers[place][0], data.draw(_bytes | st.text(max_size=30).map(lambda t: t.encode("utf-16"))))
        headers += data.draw(_headers)
    if what in ("value", "all"):
        start = data.draw(st.integers(0, len(value)))
        end = data.draw(st.integers(start, min(start + 20, len(value))))
        value = value[:start] + data.draw(_bytes) + value[end:]
    try_decode(name, key, headers, value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b"{",
        b"{}{}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b"9" * 200_000,
        b'{"version": 1e999999999}',
        b'{"version": NaN}',
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_not_an_event_is_said_to_be_none(value: bytes) -> None:
    key, headers, _ = good()
    assert reason_of(key, headers, value) in ("not-json", "invalid")


def test_a_reason_for_each_mistake() -> None:
    key, headers, value = good()
    assert reason_of(key, headers, None) == "not-json"
    assert reason_of(key, headers, b"{" + b" " * MESSAGE_MAX_BYTES) == "too-large"
    assert reason_of(key, headers, value[:-1]) == "not-json"
    assert reason_of(key, headers, b"{}") == "invalid"
    assert reason_of(None, headers, value) == "wrong-key"
    assert reason_of(b"pst-" + b"0" * 32, headers, value) == "wrong-key"
    assert reason_of(key, headers, value, topic="post-closed") == "wrong-topic"
    assert reason_of(key, [], value) == "missing-header"
    for name, raw in headers:
        if name in ("content-type", "ce_dataschema"):
            continue
        assert reason_of(key, [(n, r) for n, r in headers if n != name], value) == "missing-header"
        assert reason_of(key, with_header(name, None), value) == "missing-header"
        assert reason_of(key, with_header(name, b"\xff"), value) == "bad-header"
        assert raw


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("ce_specversion", b"0.3", "wrong-version"),
        ("ce_type", b"mamapost.post-opened.v2", "wrong-version"),
        ("ce_type", b"mamapost.post-opened.v0", "unknown-type"),
        ("ce_type", b"mamapost.post-opened.v1\n", "unknown-type"),
        ("ce_type", b"mamapost.post-moved.v1", "unknown-type"),
        ("ce_type", b"post-opened", "unknown-type"),
        ("ce_type", b"mamapost.post-closed.v1", "wrong-topic"),
        ("ce_time", b"yesterday", "bad-header"),
        ("ce_time", b"2026-03-07T01:00:00", "bad-header"),
        ("ce_time", b"0001-01-01T00:00:00+08:00", "bad-header"),
        ("ce_sequence", b"2", "bad-header"),
        ("ce_sequence", b"0", "bad-header"),
        ("ce_sequence", b" 1", "bad-header"),
        ("ce_sequence", b"+1", "bad-header"),
        ("ce_sequence", b"1_", "bad-header"),
        ("ce_sequence", "１".encode(), "bad-header"),
        ("ce_sequence", b"9" * 5_000, "bad-header"),
        ("ce_partitionkey", b"370700", "bad-header"),
        ("ce_id", b"x", "bad-header"),
        ("ce_id", b"evt-" + b"0" * 33, "bad-header"),
        ("ce_source", b"/mamapost/matching", "bad-header"),
    ],
)
def test_a_reason_for_each_bad_header(name: str, raw: bytes, reason: str) -> None:
    key, _, value = good()
    assert reason_of(key, with_header(name, raw), value) == reason


def test_a_foreign_producer_may_write_its_time_with_an_offset() -> None:
    key, headers, value = good()
    written = decode(TOPIC, key, with_header("ce_time", b"2026-03-07T09:00:00+08:00"), value)
    assert written == decode(TOPIC, key, headers, value)


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def send(self, *given: Any, **named: Any) -> Any:
        self.calls.append((given, named))

        async def acknowledged() -> None:
            return None

        return acknowledged()


# A name, an identity number, a telephone number, as text and as numbers.
MARKS: tuple[Any, ...] = ("王小妹 370602199003074321", 370602199003074321, 13805351234)


def marked_messages(mark: Any) -> Iterator[tuple[str, bytes | None, Headers, bytes | None]]:
    """Every example with the mark at every place of it, one at a time: value, name of a field, key, header."""
    text = str(mark)
    for topic in TOPICS:
        name, key, headers, value = message_of(example_of(topic))
        payload = example_of(topic)["value"]
        for path in paths_of(payload):
            for spoiled in (mark, [mark], {text: mark}):
                yield name, key, headers, json.dumps(put(payload, path, spoiled)).encode()
            if isinstance(at(payload, path), dict):
                yield name, key, headers, json.dumps(put(payload, (*path, text), mark)).encode()
        yield name, text.encode(), headers, value
        yield name, key, headers, text.encode()
        yield name, key, headers, b"{" + text.encode()
        yield name, key, headers, text.encode("gb18030")
        yield name, key, headers, text.encode() * 20_000
        yield name, key, [(f"ce_{text}", text.encode())], value
        yield name, key, [("traceparent", text.encode()), *headers], value
        yield name, key, [(f"ce_{text}", text.encode("gb18030")), *headers], value
        for place, (header, raw) in enumerate(headers):
            for content in (text.encode(), text.encode("gb18030"), (raw or b"") + text.encode()):
                yield name, key, [*headers[:place], (header, content), *headers[place + 1 :]], value


@pytest.mark.parametrize("mark", MARKS, ids=["text", "identity", "telephone"])
async def test_no_value_of_a_message_is_told_anywhere(mark: Any) -> None:
    text = str(mark)
    parts = {text, *text.split()}
    forms = {form for part in parts for form in (part, json.dumps(part).strip('"'), repr(part.encode())[2:-1])}
    messages: list[ConsumerRecord[bytes, bytes]] = [
        ConsumerRecord(
            topic=topic,
            partition=0,
            offset=offset,
            timestamp=0,
            timestamp_type=0,
            key=key,
            value=value,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            headers=headers,
        )
        for offset, (topic, key, headers, value) in enumerate(marked_messages(mark))
    ]
    for message in messages:
        outcome = try_decode(message.topic, message.key, list(message.headers), message.value)
        if isinstance(outcome, Undecodable):
            shown = "".join(traceback.format_exception(outcome)) + repr(outcome.args) + outcome.detail + outcome.reason
            assert not any(form in shown for form in forms), shown
        elif isinstance(mark, str):
            # What was accepted has dropped the mark: it stood in an unknown field, or in a header that is not read.
            assert not any(form in repr(outcome) for form in forms), outcome
    good_ones, bad = split(records_of(messages))
    assert len(bad) > len(good_ones) > 0  # an unknown field may hold anything; it is not read
    sent, letters = Sent(), DeadLetters("matching")
    letters.connect(sent)
    refused = [Rejected(record, "refused", "refused by a rule") for record, _ in good_ones]
    with structlog.testing.capture_logs() as logs:
        await letters.send([*bad, *refused])
    assert len(sent.calls) == len(logs) == len(bad) + len(refused)
    for call in sent.calls:
        (topic, body), named = call
        assert named == {}, "a dead letter has neither key nor headers"
        assert topic == f"{orjson.loads(body)['origin']['topic']}.dlq"
    told = repr(sent.calls) + repr([orjson.loads(call[0][1]) for call in sent.calls]) + repr(logs)
    assert not any(form in told for form in forms)
