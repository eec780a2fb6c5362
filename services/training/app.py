"""The composition root of training."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.training import metrics
from services.training.api import Desk, routers
from services.training.config import TrainingSettings
from services.training.handlers import CONSUMED, seekers_handler
from services.training.store import STEPS, MongoReads, MongoTraining
from shared.kernel.clock import Clock, system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.commands import CommandRunner
from shared.runtime.feeds import feeds
from shared.runtime.http import create_app
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo, Session
from shared.runtime.readiness import Readiness
from shared.runtime.settings import Settings
from shared.runtime.supervised import end, supervised

SERVICE = "training"
DESCRIPTION = "Skill: courses with seats, enrolments, assessments, certificates."


def create(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Training as an app; it connects when it is started, not here.

    Args:
        clock: another one in tests, so that a course can begin and end.
    """
    own = TrainingSettings(**settings.model_dump())
    mongo = Mongo.connect(own, SERVICE)
    events = EventLog(mongo.db, SERVICE)
    runner = CommandRunner(mongo, events, clock, own.command_secret(SERVICE), metrics.COMMANDS)
    bus = Bus(own, SERVICE, mongo, events, clock)
    readiness = Readiness(mongo, [Migrations(mongo.db, STEPS).run])

    def store(session: Session) -> MongoTraining:
        return MongoTraining(mongo.db, events, session)

    bus.consume(CONSUMED, seekers_handler(mongo, store))
    desk = Desk(runner=runner, store=store, reads=MongoReads(mongo.db), clock=clock, new_id=new_id)

    async def begin() -> None:
        # Indexes first: a transaction must neither create a collection nor run without its unique keys.
        await readiness.prepare()
        await bus.start()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        beginning = supervised(begin(), "training", readiness.broken)
        try:
            yield
        finally:
            await end(beginning)
            await bus.stop()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {"store": await readiness.state(), "bus": bus.state}

    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready)
    for router in routers(desk):
        app.include_router(router)
    app.include_router(feeds(SERVICE, mongo, events, readiness.broken))
    return app
