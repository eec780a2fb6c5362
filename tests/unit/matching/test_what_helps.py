"""What would help, asked of live rankings: in pieces, in bounds, and about one city only."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import pytest

from services.matching.domain import (
    Candidate,
    EntityKind,
    Fact,
    Opening,
    Policy,
    PostHelps,
    Programme,
    SeekerHelps,
    view_of,
)
from services.matching.engine import Engine
from services.matching.errors import PostUnknown, SeekerUnknown
from services.matching.use_cases import helps
from services.matching.use_cases.helps import SLICE, what_helps_post, what_helps_seeker
from tests.turns import between_turns
from tests.unit.matching.cities import ELSEWHERE, NOW, YANTAI, post, seeded_city, seeker
from tests.unit.matching.wire import id_of


class Known:
    """The profiles of a view; notes how often each was asked for."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.programme = Programme.of(facts)
        self.view = view_of(self.programme, NOW)
        self.asked: list[str] = []

    def candidate(self, seeker_id: str) -> Candidate | None:
        self.asked.append(seeker_id)
        return self.view.candidates.get(seeker_id)

    def opening(self, post_id: str) -> Opening | None:
        self.asked.append(post_id)
        return self.view.openings.get(post_id)

    def ids(self, kind: EntityKind, city: str | None = None) -> Iterable[str]:
        return (
            id_ for id_, fact in self.programme.of_kind(kind).items() if fact.state is not None and fact.city == city
        )

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        fact = self.programme.of_kind(kind).get(id_)
        return None if fact is None else fact.city

    def policy_of(self, city: str) -> Policy:
        return self.view.policy_of(city)


CITY = seeded_city(4, 400, 3 * SLICE + 5)


async def test_both_sides_are_told_what_the_whole_city_says() -> None:
    known = Known(CITY)
    seeker_id, post_id = id_of("skr", 7), id_of("pst", 9)
    her, it = known.view.candidates[seeker_id], known.view.openings[post_id]
    assert her is not None
    assert it is not None
    hers, its = SeekerHelps(known.policy_of(YANTAI), her), PostHelps(known.policy_of(YANTAI), it)
    hers.look(known.view.openings.values())
    its.look(known.view.candidates.values())
    found = await what_helps_seeker(known, seeker_id)
    assert (found.helps, found.looked_at, found.of) == (hers.helps(), 3 * SLICE + 5, 3 * SLICE + 5)
    assert found.helps
    found = await what_helps_post(known, post_id)
    assert (found.helps, found.looked_at, found.of) == (its.helps(), 400, 400)
    assert found.helps


async def test_others_run_after_every_piece() -> None:
    known = Known(CITY)
    with between_turns(lambda: len(known.asked)) as steps:
        await what_helps_seeker(known, id_of("skr", 7))
    assert max(steps) <= SLICE + 1, "the first piece comes with the seeker herself"
    assert len(steps) >= 3


async def test_only_posts_of_her_city_are_looked_at() -> None:
    far = Fact("post", id_of("pst", 2), 1, ELSEWHERE, post(kind="team"))
    known = Known([Fact("seeker", id_of("skr", 1), 1, YANTAI, seeker()), far])
    found = await what_helps_seeker(known, id_of("skr", 1))
    assert (found.helps, found.looked_at, found.of) == ((), 0, 0)
    assert known.asked == [id_of("skr", 1)]


async def test_nothing_helps_who_is_gone_and_the_unknown_are_named() -> None:
    gone = [Fact("seeker", id_of("skr", 1), 2, YANTAI, None), Fact("post", id_of("pst", 1), 2, YANTAI, None)]
    known = Known([*CITY[200:], *gone])
    assert (await what_helps_seeker(known, id_of("skr", 1))).helps == ()
    assert (await what_helps_post(known, id_of("pst", 1))).helps == ()
    with pytest.raises(SeekerUnknown):
        await what_helps_seeker(known, id_of("skr", 10**6))
    with pytest.raises(PostUnknown):
        await what_helps_post(known, id_of("pst", 10**6))


async def test_of_a_large_city_a_share_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helps, "LOOKED_AT_MAX", 100)
    monkeypatch.setattr(helps, "IDS_SLICE", 64)
    rng = random.Random(5)
    many = [
        Fact("seeker", f"skr-{rng.getrandbits(128):032x}", 1, YANTAI, seeker(kinds=frozenset())) for _ in range(900)
    ]
    known = Known([*many, Fact("post", id_of("pst", 1), 1, YANTAI, post())])
    found = await what_helps_post(known, id_of("pst", 1))
    assert found.of == 900
    assert 35 <= found.looked_at <= 100, "as many as may be, by halves"
    assert found.looked_at == len(known.asked) - 1
    again = Known([*reversed(many), Fact("post", id_of("pst", 1), 1, YANTAI, post())])
    await what_helps_post(again, id_of("pst", 1))
    assert set(again.asked) == set(known.asked), "the same share, whatever the order"


async def test_others_run_while_the_ids_of_a_large_city_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helps, "IDS_SLICE", 64)
    known = Known([*CITY[:400], Fact("post", id_of("pst", 1), 1, YANTAI, post())])
    taken: list[int] = []

    def counted(kind: EntityKind, city: str | None = None) -> Iterable[str]:
        for number, id_ in enumerate(sorted(known.programme.of_kind(kind)), 1):
            taken[0] = number
            yield id_

    monkeypatch.setattr(known, "ids", counted)
    taken.append(0)
    with between_turns(lambda: taken[0]) as steps:
        await what_helps_post(known, id_of("pst", 1))
    assert max(steps) <= 64


async def test_cities_that_come_while_a_search_runs_do_not_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helps, "IDS_SLICE", 16)
    engine = Engine(NOW)
    engine.apply(CITY)

    async def others() -> None:
        for number in range(100, 999):
            engine.apply([Fact("seeker", id_of("skr", 10**6 + number), 1, f"{number}000", seeker())])
            await asyncio.sleep(0)

    coming = asyncio.create_task(others())
    await asyncio.sleep(0)
    found = await what_helps_seeker(engine, id_of("skr", 7))
    assert found.of == found.looked_at == 3 * SLICE + 5
    assert not coming.done()
    coming.cancel()
