"""What tracing records of what a service does; and that it makes nothing at all where nobody asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import NonRecordingSpan

from shared.contracts.envelope import Envelope, encode
from shared.contracts.topics import PARTITIONS
from shared.kernel.ids import new_id
from shared.messaging.consume import Consumer, Refusal
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.partitions import Offsets, Refuse, Slice
from shared.messaging.records import Record, records_of
from shared.messaging.slices import SliceConsumer
from shared.runtime import tracing
from shared.runtime.mongo import StoreUnavailable
from shared.runtime.settings import Settings
from shared.runtime.tracing import Traced
from tests.events import NOW, seeker_registered
from tests.unit.shared.served import Served, serve

TOPIC = "seeker-registered"


def parent(number: int) -> str:
    return f"00-{number:032x}-00f067aa0ba902b7-01"


def received(offset: int, traceparent: str | None) -> Record:
    """An event as it comes from its topic."""
    told = encode(Envelope(new_id("event"), NOW, seeker_registered(), traceparent))
    message = ConsumerRecord(
        told.topic, told.partition, offset, 0, 0, told.key, told.value, None, 0, 0, tuple(told.headers)
    )
    (record,) = records_of([message])
    return record


class Shard:
    """The state of matching, as far as its consumer is concerned."""

    def __init__(self) -> None:
        self.applied: list[Envelope] = []
        self.failure: Exception | None = None

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        raise AssertionError("nothing is assigned without a broker")

    def placed(self, starts: Offsets) -> None:
        raise AssertionError("nor placed")

    async def apply(self, piece: Slice, refuse: Refuse) -> None:
        if self.failure is not None:
            raise self.failure
        self.applied += piece.events

    def readers(self) -> int:
        return 0

    def caught_up(self, partition: int) -> None:
        raise AssertionError("nor behind")

    async def revoked(self, partitions: frozenset[int]) -> None:
        raise AssertionError("nor revoked")


def slices_of(shard: Shard) -> SliceConsumer:
    consumer = SliceConsumer("matching", [TOPIC], shard, DeadLetters("matching"))
    consumer._next = {(TOPIC, partition): 0 for partition in range(PARTITIONS)}
    return consumer


@contextmanager
def recorded(tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """Spans of what is done inside; they are there after it."""
    file = tmp_path / "spans"
    found: list[dict[str, Any]] = []
    tracing.start("matching", Settings(trace_to=file.as_uri(), trace_ratio=0.0))
    try:
        yield found
    finally:
        tracing.stop()
    found += map(json.loads, file.read_text().splitlines())


async def test_each_event_of_a_slice_has_its_span_below_the_command_that_made_it(tmp_path: Path) -> None:
    shard = Shard()
    records = [received(offset, parent(offset) if offset else None) for offset in range(4)]
    with recorded(tmp_path) as spans:
        await slices_of(shard).handle(records)
    assert len(shard.applied) == 4
    assert {span["trace_id"]: span["attributes"]["messaging.message.id"] for span in spans} == {
        f"{number:032x}": shard.applied[number].id for number in (1, 2, 3)
    }
    assert {(span["name"], span["kind"], span["parent_id"], span["service"], span["status"]) for span in spans} == {
        (f"process {TOPIC}", "consumer", "00f067aa0ba902b7", "mamapost-matching", "unset")
    }


async def test_a_slice_that_fails_is_told_of_by_the_type_of_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.consume.RETRY_PAUSE_S", 0.0)
    shard = Shard()
    shard.failure = StoreUnavailable("13800138000 did not answer")
    consumer = slices_of(shard)
    monkeypatch.setattr(consumer, "_seek_back", lambda: None)  # there is no broker to seek at
    with recorded(tmp_path) as spans, pytest.raises(StoreUnavailable):
        await consumer.handle([received(1, parent(1))])
    (span,) = spans
    assert (span["status"], span["attributes"]["error.type"]) == ("error", "StoreUnavailable")
    assert "13800138000" not in str(span)


class Made:
    """Counts the objects that tracing is made of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for kind, maker in ((Traced, "__new__"), (NonRecordingSpan, "__init__"), (Span, "__init__")):
            monkeypatch.setattr(kind, maker, self._counting(getattr(kind, maker)))

    def _counting(self, make: Any) -> Any:
        def counted(*args: Any, **named: Any) -> Any:
            self.count += 1
            return make(*args, **named)

        return counted


async def work(served: Served, times: int) -> None:
    """Requests, batches and slices of a traced caller."""

    async def apply(_batch: Sequence[Envelope]) -> Sequence[Refusal]:
        return []

    batches = Consumer("training", [TOPIC], apply, DeadLetters("training"))
    slices = slices_of(Shard())
    for number in range(1, times + 1):
        answer = await served.client.get("/seekers", headers={"traceparent": parent(number)})
        assert answer.status_code == httpx.codes.OK
        await batches.handle([received(number, parent(number))])
        await slices.handle([received(number, parent(number))])


async def test_nothing_is_made_while_tracing_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with serve(Settings()) as served:
        made = Made(monkeypatch)
        await work(served, 20)
        assert made.count == 0
        with recorded(tmp_path):
            await work(served, 20)
        assert made.count >= 20 * 3 * 2, "the counters count"
