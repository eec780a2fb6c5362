"""The client that asks for fresh rankings takes no other answer for one."""

from __future__ import annotations

import pytest

from shared.contracts.position import Position
from tests.unit.bench.answering import answering

POSITION = Position("seeker-registered", "skr-1", 2)


@pytest.mark.parametrize(("status", "fresh"), [(200, True), (404, True), (503, False)])
async def test_a_ranking_is_fresh_or_not_yet(status: int, fresh: bool) -> None:
    async with answering(status) as web:
        assert await web.is_fresh("pst-1", POSITION, rows=1) is fresh


@pytest.mark.parametrize("status", [400, 410, 500])
async def test_any_other_answer_is_an_error_that_tells_it(status: int) -> None:
    async with answering(status) as web:
        with pytest.raises(RuntimeError, match=f"expected 200, got {status}: body"):
            await web.is_fresh("pst-1", POSITION, rows=1)
