"""Databases go forward by steps, each taken once, while instances of the release before go on beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pymongo import ASCENDING, IndexModel, UpdateMany
from pymongo.errors import OperationFailure

from services.registry import app as registry_app
from services.registry.store import STEPS
from shared.runtime.migrations import COLLECTION, Migrations, Step
from shared.runtime.mongo import Database, Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.registry_desk import NOWHERE, serving
from tests.unit.registry.city import seeker_body

FIRST = Step("first", {"things": [IndexModel([("city", ASCENDING)], name="by_city")], "empty": []})
LEASE_S = 0.6


class Filling:
    """A backfill that counts how often it began, and waits to be let on."""

    def __init__(self) -> None:
        self.began = 0
        self.may_end = asyncio.Event()

    async def __call__(self, db: Database) -> None:
        self.began += 1
        await self.may_end.wait()
        await db["things"].bulk_write([UpdateMany({"size": {"$exists": False}}, {"$set": {"size": 1}})])


async def done(mongo: Mongo) -> int:
    state = await mongo.db[COLLECTION].find_one({}) or {}
    return int(state["done"])


async def run(mongo: Mongo, steps: Sequence[Step]) -> None:
    await Migrations(mongo.db, steps, LEASE_S).run()


async def test_steps_are_taken_in_order_and_once(mongo: Mongo) -> None:
    await run(mongo, [FIRST])
    assert set(await mongo.db.list_collection_names()) == {"things", "empty", COLLECTION}
    assert "by_city" in await mongo.db["things"].index_information()
    fill = Filling()
    fill.may_end.set()
    await mongo.db["things"].insert_one({"_id": "old"})
    for _ in range(2):
        await run(mongo, [FIRST, Step("fill", backfill=fill)])
    assert (await mongo.db["things"].find_one({"_id": "old"}) or {})["size"] == 1
    assert (fill.began, await done(mongo)) == (1, 2)


async def test_many_instances_take_each_step_once_and_all_wait_for_it(mongo: Mongo) -> None:
    fill = Filling()
    steps = [FIRST, Step("fill", backfill=fill)]
    instances = [asyncio.create_task(run(mongo, steps)) for _ in range(5)]
    # Longer than a lease: who works renews it.
    ended, _ = await asyncio.wait(instances, timeout=3 * LEASE_S)
    assert not ended
    fill.may_end.set()
    await asyncio.gather(*instances)
    assert (fill.began, await done(mongo)) == (1, 2)


async def test_a_step_whose_instance_died_is_taken_again_after_its_lease(mongo: Mongo) -> None:
    fill = Filling()
    steps = [FIRST, Step("fill", backfill=fill)]
    migrations = Migrations(mongo.db, steps, LEASE_S)
    dying = asyncio.create_task(migrations.run())
    await eventually(lambda: fill.began == 1, "the step has begun")
    dying.cancel()
    await asyncio.wait([dying])
    assert await done(mongo) == 1
    fill.may_end.set()
    await run(mongo, steps)
    assert (fill.began, await done(mongo)) == (2, 2)


async def test_a_step_that_fails_is_not_counted_and_taken_up_again(mongo: Mongo) -> None:
    async def fail(db: Database) -> None:
        await db.command("no-such-command")

    with pytest.raises(OperationFailure):
        await run(mongo, [FIRST, Step("fails", backfill=fail)])
    assert await done(mongo) == 1
    await run(mongo, [FIRST, Step("fails", {"mended": []})])
    assert await done(mongo) == 2


async def test_a_release_of_before_starts_on_a_newer_database(mongo: Mongo) -> None:
    await run(mongo, [FIRST, Step("newer", {"new": []})])
    await run(mongo, [FIRST])
    assert await done(mongo) == 2


async def test_a_step_that_would_break_what_runs_beside_it_is_refused(mongo: Mongo) -> None:
    late = Step("late", {"things": [IndexModel([("x", ASCENDING)], name="x", unique=True)]})
    with pytest.raises(ValueError, match="late: index x of things is unique"):
        Migrations(mongo.db, [FIRST, late])


async def test_registries_of_two_releases_serve_one_database(
    settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one accepts commands before, while and after the new one brings the database forward."""

    async def fill(db: Database) -> None:
        await db["seekers"].update_many({"canvassed": {"$exists": False}}, {"$set": {"canvassed": False}})

    newer = Step("canvassed", {"seekers": [IndexModel([("canvassed", ASCENDING)], name="canvassed")]}, fill)
    nowhere = settings.model_copy(update={"kafka": NOWHERE})
    async with serving(nowhere) as old:
        first = await old.seeker()
        monkeypatch.setattr(registry_app, "STEPS", (*STEPS, newer))
        accepted: list[str] = []
        is_forward = asyncio.Event()

        async def go_on() -> None:
            while not is_forward.is_set():
                accepted.append(await old.seeker())

        going_on = asyncio.create_task(go_on())
        async with serving(nowhere) as new:
            is_forward.set()
            await going_on
            accepted.append(await new.seeker())
            accepted.append(await old.seeker())
            assert await done(mongo) == len(STEPS) + 1
            assert (await mongo.db["seekers"].find_one({"_id": first}) or {})["canvassed"] is False
            # Each serves what the other one took.
            for seeker_id in (first, *accepted):
                for registry in (old, new):
                    assert (await registry.get(f"/seekers/{seeker_id}"))["seeker_id"] == seeker_id
            body = seeker_body()
            again = [await registry.post("/seekers", body, key="same-key-both") for registry in (old, new)]
            assert again[0].json() == again[1].json()
