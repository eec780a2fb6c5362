"""Two decoders, one of them also in another process: what each answers to a message, to the type and last digit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
from aiokafka import ConsumerRecord
from hypothesis import strategies as st

from shared.contracts import envelope, fast
from shared.contracts.envelope import Decode, Envelope, Undecodable, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import Payload, rfc3339
from shared.contracts.topics import TOPICS
from shared.messaging import carried as pipe
from shared.messaging.records import Record, records_of
from tests.contract.mutations import Path, put
from tests.contract.schemas import example_of

Header = tuple[str, bytes | None]
Message = tuple[str, bytes | None, list[Header], bytes | None]


def plain(value: Any) -> Any:
    """A decoded value with the type of each part and all digits of it, whichever decoder it comes from."""
    if isinstance(value, Payload):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return (tuple, [plain(part) for part in value])
    return (type(value), repr(value))


def outcome(decode: Decode, message: Message) -> Any:
    try:
        decoded = decode(*message)
    except Undecodable as error:
        return error.reason, error.detail
    event = decoded.event
    said = (event.topic, event.major, event.source, event.entity, event.order, event.type())
    return (
        decoded.id,
        plain(decoded.time),
        decoded.traceparent,
        said,
        event.entity_id,
        event.entity_version,
        plain(event),
    )


def carried(topic: str, key: bytes | None, headers: Sequence[Header], value: bytes | None) -> Envelope:
    """As `fast.decode`, but in the process that fetches for a service, and read by the service."""
    message = ConsumerRecord(topic, 1, 2, 0, 0, key, value, None, 0, 0, tuple(headers))
    [record] = over_the_pipe(records_of([message], fast.decode))
    assert (record.topic, record.partition, record.offset, record.value) == (topic, 1, 2, value)
    if isinstance(record.found, Undecodable):
        raise record.found
    return record.found


def over_the_pipe(records: Sequence[Record]) -> list[Record]:
    """Records of the process that fetches, as the service has them."""
    parts = pipe.parts_of(pipe.write_fetched(1, [], records))
    return [record for part in parts for record in pipe.records_of(part)]


def assert_same(message: Message, what: object = None) -> bool:
    """Both decoders answer alike, and what the fast one answers arrives as it is; returns whether they accept."""
    reference = outcome(envelope.decode, message)
    assert outcome(fast.decode, message) == reference, f"{message[0]} {what}"
    assert outcome(carried, message) == reference, f"{message[0]} {what}"
    return len(reference) > 2


def fitting(topic: str, value: bytes, loaded: Any = None) -> Message:
    """A value as a message with key and headers that fit it as far as anything could, so that it is the value that
    decides."""
    event = TOPICS[topic].event
    loaded = json.loads(value) if loaded is None else loaded
    parts = loaded if isinstance(loaded, dict) else {}
    fit = {
        "ce_partitionkey": str(parts.get("city", "370600")),
        "ce_sequence": str(parts.get(event.order, 1)).removesuffix(".0"),
    }
    headers = example_of(topic)["headers"] | fit
    names = [name for name, _ in encode(EXAMPLES[topic]).headers if name in headers]
    key = str(parts.get(event.entity, "")).encode("utf-8", "replace")
    return topic, key, [(name, headers[name].encode("utf-8", "replace")) for name in names], value


def written_with(value: Any, path: Path, text: str) -> bytes:
    """JSON with a raw text at a place."""
    return json.dumps(put(value, path, "@@here@@")).replace('"@@here@@"', text).encode()


def values_of(schema: Any, definitions: Any) -> st.SearchStrategy[Any]:
    """Everything that a published schema allows, its bounds more often than chance would have it."""
    if "$ref" in schema:
        return values_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return st.one_of([values_of(one, definitions) for one in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema["type"], schema.get("format"):
        case "string", "date-time":
            return st.datetimes(timezones=st.just(UTC)).map(rfc3339).filter(lambda text: len(text) == 24)
        case "string", "date":
            return st.dates().map(str)
        case "string", _:
            texts = st.from_regex(re.sub(r"\$$", r"\\Z", schema["pattern"]))
            return texts.filter(lambda text: len(text) <= schema.get("maxLength", len(text)))
        case "integer", _:
            least, most = schema["minimum"], schema["maximum"]
            return st.sampled_from([least, most]) | st.integers(least, most)
        case "number", _:
            least, most = schema["minimum"], schema["maximum"]
            return st.sampled_from([least, most, -0.0, 0]) | st.floats(least, most)
        case "array", _:
            few = max(schema.get("minItems", 0), min(schema.get("maxItems", 4), 4))
            return st.lists(values_of(schema["items"], definitions), min_size=schema.get("minItems", 0), max_size=few)
        case "object", _:
            fields = {name: values_of(part, definitions) for name, part in schema["properties"].items()}
            needed = {name: part for name, part in fields.items() if name in schema["required"]}
            return st.fixed_dictionaries(needed, optional={n: p for n, p in fields.items() if n not in needed})
        case "null", _:
            return st.none()
        case "boolean", _:
            return st.booleans()
    raise AssertionError(f"a schema with {sorted(schema)} is new to this test")
