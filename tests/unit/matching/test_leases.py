"""Leases with clocks that a test moves on: at no instant two instances answer, and none that was stopped goes on."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.errors import MatchingError
from services.matching.ownership import Leases
from services.matching.use_cases import Live, Part
from shared.contracts.topics import partition_of
from tests.unit.matching.cities import NOW, YANTAI
from tests.unit.matching.memory import LeaseTable, Seconds
from tests.unit.matching.plain import plain

HERE = partition_of(YANTAI)
LEASE_S = 10.0


class Instance:
    """One process; `is_stopped` while it does not run."""

    def __init__(self, name: str, table: LeaseTable, clock: Seconds) -> None:
        self.live = Live(plain(NOW), clock_s=clock)
        self.taken: list[int] = []
        self.leases = Leases(
            self.live, table, instance=name, url=f"http://{name}", lease_s=LEASE_S, on_taken=self._note
        )
        self.is_stopped = False

    async def _note(self, part: Part) -> None:
        self.taken.append(part.number)
        part.published = {}

    def assign(self, *, caught_up: bool = True) -> Part:
        part = self.live.parts.setdefault(HERE, Part(HERE, "broker", {}))
        part.is_assigned, part.is_caught_up = True, caught_up
        self.live.is_assigned = True
        return part

    def revoke(self) -> None:
        self.live.is_assigned = False
        if HERE in self.live.parts:
            self.live.parts[HERE].is_assigned = False

    def unassign(self) -> None:
        """The group has given the partition to somebody else."""
        self.revoke()
        self.live.is_assigned = True

    async def look(self) -> bool:
        return await self.leases._round()

    def answers(self) -> bool:
        return not self.is_stopped and self.live.owns(HERE)


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def table(clock: Seconds) -> LeaseTable:
    return LeaseTable(clock)


async def test_a_lease_is_taken_once_it_is_caught_up(table: LeaseTable, clock: Seconds) -> None:
    one = Instance("one", table, clock)
    part = one.assign(caught_up=False)
    assert await one.look()
    assert not one.answers()
    part.is_caught_up = True
    assert not await one.look()
    assert one.answers()
    assert one.taken == [HERE]
    clock.now += 5
    await one.look()
    clock.now += 9
    assert one.answers(), "it was renewed"
    assert one.taken == [HERE]
    clock.now += 1
    assert not one.answers()


async def test_a_partition_changes_hands_without_a_gap_and_without_two_owners(
    table: LeaseTable, clock: Seconds
) -> None:
    one, two = Instance("one", table, clock), Instance("two", table, clock)
    one.assign()
    await one.look()
    one.revoke()
    await one.look()
    assert one.answers(), "until somebody else wants it, it has the freshest state"
    one.unassign()
    await one.look()
    two.assign()
    assert await two.look()
    assert (one.answers(), two.answers()) == (True, False)
    await one.look()
    assert (one.answers(), two.answers()) == (False, False)
    assert HERE not in one.live.parts, "its memory is free"
    await two.look()
    assert (one.answers(), two.answers()) == (False, True)


async def test_what_comes_back_with_the_next_assignment_stays(table: LeaseTable, clock: Seconds) -> None:
    one = Instance("one", table, clock)
    part = one.assign()
    await one.look()
    one.revoke()
    await one.look()
    one.assign(caught_up=False)
    await one.look()
    assert one.answers()
    assert one.live.parts[HERE] is part
    assert table.leases[HERE].epoch == 1


async def test_an_instance_that_was_stopped_finds_its_lease_run_out(table: LeaseTable, clock: Seconds) -> None:
    one, two = Instance("one", table, clock), Instance("two", table, clock)
    one.assign()
    await one.look()
    one.is_stopped = True
    two.assign()
    clock.now += LEASE_S - 0.001
    await two.look()
    assert not two.answers(), "one could still answer if it went on"
    clock.now += 0.002
    await two.look()
    assert two.answers()
    one.is_stopped = False
    assert not one.answers()
    await one.look()
    assert not one.answers(), "the group has not told it yet, but the lease is another's"
    assert two.answers()


async def test_a_restart_need_not_wait_for_its_own_lease(table: LeaseTable, clock: Seconds) -> None:
    one = Instance("one", table, clock)
    one.assign()
    await one.look()
    again = Instance("one", table, clock)
    again.assign()
    await again.look()
    assert again.answers()
    await one.look()
    assert not one.answers()


async def test_a_stop_gives_everything_up(table: LeaseTable, clock: Seconds) -> None:
    one, two = Instance("one", table, clock), Instance("two", table, clock)
    one.assign().offsets["post-opened"] = 5
    await one.look()
    await one.leases.give_up_all()
    assert not one.answers()
    assert table.leases[HERE].position == str(one.live.position(YANTAI))
    await one.look()
    assert not one.answers()
    two.assign()
    await two.look()
    assert two.answers()


async def test_a_lost_store_is_waited_for_and_the_lease_runs_out_meanwhile(table: LeaseTable, clock: Seconds) -> None:
    one = Instance("one", table, clock)
    one.assign()
    await one.look()
    table.away = True
    clock.now += 4
    assert await one.look(), "soon again"
    assert one.answers()
    clock.now += 6
    assert not one.answers()
    table.away = False
    await one.look()
    assert one.answers()
    assert table.leases[HERE].epoch == 1


async def test_a_defect_ends_the_loop(table: LeaseTable, clock: Seconds) -> None:
    one = Instance("one", table, clock)

    async def broken(_: Part) -> None:
        raise MatchingError("a defect")

    one.leases._on_taken = broken
    one.assign()
    async with asyncio.timeout(5):
        with pytest.raises(MatchingError):
            await one.leases.run()


steps = st.lists(
    st.tuples(
        st.sampled_from(["assign", "revoke", "unassign", "look", "stop", "go on", "wait", "store away", "store back"]),
        st.integers(0, 2),
        st.floats(0.01, 12),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps)
def test_whatever_happens_no_two_answer_at_once(course: list[tuple[str, int, float]]) -> None:
    async def play() -> None:
        clock = Seconds()
        table = LeaseTable(clock)
        instances = [Instance(name, table, clock) for name in ("one", "two", "three")]
        for step, number, seconds in course:
            one = instances[number]
            if step == "wait":
                clock.now += seconds
            elif step in ("store away", "store back"):
                table.away = step == "store away"
            elif step in ("stop", "go on"):
                one.is_stopped = step == "stop"
            elif not one.is_stopped:
                if step == "look":
                    await one.look()
                else:
                    getattr(one, step)()
            # Also an instance that goes on at this very instant would answer.
            assert sum(each.live.owns(HERE) for each in instances) <= 1, step

    asyncio.run(play())
