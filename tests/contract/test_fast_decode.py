"""`fast.decode` answers what `envelope.decode` answers, to every byte: acceptance, reason, detail, and every value."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import envelope, fast
from shared.contracts.envelope import Envelope, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import INSTANT_PATTERN, rfc3339
from shared.contracts.topics import MESSAGE_MAX_BYTES, TOPICS
from shared.messaging.consume import split
from shared.messaging.records import Record, records_of
from tests.contract.alike import assert_same, fitting, plain, values_of, written_with
from tests.contract.mutations import at, bounds_of, paths_of, put, replacements
from tests.contract.schemas import example_of, schema_of

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the model fails."""

    def asked(*_: Any) -> Envelope:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(envelope, "decode", asked)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("traceparent", [None, TRACEPARENT])
def test_what_we_publish_is_decoded_without_the_model(topic: str, traceparent: str | None, no_model: None) -> None:
    example = EXAMPLES[topic]
    for version in (1, 255, 256, 2**31 - 1):
        event = example.event.model_copy(update={example.event.order: version})
        message = encode(Envelope(example.id, example.time, event, traceparent))
        for headers in (message.headers, tuple(message.headers)):
            decoded = fast.decode(message.topic, message.key, headers, message.value)
            assert (decoded.id, decoded.time, decoded.traceparent) == (example.id, example.time, traceparent)
            assert plain(decoded.event) == plain(event)
            assert decoded.event == fast.struct_of(event)
            assert type(decoded.event) is type(fast.struct_of(event))
            assert hash(decoded.event) == hash(fast.struct_of(event))


@pytest.mark.parametrize("topic", TOPICS)
def test_they_agree_on_every_single_mistake(topic: str) -> None:
    value = example_of(topic)["value"]
    bounds = bounds_of(schema_of(topic))
    accepted = refused = 0
    for path in paths_of(value):
        part = at(value, path)
        is_number = isinstance(part, int | float) and not isinstance(part, bool)
        for replacement in [*replacements(part), *(bounds if is_number else ())]:
            spoiled = put(value, path, replacement)
            written = json.dumps(spoiled, ensure_ascii=False).encode()
            is_accepted = assert_same(fitting(topic, written, spoiled), (path, replacement))
            accepted, refused = accepted + is_accepted, refused + (not is_accepted)
    assert refused > 50
    assert accepted > 5  # or nothing was tested


