"""Seat, child-care place and shuttle seat on a real database: who wins when many want the last, and what is kept."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.registry.domain.occupancy import Occupancy
from services.registry.domain.placements import Placement
from services.registry.store import MongoReader
from services.registry.vault import Vault
from shared.runtime.auth import hash_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.integration.registry_desk import NOWHERE, TODAY, YESTERDAY, Registry, events_of, placement, serving, stored
from tests.unit.registry.city import YANTAI

HALF_HOURS = [
    {"day": 1, "from": start, "to": end}
    for start, end in (("08:30", "09:00"), ("09:00", "09:30"), ("09:30", "10:00"), ("10:00", "10:30"))
]


class Bundled:
    """A station with child care, a shuttle to it, and a post there."""

    def __init__(self, registry: Registry, station_id: str, shuttle_id: str, post_id: str) -> None:
        self.registry, self.station_id, self.shuttle_id, self.post_id = registry, station_id, shuttle_id, post_id

    @classmethod
    async def at(cls, registry: Registry, *, places: int, shuttle_seats: int, seats: int) -> Bundled:
        station_id = await registry.station()
        await registry.done(f"/stations/{station_id}/change", {"child_care_places": places})
        body = {"station_id": station_id, "seats": shuttle_seats, "name": "开发区线"}
        shuttle_id = await registry.done("/shuttles", body)
        return cls(registry, station_id, shuttle_id, await registry.opened(station_id=station_id, seats=seats))

    def through(self, registry: Registry) -> Bundled:
        """The same, asked of another instance."""
        return Bundled(registry, self.station_id, self.shuttle_id, self.post_id)

    async def take(self, seeker_id: str, **given: Any) -> tuple[str, list[str]]:
        """Ask for everything, again where told to retry; answers the id or the code, and the fields at fault."""
        body = placement(self.post_id, seeker_id, **{"child_care": True, "shuttle_id": self.shuttle_id, **given})
        while True:
            answer = await self.registry.post("/placements", body)
            if answer.status_code == 201:
                return str(answer.json()["id"]), []
            problem = answer.json()
            if not problem["retryable"]:
                return str(problem["code"]), [error["field"] for error in problem["errors"]]

    async def end(self, placement_id: str, ends_on: date = TODAY) -> None:
        while True:
            body = {"reason": "own-wish", "ends_on": str(ends_on)}
            answer = await self.registry.post(f"/placements/{placement_id}/end", body)
            if answer.status_code == 201:
                return
            assert answer.json()["retryable"], answer.text

    async def taken(self) -> tuple[int, int, int]:
        """Seats, child-care places and shuttle seats that are shown as taken."""
        post = await self.registry.get(f"/posts/{self.post_id}")
        station = await self.registry.get(f"/stations/{self.station_id}")
        shuttle = await self.registry.get(f"/shuttles/{self.shuttle_id}")
        return post["seats_taken"], station["child_care_taken"], shuttle["seats_taken"]


@pytest.fixture
async def instances(settings: Settings) -> AsyncIterator[list[Registry]]:
    """Four instances on one database, between which nothing but its transactions decides."""
    own = settings.model_copy(update={"kafka": NOWHERE})
    async with AsyncExitStack() as running:
        yield [await running.enter_async_context(serving(own)) for _ in range(4)]


async def placements(mongo: Mongo, settings: Settings) -> list[Placement]:
    """All placements, what is sealed in them opened."""
    assert settings.master_key_file is not None
    reader = MongoReader(mongo.db, Vault.from_file(settings.master_key_file))
    return await reader.page_placements(None, None, None, None, None, 1000)


async def counted(mongo: Mongo, settings: Settings, part: str, where: str) -> Occupancy:
    """What the active placements hold of a place, counted anew."""
    held = Occupancy()
    for found in await placements(mongo, settings):
        if found.ended is None and getattr(found, part) == where:
            held = held.taken(found.hours)
    return held


async def test_of_twenty_at_once_for_three_child_care_places_three_win_and_the_rest_hold_nothing(
    instances: list[Registry], mongo: Mongo, settings: Settings
) -> None:
    registry = instances[0]
    bundled = await Bundled.at(registry, places=3, shuttle_seats=20, seats=20)
    women = [await registry.seeker() for _ in range(20)]
    answers = dict(
        zip(
            women,
            await asyncio.gather(*(bundled.through(instances[n % 4]).take(woman) for n, woman in enumerate(women))),
            strict=True,
        )
    )
    winners = {woman for woman, (answer, _) in answers.items() if answer.startswith("plc-")}
    assert len(winners) == 3
    assert Counter((code, tuple(fields)) for woman, (code, fields) in answers.items() if woman not in winners) == {
        ("child-care-full", ("child_care",)): 17
    }
    assert await bundled.taken() == (3, 3, 3)
    held = await placements(mongo, settings)
    assert {one.seeker_id for one in held} == winners
    assert {(one.child_care_station_id, one.shuttle_id) for one in held} == {(bundled.station_id, bundled.shuttle_id)}
    assert await mongo.db["events"].count_documents({"topic": "placement-made"}) == 3
    for placement_id in [answer for answer, _ in answers.values() if answer.startswith("plc-")]:
        await bundled.end(placement_id)
    assert await bundled.taken() == (0, 0, 0)
    assert {one.child_care_station_id for one in await placements(mongo, settings)} == {None}
    assert await mongo.db["placements"].count_documents({"beside": {"$exists": True}}) == 0


async def test_many_who_come_and_go_at_once_never_exceed_a_capacity(
    instances: list[Registry], mongo: Mongo, settings: Settings
) -> None:
    registry = instances[0]
    bundled = await Bundled.at(registry, places=2, shuttle_seats=2, seats=12)
    women = [await registry.seeker() for _ in range(14)]
    dice = random.Random(7)
    outcomes = Counter[str]()

    async def held_never_exceed() -> None:
        station = await mongo.db["stations"].find_one({"_id": bundled.station_id})
        shuttle = await mongo.db["shuttles"].find_one({"_id": bundled.shuttle_id})
        assert station is not None
        assert shuttle is not None
        assert (max(station["child_care_held"]) <= 2, max(shuttle["seats_held"]) <= 2) == (True, True)

    async def come_and_go(bundled: Bundled, woman: str, stays_after: int) -> None:
        for time in range(stays_after + 1):
            answer, fields = await bundled.take(
                woman,
                hours=dice.sample(HALF_HOURS, dice.randint(1, 3)),
                child_care=dice.random() < 0.7,
                shuttle_id=bundled.shuttle_id if dice.random() < 0.7 else None,
                starts_on=str(TODAY),
            )
            outcomes.update(fields or ["accepted"])
            await held_never_exceed()
            if not fields and time < stays_after:
                # She never began, so that her hours of today are free for the next time.
                await bundled.end(answer, YESTERDAY)

    await asyncio.gather(
        *(come_and_go(bundled.through(instances[n % 4]), woman, stays_after=2) for n, woman in enumerate(women))
    )
    assert outcomes["accepted"] > 6
    assert min(outcomes["child_care"], outcomes["shuttle_id"]) > 2
    station = await mongo.db["stations"].find_one({"_id": bundled.station_id})
    shuttle = await mongo.db["shuttles"].find_one({"_id": bundled.shuttle_id})
    assert station is not None
    assert shuttle is not None
    assert (
        station["child_care_held"]
        == (await counted(mongo, settings, "child_care_station_id", bundled.station_id)).counts
    )
    assert shuttle["seats_held"] == (await counted(mongo, settings, "shuttle_id", bundled.shuttle_id)).counts
    active = await mongo.db["placements"].count_documents({"active": True})
    assert (await registry.get(f"/posts/{bundled.post_id}"))["seats_taken"] == active <= 12
    running = [held["_id"] for held in await mongo.db["placements"].find({"active": True}).to_list(None)]
    await asyncio.gather(*(bundled.end(placement_id) for placement_id in running))
    assert await bundled.taken() == (0, 0, 0)


async def test_a_capacity_and_the_last_place_at_once_leave_no_one_without_a_place(
    registry: Registry, mongo: Mongo
) -> None:
    for _ in range(5):
        bundled = await Bundled.at(registry, places=1, shuttle_seats=1, seats=2)
        seeker_id = await registry.seeker()
        (answer, _), change = await asyncio.gather(
            bundled.take(seeker_id),
            registry.post(f"/stations/{bundled.station_id}/change", {"child_care_places": 0}),
        )
        if change.status_code == 201:
            assert answer == "child-care-none"
            assert await bundled.taken() == (0, 0, 0)
        else:
            assert answer.startswith("plc-")
            assert change.json()["code"] == "child-care-taken"
            assert await bundled.taken() == (1, 1, 1)


async def test_a_key_stands_for_the_whole_bundle(registry: Registry) -> None:
    bundled = await Bundled.at(registry, places=2, shuttle_seats=2, seats=2)
    key = secrets.token_hex(8)
    body = placement(bundled.post_id, await registry.seeker(), child_care=True, shuttle_id=bundled.shuttle_id)
    first = await registry.post("/placements", body, key=key)
    again = await registry.post("/placements", body, key=key)
    assert (first.status_code, again.status_code, first.content == again.content) == (201, 201, True)
    assert await bundled.taken() == (1, 1, 1)
    for given in ({"child_care": False}, {"shuttle_id": None}, {"child_care_station_id": bundled.station_id}):
        other = await registry.post("/placements", {**body, **given}, key=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_station_named_in_vain_is_a_fault_of_its_field(registry: Registry) -> None:
    bundled = await Bundled.at(registry, places=2, shuttle_seats=2, seats=2)
    body = placement(bundled.post_id, await registry.seeker(), child_care_station_id=bundled.station_id)
    answer = await registry.post("/placements", body)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"field": "child_care_station_id", "expected": "to be left out unless `child_care` is true"}],
    )


async def test_what_she_took_is_for_the_personal_scope_alone(settings: Settings, mongo: Mongo, tmp_path: Path) -> None:
    tokens = {scope: secrets.token_hex(16) for scope in ("read", "write", "personal")}
    file = tmp_path / "tokens"
    file.write_text("".join(f"{hash_of(token)} {scope}-desk {scope}\n" for scope, token in tokens.items()))
    async with serving(settings.model_copy(update={"kafka": NOWHERE})) as open_registry:
        bundled = await Bundled.at(open_registry, places=2, shuttle_seats=2, seats=2)
        placement_id, _ = await bundled.take(await open_registry.seeker())
    guarded = settings.model_copy(update={"kafka": NOWHERE, "tokens_file": file})
    async with serving(guarded) as registry:
        answers = {
            scope: await registry.http.get(
                f"/placements/{placement_id}/bundle", headers={"Authorization": f"Bearer {token}"}
            )
            for scope, token in tokens.items()
        }
        assert {scope: answer.status_code for scope, answer in answers.items()} == {
            "read": 403,
            "write": 403,
            "personal": 200,
        }
        assert answers["personal"].json() == {
            "placement_id": placement_id,
            "child_care_station_id": bundled.station_id,
            "shuttle_id": bundled.shuttle_id,
        }
        headers = {"Authorization": f"Bearer {tokens['read']}"}
        shown = [
            await registry.http.get(path, headers=headers) for path in ("/placements", f"/placements/{placement_id}")
        ]
        assert [answer.status_code for answer in shown] == [200, 200]
        assert not [text for answer in shown for text in ("child_care", "shuttle") if text in answer.text]
    # Nor does anything that leaves for a topic, beyond the capacities.
    for event in await events_of(mongo):
        assert ("shuttle_id" in event) == ("seats" in event and "post_id" not in event)
        assert "child_care_station_id" not in event


async def test_no_document_tells_who_uses_child_care(registry: Registry, mongo: Mongo) -> None:
    bundled = await Bundled.at(registry, places=2, shuttle_seats=2, seats=2)
    with_child_care, _ = await bundled.take(await registry.seeker())
    without, _ = await bundled.take(await registry.seeker(), child_care=False)
    forms = []
    for placement_id, station_id in ((with_child_care, bundled.station_id), (without, None)):
        bundle = await registry.get(f"/placements/{placement_id}/bundle")
        assert bundle["child_care_station_id"] == station_id
        held = await mongo.db["placements"].find_one({"_id": placement_id})
        assert held is not None
        assert "child_care" not in str(held)
        forms.append((sorted(held), {name: len(text) for name, text in held["beside"].items()}))
    assert forms[0] == forms[1], "not even the length of the seal tells them apart"


async def test_an_erasure_leaves_nothing_that_tells_of_child_care(registry: Registry, mongo: Mongo) -> None:
    bundled = await Bundled.at(registry, places=2, shuttle_seats=2, seats=2)
    seeker_id = await registry.seeker()
    placement_id, _ = await bundled.take(seeker_id)
    await registry.done(f"/seekers/{seeker_id}/erase", {})
    held = await mongo.db["placements"].find_one({"_id": placement_id})
    assert held is not None
    assert held.keys() & {"child_care_station_id", "beside", "shuttle_id"} == set()
    assert await bundled.taken() == (0, 0, 0)
    everywhere = {name: documents for name, documents in (await stored(mongo)).items() if name != "stations"}
    hers = [str(document) for documents in everywhere.values() for document in documents if seeker_id in str(document)]
    assert hers
    assert not [text for text in hers if "child_care" in text or bundled.shuttle_id in text]


async def test_a_station_stored_before_child_care_takes_it_up(registry: Registry, mongo: Mongo) -> None:
    station_id = await registry.station()
    younger = {"lock": "", "child_care_places": "", "child_care_held": ""}
    await mongo.db["stations"].update_one({"_id": station_id}, {"$unset": younger})
    shown = await registry.get(f"/stations/{station_id}")
    assert (shown["child_care_places"], shown["child_care_taken"]) == (0, 0)
    await registry.done(f"/stations/{station_id}/change", {"child_care_places": 1})
    post_id = await registry.opened(station_id=station_id)
    await registry.done("/placements", placement(post_id, await registry.seeker(), child_care=True))
    shown = await registry.get(f"/stations/{station_id}")
    assert (shown["child_care_places"], shown["child_care_taken"], shown["version"]) == (1, 1, 2)


async def test_shuttles_are_listed_by_city_and_station(registry: Registry) -> None:
    bundled = await Bundled.at(registry, places=1, shuttle_seats=4, seats=1)
    other = await Bundled.at(registry, places=1, shuttle_seats=5, seats=1)
    listed = await registry.everything("/shuttles", limit=1, city=YANTAI)
    assert [item["shuttle_id"] for item in listed] == sorted([bundled.shuttle_id, other.shuttle_id])
    [found] = await registry.everything("/shuttles", station_id=other.station_id)
    assert (found["shuttle_id"], found["seats"], found["name"]) == (other.shuttle_id, 5, "开发区线")
    await registry.done(f"/shuttles/{other.shuttle_id}/change", {"seats": 6})
    assert (await registry.get(f"/shuttles/{other.shuttle_id}"))["seats"] == 6
    gone = await registry.http.get(f"/shuttles/shl-{'0' * 32}")
    assert (gone.status_code, gone.json()["code"]) == (404, "shuttle-unknown")
    assert (await registry.http.get(f"/placements/plc-{'0' * 32}/bundle")).json()["code"] == "placement-unknown"
