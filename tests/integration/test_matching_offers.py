"""Instant hiring on real engines: the registry gives seats, matching offers them, the broker carries the news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.engines import Engines
from services.matching.app import create as create_matching
from services.matching.domain import Fact, Programme
from services.matching.domain.offers import ANSWER_WITHIN, Offer
from services.matching.errors import RegistryUnavailable
from services.matching.hiring import offering
from services.matching.ports import Declined, Placed
from services.matching.registry import HttpRegistry
from services.matching.store import STEPS, MongoOffers
from services.registry.app import create as create_registry
from shared.kernel.clock import civil_day, system_clock
from shared.kernel.ids import new_id
from shared.messaging.events import EventLog
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.registry_desk import Registry as RegistryDesk
from tests.integration.serving import Client, producing, served
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.hiring_world import SlowBoard
from tests.unit.matching.plain import plain
from tests.unit.matching.wire import id_of


@dataclass
class ShakyRegistry:
    """The real registry, over a line that can lose its answers."""

    inner: HttpRegistry
    loses: list[str] = field(default_factory=list)

    async def place(self, offer: Offer) -> Placed | Declined:
        answer = await self.inner.place(offer)
        if "place" in self.loses:
            self.loses.remove("place")
            raise RegistryUnavailable("the line broke")
        return answer

    async def release(self, offer: Offer, last_day: date) -> Declined | None:
        return await self.inner.release(offer, last_day)


@dataclass
class City:
    """Both services, and the clock of matching."""

    registry: RegistryDesk
    matching: Client
    line: ShakyRegistry
    ahead: timedelta = timedelta()

    def clock(self) -> datetime:
        return system_clock() + self.ahead

    async def seekers(self, count: int) -> list[str]:
        """Women who all match; whoever came first is the better candidate."""
        return [await self.registry.seeker() for _ in range(count)]

    async def urgent(self, **given: Any) -> str:
        return await self.registry.opened(**{"urgent": True, "seats": 1, **given})

    async def live(self, post_id: str) -> list[dict[str, Any]]:
        response = await self.matching.http.get(f"/posts/{post_id}/offers", params={"state": "live"})
        offers = response.json()["items"] if response.status_code == 200 else []
        return sorted(offers, key=lambda offer: offer["rank"])

    async def offered(self, post_id: str, *seeker_ids: str) -> list[dict[str, Any]]:
        """Wait until exactly these hold a live offer of a post."""

        async def there() -> bool:
            return {offer["seeker_id"] for offer in await self.live(post_id)} == set(seeker_ids)

        await eventually(there, "the offers are made")
        return await self.live(post_id)


@asynccontextmanager
async def city(settings: Settings) -> AsyncIterator[City]:
    own = settings.model_copy(update={"matching_hiring_interval_ms": 20, "matching_publish_interval_ms": 20})
    registry_app = create_registry(settings)
    line = ShakyRegistry(HttpRegistry("http://registry", None, 5_000, httpx.ASGITransport(registry_app)))
    found: City | None = None

    def clock() -> datetime:
        return system_clock() if found is None else found.clock()

    matching_app = create_matching(own, clock, plain(datetime.now(UTC)), line)
    # Training's topics are there too, as matching waits for all that it reads.
    async with (
        producing(settings, "training"),
        served(registry_app) as registry,
        served(matching_app, bus=True) as matching,
        line.inner,
    ):
        found = City(RegistryDesk(registry.http), matching, line)

        async def ready() -> bool:
            return (await matching.http.get("/health/ready")).status_code == 200

        await eventually(ready, "matching is ready", timeout_s=60)
        yield found


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Mongo]:
    """Matching's own database, dropped after the test; the registry's with it."""
    connected = Mongo.connect(settings, "matching")
    yield connected
    for service in ("matching", "registry"):
        await connected.client.drop_database(f"{settings.db_prefix}_{service}")
    connected.close()


async def test_a_seat_passes_from_one_to_the_next(fresh_broker: Engines, settings: Settings, own: Mongo) -> None:
    async with city(settings) as town:
        first, second, third, fourth = await town.seekers(4)
        post_id = await town.urgent()
        [offer] = await town.offered(post_id, first)
        assert (offer["rank"], offer["state"], offer["hours"][0]) == (
            1,
            "live",
            {"day": 1, "from": "08:30", "to": "11:30"},
        )
        await town.matching.accepted(f"/offers/{offer['offer_id']}/refuse", {})
        [offer] = await town.offered(post_id, second)

        # Time passes.
        town.ahead = timedelta(minutes=15)
        [offer] = await town.offered(post_id, third)
        [over] = (await town.matching.get(f"/seekers/{second}/offers"))["items"]
        assert (over["outcome"], over["version"]) == ("expired", 2)

        won = await town.matching.accepted(f"/offers/{offer['offer_id']}/accept", {"child_care": False}, "her-yes-1")
        assert (
            await town.matching.accepted(f"/offers/{offer['offer_id']}/accept", {"child_care": False}, "her-yes-1")
            == won
        )
        placement = await town.registry.get(f"/placements/{won['placement_id']}")
        assert (placement["seeker_id"], placement["status"], placement["post_id"]) == (third, "active", post_id)
        assert won["position"] == f"offer-settled:{offer['offer_id']}:2"

        async def filled() -> bool:
            return bool((await town.matching.get(f"/posts/{post_id}/offers"))["hiring"]["progress"] == "filled")

        await eventually(filled, "the seat is seen as taken")
        refused = await town.matching.refused(f"/offers/{offer['offer_id']}/accept", {}, 409)
        assert refused["code"] == "offer-settled-already"

        # She never came: her seat is given back, and the next is asked.
        today = civil_day(system_clock())
        await town.registry.done(
            "/shifts",
            {
                "placement_id": won["placement_id"],
                "started_at": f"{today}T00:00:00+08:00",
                "ended_at": f"{today}T00:00:01+08:00",  # over, whenever this runs
                "verdict": "no-show",
            },
        )
        await town.offered(post_id, fourth)
        placement = await town.registry.get(f"/placements/{won['placement_id']}")
        assert (placement["status"], placement["reason"], placement["ends_on"]) == ("ended", "employer", str(today))

        # Leave at any time opens the seat again; here nobody is left to ask.
        [offer] = await town.live(post_id)
        won = await town.matching.accepted(f"/offers/{offer['offer_id']}/accept", {})
        await eventually(filled, "the seat is seen as taken again")
        await town.registry.done(
            f"/placements/{won['placement_id']}/end", {"reason": "own-wish", "ends_on": str(civil_day(system_clock()))}
        )
        fifth = await town.registry.seeker()
        await town.offered(post_id, fifth)
        await town.registry.done(f"/posts/{post_id}/close", {"reason": "withdrawn"})
        await town.offered(post_id)

    told = await own.db["events"].find({"topic": {"$in": ["offer-made", "offer-settled"]}}).sort("at", 1).to_list(None)
    assert len([event for event in told if event["topic"] == "offer-made"]) == 5
    assert len({event["entity_id"] for event in told if event["topic"] == "offer-settled"}) == 5
    assert {event["published"] for event in told} == {1}


async def test_one_winner_a_seat_and_lost_answers(fresh_broker: Engines, settings: Settings, own: Mongo) -> None:
    async with city(settings) as town:
        seekers = await town.seekers(4)
        post_id = await town.registry.opened(seats=1)

        async def known() -> bool:
            return (await town.matching.http.get(f"/posts/{post_id}/ranking")).status_code == 200

        await eventually(known, "matching has heard of the post")
        await town.matching.accepted(f"/posts/{post_id}/offers", {"offers_per_seat": 4, "expires_in_minutes": 5})
        offers = await town.offered(post_id, *seekers)
        answers = await asyncio.gather(
            *(town.matching.post(f"/offers/{offer['offer_id']}/accept", {}) for offer in offers for _ in range(2))
        )
        assert sorted(answer.status_code for answer in answers)[0] == 201
        assert [answer.status_code for answer in answers].count(201) == 1
        assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
            "seat-taken",
            "offer-settled-already",
            "offer-being-accepted",
        }
        await town.offered(post_id)
        page = await town.matching.get(f"/posts/{post_id}/offers")
        assert sorted(offer["outcome"] for offer in page["items"]) == ["accepted", *["seat-taken"] * 3]
        assert (await town.registry.get(f"/posts/{post_id}"))["seats_taken"] == 1

        # The registry's answer is lost, as by a kill before our commit; the loop finishes what was begun, once.
        other = await town.urgent(hours=[{"day": 6, "from": "09:00", "to": "12:00"}], min_minutes=0, kind="elastic")
        saturday = await town.registry.seeker(free=[{"day": 6, "from": "09:00", "to": "12:00"}])
        [offer] = await town.offered(other, saturday)
        town.line.loses.append("place")
        body, key = {"starts_on": str(civil_day(system_clock()))}, "her-yes-2"
        lost = await town.matching.post(f"/offers/{offer['offer_id']}/accept", body, key)
        assert (lost.status_code, lost.json()["code"], lost.json()["retryable"]) == (503, "registry-unavailable", True)
        assert (await town.matching.get(f"/offers/{offer['offer_id']}"))["state"] == "accepting"
        no = await town.matching.refused(f"/offers/{offer['offer_id']}/refuse", {}, 409)
        assert no["code"] == "offer-being-accepted"
        town.ahead += timedelta(minutes=20) + ANSWER_WITHIN

        async def finished() -> bool:
            return bool((await town.matching.get(f"/offers/{offer['offer_id']}"))["state"] == "settled")

        await eventually(finished, "the acceptance is finished")
        won = await town.matching.accepted(f"/offers/{offer['offer_id']}/accept", body, key)
        hers = await town.registry.everything("/placements", seeker_id=saturday)
        assert [placement["placement_id"] for placement in hers] == [won["placement_id"]]

        # What is wrong is told, and changes nothing.
        no_hours = {"hours": [{"day": 1, "from": "09:00", "to": "09:00"}]}
        for path, wrong, code in (
            (f"/offers/{new_id('offer')}/accept", {}, "offer-unknown"),
            (f"/posts/{new_id('post')}/offers", {}, "post-unknown"),
            (f"/posts/{post_id}/offers", {"offers_per_seat": 6}, "invalid"),
            (f"/posts/{post_id}/offers", {"expires_in_minutes": 1441}, "invalid"),
            (f"/offers/{offer['offer_id']}/accept", {"starts_on": "2150-01-01"}, "invalid"),
            (
                f"/offers/{offer['offer_id']}/accept",
                no_hours,
                "hours-invalid",
            ),
        ):
            answer = await town.matching.post(path, wrong)
            assert answer.json()["code"] == code, answer.text
        without_key = await town.matching.http.post(f"/offers/{offer['offer_id']}/refuse")
        assert without_key.json()["code"] == "idempotency-key-missing"
        cancelled = await town.matching.http.delete(
            f"/posts/{post_id}/offers", headers={"Idempotency-Key": "stop-hiring"}
        )
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")


async def test_offers_for_the_same_hours_made_at_once_for_two_posts(settings: Settings, own: Mongo) -> None:
    """Two processes, each with its own connection, look at two posts that want the same woman at the same time."""
    programme = Programme.of(
        [
            *(Fact("seeker", id_of("skr", number), 1, YANTAI, seeker()) for number in range(1, 11)),
            *(Fact("post", id_of("pst", number), 1, YANTAI, post(seats=10)) for number in range(1, 5)),
        ]
    )
    board = SlowBoard(programme, NOW)
    others = [Mongo.connect(settings, "matching") for _ in range(4)]
    stores = [MongoOffers(mongo, EventLog(mongo.db, "matching")) for mongo in others]
    await Migrations(own.db, STEPS).run()
    ids = [id_of("pst", number) for number in range(1, 5)]
    for post_id in ids:
        await stores[0].transaction(
            lambda book, post_id=post_id: offering.start(  # type: ignore[misc]
                book, post_id, YANTAI, per_seat=1, expiry_minutes=15, is_asked=True, now=NOW
            )
        )

    async def look(store: MongoOffers, post_id: str) -> None:
        await store.transaction(lambda book: offering.look(book, post_id, board=board, now=NOW, new_id=new_id))

    outcomes = await asyncio.gather(
        *(look(store, post_id) for store, post_id in zip(stores, ids, strict=True)), return_exceptions=True
    )
    for post_id in ids:  # whoever lost a race comes again with the next tick
        await look(stores[0], post_id)
    held = await stores[0].unsettled_of(ids)
    assert sorted(offer.seeker_id for offer in held) == [id_of("skr", number) for number in range(1, 11)]
    assert not [one for one in outcomes if isinstance(one, BaseException) and not getattr(one, "retryable", False)]
    for mongo in others:
        mongo.close()
