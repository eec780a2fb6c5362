"""Consumption for a service that keeps its own offsets (`partitions.Partitions`): in slices, from where its state ends.

Reading begins in the background once the service has said where: an assignment that took its time (a checkpoint of
half a gigabyte) would keep the consumer from its heartbeats, and lose it the partitions. A batch is applied in slices
of some milliseconds, with the event loop free in between, so that readers are answered while a backlog is worked
off.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NoReturn

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from shared.kernel.errors import ServiceError
from shared.messaging.carried import Fetched, records_of
from shared.messaging.consume import Consumer, Received, Refusal, comes_again, failed, refused, split, traced_of
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.fetcher import Fetcher, FetcherLost
from shared.messaging.pace import Pace
from shared.messaging.partitions import Offsets, Partitions, Slice
from shared.messaging.polling import POLL_MS
from shared.messaging.records import PLACE, Record
from shared.runtime import metrics, tracing
from shared.runtime.logs import logger
from shared.runtime.settings import Settings
from shared.runtime.supervised import end, failure_of

SLICE_S = 0.004
"""Processor time that a slice aims at: a reader who comes meanwhile waits so long at most, and half of it on average,
below the 5 ms of a good answer. A slice has costs whatever it holds, the engine's call and steps of the event loop, so
that shorter ones would work off much less of a backlog. Not time on the wall: where other processes take the processor,
that would make slices small, and so the little that is left of it dear."""

UNREAD_SLICE_S = 0.012
"""What a slice aims at while nobody reads: the first reader who comes waits so long at most, and those after it find
short slices. Three times as long, the fixed cost of a slice is a third."""

UNREAD_S = 0.25
"""Time without a reader after which nobody is taken to read."""

STEPS_BETWEEN = 4
"""Steps of the event loop between two slices while somebody reads: as many as a request takes from its first byte to
its answer, which would otherwise wait for a slice at each of them. While nobody does, one lets the others run."""

RETRY_PAUSE_S = 0.5
"""Pause before the beginning of an assignment is tried again."""

LOOK_S = 0.01
"""Pause between looks for the first answer of the broker, which the client library does not announce."""

_log = logger(__name__)


class SliceConsumer(Consumer):
    """One subscription of a service that keeps its own offsets.

    Args:
        topics: in the order of their turns: of a batch, whatever is on the first is applied first.
        partitions: the service's state.
    """

    def __init__(self, service: str, topics: Sequence[str], partitions: Partitions, dead_letters: DeadLetters) -> None:
        super().__init__(service, topics, _nothing, dead_letters)
        self._partitions = partitions
        self._turn = {topic: turn for turn, topic in enumerate(topics)}
        self._cluster_id = ""
        self._held: frozenset[int] = frozenset()
        self._next: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._behind: dict[int, dict[tuple[str, int], int]] = {}
        self._pace = Pace()
        self._readers = 0
        self._read_s = -math.inf
        self._placing: asyncio.Task[None] | None = None
        self._released = False
        self._fetcher: Fetcher | None = None

    def attach(self, broker: KafkaBroker, settings: Settings, cluster_id: str) -> None:
        super().attach(broker, settings, cluster_id)
        self._cluster_id = cluster_id
        self._released = False
        self._fetcher = Fetcher(self._service, self._topics, settings)

    async def detach(self, broker: KafkaBroker) -> None:
        try:
            await super().detach(broker)
        finally:
            await self._fetching().stop()

    async def release(self) -> None:
        """End the assignment before the group hears of it, so that who comes next finds the last state."""
        self._released = True
        await self._revoke()

    # --- assignment ---

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Wait for the batch at hand, then let the service close the books."""
        await self._revoke()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Hold everything back until the service has said where to read."""
        consumer = self._client()
        consumer.pause(*assigned)
        self._lag.settle()
        if self._released:
            return
        self._held = frozenset(part.partition for part in assigned)
        self._placing = asyncio.create_task(self._place(consumer, sorted(assigned)), name="place")
        self._placing.add_done_callback(self._end_of_placing)
        self.assigned.set()

    async def _revoke(self) -> None:
        self._assignment += 1
        placing, self._placing = self._placing, None
        if placing is not None:
            await end(placing)
        async with self._busy:
            held, self._held = self._held, frozenset()
            self._next.clear()
            self._committed.clear()
            self._behind.clear()
            self._fetching().fetch_from({})
            if held:
                try:
                    await self._partitions.revoked(held)
                except Exception as error:
                    self._fail(error)
                    raise

    async def _place(self, consumer: Any, assigned: Sequence[TopicPartition]) -> None:
        """Begin to read where the service's state ends, and find out how far that is from the end."""
        while True:
            try:
                begins = await consumer.beginning_offsets(assigned) if assigned else {}
                ends = await consumer.end_offsets(assigned) if assigned else {}
                wanted = await self._partitions.assigned(self._held, self._cluster_id)
                break
            except (KafkaError, ServiceError) as error:
                if isinstance(error, ServiceError) and not error.retryable:
                    raise
                _log.warning("the assignment will be begun again", error=type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_S)
        for part in assigned:
            key = (part.topic, part.partition)
            self._next[key] = max(wanted.get(key, 0), begins[part])
            consumer.seek(part, self._next[key])
        self._partitions.placed(dict(self._next))
        self._fetching().fetch_from(self._next)
        # The embedded broker tells the first offset of the last batch as the end; with its first answer every broker
        # tells the true one.
        while any(consumer.highwater(part) is None for part in assigned):  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(LOOK_S)
        self._behind = {partition: {} for partition in self._held}
        for part in assigned:
            self._behind[part.partition][part.topic, part.partition] = max(ends[part], consumer.highwater(part))
        self._note_caught_up()

    def _end_of_placing(self, task: asyncio.Task[None]) -> None:
        if (error := failure_of(task)) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        _log.error("the service cannot hold its partitions", error=type(error).__name__, exc_info=error)
        super()._fail(error)

    def _note_caught_up(self) -> None:
        for partition, targets in list(self._behind.items()):
            if all(self._next[key] >= target for key, target in targets.items()):
                del self._behind[partition]
                self._partitions.caught_up(partition)

    # --- records ---

    async def _poll(self, consumer: Any) -> tuple[Record, ...]:
        """The next records as soon as there are some; none after a while without.

        The client of the group is asked, too, though all that it holds is paused: its errors come to light so, and it
        takes a member that never asks for one that hangs.
        """
        assignment = self._assignment
        with self._failing():
            await consumer.getmany(timeout_ms=0)
            fetched = await self._next_fetched()
            if self._assignment != assignment or not self._next:
                return ()
            records = [*chain.from_iterable(map(records_of, fetched))]
            self._lag.take(records)
            self._note(consumer, fetched, records)
            return tuple(records)

    async def _next_fetched(self) -> list[Fetched]:
        fetcher = self._fetching()
        try:
            return await fetcher.next(POLL_MS / 1000)
        except FetcherLost:
            if not fetcher.has_given:
                raise
        # It held nothing, so that another goes on where the last slice ended; the group need not hear of it.
        _log.warning("the process that fetches has ended or hangs; starting another")
        await fetcher.restart()
        fetcher.fetch_from(self._next)
        return []

    def _note(self, consumer: Any, fetched: Iterable[Fetched], records: Sequence[Record]) -> None:
        """Have the client of the group know what it would know if it had fetched by itself; lag is told by that."""
        state_of = consumer._subscription.subscription.assignment.state_value
        for told in chain.from_iterable(one.ends for one in fetched):
            state = state_of(TopicPartition(told.topic, told.partition))
            state.highwater, state.timestamp = told.highwater, told.at_ms
        for place, run in groupby(records, PLACE):
            *_, last = run
            state_of(TopicPartition(*place)).consumed_to(last.offset + 1)

    async def _parse(self, records: tuple[Record, ...]) -> KafkaMessage:
        """Wrap the raw records; neither their success nor their failure is FastStream's to note."""
        return KafkaMessage(
            body=b"",
            headers={},
            batch_headers=[],
            raw_message=records,
            consumer=self._client(),
            message_id="batch",
        )

    async def handle(self, records: Sequence[Record]) -> None:
        """Apply a batch, slice by slice; what fails is read again from where the last good slice ended."""
        async with self._busy:
            left = self._in_turn(records)
            try:
                while left:
                    is_read = self._is_read()
                    aim_s = SLICE_S if is_read else UNREAD_SLICE_S
                    count = self._pace.fitting(left, aim_s)
                    piece, left = left[:count], left[count:]
                    started_s = time.thread_time()
                    await self._apply_slice(piece)
                    self._pace.learn(piece, time.thread_time() - started_s, aim_s)
                    for _ in range(STEPS_BETWEEN if is_read else 1):
                        await asyncio.sleep(0)
            except Exception as error:
                self._seek_back()
                if not _comes_again(error):
                    _log.exception("a slice failed; it will come again")
                await self._pause(error)
                raise
            self._lag.settle()
            self._lag.look(self._assigned_client())

    def _in_turn(self, records: Sequence[Record]) -> list[Record]:
        """The records of partitions that are placed, by the turns of their topics; each partition's in order.

        What was fetched before its partition was taken away is fetched again by its next owner.
        """
        runs = [(self._turn[place[0]], [*run]) for place, run in groupby(records, PLACE) if place in self._next]
        runs.sort(key=itemgetter(0))
        return [*chain.from_iterable(run for _, run in runs)]

    def _is_read(self) -> bool:
        """Whether somebody read the service's state of late."""
        readers = self._partitions.readers()
        if readers != self._readers:
            self._readers, self._read_s = readers, time.monotonic()
        return time.monotonic() - self._read_s < UNREAD_S

    async def _apply_slice(self, records: Sequence[Record]) -> None:
        good, bad = split(records)
        await self._dead_letters.send(bad)
        ends = self._ends(records)

        async def refuse(refusals: Sequence[Refusal]) -> None:
            record_of = {envelope.id: record for record, envelope in good}
            await self._dead_letters.send([refused(record_of, refusal) for refusal in refusals])

        events = [envelope for _, envelope in good]
        spans = tracing.spans()
        try:
            with metrics.APPLY_SECONDS.time(), spans.each("process", traced_of(events)) if spans else nullcontext():
                await self._partitions.apply(Slice(events, ends), refuse)
        except Exception as error:
            if _comes_again(error) or not good:
                raise
            _log.error("slice failed; trying its events one by one", error=type(error).__name__, size=len(good))
            await self._apply_each(good, refuse)
            await self._partitions.apply(Slice((), ends), refuse)
        self._next.update(ends)
        self._lag.advance(ends)
        self._count(good)
        if self._behind:
            self._note_caught_up()

    async def _apply_each(self, good: Sequence[Received], refuse: Any) -> None:
        for record, envelope in good:
            try:
                await self._partitions.apply(Slice([envelope], {}), refuse)
            except Exception as error:
                if _comes_again(error):
                    raise
                _log.exception("event failed", event_id=envelope.id, topic=record.topic)
                await self._dead_letters.send([failed(record, envelope, error)])

    def _ends(self, records: Sequence[Record]) -> Offsets:
        ends: dict[tuple[str, int], int] = {}
        for place, run in groupby(records, PLACE):
            offsets = [record.offset for record in run]
            if offsets[0] < ends.get(place, self._next[place]):
                topic, partition = place
                _log.warning("a topic begins anew at the broker", topic=topic, partition=partition)
            ends[place] = offsets[-1] + 1
        return ends

    def _seek_back(self) -> None:
        consumer = self._client()
        for key, offset in self._next.items():
            # A partition that is being taken away meanwhile is read by its next owner.
            with contextlib.suppress(IllegalStateError):
                consumer.seek(TopicPartition(*key), offset)
        self._fetching().fetch_from(self._next)

    async def _commit(self) -> None:
        changed = {key: offset for key, offset in self._next.items() if self._committed.get(key) != offset}
        consumer = self._subscriber.consumer if self._subscriber else None
        if not changed or consumer is None:
            return
        try:
            await consumer.commit({TopicPartition(*key): offset for key, offset in changed.items()})
        except KafkaError as error:
            _log.info("offsets not committed; they serve monitoring only", error=type(error).__name__)
            return
        self._committed.update(changed)

    def _fetching(self) -> Fetcher:
        if self._fetcher is None:
            raise RuntimeError("not attached")
        return self._fetcher

    def _client(self) -> Any:
        consumer = self._subscriber.consumer if self._subscriber else None
        if consumer is None:
            raise RuntimeError("the consumer was used before it was started")
        return consumer


def _comes_again(error: BaseException) -> bool:
    """Whether the slice can succeed later; a broker that does not take its dead letters may be back then."""
    return comes_again(error) or isinstance(error, KafkaError)


async def _nothing(_: Any) -> NoReturn:
    raise AssertionError("unreachable: slices are applied by the service's partitions")
