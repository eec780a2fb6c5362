"""`mamapost ledger reconcile`: every shift of the topic and of the ledger, held against each other.

The order makes it honest while the services run. First, how far revenue has consumed: all before that must have had its
effect. Then the topic, into a sorted file. Then, city by city, the ledger at one moment; and last the few shifts that
came onto the topic meanwhile, since the ledger may know them.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import pickle
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import IO, NamedTuple

from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table

from services.revenue.domain.reconciliation import Published, Report
from services.revenue.handlers import shift_of
from services.revenue.store import at_one_moment
from services.revenue.use_cases.reconcile import Fact, reconcile_city
from shared.contracts.envelope import Undecodable
from shared.contracts.fast import decode
from shared.contracts.registry import ShiftCompleted
from shared.contracts.topics import PARTITIONS, partition_of
from shared.messaging.connection import Connection
from shared.messaging.reading import consumed_by, read_to_end
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings

TOPIC = ShiftCompleted.topic

RUN_MAX = 50_000
"""Shifts that are sorted in memory at once: about 50 MB. Files open at the end: one for each as many."""

TELL_EVERY = 10_000
"""Messages between two reports of progress."""

Row = tuple[str, str, Published]
"""City, shift, and what was published of it."""

Tell = Callable[[str], None]


class Reconciled(NamedTuple):
    """What was compared, and how long it took.

    Attributes:
        published: messages of the topic; `None`: it was not read.
        unusable: of these, messages that no consumer can read; they are in the dead letters.
    """

    report: Report
    cities: int
    published: int | None
    unusable: int
    seconds: float


class SortedFile:
    """Rows in the order of city and shift, on disk: sorted runs that are merged when they are read."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._rows: list[Row] = []
        self._runs: list[IO[bytes]] = []

    def add(self, row: Row) -> None:
        """Take a row; writes a run when there are enough."""
        self._rows.append(row)
        if len(self._rows) >= RUN_MAX:
            run: IO[bytes] = tempfile.TemporaryFile(prefix="mamapost-reconcile-")  # noqa: SIM115 - the stack closes it
            self._stack.callback(run.close)
            for one in sorted(self._rows, key=_key):
                pickle.dump(one, run)
            self._runs.append(run)
            self._rows = []

    def rows(self) -> Iterator[Row]:
        """All rows, once, after the last was added."""
        return heapq.merge(*(_read(run) for run in self._runs), sorted(self._rows, key=_key), key=_key)


def _key(row: Row) -> tuple[str, str]:
    return row[0], row[1]


def _read(run: IO[bytes]) -> Iterator[Row]:
    run.seek(0)
    while True:
        try:
            row: Row = pickle.load(run)  # noqa: S301 - our own file, without a name, of this process alone
        except EOFError:
            return
        yield row


def reconcile(settings: Settings, broker: Connection | None, city: str | None, tell: Tell) -> Reconciled:
    """Compare one city, or all.

    Args:
        broker: whose topic is read; `None`: what revenue keeps of each shift stands in for it.
        tell: told of the progress, in words.

    Raises:
        PyMongoError: the database did not answer.
        KafkaError: the broker did not.
    """
    return asyncio.run(_reconcile(settings, broker, city, tell))


async def _reconcile(settings: Settings, broker: Connection | None, city: str | None, tell: Tell) -> Reconciled:
    mongo = Mongo.connect(settings, "revenue")
    started = time.monotonic()
    report = Report()
    try:
        with ExitStack() as stack:
            topic = None if broker is None else Topic(broker, f"{settings.db_prefix}.revenue", city, stack)
            if topic is not None:
                await topic.read(tell)
            async with at_one_moment(mongo) as snapshot:
                known = list(await snapshot.cities()) if city is None else [city]
            cities = sorted({*known, *(topic.cities if topic is not None else ())})
            for one in cities:
                async with at_one_moment(mongo) as snapshot:
                    # Its first read fixes the moment; what comes onto the topic later can only be newer.
                    await snapshot.cities()
                    await reconcile_city(
                        one,
                        snapshot=snapshot,
                        report=report,
                        published=await topic.of(one) if topic is not None else None,
                        on_shifts=lambda at, shifts: tell(f"{at}: {shifts:,} shifts compared"),
                    )
    finally:
        mongo.close()
    read, unusable = (topic.messages, topic.unusable) if topic is not None else (None, 0)
    return Reconciled(report, len(cities), read, unusable, time.monotonic() - started)