_NUMBERS = (
    *("1.0", "-0", "-0.0", "0.0", "1e0", "1E0", "1e2", "10e-1", "01", "+1", "1.", ".5", "1_0", "0x1", "-", "1e", "１"),
    *("NaN", "Infinity", "-Infinity", "nan", "1e400", "-1e400", "1e-400", "5e-324", "2.4703282292062327208e-324"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1" + "0" * 5_000),
    *("37.30000000000000426325641456060111522674560546875", "0." + "1" * 900, "0.1e1", "3.73e1", "90.00000000000001"),
    *("90.000000000000001", "-180.0", "179.99999999999999999999", "1 1", "1,", "1/**/", "true", "null", '"1"', "[1]"),
)
_TEXTS = (
    *(r'"\u0041"', r'"\ud800"', r'"\udc00\ud800"', r'"\q"', '"\x01"', '"\x7f"', '"\t"', "'x'", '"', '"\\"', r'"\u00"'),
    *('"３"', '"\N{ZERO WIDTH SPACE}"', '"\N{LATIN SMALL LETTER SHARP S}"'),
)


@pytest.mark.parametrize("topic", TOPICS)
def test_they_agree_on_every_way_to_write_a_part(topic: str) -> None:
    """What never comes out of a JSON writer: other forms of numbers, escapes, controls, names that stand twice."""
    value = example_of(topic)["value"]
    accepted = refused = 0
    for path in paths_of(value):
        part = at(value, path)
        forms: Iterator[str] = iter(())
        if isinstance(part, int | float) and not isinstance(part, bool):
            forms = iter((*_NUMBERS, f"{part}.0", f"{part}e0", f"{part}00e-2", f" {part} ", f"0{part}"))
        elif isinstance(part, str):
            escaped = "".join(f"\\u{ord(sign):04x}" for sign in part)
            forms = iter((*_TEXTS, f'"{escaped}"', f'"{part}\\n"', f'"{part}\x00"', f'\n"{part}"\t', f'"{part}"x'))
        elif isinstance(part, dict) and part:
            name, inner = next(iter(part.items()))
            raw, body = json.dumps(part), json.dumps(part)[1:-1]
            twice = (
                f'{{"{name}": {first}, {body}, "{name}": {last}}}'
                for first in (json.dumps(inner), '{"x": 1}')
                for last in (json.dumps(inner), "[]")
            )
            unknown = (
                f'{{"later": {deep}, {body}}}'
                for deep in (
                    "01",
                    "NaN",
                    "1e999",
                    "[" * 190 + "]" * 190,
                    "[" * 300 + "]" * 300,
                    '"\\ud800"',
                    '"\x01"',
                    "9" * 5_000,
                    '{"a": 1, "a": 2}',
                    "[1,]",
                )
            )
            forms = iter(
                (
                    *twice,
                    *unknown,
                    f"{raw[:-1]},}}",
                    f"{raw},",
                    raw.replace('"', "'"),
                    f"[{raw}]",
                    raw.replace(f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"', 1),
                )
            )
        elif isinstance(part, list):
            forms = iter((f"[{json.dumps(part)[1:-1]},]", f"[,{json.dumps(part)[1:-1]}]", "[" * 5_000))
        for text in forms:
            is_accepted = assert_same(fitting(topic, written_with(value, path, text), value), (path, text[:60]))
            accepted, refused = accepted + is_accepted, refused + (not is_accepted)
    assert refused > 50
    assert accepted > 5


@pytest.mark.parametrize("topic", TOPICS)
def test_they_agree_on_bytes_around_a_value(topic: str) -> None:
    good = json.dumps(example_of(topic)["value"]).encode()
    for value in (
        *(
            b"",
            b"null",
            b"[]",
            b"{}",
            b"{}{}",
            b"[" * 200_000,
            b'{"a":' * 40_000,
            b"9" * 200_000,
            b"\xff\xfe{\x00}\x00",
        ),
        *(b"\xef\xbb\xbf" + good, good + b"\x00", good + b" \r\n\t", b"\x0c" + good, good + b"\xc2\xa0", good + good),
        *(good[:-1], good[1:], good + b" " * (MESSAGE_MAX_BYTES - len(good)), good + b" " * MESSAGE_MAX_BYTES),
        *(
            good.replace(b'"city"', b'"city\xff"'),
            good.replace(b"370600", b"37060\xff"),
            good.decode().encode("utf-16"),
        ),
    ):
        assert_same(fitting(topic, value, example_of(topic)["value"]), value[:40])
    assert_same((topic, b"", fitting(topic, good)[2], None))
    assert_same((topic, None, fitting(topic, good)[2], good))
    assert_same(("no-such-topic", b"", fitting(topic, good)[2], good))


_bytes = st.binary(max_size=40)
_ZEROS = b"0" * 32
HEADER_TEXTS: tuple[bytes | None, ...] = (
    *(None, b"", b"\xff", b"1", b"01", b"+1", b"1 ", b"1_0", "１".encode(), b"9" * 30, b"2026-03-02", b"370600"),
    *(b"evt-" + _ZEROS, b"evt-0" + _ZEROS, b"EVT-" + _ZEROS, b"evt-" + _ZEROS + b"\n", b"1.0", b"application/json"),
    *(b"2026-03-07T01:00:00", b"2026-03-07T24:00:00Z", b"0001-01-01T00:00:00+08:00", b"20260307T010000Z"),
    *(b"2026-03-07T09:00:00+08:00", b"2026-03-07T01:00:00.123456Z", b"2026-03-07T01:00:00.000+00:00"),
    *(TRACEPARENT.encode(), TRACEPARENT.upper().encode(), TRACEPARENT.encode() + b"\n", b"00-x"),
)
_header_texts = st.sampled_from(HEADER_TEXTS)
_header_names = st.sampled_from([name for name, _ in encode(EXAMPLES["post-opened"]).headers] + ["traceparent"])


def test_they_agree_on_every_single_bad_header() -> None:
    message = encode(EXAMPLES["post-opened"])
    headers: list[tuple[str, bytes | None]] = [*message.headers, ("traceparent", TRACEPARENT.encode())]
    accepted = 0
    for place, (name, _) in enumerate(headers):
        for text in HEADER_TEXTS:
            spoiled = [*headers[:place], (name, text), *headers[place + 1 :]]
            accepted += assert_same((message.topic, message.key, spoiled, message.value), (name, text))
    assert accepted > 10  # some are as good as ours: a time with an offset, a trace of no form


@settings(max_examples=400)
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_they_agree_on_headers_and_key(topic: str, data: st.DataObject) -> None:
    message = encode(EXAMPLES[topic])
    headers: list[tuple[str, bytes | None]] = [*message.headers]
    key: bytes | None = message.key
    if data.draw(st.booleans()):
        headers.append(("traceparent", TRACEPARENT.encode()))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(headers) - 1)) if headers else 0
        match data.draw(st.sampled_from(["value", "name", "add", "drop", "twice", "order", "key", "near"])):
            case "value" if headers:
                headers[place] = (headers[place][0], data.draw(_header_texts | _bytes))
            case "near" if headers:
                raw = bytearray(headers[place][1] or b"x")
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
                headers[place] = (headers[place][0], bytes(raw))
            case "name" if headers:
                headers[place] = (data.draw(_header_names | st.text(max_size=8)), headers[place][1])
            case "add":
                name = data.draw(_header_names | st.sampled_from(["ce_later", "baggage", "CE_ID"]))
                headers.insert(place, (name, data.draw(_header_texts | _bytes)))
            case "drop" if headers:
                del headers[place]
            case "twice" if headers:
                headers.append(headers[place])
            case "order":
                random.Random(place).shuffle(headers)
            case _:
                key = data.draw(st.none() | _bytes)
    assert_same((topic, key, headers, message.value))


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=25)
@given(data=st.data())
def test_all_that_the_schema_allows_is_decoded_alike_and_without_the_model(topic: str, data: st.DataObject) -> None:
    schema = schema_of(topic)
    value = data.draw(values_of(schema, schema.get("$defs", {})))
    order = TOPICS[topic].event.order
    value.setdefault(order, 1)  # or its default is not what the headers say
    message = fitting(topic, json.dumps(value, indent=data.draw(st.sampled_from([None, 2]))).encode(), value)
    assert assert_same(message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "_slowly", None)  # to call it is an error
        fast.decode(*message)


