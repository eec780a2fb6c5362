"""What the loop does with an event, stage by stage: in one process, without a broker and without what is published."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from bench.matching.play import BATCH, Play
from bench.matching.wire import PARTITION, Speaker
from services.matching.facts import fact_of
from shared.contracts import fast
from shared.contracts.envelope import Message
from shared.messaging import carried
from shared.messaging.consume import split
from shared.messaging.records import AT_ONCE, Record, records_of

STAGES = ("client library", "decode", "write", "read", "facts", "engine")
"""Bytes of the broker to messages; messages to valid events; these into the pipe, the last stage of the process
that fetches; out of it to events again; events to facts of the domain; facts into the rankings."""


def stages(play: Play, count: int) -> dict[str, float]:
    """Microseconds of each stage for an event of the mix, a batch at a time; the engine then knows these events."""
    messages = Speaker(play.seed).stream(play.mix.draw(count), play.city)
    spent_s: defaultdict[str, float] = defaultdict(float)
    for at in range(0, count, BATCH):
        fetched = chain.from_iterable([*_fetched(messages[at : at + BATCH])])
        records: list[Record] = []
        while True:  # as `polling.Polling` does it: what was unpacked is decoded, and let go, while it is in the cache
            began = time.perf_counter()
            handful = [*islice(fetched, AT_ONCE)]
            unpacked = time.perf_counter()
            records += records_of(handful, fast.decode)
            spent_s["client library"] += unpacked - began
            spent_s["decode"] += time.perf_counter() - unpacked
            if not handful:
                break
        moments = [time.perf_counter()]
        written = carried.write_fetched(1, [], records)
        moments.append(time.perf_counter())
        good, bad = split([*chain.from_iterable(map(carried.records_of, carried.parts_of(written)))])
        moments.append(time.perf_counter())
        facts = [fact_of(envelope.event) for _, envelope in good]
        moments.append(time.perf_counter())
        play.engine.apply(facts)
        moments.append(time.perf_counter())
        if bad:
            raise AssertionError(f"the benchmark's own message is refused: {bad[0].detail}")
        for stage, began, ended in zip(STAGES[2:], moments, moments[1:], strict=False):
            spent_s[stage] += ended - began
        if play.keep:
            play.kept += facts
    return {stage: 1e6 * spent_s[stage] / count for stage in STAGES}


def _fetched(messages: Sequence[Message]) -> Iterator[PartitionRecords]:
    """Messages as the client library holds what a fetch brought: bytes of a topic, nothing of them looked at."""
    by_topic: defaultdict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_topic[message.topic].append(message)
    for topic, some in by_topic.items():
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 2 * sum(len(one.value) + 1_000 for one in some))
        for offset, one in enumerate(some):
            builder.append(offset, None, one.key, one.value, list(one.headers))
        batch = MemoryRecords(bytes(builder.build()))
        yield PartitionRecords(TopicPartition(topic, PARTITION), batch, [], 0, None, None, True, 0)
