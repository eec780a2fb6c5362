"""The composition root of matching."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.matching import metrics
from services.matching.api import Reader, router
from services.matching.config import MatchingSettings
from services.matching.engine import Engine
from services.matching.facts import CONSUMED
from services.matching.handlers import Events, Ticker
from services.matching.store import MongoFacts, MongoRankings
from services.matching.use_cases import Live
from shared.kernel.clock import Clock, system_clock
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.http import create_app
from shared.runtime.mongo import Mongo, StoreUnavailable
from shared.runtime.settings import Settings

SERVICE = "matching"
DESCRIPTION = "Who gets what: the best seekers of each post, the best posts of each seeker, and why."


def create(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Matching as an app; it connects when it is started, not here.

    Args:
        clock: another one in tests, so that a day can be chosen.
    """
    own = MatchingSettings(**settings.model_dump())
    mongo = Mongo.connect(own, SERVICE)
    events = EventLog(mongo.db, SERVICE)
    facts, outbox = MongoFacts(mongo), MongoRankings(mongo, events)
    live = Live(Engine(clock()))
    bus = Bus(own, SERVICE, mongo, events, clock)
    bus.consume(CONSUMED, Events(live, facts, clock).apply)
    ticker = Ticker(live, facts, outbox, bus, clock, own.matching_publish_interval_ms)
    metrics.OPEN_POSTS.set_function(lambda: live.engine.counts()[0])
    metrics.ELIGIBLE_SEEKERS.set_function(lambda: live.engine.counts()[1])

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        ticker.start()
        try:
            yield
        finally:
            await ticker.stop()
            await bus.stop()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {"store": await _store_state(mongo), "rankings": ticker.state, "bus": bus.state}

    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready)
    app.include_router(router(Reader(live, clock)))
    return app


async def _store_state(mongo: Mongo) -> str:
    try:
        await mongo.ping()
    except StoreUnavailable:
        return "down"
    return "up"
