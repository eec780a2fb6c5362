"""The loop of instant hiring leaves room for others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.matching.domain.hiring import Plan, plan
from services.matching.hiring import loop
from services.matching.hiring.loop import JUDGED_AT_ONCE
from tests.unit.matching.hiring_world import Town


async def test_others_run_while_many_hirings_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    for number in range(1, 3 * JUDGED_AT_ONCE + 1):
        town.open(number)
    await town.tick()
    judged = 0
    at_once: list[int] = []

    def counted(*given: Any) -> Plan:
        nonlocal judged
        judged += 1
        return plan(*given)

    async def other() -> None:
        before = 0
        while True:
            at_once.append(judged - before)
            before = judged
            await asyncio.sleep(0)

    monkeypatch.setattr(loop, "plan", counted)
    running = asyncio.create_task(other())
    await town.tick()
    running.cancel()
    assert judged >= 3 * JUDGED_AT_ONCE
    assert max(at_once) <= JUDGED_AT_ONCE
