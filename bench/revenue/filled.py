"""A ledger of many postings in one city, made in minutes, and its verification.

The domain's desk turns shifts into entries, and revenue's own writer seals and stores them: what stands in the database
is what a service leaves. Three things are left out: the topic, transactions, and the look at what is there of a shift,
since nobody else writes and each shift is new. One city is the worst case: its chain is read by one reader, in order.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count, islice
from typing import NamedTuple

from bench.revenue.measure import COMMUNITIES, NOW, YANTAI, peak_mb, say, settle, sign
from mamapost.ledger import verify
from services.revenue.config import RevenueSettings
from services.revenue.domain.accrual import Desk, Shift
from services.revenue.domain.agreements import Pair
from services.revenue.handlers import Ledger
from services.revenue.store import STEPS, MongoLedger
from services.revenue.use_cases.accrue import write
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo

EMPLOYERS = 5
"""Each at every community: 55 pairs, each with its books."""

FIRST_DAY = date(2026, 1, 1)
SHIFTS_A_DAY = 60_000
"""So that five million fit before `NOW`."""

CORRECTED_EVERY = 50
"""Of so many shifts one has a second revision: a reversal and another accrual."""

BATCH = 10_000
"""Shifts that are written together: a block, some MB of documents."""

TOLD = 100_000
"""Postings whose entries have their events, so that these are looked up: to tell all takes longer than all else."""

TELL_EVERY_S = 5.0
"""Between two reports of progress."""

POSTINGS_EACH = 2
"""Postings of an entry."""


class Verified(NamedTuple):
    """What a verification took.

    Attributes:
        cpu_s: processor time of the process that did it, without the database's.
        peak_mb: memory of that process, all of it.
    """

    postings: int
    seconds: float
    cpu_s: float
    peak_mb: float


class Progress:
    """Tells, now and then, how many postings are done, how fast, and how much memory this process had at most."""

    def __init__(self, what: str, postings: int) -> None:
        self._what = what
        self._postings = postings
        self._started = self._told = time.monotonic()

    def at(self, postings: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now - self._told >= TELL_EVERY_S:
            self._told = now
            per_s = postings / (now - self._started)
            say(f"{self._what}: {postings:12,} of {self._postings:,} postings, {per_s:,.0f}/s, {peak_mb():,.0f} MB")


class Filler:
    """Writes the chain of one city on and on."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._events = EventLog(mongo.db, "revenue")
        self._ledger = Ledger(mongo, lambda session: MongoLedger(mongo.db, self._events, session), lambda: NOW)
        communities = [new_id("community") for _ in range(COMMUNITIES)]
        self._pairs = [Pair(new_id("employer"), community) for community in communities for _ in range(EMPLOYERS)]
        self._shifts = self._stream()
        self._told = 0

    async def start(self) -> None:
        """Make the collections, and sign an agreement with each pair."""
        await Migrations(self._mongo.db, STEPS).run()
        for first in range(0, len(self._pairs), EMPLOYERS):
            some = self._pairs[first : first + EMPLOYERS]
            await self._mongo.transaction(partial(sign, self._mongo, self._events, YANTAI, some))

    async def fill(self, postings: int) -> int:
        """Write until there are so many postings, or some more; how many there are."""
        progress = Progress("made", postings)
        async with await self._mongo.client.start_session() as session:
            store = MongoLedger(self._mongo.db, self._events, session)
            agreements = await store.agreements(self._pairs)
            while True:
                head = (await store.lock([YANTAI]))[YANTAI]
                missing = postings // POSTINGS_EACH - head.seq
                progress.at(head.seq * POSTINGS_EACH)
                if missing <= 0:
                    return head.seq * POSTINGS_EACH
                batch = list(islice(self._shifts, min(BATCH, missing)))
                desk = Desk(_evening(batch[-1].day), agreements, {}, {}, {})
                for shift in batch:
                    if (reason := desk.take(shift)) is not None:
                        raise SystemExit(f"a shift was refused: {reason}")
                await write(desk, {YANTAI: head}, store=store)

    async def tell(self, postings: int) -> None:
        """Add the events of the first entries."""
        progress = Progress("told", postings)
        while self._told < postings // POSTINGS_EACH and (passed := await self._ledger.tell(YANTAI)):
            self._told += passed
            progress.at(self._told * POSTINGS_EACH)

    async def settle(self) -> None:
        """Settle the first month of a pair, as the service does it."""
        await settle(self._mongo, self._events, self._ledger, self._pairs[0], f"{FIRST_DAY:%Y-%m}")

    def _stream(self) -> Iterator[Shift]:
        """Shifts without end, day by day, at each pair in turn."""
        for number in count():
            pair = self._pairs[number % len(self._pairs)]
            day = FIRST_DAY + timedelta(days=number // SHIFTS_A_DAY)
            first = Shift(new_id("shift"), 1, YANTAI, *pair, day, 6_000 + number % 500, 9_000, new_id("event"))
            yield first
            if number % CORRECTED_EVERY == 0:
                yield Shift(first.shift_id, 2, YANTAI, *pair, day, first.wage_fen + 1, 9_000, new_id("event"))


async def measure_verification(settings: RevenueSettings, postings: int) -> dict[str, float]:
    """Verify a ledger of so many postings, and before that the same with a tenth of them; figures by their names."""
    mongo = Mongo.connect(settings, "revenue")
    filler = Filler(mongo)
    await filler.start()
    started = time.perf_counter()
    tenth = await filler.fill(postings // 10)
    made_s = time.perf_counter() - started
    await filler.tell(min(tenth, TOLD))
    some = await _verify_apart(settings, tenth)
    started = time.perf_counter()
    made = await filler.fill(postings)
    made_s += time.perf_counter() - started
    await filler.settle()
    whole = await _verify_apart(settings, made)
    mongo.close()
    return {
        "made": made / made_s,
        "verification-of-a-tenth": some.postings / some.seconds,
        "verification-of-all": whole.postings / whole.seconds,
        "verified": whole.postings,
        "processor-time": 1e6 * whole.cpu_s / whole.postings,
        "memory-of-a-tenth": some.peak_mb,
        "memory-of-all": whole.peak_mb,
        "memory-growth": whole.peak_mb - some.peak_mb,
    }


async def _verify_apart(settings: RevenueSettings, postings: int) -> Verified:
    """Verify in a process of its own, so that its memory is that of the verification."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _verify, settings, postings)


def _verify(settings: RevenueSettings, postings: int) -> Verified:
    """What `mamapost ledger verify` does.

    Raises:
        RuntimeError: something is wrong with the ledger.
    """
    progress, before_s = Progress("verified", postings), time.process_time()
    done = verify(settings, None, lambda _city, read, _total: progress.at(read * POSTINGS_EACH))
    if wrong := [finding for audit in done.audits for finding in audit.findings]:
        raise RuntimeError(f"the ledger is wrong: {wrong[0].rule} at {wrong[0].where}")
    read = sum(audit.entries for audit in done.audits) * POSTINGS_EACH
    return Verified(read, done.seconds, time.process_time() - before_s, peak_mb())


def _evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
