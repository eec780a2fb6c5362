"""Rankings as of a past moment: from the topics alone, the same as were served then."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from typer.testing import CliRunner

from deploy.local.engines import Engines
from mamapost.cli import app
from shared.runtime.settings import Settings
from tests.integration.test_matching_service import running, told
from tests.unit.matching.wire import YANTAI, id_of, post_opened, seeker_registered


def _replayed(settings: Settings, *arguments: str) -> Any:
    result = CliRunner().invoke(
        app, ["rank", "replay", "--city", YANTAI, "--kafka", settings.kafka, "--limit", "50", "--json", *arguments]
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_a_position_and_an_instant_are_replayed_as_they_were_served(
    fresh_broker: Engines, settings: Settings
) -> None:
    async with running(settings) as (_, get):
        path = f"/posts/{id_of('pst', 1)}/ranking"
        await told(settings, get, [post_opened(1), seeker_registered(1), seeker_registered(2, pay_floor_fen=1500)])
        then = (await get(path)).json()
        await told(settings, get, [seeker_registered(2, version=2, kinds=["team"]), seeker_registered(3)])
        now = (await get(path)).json()
    assert len(then["top"]) == 2
    assert [place["seeker_id"] for place in now["top"]] == [id_of("skr", 1), id_of("skr", 3)]
    for answer in (then, now):
        given = (
            "--until",
            answer["position"],
            "--at",
            datetime.fromisoformat(answer["at"]).strftime("%Y-%m-%dT%H:%M:%S"),
        )
        (replayed,) = await asyncio.to_thread(_replayed, settings, *given)
        assert replayed["top"] == answer["top"]
    (latest,) = await asyncio.to_thread(_replayed, settings, "--until", now["at"])
    assert latest["top"] == now["top"]


async def test_what_cannot_be_replayed_is_said(fresh_broker: Engines, settings: Settings) -> None:
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["rank", "replay", "--city", YANTAI, "--until", "soon", "--kafka", settings.kafka]
    )
    assert result.exit_code != 0
    assert "until" in result.output
