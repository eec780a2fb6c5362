"""The golden stream: recorded events of the scenario, made as unpleasant as a broker may make them.

One message a line, in the order of sending. A subscriber who gets its table right from this stream gets it right.
"""

from __future__ import annotations

import base64
import gzip
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from shared.contracts.envelope import Envelope, encode
from shared.contracts.matching import RankingChanged
from shared.contracts.registry import PostClosed, PostOpened
from shared.contracts.topics import partition_of

GOLDEN = Path(__file__).parent / "golden.ndjson.gz"

TOPICS = (PostOpened.topic, PostClosed.topic, RankingChanged.topic)
"""What the table of open posts and their rankings needs."""

REPEATED = 0.10
"""Share of messages that come twice in a row, as after a lost acknowledgement."""

COMING_AGAIN = 0.10
"""Share that come again much later, with newer versions between, as after a refilled broker."""


class Line(NamedTuple):
    """One message.

    Attributes:
        note: what is special about it, for the checker's explanations; empty for a plain event.
    """

    topic: str
    partition: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None
    note: str = ""


def line_of(envelope: Envelope) -> Line:
    """An event as the relay sends it."""
    message = encode(envelope)
    return Line(message.topic, message.partition, message.key, tuple(message.headers), message.value)


def disorder(events: Sequence[Line], dice: random.Random) -> list[Line]:
    """The same events with duplicates, old ones that come again, no order between topics, and messages that are none.

    What Kafka keeps is kept: the first coming of each event is in the order of its topic.
    """
    queues: dict[str, list[Line]] = defaultdict(list)
    for line in events:
        queues[line.topic].append(line)
    for queue in queues.values():
        queue.reverse()
    stream: list[Line] = []
    again: list[Line] = []
    while any(queues.values()):
        topic = dice.choice([topic for topic, queue in queues.items() if queue])
        line = queues[topic].pop()
        stream.append(line)
        if dice.random() < REPEATED:
            stream.append(line._replace(note="duplicate"))
        if dice.random() < COMING_AGAIN:
            again.append(line._replace(note="comes again"))
    for line in again:
        first = next(number for number, sent in enumerate(stream) if sent.headers == line.headers)
        stream.insert(dice.randrange(first + 1, len(stream) + 1), line)
    for poison in _poison(events):
        stream.insert(dice.randrange(len(stream) // 4, len(stream) * 3 // 4), poison)
    return stream


def _poison(events: Sequence[Line]) -> Iterable[Line]:
    """Messages that are no events of this contract; each would spoil the table of who takes it, or stop who chokes."""
    opened = [line for line in events if line.topic == PostOpened.topic]
    plain, victim = opened[0], opened[-1]
    data: dict[str, Any] = orjson.loads(victim.value or b"")
    data["version"] += 7
    yield plain._replace(value=b"\xff\xfe not JSON", note="poison: not JSON")
    yield plain._replace(value=(plain.value or b"")[:40], note="poison: JSON cut off")
    yield plain._replace(value=b"[1, 2, 3]", note="poison: a JSON array")
    yield plain._replace(value=None, note="poison: a tombstone")
    yield victim._replace(value=orjson.dumps(data), headers=(), note="poison: no CloudEvents headers")
    later = tuple((name, b"mamapost.post-opened.v9" if name == "ce_type" else value) for name, value in victim.headers)
    yield victim._replace(value=orjson.dumps(data), headers=later, note="poison: ce_type of another version")
    broken = (*victim.headers, ("x-trace", b"\xc3\x28"))
    yield victim._replace(value=b"{}", headers=broken, note="poison: an empty object, and a header that is no UTF-8")


def save(stream: Iterable[Line], file: Path) -> None:
    """Write a stream; the same lines give the same bytes."""
    rows = b"".join(orjson.dumps(_row(line)) + b"\n" for line in stream)
    file.write_bytes(gzip.compress(rows, mtime=0))


def load(file: Path = GOLDEN) -> list[Line]:
    """Read a stream that `save` wrote."""
    return [_line(orjson.loads(row)) for row in gzip.decompress(file.read_bytes()).splitlines()]


def _row(line: Line) -> dict[str, Any]:
    """Texts as they are, so that a person can read the file; bytes that are none as base64."""
    row: dict[str, Any] = {"topic": line.topic, "key": (line.key or b"").decode()}
    if line.note:
        row["note"] = line.note
    row["headers"] = {name: _text(value) for name, value in line.headers}
    row["value"] = None if line.value is None else _text(line.value)
    return row


def _text(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _line(row: dict[str, Any]) -> Line:
    headers = tuple((name, _bytes(value)) for name, value in row["headers"].items())
    city = dict(headers).get("ce_partitionkey", b"370600").decode()
    value = None if row["value"] is None else _bytes(row["value"])
    return Line(row["topic"], partition_of(city), row["key"].encode(), headers, value, row.get("note", ""))


def _bytes(value: str | dict[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