_near_instants = (
    st.from_regex(INSTANT_PATTERN[:-1] + r"\Z")
    | st.text("0123456789-:.TZtz+, W３", min_size=24, max_size=24)
    | st.builds(
        lambda instant, place, sign: instant[:place] + sign + instant[place + 1 :],
        st.datetimes(timezones=st.just(UTC)).map(rfc3339),
        st.integers(0, 24),
        st.text("0123456789-:.TZtz+, W３\n", max_size=2),
    )
    | st.sampled_from(
        [
            *(
                "2026-03-02T24:00:00.000Z",
                "2026-03-02T23:59:60.000Z",
                "2026-02-29T00:00:00.000Z",
                "2026-W10-1T01:00:00.00Z",
            ),
            *(
                "2026-03-02T01:00:00,000Z",
                "2026-03-02 01:00:00.000Z",
                "2026-03-02T01:00:00.000z",
                "2026-061T01:00:00.0000Z",
            ),
            *(
                "2026-03-02T01:00:00+00:0Z",
                "20260302T010000.0000000Z",
                "2026-03-02T01:00:00.0+0Z",
                "0000-03-02T01:00:00.000Z",
            ),
        ]
    )
)
_near_days = (
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
    | st.text("0123456789-TW ３", min_size=8, max_size=11)
    | st.dates().map(str)
)


