"""The composition root of matching."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast

from fastapi import FastAPI

from services.matching import metrics
from services.matching.api import Desk, Forwarding, HiringDesk, Reader, hiring_router, policy_router, router
from services.matching.checkpoint import Shelf
from services.matching.config import MatchingSettings
from services.matching.engine import Engine
from services.matching.engine.warm import warm
from services.matching.facts import CONSUMED
from services.matching.handlers import COLLECT_AFTER, Checkpoints, Holdings, Ticker
from services.matching.hiring import Attendance, Hirings, HiringTerms, OwnedBoard
from services.matching.ownership import Leases, Peers
from services.matching.ports import Board, Registry
from services.matching.registry import HttpRegistry
from services.matching.store import (
    STEPS,
    MongoOffers,
    MongoOwners,
    MongoPolicies,
    MongoPolicyReads,
    MongoRankings,
)
from services.matching.use_cases import Live, read_published
from shared.contracts.topics import PARTITIONS, partition_of
from shared.kernel.clock import Clock, system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.commands import CommandRunner
from shared.runtime.feeds import feeds
from shared.runtime.http import create_app
from shared.runtime.loading import collect_seldom
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo, Session
from shared.runtime.readiness import Readiness
from shared.runtime.settings import Settings
from shared.runtime.supervised import end, supervised

SERVICE = "matching"
DESCRIPTION = "Who gets what: the best seekers of each post, the best posts of each seeker, and why; offers of seats."


def create(
    settings: Settings,
    clock: Clock = system_clock,
    engine: Engine | None = None,
    registry: Registry | None = None,
) -> FastAPI:
    """Matching as an app; it connects when it is started, not here.

    Args:
        clock: another one in tests, so that a day can be chosen.
        registry: another one in tests; by default the one at `registry_url`.
    """
    own = MatchingSettings(**settings.model_dump())
    mongo = Mongo.connect(own, SERVICE)
    events = EventLog(mongo.db, SERVICE)
    outbox, owners = MongoRankings(mongo, events), MongoOwners(mongo)
    runner = CommandRunner(mongo, events, clock, own.command_secret(SERVICE), metrics.COMMANDS)
    offers = MongoOffers(mongo, events)
    readiness = Readiness(mongo, [Migrations(mongo.db, STEPS).run])

    def policies(session: Session) -> MongoPolicies:
        return MongoPolicies(mongo.db, events, session)

    live = Live(Engine(clock()))
    shelf = Shelf(own.matching_checkpoint_dir / own.db_prefix, live.engine.layout)
    checkpoints = Checkpoints(live, shelf, clock, own.matching_checkpoint_interval_s)
    instance = f"{socket.gethostname()} {own.url}"
    leases = Leases(
        live,
        owners,
        instance=instance,
        url=own.url,
        lease_s=own.matching_lease_s,
        on_taken=lambda part: read_published(live, part, outbox=outbox),
    )
    attendance = Attendance(offers)
    holdings = Holdings(live, checkpoints, leases, clock, attendance)
    peers = Peers(owners, own.url)
    bus = Bus(own, SERVICE, mongo, events, clock)
    bus.consume_slices(CONSUMED, holdings)
    ticker = Ticker(
        live,
        outbox,
        owners,
        checkpoints,
        leases,
        bus,
        clock,
        warm=warm,
        instance=instance,
        interval_ms=own.matching_publish_interval_ms,
    )
    http_registry = HttpRegistry(own.registry_url, own.registry_token_file, own.registry_timeout_ms)

    def board(now: datetime) -> OwnedBoard:
        return OwnedBoard(cast(Board, live.at(now)), lambda city: live.owns(partition_of(city)))

    hirings = Hirings(
        offers,
        registry or http_registry,
        board,
        attendance,
        HiringTerms(own.offers_per_seat, own.offer_expiry_minutes),
        clock,
        new_id,
        own.matching_hiring_interval_ms,
    )
    metrics.OPEN_POSTS.set_function(lambda: live.engine.counts()[0])
    metrics.STREAMS_OPEN.set_function(lambda: len(live.watchers))
    metrics.ELIGIBLE_SEEKERS.set_function(lambda: live.engine.counts()[1])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        preparing = supervised(readiness.prepare(), "prepare the store", readiness.broken)
        letting_go = supervised(live.watchers.stop_with(app.state.stopping), "end streams", readiness.broken)
        collect_seldom(COLLECT_AFTER)
        ticker.start(preparing)
        hirings.start(preparing)
        try:
            yield
        finally:
            await end(preparing)
            await end(letting_go)
            holdings.close()
            await hirings.stop()
            await ticker.stop()
            await bus.stop()
            await holdings.settle()
            await peers.close()
            await http_registry.close()
            mongo.close()

    async def ready() -> dict[str, str]:
        return {
            "store": await readiness.state(),
            "rankings": ticker.state,
            "hiring": hirings.state,
            "bus": bus.state,
        }

    app = create_app(SERVICE, DESCRIPTION, own, lifespan, ready)
    app.add_middleware(Forwarding, live=live, peers=peers)
    app.include_router(router(Reader(live, clock), outbox))
    app.include_router(
        hiring_router(
            HiringDesk(runner, hirings, offers, clock, lambda: all(live.owns(number) for number in range(PARTITIONS)))
        )
    )
    app.include_router(policy_router(Desk(runner, clock), policies, MongoPolicyReads(mongo.db)))
    app.include_router(feeds(SERVICE, mongo, events, readiness.broken))
    return app
