"""Reconciliation: a history that is right has no difference, and each kind of difference is found and named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.revenue.domain.accrual import Shift
from services.revenue.domain.ledger import Entry, Rebate
from services.revenue.domain.payouts import Payout
from services.revenue.domain.reconciliation import DIFFERENCES_MAX, KINDS, Difference, Published, Report
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.pay import confirm_payouts, order_payouts
from services.revenue.use_cases.reconcile import Fact, reconcile_city, reconcile_kept
from services.revenue.use_cases.settle import SettleMonth, reverse_settlement
from services.revenue.use_cases.sign import sign_agreement
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, PAIR, ids, ledger, settled, shift, terms
from tests.unit.revenue.memory import MemoryLedger
from tests.unit.revenue.test_payouts import row, told

FIRST, SECOND, THIRD, WAITS = (f"sft-{n:032x}" for n in range(4))


class World:
    """A ledger, and the topic that it was made from."""

    def __init__(self, store: MemoryLedger) -> None:
        self.store = store
        self.topic: list[Published] = []

    async def report(self) -> Report:
        report = Report()
        await reconcile_city(CITY, snapshot=self.store, report=report, published=self._published())
        return report

    async def found(self) -> list[tuple[str, str]]:
        """Kind and place of each difference."""
        return [(one.kind, one.where) for one in (await self.report()).listed]

    async def take(self, shifts: Sequence[Shift]) -> None:
        self.topic += [Published(one, True) for one in shifts]
        await accrue_shifts(shifts, store=self.store, now=NOW)

    async def _published(self) -> AsyncIterator[tuple[str, Fact]]:
        for one in sorted(self.topic, key=lambda published: published.shift.shift_id):
            yield one.shift.shift_id, one

    def change(self, position: int, entry: Entry) -> None:
        self.store.links[position] = self.store.links[position]._replace(entry=entry)

    def rebate(self, position: int) -> Rebate:
        rebate = self.store.links[position].entry.rebate
        assert rebate
        return rebate

    @property
    def payout(self) -> Payout:
        [payout] = self.store.kept_payouts.values()
        return payout


@pytest.fixture
async def world() -> World:
    """March settled and paid with two shifts, of which one was corrected; one shift of April; one that waits."""
    made, new_id = World(await ledger()), ids()
    await sign_agreement(terms(), store=made.store, now=NOW, new_id=new_id)
    await made.take([shift(shift_id=FIRST), shift(shift_id=SECOND), shift(shift_id=FIRST, revision=2, wage_fen=9_001)])
    await settled(SettleMonth(PAIR, "2026-03"), made.store, new_id)
    await order_payouts(CITY, store=made.store, now=NOW, new_id=new_id)
    await confirm_payouts(CITY, told(row(made.payout)), store=made.store, now=NOW)
    await made.take([shift(shift_id=WAITS, employer_id=EMPLOYERS[1], community_id=COMMUNITIES[1])])
    await made.take([shift(shift_id=THIRD, revision=2, day=shift().day + timedelta(days=30))])
    kinds = [link.entry.kind for link in made.store.links]
    assert kinds == ["accrual", "accrual", "reversal", "accrual", "settlement", "payout", "suspense", "accrual"]
    return made


async def test_what_is_right_has_no_difference(world: World) -> None:
    report = await world.report()
    assert (report.listed, report.shifts, report.lines, report.under_way) == ([], 4, 6, 0)
    assert (await reconcile_kept(CITY, at_one_moment=lambda: nullcontext(world.store))).differences == 0


async def test_a_shift_that_was_published_and_not_taken(world: World) -> None:
    """The line, the shift and its place in the totals are all gone, so the ledger alone cannot miss it."""
    del world.store.shifts[THIRD]
    world.store.links.pop()
    assert (await reconcile_kept(CITY, at_one_moment=lambda: nullcontext(world.store))).differences == 0
    assert await world.found() == [("shift-not-taken", THIRD)]


async def test_what_is_not_consumed_yet_is_under_way(world: World) -> None:
    for one in (shift(shift_id="sft-" + "9" * 32), shift(shift_id=SECOND, revision=2)):
        world.topic.append(Published(one, False))
    report = await world.report()
    assert (report.listed, report.under_way) == ([], 2)


async def test_a_revision_that_was_not_taken(world: World) -> None:
    world.topic.append(Published(shift(shift_id=SECOND, revision=2), True))
    assert await world.found() == [("revision-not-taken", SECOND)]


async def test_a_shift_that_nobody_published(world: World) -> None:
    world.topic = [one for one in world.topic if one.shift.shift_id != SECOND]
    assert await world.found() == [("shift-not-published", SECOND)]


async def test_a_shift_that_says_something_else_on_the_topic(world: World) -> None:
    [at] = [n for n, one in enumerate(world.topic) if one.shift.shift_id == SECOND]
    world.topic[at] = Published(shift(shift_id=SECOND, wage_fen=12_001, event_id="evt-" + "9" * 32), True)
    assert await world.found() == [("shift-differs", SECOND)]


async def test_a_missing_accrual(world: World) -> None:
    world.store.links.pop()
    assert await world.found() == [("accrual-missing", THIRD)]
    standing = world.store.shifts[THIRD]
    world.store.shifts[THIRD] = replace(standing, accrued=None)
    assert await world.found() == [("accrual-missing", THIRD)]


async def test_a_line_that_is_lost_with_all_that_is_known_of_its_shift(world: World) -> None:
    """A first revision stands by its line alone."""
    [at] = [n for n, link in enumerate(world.store.links) if link.entry.rebate and world.rebate(n).shift_id == SECOND]
    del world.store.links[at]
    assert ("shift-not-taken", SECOND) in await world.found()


async def test_suspense_that_is_not_posted_or_not_taken_back(world: World) -> None:
    suspense = world.store.links.pop(-2)
    assert await world.found() == [("suspense-wrong", WAITS)]
    again = replace(suspense.entry, rebate=replace(world.rebate(-1), shift_id=THIRD))
    world.store.links[-1:-1] = [suspense, suspense._replace(entry=again)]
    assert await world.found() == [("suspense-wrong", THIRD)]


async def test_a_wrong_base_and_a_wrong_amount(world: World) -> None:
    entry, rebate = world.store.links[-1].entry, world.rebate(-1)
    world.change(-1, replace(entry, rebate=replace(rebate, base_fen=rebate.base_fen + 1)))
    assert await world.found() == [("accrual-wrong", THIRD)]
    world.change(-1, replace(entry, amount_fen_e4=entry.amount_fen_e4 - 1))
    assert await world.found() == [("accrual-wrong", THIRD)]
    world.change(-1, entry)
    standing = world.store.shifts[THIRD]
    assert standing.accrued
    world.store.shifts[THIRD] = replace(standing, accrued=standing.accrued._replace(base_fen=1))
    assert await world.found() == [("accrual-wrong", THIRD)]


async def test_a_line_without_a_shift(world: World) -> None:
    stranger = "sft-" + "8" * 32
    entry = world.store.links[-1].entry
    world.store.links.append(
        world.store.links[-1]._replace(entry=replace(entry, rebate=replace(world.rebate(-1), shift_id=stranger)))
    )
    assert await world.found() == [("line-without-shift", stranger)]


async def test_an_accrual_that_was_not_reversed(world: World) -> None:
    entry = world.store.links[-1].entry
    again = replace(entry, rebate=replace(world.rebate(-1), revision=3))
    world.store.links.append(world.store.links[-1]._replace(entry=again))
    assert await world.found() == [("accrued-twice", THIRD)]


async def test_a_suspense_list_that_is_not_what_stands(world: World) -> None:
    waiting = world.store.suspense.pop(WAITS)
    assert await world.found() == [("suspense-wrong", WAITS)]
    world.store.suspense[WAITS] = waiting
    world.store.suspense[THIRD] = shift(shift_id=THIRD, revision=2)
    assert await world.found() == [("suspense-wrong", THIRD)]


async def test_a_month_that_is_settled_twice(world: World) -> None:
    [made] = [link for link in world.store.links if link.entry.kind == "settlement"]
    twin = made._replace(seq=99, entry=replace(made.entry, cause="stl-" + "9" * 32))
    world.store.links.append(twin)
    found = await world.found()
    assert {("settled-twice", FIRST), ("settled-twice", SECOND)} == set(found)


async def test_a_line_that_is_not_in_its_settlement(world: World) -> None:
    world.change(-1, replace(world.store.links[-1].entry, month="2026-03"))
    assert await world.found() == [("not-in-settlement", THIRD)]


async def test_a_settlement_that_is_not_its_lines(world: World) -> None:
    [(settlement_id, made)] = world.store.settlements.items()
    world.store.settlements[settlement_id] = replace(made, sum_fen_e4=made.sum_fen_e4 + 1)
    assert await world.found() == [("settlement-differs", settlement_id)]


async def test_a_payout_without_settlement(world: World) -> None:
    payout = world.payout
    world.store.kept_payouts["pay-" + "9" * 32] = replace(
        payout, payout_id="pay-" + "9" * 32, amount_fen=1, state="ordered"
    )
    assert await world.found() == [("payout-without-settlement", "pay-" + "9" * 32)]
    world.store.kept_payouts = {payout.payout_id: payout}
    world.store.settlements.clear()
    assert await world.found() == [("payout-without-settlement", payout.payout_id)]


async def test_a_payout_that_is_not_posted_or_was_not_ordered(world: World) -> None:
    payout = world.payout
    world.store.kept_payouts[payout.payout_id] = replace(payout, state="ordered")
    assert await world.found() == [("payout-without-order", payout.payout_id)]
    world.store.kept_payouts[payout.payout_id] = payout
    [at] = [n for n, link in enumerate(world.store.links) if link.entry.kind == "payout"]
    del world.store.links[at]
    assert await world.found() == [("payout-not-posted", payout.payout_id)]


async def test_a_reversal_after_the_payout_is_no_difference(world: World) -> None:
    """It lowers what is ordered next; at its own moment the order was covered."""
    [settlement_id] = world.store.settlements
    later = NOW + timedelta(days=1)
    await reverse_settlement(settlement_id, "a mistake", store=world.store, now=later)
    assert await world.found() == []
    await settled(SettleMonth(PAIR, "2026-03"), world.store, lambda _entity: "stl-" + "9" * 32, later)
    assert await world.found() == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(0, 20_000)), max_size=25),
    st.integers(0, 25),
    st.data(),
)
async def test_any_history_reconciles_and_any_lost_line_is_named(
    events: list[tuple[int, int, int]], signed_after: int, data: st.DataObject
) -> None:
    """Revisions in any order and twice, before and after the signature; then one line of a shift is lost."""
    made, new_id, known = World(await ledger()), ids(), dict[tuple[int, int], int]()
    for number, (at, revision, drawn) in enumerate(events):
        if number == signed_after:
            await sign_agreement(terms(), store=made.store, now=NOW, new_id=new_id)
        wage = known.setdefault((at, revision), drawn)
        await made.take([shift(shift_id=f"sft-{at:032x}", revision=revision, wage_fen=wage)])
    assert await made.found() == []
    assert (await reconcile_kept(CITY, at_one_moment=lambda: nullcontext(made.store))).listed == []
    if made.store.links:
        lost = data.draw(st.integers(0, len(made.store.links) - 1))
        rebate = made.rebate(lost)
        del made.store.links[lost]
        assert [where for _, where in await made.found()] == [rebate.shift_id]


def test_all_are_counted_and_some_are_listed() -> None:
    report = Report()
    report.add(Difference("shift-not-taken", CITY, f"sft-{n:032x}", "") for n in range(DIFFERENCES_MAX + 5))
    assert (report.differences, len(report.listed)) == (DIFFERENCES_MAX + 5, DIFFERENCES_MAX)
    assert set(report.counts) <= set(KINDS)
