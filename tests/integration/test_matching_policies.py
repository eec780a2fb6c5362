"""Policies on a real database: adopted once, in order under concurrency, told as events, and ranked by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deploy.local.engines import Engines
from services.matching.app import create
from services.matching.domain import policy_id_of
from shared.kernel.clock import civil_day, system_clock
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.serving import Client, served, without_broker
from tests.integration.test_matching_service import create_topics, told
from tests.unit.matching.wire import YANTAI, id_of, post_opened, seeker_registered

PATH = f"/cities/{YANTAI}/policies"
WEIGHTS = {
    "time_fit": 20,
    "distance": 30,
    "skills": 10,
    "pay": 10,
    "facilities": 10,
    "reliability": 10,
    "waiting": 10,
}
NOW = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
TODAY = civil_day(NOW)


def body(valid_from: date, **changes: Any) -> dict[str, Any]:
    return {
        "weights": WEIGHTS,
        "limits": {"commute_max_m": 40_000, "waiting_full_weeks": 26},
        "valid_from": valid_from.isoformat(),
    } | changes


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Mongo]:
    """Matching's own database, dropped after the test."""
    connected = Mongo.connect(settings, "matching")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
async def matching(settings: Settings, own: Mongo) -> AsyncIterator[Client]:
    async with served(create(without_broker(settings), lambda: NOW)) as client:
        yield client


async def kept(own: Mongo) -> list[int]:
    """Versions of the city's policy in the event log."""
    found = await own.db["events"].find({"entity_id": policy_id_of(YANTAI)}).sort("version", 1).to_list(None)
    return [event["version"] for event in found]


async def test_a_policy_is_adopted_once_and_listed_with_the_common_one(matching: Client, own: Mongo) -> None:
    assert [policy["city"] for policy in (await matching.get(PATH))["policies"]] == ["*"]
    later = TODAY + timedelta(days=30)
    first = await matching.accepted(PATH, body(later), key="adopt-first")
    assert await matching.accepted(PATH, body(later), key="adopt-first") == first
    assert first["position"] == f"policy-adopted:{policy_id_of(YANTAI)}:1"
    second = await matching.accepted(PATH, body(later + timedelta(days=1), limits={}))
    assert second["version"] == 2
    listed = await matching.get(PATH)
    assert (listed["valid"]["city"], listed["day"]) == ("*", TODAY.isoformat()), "neither holds yet"
    assert [(policy["city"], policy["version"]) for policy in listed["policies"]] == [
        ("*", 1),
        (YANTAI, 1),
        (YANTAI, 2),
    ]
    assert listed["policies"][1] == {
        "city": YANTAI,
        "version": 1,
        "valid_from": later.isoformat(),
        "weights": WEIGHTS,
        "limits": {"commute_max_m": 40_000, "waiting_full_weeks": 26},
        "adopted_at": "2026-03-09T04:00:00Z",
    }
    assert listed["policies"][2]["limits"] == {"commute_max_m": 100_000, "waiting_full_weeks": 26}
    assert await kept(own) == [1, 2]


@pytest.mark.parametrize(
    ("bad", "code", "fields"),
    [
        (body(TODAY, weights=WEIGHTS | {"pay": 11}), "policy-invalid", ["weights"]),
        (body(TODAY, limits={"commute_max_m": 10}), "policy-invalid", ["limits.commute_max_m"]),
        (body(TODAY - timedelta(days=1)), "policy-invalid", ["valid_from"]),
        (body(TODAY, weights=WEIGHTS | {"age": 1}), "invalid", ["weights.age"]),
        (body(TODAY, weights=WEIGHTS | {"pay": "10"}), "invalid", ["weights.pay"]),
        (body(TODAY, weights=WEIGHTS | {"pay": 10**30}), "invalid", ["weights.pay"]),
        (body(TODAY, weights={"pay": 100}), "invalid", None),
        (body(TODAY) | {"valid_from": "soon"}, "invalid", ["valid_from"]),
    ],
)
async def test_a_policy_that_cannot_be_is_refused_by_field(
    matching: Client, own: Mongo, bad: dict[str, Any], code: str, fields: list[str] | None
) -> None:
    problem = await matching.refused(PATH, bad, 422)
    assert problem["code"] == code
    if fields is not None:
        assert [fault["field"] for fault in problem["errors"]] == fields
    assert await kept(own) == []
    assert [policy["city"] for policy in (await matching.get(PATH))["policies"]] == ["*"]


async def test_no_city_is_no_address(matching: Client) -> None:
    assert (await matching.post("/cities/nowhere/policies", body(TODAY))).status_code == 422
    assert (await matching.http.get("/cities/012345/policies")).status_code == 422


async def test_concurrent_adoptions_take_their_turn(matching: Client, own: Mongo) -> None:
    """One day each: whoever comes after a later day is refused, whoever is accepted has a version of his own."""
    answers = await asyncio.gather(*(matching.post(PATH, body(TODAY + timedelta(days=days % 5))) for days in range(12)))
    accepted = [answer.json()["version"] for answer in answers if answer.status_code == 201]
    assert sorted(accepted) == list(range(1, len(accepted) + 1))
    assert accepted
    assert all(answer.status_code == 422 for answer in answers if answer.status_code != 201)
    assert await kept(own) == sorted(accepted)
    own_policies = (await matching.get(PATH))["policies"][1:]
    days = [policy["valid_from"] for policy in own_policies]
    assert days == sorted(set(days)), "later versions hold later"


async def test_a_city_is_ranked_by_its_policy_as_soon_as_it_holds(
    fresh_broker: Engines, settings: Settings, own: Mongo
) -> None:
    await create_topics(settings)
    async with served(create(settings), bus=True) as client:
        await eventually(client.is_ready, "matching is ready")
        await told(settings, client.read, [post_opened(1), seeker_registered(1)])
        ranking = f"/posts/{id_of('pst', 1)}/ranking"
        before = await client.get(ranking)
        assert (before["policy"]["city"], before["policy"]["version"]) == ("*", 1)
        await eventually(lambda: _published(own, 1), "the ranking is published")
        accepted = await client.accepted(PATH, body(civil_day(system_clock()), limits={"commute_max_m": 5_000}))
        after = await client.get(ranking, after=accepted["position"], timeout_ms=10_000)
        assert (after["policy"]["city"], after["policy"]["version"]) == (YANTAI, 1)
        (was,), (now,) = before["top"], after["top"]
        assert now["parts"]["time_fit"] == was["parts"]["time_fit"] * 20 // 30
        assert now["parts"]["distance"] < was["parts"]["distance"] * 30 // 20, "measured against 5 km, not her 8"
        why = await client.get(f"/posts/{id_of('pst', 1)}/seekers/{id_of('skr', 1)}/why")
        assert why["policy"]["weights"] == WEIGHTS
        await eventually(lambda: _published(own, 2), "the re-ranked post is published")


async def _published(own: Mongo, times: int) -> bool:
    return await own.db["events"].count_documents({"entity_id": id_of("pst", 1)}) >= times
