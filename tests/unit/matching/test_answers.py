"""Answers that are written past their models hold exactly what the models describe."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from services.matching.api import Reader
from services.matching.api.rankings import PostsAnswer, RankingAnswer, router
from services.matching.domain import (
    Fact,
    Limits,
    Policy,
    Programme,
    Schedule,
    Weights,
    policy_id_of,
    policy_on,
    rank_post,
    view_of,
)
from services.matching.domain.policy import POLICIES
from services.matching.engine import Engine
from services.matching.engine.shard import Shard
from services.matching.ports import News
from services.matching.position import StreamPosition
from services.matching.use_cases import Live, held_for_good, learn
from shared.contracts.topics import partition_of
from shared.runtime.http import create_app
from shared.runtime.settings import Settings
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.plain import plain

AT = NOW + timedelta(milliseconds=7)
POST, SEEKERS = f"pst-{1:032x}", [f"skr-{number:032x}" for number in range(60)]


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


async def _ready() -> dict[str, str]:
    return {}


def _facts() -> list[Fact]:
    return [Fact("seeker", id_, 1, YANTAI, seeker()) for id_ in SEEKERS] + [Fact("post", POST, 1, YANTAI, post())]


def _client(live: Live | None = None) -> httpx.AsyncClient:
    live = live or held_for_good(Live(plain(NOW)))
    learn(
        [News(fact, AT) for fact in _facts()], {("post-opened", partition_of(YANTAI)): 5}, live=live, clock=lambda: AT
    )
    app = create_app("matching", "", Settings(), _nothing, _ready)
    app.include_router(router(Reader(live, lambda: AT)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://matching")


@pytest.mark.parametrize(
    ("path", "model", "key", "places"),
    [
        (f"/posts/{POST}/ranking", RankingAnswer, "top", 50),
        (f"/posts/{POST}/ranking?limit=3", RankingAnswer, "top", 3),
        (f"/seekers/{SEEKERS[7]}/posts", PostsAnswer, "posts", 1),
    ],
)
async def test_an_answer_is_what_its_model_would_write(
    path: str, model: type[RankingAnswer | PostsAnswer], key: str, places: int
) -> None:
    async with _client() as client:
        answer = await client.get(path)
    said = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert len(said[key]) == places
    assert said == model.model_validate_json(answer.content).model_dump(mode="json")
    assert said["at"].endswith("Z")
    assert [sum(place["parts"].values()) for place in said[key]] == [place["score"] for place in said[key]]


async def test_while_a_city_is_ranked_anew_answers_name_the_old_policy_at_the_new_position(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for new lists: what is told is the ranking by the named policy, of all before the position."""
    monkeypatch.setattr("services.matching.engine.engine.AT_ONCE", 0)
    may_end, reweigh = threading.Event(), Shard.reweigh

    def held_up(shard: Shard, policy: Policy) -> None:
        may_end.wait()
        reweigh(shard, policy)

    monkeypatch.setattr(Shard, "reweigh", held_up)
    engine = Engine(NOW)
    live, part = held_for_good(Live(engine)), partition_of(YANTAI)
    policy = Policy(YANTAI, 1, NOW.date(), Weights(0, 60, 0, 20, 0, 0, 20), Limits(8_000, 13))
    adopted = Fact("policy", policy_id_of(YANTAI), 1, YANTAI, Schedule((policy,)))
    later = Fact("seeker", SEEKERS[3], 2, YANTAI, seeker(home=post().location))
    async with _client(live) as client:
        before = (await client.get(f"/posts/{POST}/ranking")).json()
        learn([News(adopted, AT)], {("policy-adopted", part): 1}, live=live, clock=lambda: AT)
        learn([News(later, AT)], {("seeker-registered", part): 61}, live=live, clock=lambda: AT)
        meanwhile = (await client.get(f"/posts/{POST}/ranking")).json()
        may_end.set()
        live.waiting |= engine.await_policies()
        after = (await client.get(f"/posts/{POST}/ranking")).json()
    reached = StreamPosition.of(live.parts[part].cluster_id, part, live.parts[part].offsets)
    assert before["position"] != meanwhile["position"] == after["position"] == str(reached)
    assert (
        before["policy"]
        == meanwhile["policy"]
        != after["policy"]
        == {
            "city": YANTAI,
            "version": 1,
            "valid_from": NOW.date().isoformat(),
        }
    )
    view = view_of(Programme.of([*_facts(), later]), AT)
    for answer, used in ((meanwhile, policy_on(YANTAI, NOW.date(), POLICIES)), (after, policy)):
        ranked = rank_post(used, view.openings[POST], view.candidates.values())
        assert [(one["seeker_id"], one["score"]) for one in answer["top"]] == [(r.seeker_id, r.score) for r in ranked]
    assert meanwhile["top"] != after["top"]
