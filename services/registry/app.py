"""The composition root of the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.registry import metrics
from services.registry.api import Desk, routers
from services.registry.config import RegistrySettings
from services.registry.store import STEPS, MongoFigures, MongoReader, MongoStore
from services.registry.vault import Vault
from shared.kernel.clock import Clock, system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.commands import CommandRunner
from shared.runtime.feeds import feeds
from shared.runtime.figures import Figures
from shared.runtime.http import create_app
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo
from shared.runtime.readiness import Readiness
from shared.runtime.settings import Settings
from shared.runtime.supervised import end, supervised

SERVICE = "registry"
DESCRIPTION = "Who and where: seekers, employers, communities, stations, posts, placements, shifts."


def create(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """The registry as an app; it connects when it is started, not here.

    Args:
        clock: another one in tests, so that a day can be chosen.

    Raises:
        ValidationError: there is no master key file.
        MasterKeyInvalid: its content is not a key.
    """
    own = RegistrySettings(**settings.model_dump())
    vault = Vault.from_file(own.master_key_file)
    mongo = Mongo.connect(own, SERVICE)
    events = EventLog(mongo.db, SERVICE)
    runner = CommandRunner(mongo, events, clock, vault.derive("command inputs"), metrics.COMMANDS)
    bus = Bus(own, SERVICE, mongo, events, clock)
    readiness = Readiness(mongo, [Migrations(mongo.db, STEPS).run])
    counted = MongoFigures(mongo.db, own.registry_ordinary_hourly_fen)
    figures = Figures(lambda: counted.read(clock()), metrics.FIGURES, clock, own.figures_interval_s)
    desk = Desk(
        runner=runner,
        store=lambda session: MongoStore(mongo.db, vault, events, session),
        reader=MongoReader(mongo.db, vault),
        clock=clock,
        new_id=new_id,
    )

    async def prepare() -> None:
        await readiness.prepare()
        await figures.run()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        preparing = supervised(prepare(), "registry", readiness.broken)
        await bus.start()
        try:
            yield
        finally:
            await end(preparing)
            await bus.stop()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {"store": await readiness.state(), "bus": bus.state}

    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready)
    for router in routers(desk):
        app.include_router(router)
    app.include_router(feeds(SERVICE, mongo, events, readiness.broken))
    return app
