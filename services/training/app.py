"""The composition root of training."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.training.api import Desk, routers
from services.training.config import TrainingSettings
from services.training.handlers import CONSUMED, seekers_handler
from services.training.store import MongoReads, MongoTraining, ensure_indexes
from shared.kernel.clock import Clock, system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.commands import CommandRunner
from shared.runtime.http import create_app
from shared.runtime.logs import logger
from shared.runtime.mongo import Mongo, Session
from shared.runtime.readiness import Readiness
from shared.runtime.settings import Settings

_log = logger(__name__)

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
    runner = CommandRunner(mongo, events, clock, own.command_secret(SERVICE))
    bus = Bus(own, SERVICE, mongo, events, clock)
    readiness = Readiness(mongo, [lambda: ensure_indexes(mongo.db), events.ensure_indexes, runner.ensure_indexes])

    def store(session: Session) -> MongoTraining:
        return MongoTraining(mongo.db, events, session)

    bus.consume(CONSUMED, seekers_handler(mongo, store))
    desk = Desk(runner=runner, store=store, reads=MongoReads(mongo.db), clock=clock, new_id=new_id)
    failed = False

    async def begin() -> None:
        nonlocal failed
        try:
            # Indexes first: a transaction must neither create a collection nor run without its unique keys.
            await readiness.prepare()
            await bus.start()
        except Exception:
            failed = True
            _log.exception("the start failed; the service reports itself as down")
            raise

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        beginning = asyncio.create_task(begin(), name="training")
        try:
            yield
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            await bus.stop()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {"store": "down" if failed else await readiness.state(), "bus": bus.state}

    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready)
    for router in routers(desk):
        app.include_router(router)
    return app
