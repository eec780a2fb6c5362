"""The composition root of revenue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.revenue import metrics
from services.revenue.api import commands, funds, grants, payouts, reads, settling, statements
from services.revenue.api.desk import Desk
from services.revenue.config import RevenueSettings
from services.revenue.handlers import (
    COLLECT_AFTER,
    CONSUMED,
    Ledger,
    Reconciler,
    Releaser,
    Settler,
    Teller,
    Verifier,
)
from services.revenue.store import (
    STEPS,
    MongoFigures,
    MongoLedger,
    MongoOrders,
    MongoReads,
    at_one_moment,
    reconciliations,
    refuse_old_ledger,
    verifications,
)
from shared.contracts import fast
from shared.kernel.clock import Clock, system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.commands import CommandRunner
from shared.runtime.feeds import feeds
from shared.runtime.figures import Figures
from shared.runtime.http import create_app
from shared.runtime.loading import collect_seldom
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo, Session
from shared.runtime.readiness import Readiness
from shared.runtime.settings import Settings
from shared.runtime.supervised import end, supervised

SERVICE = "revenue"
DESCRIPTION = "Money: agreements, the ledger of rebates, settlements with statements, community funds."


def create(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Revenue as an app; it connects when it is started, not here.

    Args:
        clock: another one in tests, so that a month can be over.
    """
    own = RevenueSettings(**settings.model_dump())
    mongo = Mongo.connect(own, SERVICE)
    events = EventLog(mongo.db, SERVICE)
    runner = CommandRunner(mongo, events, clock, own.command_secret(SERVICE), metrics.COMMANDS)
    bus = Bus(own, SERVICE, mongo, events, clock)
    readiness = Readiness(mongo, [lambda: refuse_old_ledger(mongo.db), Migrations(mongo.db, STEPS).run])

    def store(session: Session) -> MongoLedger:
        return MongoLedger(mongo.db, events, session)

    ledger = Ledger(mongo, store, clock)
    reader = MongoReads(mongo.db)
    teller = Teller(ledger, reader, events)
    releaser = Releaser(ledger, reader, events)
    counted = MongoFigures(mongo.db)
    figures = Figures(lambda: counted.read(clock()), metrics.FIGURES, clock, own.figures_interval_s)
    verified, reconciled = verifications(mongo.db, clock), reconciliations(mongo.db, clock)
    verifier = Verifier(lambda: at_one_moment(mongo), verified, clock, own.revenue_verify_interval_s)
    reconciler = Reconciler(lambda: at_one_moment(mongo), reconciled, clock, own.revenue_reconcile_interval_s)
    settler = Settler(ledger, MongoOrders(mongo.db, clock), events)
    bus.consume(CONSUMED, ledger.apply, fast.decode)
    desk = Desk(
        runner=runner,
        turn=ledger.turn,
        look_for_releases=releaser.wake,
        store=store,
        reads=reader,
        snapshot=lambda: at_one_moment(mongo),
        verifications=verified,
        clock=clock,
        new_id=new_id,
    )

    async def work() -> None:
        # Indexes first: a transaction must neither create a collection nor run without its unique keys.
        await readiness.prepare()
        collect_seldom(COLLECT_AFTER)
        await bus.start()
        async with asyncio.TaskGroup() as tasks:
            for part in (teller, releaser, settler, figures, verifier, reconciler):
                tasks.create_task(part.run())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        working = supervised(work(), "revenue", readiness.broken)
        try:
            yield
        finally:
            await end(working)
            await bus.stop()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {"store": await readiness.state(), "bus": bus.state}

    limits = {
        "spending-requests": funds.REQUEST_BODY_MAX_BYTES,
        "payout-confirmations": payouts.CONFIRMATION_BODY_MAX_BYTES,
    }
    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready, limits)
    for rooms in (commands, funds, grants, payouts, reads, statements):
        for router in rooms.routers(desk):
            app.include_router(router)
    for router in settling.routers(desk, ledger.preview, settler.wake):
        app.include_router(router)
    app.include_router(feeds(SERVICE, mongo, events, readiness.broken))
    return app