def show(done: Reconciled, *, as_json: bool) -> None:
    """Print it: what was compared, how many differ by kind, and which."""
    report = done.report
    if as_json:
        told = {
            "ok": not report.differences,
            "seconds": round(done.seconds, 3),
            "cities": done.cities,
            "published": done.published,
            "unusable": done.unusable,
            "under_way": report.under_way,
            "shifts": report.shifts,
            "lines": report.lines,
            "counts": dict(sorted(report.counts.items())),
            "differences": [one._asdict() for one in report.listed],
        }
        print(json.dumps(told, indent=2))
        return
    table = Table("cities", "published", "unusable", "under way", "shifts", "lines", "differ", box=None, pad_edge=False)
    read = "not read" if done.published is None else f"{done.published:,}"
    compared = (report.under_way, report.shifts, report.lines)
    differ = f"{report.differences:,}" if report.differences else "none"
    table.add_row(f"{done.cities:,}", read, f"{done.unusable:,}", *(f"{one:,}" for one in compared), differ)
    Console().print(table)
    for kind, differences in sorted(report.counts.items()):
        print(f"{differences:>8,}  {kind}")
    for one in report.listed:
        print(f"{one.city}: {one.kind} of {one.where}: {one.detail}")
    if report.differences > len(report.listed):
        print(f"and {report.differences - len(report.listed):,} more")


class Topic:
    """`shift-completed` from its beginning, in the order of cities and shifts.

    Attributes:
        messages: read so far.
        unusable: of these, without a readable event.
        cities: that any of them is of.
    """

    def __init__(self, broker: Connection, group: str, city: str | None, stack: ExitStack) -> None:
        self.messages = self.unusable = 0
        self.cities: set[str] = set()
        self._broker = broker
        self._group = group
        self._city = city
        self._file = SortedFile(stack)
        numbers = range(PARTITIONS) if city is None else [partition_of(city)]
        self._next = {TopicPartition(TOPIC, number): 0 for number in numbers}
        self._consumed: dict[TopicPartition, int] = {}
        self._rows: Iterator[Row] = iter(())
        self._ahead: Row | None = None

    async def read(self, tell: Tell) -> None:
        """Read it to what is its end now."""
        self._consumed = await consumed_by(self._broker, self._group, self._next)
        async for row in self._messages(self._next):
            self._file.add(row)
            self.cities.add(row[0])
            if self.messages % TELL_EVERY == 0:
                tell(f"{self.messages:,} messages read")
        self._rows = self._file.rows()
        self._ahead = next(self._rows, None)

    async def of(self, city: str) -> AsyncIterator[tuple[str, Fact]]:
        """What was published of a city's shifts until now, by shift. Cities are asked for in ascending order."""
        start = {TopicPartition(TOPIC, partition_of(city)): self._next[TopicPartition(TOPIC, partition_of(city))]}
        late = sorted([row async for row in self._messages(dict(start), keep=False) if row[0] == city], key=_key)

        async def facts() -> AsyncIterator[tuple[str, Fact]]:
            for _, shift_id, published in heapq.merge(self._of_file(city), late, key=_key):
                yield shift_id, published

        return facts()

    def _of_file(self, city: str) -> Iterator[Row]:
        while self._ahead is not None and self._ahead[0] <= city:
            if self._ahead[0] == city:
                yield self._ahead
            self._ahead = next(self._rows, None)

    async def _messages(self, places: dict[TopicPartition, int], *, keep: bool = True) -> AsyncIterator[Row]:
        async for record in read_to_end(self._broker, dict(places)):
            place = TopicPartition(record.topic, record.partition)
            if keep:
                self.messages += 1
                self._next[place] = record.offset + 1
            try:
                envelope = decode(record.topic, record.key, record.headers, record.value)
            except Undecodable:
                self.unusable += keep
                continue
            shift = shift_of(envelope)
            if self._city in (None, shift.city):
                yield shift.city, shift.shift_id, Published(shift, record.offset < self._consumed[place])
