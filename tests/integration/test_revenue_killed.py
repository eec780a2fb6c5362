"""Promise 1 for money: revenue is killed after every single step between the read of a batch and the commit of its
offset, and loses its database in an election; the ledger is the one without the kill."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pymongo import monitoring
from pymongo.errors import AutoReconnect

from services.revenue.handlers import Ledger
from services.revenue.ports import Party, Signatories, Signature
from services.revenue.store import MongoLedger, at_one_moment
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from services.revenue.use_cases.verify import verify_city
from shared.contracts import fast
from shared.contracts.envelope import Envelope, Message, encode
from shared.kernel.ids import new_id
from shared.messaging.consume import comes_again
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo, Session
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.serving import Client
from tests.integration.town import NOW, WORKED, Town, envelopes, healthy

KILLED = -signal.SIGKILL


def story(town: Town, city: str) -> list[list[Message]]:
    """Two batches: plain, corrected, doubled and reordered shifts, one that owes nothing and one that waits."""
    plain, corrected, missed = (town.shift(city=city, wage_fen=6_000 + n) for n in range(3))
    missed = missed.model_copy(update={"wage_fen": 0, "base_fen": 0})
    waits = town.shift(city=city, community_id=new_id("community"))
    third, second = (corrected.model_copy(update={"revision": n, "wage_fen": 5_000 + n}) for n in (3, 2))
    first = envelopes([plain, corrected, missed, waits])
    later = envelopes([third, plain.model_copy(update={"revision": 2, "wage_fen": 7_000}), second])
    return [[encode(one) for one in batch] for batch in (first, [first[0], *later])]


class Killer(monitoring.CommandListener):
    """Ends its own process, as `kill -9` does, after so many steps; a step is an answer of the database."""

    def __init__(self, steps: int | None) -> None:
        self.left = steps

    def step(self) -> None:
        """One more step is done."""
        if self.left is None:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def started(self, event: monitoring.CommandStartedEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        if event.command_name not in ("hello", "endSessions"):
            self.step()


def consume(settings: Settings, batches: Sequence[Sequence[Message]], offset: Path, steps: int | None) -> None:
    """A process of revenue: takes the batches from its offset on, then tells of the entries."""
    killer = Killer(steps)
    monitoring.register(killer)
    asyncio.run(_consume(settings, batches, offset, killer))


async def _consume(settings: Settings, batches: Sequence[Sequence[Message]], offset: Path, killer: Killer) -> None:
    mongo = Mongo.connect(settings, "revenue")
    ledger = ledger_of(mongo)
    for number in range(read_offset(offset), len(batches)):
        batch = [fast.decode(one.topic, one.key, one.headers, one.value) for one in batches[number]]
        killer.step()
        assert await ledger.apply(batch) == []
        commit_offset(offset, number + 1)
        killer.step()
    while await ledger.tell(batch_city(batches)):
        pass
    mongo.close()


def read_offset(file: Path) -> int:
    """Number of the first batch that is not done."""
    return int(file.read_text()) if file.exists() else 0


def commit_offset(file: Path, offset: int) -> None:
    """Whole or not at all, as a broker does."""
    new = file.with_suffix(".new")
    new.write_text(str(offset))
    new.rename(file)


def batch_city(batches: Sequence[Sequence[Message]]) -> str:
    """The city of all shifts of a story."""
    [first, *_] = batches[0]
    return fast.decode(first.topic, first.key, first.headers, first.value).event.city


def ledger_of(mongo: Mongo) -> Ledger:
    """A handler as another process has it."""
    events = EventLog(mongo.db, "revenue")
    return Ledger(mongo, lambda session: MongoLedger(mongo.db, events, session), lambda: NOW)


async def sign(mongo: Mongo, town: Town, city: str) -> None:
    """Parties of a city and their agreement."""
    office = Signature("an office", WORKED.date())
    command = SignAgreement(
        town.employer_id, town.community_id, "wages", 800, WORKED.date(), None, Signatories(office, office, office)
    )

    async def work(session: Session) -> Envelope:
        store = MongoLedger(mongo.db, EventLog(mongo.db, "revenue"), session)
        await store.note_parties(
            [Party("employer", town.employer_id, city, 1), Party("community", town.community_id, city, 1)]
        )
        return await sign_agreement(command, store=store, now=NOW, new_id=new_id)

    await mongo.transaction(work)


async def state(mongo: Mongo, city: str) -> dict[str, Any]:
    """What a city's story came to, without the ids, which are random; verified on the way."""
    async with at_one_moment(mongo) as snapshot:
        audit = await verify_city(city, snapshot=snapshot)
        assert audit.findings == []
        lines = [(link.entry.kind, link.entry.amount_fen_e4) async for link in snapshot.chain(city)]
        standing = sorted([known.revision async for _, known in snapshot.standings(city)])
        waiting = [shift.wage_fen async for _, shift in snapshot.suspended(city)]
        sums = sorted(
            (key.worked_month, bool(key.agreement_id), book.entries, book.sum_fen_e4)
            for key, book in audit.kept.books.items()
        )
    events = [event["topic"] async for event in mongo.db["events"].find({"city": city})]
    return {"lines": lines, "standing": standing, "waiting": waiting, "sums": sums, "events": Counter(events)}


