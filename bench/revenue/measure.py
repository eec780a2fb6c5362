"""One run: accrue, insert the same documents bare, settle, verify."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from pymongo import WriteConcern

from bench.revenue.topic import INSTANCES, Accrued, accrue_from_topic
from services.revenue.config import RevenueSettings
from services.revenue.domain.agreements import Pair
from services.revenue.handlers import Ledger, Settler
from services.revenue.ports import Party, Signatories, Signature
from services.revenue.store import STEPS, MongoLedger, MongoOrders, MongoReads, at_one_moment
from services.revenue.use_cases.settle import SettleMonth, close_month
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from services.revenue.use_cases.verify import verify_ledger
from shared.contracts.envelope import Envelope, encode
from shared.contracts.registry import ShiftCompleted
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Document, Mongo, Session

T = TypeVar("T")

YANTAI = "370600"
CITIES = (
    *("370600", "310100", "370100", "430100", "330100", "350200"),
    *("420100", "440100", "440600", "510100", "350100", "520100"),
)
"""Cities that accrue: two in each partition, so that both instances have as much to do."""
NOW = datetime(2026, 4, 2, 1, 0, tzinfo=UTC)
WORKED = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
COMMUNITIES = 11
"""The pilot communities of Yantai (FACTS.md, Money, Y)."""

WRITTEN = ("entries", "blocks")
"""Collections that an accrual adds documents to; its totals are changed in place, once a batch."""


class Load(NamedTuple):
    """How much is measured.

    Attributes:
        accrued: shifts whose accrual is timed.
        settled: shifts of the month that is settled, and then verified with all others.
    """

    accrued: int
    settled: int


async def measure(settings: RevenueSettings, load: Load) -> tuple[dict[str, float], Accrued]:
    """All figures by the names of `GOALS`, and what the accruals were made of."""
    mongo = Mongo.connect(settings, "revenue")
    events = EventLog(mongo.db, "revenue")
    await Migrations(mongo.db, STEPS).run()
    ledger = Ledger(mongo, lambda session: MongoLedger(mongo.db, events, session), lambda: NOW)
    pairs = {city: [Pair(new_id("employer"), new_id("community")) for _ in range(COMMUNITIES)] for city in CITIES}
    for city in CITIES:
        await mongo.transaction(partial(sign, mongo, events, city, pairs[city]))

    say(f"accruing {load.accrued:,} shifts")
    each = load.accrued // len(CITIES)
    by_city = [[encode(one) for one in _shifts(city, pairs[city], each)] for city in CITIES]
    accrued = await accrue_from_topic(settings, [message for turn in zip(*by_city, strict=True) for message in turn])
    say("the same documents, bare")
    bare = each * len(CITIES) / await _bare(mongo, settings.batch_max_records)
    say("their events")
    telling = await _tell(mongo, events, ledger)

    say(f"a month of {load.settled:,} shifts")
    pair = Pair(new_id("employer"), new_id("community"))
    await mongo.transaction(partial(sign, mongo, events, YANTAI, [pair]))
    for start in range(0, load.settled, settings.batch_max_records):
        some = list(_shifts(YANTAI, [pair], min(settings.batch_max_records, load.settled - start)))
        if refused := await ledger.apply(some):
            raise SystemExit(f"{len(refused)} shifts were refused: {refused[0].detail}")
    say("settling it")
    settling, settling_mb = await _with_memory(settle(mongo, events, ledger, pair, "2026-03"))
    say("verifying")
    (verifying, postings), verifying_mb = await _with_memory(_verify(mongo))
    mongo.close()
    figures = {
        "accruals": accrued.per_s,
        "accruals-vs-bare": accrued.per_s / bare,
        "events": each * len(CITIES) / telling,
        "settlement": load.settled / settling,
        "settlement-memory": settling_mb,
        "verification": postings / verifying,
        "verification-memory": verifying_mb,
    }
    return figures, accrued


async def sign(mongo: Mongo, events: EventLog, city: str, pairs: Sequence[Pair], session: Session) -> None:
    """An agreement with each pair: 8 % of wages, from 2026 on."""
    store = MongoLedger(mongo.db, events, session)
    await store.note_parties(
        [Party("employer", pair.employer_id, city, 1) for pair in pairs]
        + [Party("community", pair.community_id, city, 1) for pair in pairs]
    )
    office = Signature("an office", date(2025, 12, 1))
    for pair in pairs:
        command = SignAgreement(*pair, "wages", 800, date(2026, 1, 1), None, Signatories(office, office, office))
        await sign_agreement(command, store=store, now=NOW, new_id=new_id)


def _shifts(city: str, pairs: Sequence[Pair], count: int) -> Iterator[Envelope]:
    """Shifts as the registry tells of them, in turn at each pair, on all days of March."""
    placement, post, seeker = new_id("placement"), new_id("post"), new_id("seeker")
    for number in range(count):
        pair = pairs[number % len(pairs)]
        start = WORKED + timedelta(days=number % 28)
        event = ShiftCompleted(
            shift_id=new_id("shift"),
            revision=1,
            placement_id=placement,
            post_id=post,
            seeker_id=seeker,
            employer_id=pair.employer_id,
            community_id=pair.community_id,
            city=city,
            started_at=start,
            ended_at=start + timedelta(hours=3),
            minutes=180,
            wage_fen=6_000 + number % 500,
            base_fen=9_000,
            verdict="attended",
        )
        yield Envelope(new_id("event"), NOW, event)


async def _bare(mongo: Mongo, together: int) -> float:
    """Seconds that the documents of the ledger take by themselves: no transaction, no order, the same indexes.

    As many clients insert as accrued.
    """
    documents = {name: await mongo.db[name].find().to_list(None) for name in WRITTEN}
    for name in WRITTEN:
        await mongo.db.create_collection(f"bare_{name}")
        for index in await mongo.db[name].index_information():
            if index != "_id_":
                described = (await mongo.db[name].index_information())[index]
                options = {k: v for k, v in described.items() if k in ("unique", "partialFilterExpression")}
                await mongo.db[f"bare_{name}"].create_index(described["key"], name=index, **options)
    durable = WriteConcern("majority", j=True)

    async def insert(name: str, rows: list[Document]) -> None:
        bare = mongo.db[f"bare_{name}"].with_options(write_concern=durable)
        for start in range(0, len(rows), together):
            await bare.insert_many(rows[start : start + together], ordered=False)

    started = time.perf_counter()
    for name, rows in documents.items():
        await asyncio.gather(*(insert(name, rows[number::INSTANCES]) for number in range(INSTANCES)))
    seconds = time.perf_counter() - started
    for name in WRITTEN:
        await mongo.db.drop_collection(f"bare_{name}")
    return seconds


async def _tell(mongo: Mongo, events: EventLog, ledger: Ledger) -> float:
    """Seconds from the ledger to the outbox: an event of each accrual."""
    started = time.perf_counter()
    for city in await MongoReads(mongo.db).cities_to_tell():
        while await ledger.tell(city):
            pass
    return time.perf_counter() - started


async def settle(mongo: Mongo, events: EventLog, ledger: Ledger, pair: Pair, month: str) -> float:
    """Seconds from the order of a settlement until it is entered."""
    reads = MongoReads(mongo.db)
    settler = Settler(ledger, MongoOrders(mongo.db, lambda: datetime.now(UTC)), events)
    started = time.perf_counter()

    async def order(session: Session) -> str:
        store = MongoLedger(mongo.db, events, session)
        closed = await close_month(SettleMonth(pair, month), store=store, now=NOW, new_id=new_id)
        return closed.event.entity_id

    settlement_id = await mongo.transaction(order)
    running = asyncio.create_task(settler.run())
    while await reads.settlement(settlement_id) is None:
        if running.done():
            await running
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - started
    running.cancel()
    return seconds


async def _verify(mongo: Mongo) -> tuple[float, int]:
    """Seconds of a verification, and the postings that it read."""
    started = time.perf_counter()
    audits = await verify_ledger(at_one_moment=lambda: at_one_moment(mongo))
    seconds = time.perf_counter() - started
    if wrong := [finding for audit in audits for finding in audit.findings]:
        raise SystemExit(f"the ledger is wrong: {wrong[0].rule} at {wrong[0].where}")
    return seconds, sum(audit.entries for audit in audits) * 2


async def _with_memory(work: Coroutine[None, None, T]) -> tuple[T, float]:
    """What the work gives, and by how many MB this process grew meanwhile at most."""
    before, highest, done = _resident_mb(), 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, _resident_mb())
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    result = await work
    done.set()
    await watching
    return result, max(highest - before, 0.0)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1_000_000


def peak_mb() -> float:
    """The most memory that this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) * 1024 / 1_000_000


def say(what: str) -> None:
    """Tell whoever waits."""
    print(what, file=sys.stderr, flush=True)