@settings(max_examples=600)
@given(_near_instants, st.sampled_from(["opened_at", "closes_at"]))
def test_they_agree_on_instants(text: str, field: str) -> None:
    value = example_of("post-opened")["value"] | {field: text}
    assert_same(fitting("post-opened", json.dumps(value, ensure_ascii=False).encode(), value), text)


@settings(max_examples=400)
@given(_near_days)
def test_they_agree_on_days(text: str) -> None:
    value = example_of("seeker-registered")["value"] | {"eligible_until": text}
    assert_same(fitting("seeker-registered", json.dumps(value, ensure_ascii=False).encode(), value), text)


_degrees = st.from_regex(r"\A-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")


@settings(max_examples=600)
@given(_degrees | st.floats(-181, 181).map(repr) | st.decimals(-180, 180, places=25).map(str))
def test_they_agree_on_degrees_to_the_last_bit(text: str) -> None:
    value = example_of("seeker-registered")["value"]
    written = written_with(value, ("home", "lon"), text)
    assert_same(fitting("seeker-registered", written, value), text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_they_agree_on_several_mistakes_at_once(topic: str, data: st.DataObject) -> None:
    value = example_of(topic)["value"]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(paths_of(value))))
        known = st.sampled_from(list(replacements(at(value, path))))
        value = put(value, path, data.draw(known | _json))
    assert_same(
        fitting(topic, json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "replace"), value)
    )


@settings(max_examples=400)
@given(st.sampled_from(sorted(TOPICS)), st.data())
def test_they_agree_on_a_value_with_bytes_changed(topic: str, data: st.DataObject) -> None:
    good = json.dumps(example_of(topic)["value"]).encode()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 4, len(good))))
    value = (
        good[:start]
        + data.draw(st.binary(max_size=4) | st.sampled_from(list(b'"{}[],:\\ 01')).map(lambda b: bytes([b])))
        + good[end:]
    )
    assert_same(fitting(topic, value, example_of(topic)["value"]), value)


def test_a_batch_is_split_alike_by_both() -> None:
    messages: list[ConsumerRecord[bytes, bytes]] = []
    for offset, topic in enumerate(TOPICS):
        message = encode(EXAMPLES[topic])
        for value in (
            message.value,
            message.value,
            message.value[:-1],
            message.value.replace(b'"city":"3', b'"city":"x'),
        ):
            messages.append(
                ConsumerRecord(
                    topic=topic,
                    partition=0,
                    offset=offset,
                    timestamp=0,
                    timestamp_type=0,
                    key=message.key,
                    value=value,
                    checksum=None,
                    serialized_key_size=0,
                    serialized_value_size=0,
                    headers=message.headers,
                )
            )
    (ours, our_bad), (reference, bad) = split(records_of(messages, fast.decode)), split(records_of(messages))
    assert len(bad) == 2 * len(TOPICS)
    assert [(_kept(one.record), one.reason, one.detail, one.attempts, one.event_id) for one in our_bad] == [
        (_kept(one.record), one.reason, one.detail, one.attempts, one.event_id) for one in bad
    ]
    assert [(_kept(record), one.id, one.time, plain(one.event)) for record, one in ours] == [
        (_kept(record), one.id, one.time, plain(one.event)) for record, one in reference
    ]


def _kept(record: Record) -> tuple[object, ...]:
    """All of a record but what was found in it, which is compared by itself."""
    return (record.topic, record.partition, record.offset, record.value, record.replays)


def test_a_field_added_later_costs_time_and_nothing_else() -> None:
    value = example_of("post-closed")["value"] | {"added_later": {"free": ["form", None, 1.5]}}
    assert assert_same(fitting("post-closed", json.dumps(value).encode(), value))