async def test_killed_after_every_step_the_ledger_is_the_same(
    revenue: Client, revenue_mongo: Mongo, settings: Settings, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    async def run(batches: Sequence[Sequence[Message]], offset: Path, steps: int | None) -> int | None:
        process = context.Process(target=consume, args=(settings, batches, offset, steps))
        process.start()
        await asyncio.to_thread(process.join, 60)
        return process.exitcode

    expected: dict[str, Any] | None = None
    kills = 0
    for number in count():
        city, town, offset = str(110_100 + number), Town(), tmp_path / f"offset-{number}"
        await sign(revenue_mongo, town, city)
        batches = story(town, city)
        ended = await run(batches, offset, number or None)
        if number and ended == KILLED:
            kills += 1
            # The database gives up what a dead client has begun; by itself it does so after a minute.
            await revenue_mongo.client.admin.command("killAllSessions", [])
            ended = await run(batches, offset, None)
        assert ended == 0
        found = await state(revenue_mongo, city)
        expected = expected or found
        assert found == expected, f"killed after step {number}"
        if number > kills:
            break
    assert kills > 30, "fewer steps than the path has"
    assert expected
    assert expected["events"]["rebate-accrued"] == sum(kind in ("accrual", "reversal") for kind, _ in expected["lines"])
    assert (expected["waiting"], expected["standing"]) == ([6_000], [1, 1, 2, 3])


async def test_an_election_in_the_middle_of_batches_loses_and_doubles_none(
    revenue: Client, revenue_mongo: Mongo, ledger: Ledger, town: Town
) -> None:
    """The primary steps down twice while batches come; they come again as the consumer has them, and stand once."""
    await revenue.accepted("/agreements", town.terms())
    batches = [envelopes([town.shift() for _ in range(20)]) for _ in range(30)]

    async def term() -> int:
        status = await revenue_mongo.client.admin.command("replSetGetStatus")
        return int(status["term"])

    async def come() -> None:
        for batch in batches:
            while True:
                try:
                    await ledger.apply(batch)
                except Exception as error:
                    if not comes_again(error):
                        raise
                    await asyncio.sleep(0.05)
                    continue
                break

    async def stand(count: int) -> bool:
        return await revenue_mongo.db["entries"].count_documents({}) >= count

    async def elect() -> None:
        for part in (3, 15):
            await eventually(partial(stand, part * 20), "a part of the batches stands")
            try:
                await revenue_mongo.client.admin.command("replSetStepDown", 1, force=True)
            except AutoReconnect:
                continue  # the answer was lost with the connection

    before = await term()
    coming = asyncio.create_task(come())
    electing = asyncio.create_task(elect())
    await asyncio.wait_for(asyncio.gather(coming, electing), 90)
    assert await term() >= before + 2
    assert await revenue_mongo.db["entries"].count_documents({}) == 600
    await healthy(revenue_mongo)
