"""The loop of instant hiring leaves room for others, and lets go of what has become theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest

from services.matching.domain import Fact, RankedSeeker
from services.matching.domain.hiring import Hiring, Plan, plan
from services.matching.engine import Engine
from services.matching.hiring import loop, offering
from services.matching.hiring.board import OwnedBoard
from services.matching.hiring.loop import AGAIN_AFTER, JUDGED_AT_ONCE
from services.matching.ports import Board, OfferBook
from shared.kernel.ids import new_id
from tests.turns import between_turns
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.hiring_world import SlowBoard, Town
from tests.unit.matching.wire import id_of


async def test_others_run_while_many_hirings_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    for number in range(1, 3 * JUDGED_AT_ONCE + 1):
        town.open(number)
    await town.tick()
    judged = Mock(wraps=plan)
    monkeypatch.setattr(loop, "plan", judged)
    with between_turns(lambda: judged.call_count) as at_once:
        await town.tick()
    assert judged.call_count >= 3 * JUDGED_AT_ONCE
    assert max(at_once) <= JUDGED_AT_ONCE


async def test_what_is_told_of_one_hiring_asks_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    post_id = town.open(1)
    pages = 0
    open_hirings = town.offers.open_hirings

    async def counted(after: str, limit: int) -> Sequence[Hiring]:
        nonlocal pages
        pages += 1
        return await open_hirings(after, limit)

    monkeypatch.setattr(town.offers, "open_hirings", counted)
    hirings = town.instance(interval_ms=600_000)
    prepared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    prepared.set_result(None)
    hirings.start(prepared)
    async with asyncio.timeout(10):
        while not pages:  # noqa: ASYNC110  # the first tick tells nobody
            await asyncio.sleep(0)
        town.join(1)
        hirings.wake(post_id)
        while not town.offers.held.offers:  # noqa: ASYNC110  # nor does a look
            await asyncio.sleep(0)
        await hirings.stop()
    assert pages == 1


async def test_a_city_that_goes_to_another_instance_in_the_midst_of_a_look() -> None:
    town = Town()
    town.join(1)
    town.open(1)
    await town.tick()
    before = town.offers.held.copy()
    gone = OwnedBoard(town.board(NOW), lambda city: False)

    async def look(book: OfferBook) -> object:
        return await offering.look(book, id_of("pst", 1), board=gone, now=NOW, new_id=new_id)

    assert await town.offers.transaction(look) is None
    assert town.offers.held == before


def test_a_city_that_was_dropped_is_unknown() -> None:
    engine, post_id = Engine(NOW), id_of("pst", 1)
    board = OwnedBoard(cast(Board, engine), lambda city: True)
    engine.apply([Fact("post", post_id, 1, YANTAI, post())])
    assert board.opening(post_id) is not None
    engine.drop(YANTAI)
    assert (board.opening(post_id), list(board.ranking(post_id, 50))) == (None, [])


async def test_a_ranking_is_gone_down_from_time_to_time_and_not_whenever_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = Town()
    town.join(1)
    town.open(1)
    waits = town.open(2)
    await town.tick()
    assert [offer.post_id for offer in town.live()] == [id_of("pst", 1)]
    limits, ranking = set[int](), SlowBoard.ranking

    def noted(board: SlowBoard, post_id: str, limit: int) -> Sequence[RankedSeeker]:
        limits.add(limit)
        return ranking(board, post_id, limit)

    monkeypatch.setattr(SlowBoard, "ranking", noted)
    monkeypatch.setattr(offering, "PAGE", 1)
    others = frozenset({"somebody else"})
    seen, again_at = town.hirings._nobody[waits]
    assert seen == {id_of("skr", 1)}
    town.hirings._nobody[waits] = (others, again_at)
    await town.tick()
    assert limits == {1}
    assert town.hirings._nobody[waits] == (seen | others, again_at)
    town.now += AGAIN_AFTER
    await town.tick()
    assert limits == {1, offering.PLACES_MAX}
    assert town.hirings._nobody[waits][1] > again_at


async def test_who_was_seen_in_vain_starts_no_look_by_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    town.join(1, 2)
    town.open(1)
    town.open(2)
    waits = town.open(3)
    await town.tick()
    looks: list[str] = []
    look = offering.look

    async def noted(book: OfferBook, post_id: str, **given: Any) -> Any:
        looks.append(post_id)
        return await look(book, post_id, **given)

    monkeypatch.setattr(offering, "look", noted)
    before = town.board(town.now).ranking(waits, 9)
    town.learn(Fact("seeker", id_of("skr", 2), 2, YANTAI, seeker(registered_at=NOW - timedelta(weeks=40))))
    await town.tick()
    after = town.board(town.now).ranking(waits, 9)
    assert [place.seeker_id for place in after] == [place.seeker_id for place in reversed(before)]
    assert waits not in looks
    town.join(3)
    await town.tick()
    assert waits in looks


async def test_hirings_that_a_tick_has_no_time_to_judge_come_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    town, count = Town(), 5
    for number in range(1, count + 1):
        town.open(number)
    await town.tick()
    judged: list[str] = []

    def noted(hiring: Hiring, *given: Any) -> Plan:
        judged.append(hiring.post_id)
        return plan(hiring, *given)

    monkeypatch.setattr(loop, "plan", noted)
    monkeypatch.setattr(loop, "JUDGING_MAX_S", -1.0)
    for _ in range(2 * count):
        await town.tick()
    posts = [id_of("pst", number) for number in range(1, count + 1)]
    assert judged == posts * 2, "one in each tick, and all in turn"
