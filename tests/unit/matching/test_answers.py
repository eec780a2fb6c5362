"""Answers that are written past their models hold exactly what the models describe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from services.matching.api import Reader
from services.matching.api.rankings import PostsAnswer, RankingAnswer, router
from services.matching.domain import Fact
from services.matching.ports import News
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


def _client() -> httpx.AsyncClient:
    live = held_for_good(Live(plain(NOW)))
    facts = [Fact("seeker", id_, 1, YANTAI, seeker()) for id_ in SEEKERS] + [Fact("post", POST, 1, YANTAI, post())]
    learn([News(fact, AT) for fact in facts], {("post-opened", partition_of(YANTAI)): 5}, live=live, clock=lambda: AT)
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
