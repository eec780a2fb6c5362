"""Shifts into entries: the latest revision, once; nothing dropped; closed months stay closed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.revenue.domain.accrual import Desk, Shift, Standing, standing_of
from services.revenue.domain.agreements import Agreement, Base, Pair, Tier
from services.revenue.domain.books import BookKey
from services.revenue.domain.ledger import Link
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.tell import tell_entries
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import RebateAccrued
from shared.kernel.money import FEN_MAX
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, PAIR, ids, ledger, settled, shift, terms
from tests.unit.revenue.memory import MemoryLedger

NEW_ID = ids()


@pytest.fixture
async def signed() -> MemoryLedger:
    store = await ledger()
    await sign_agreement(terms(), store=store, now=NOW, new_id=NEW_ID)
    store.events.clear()
    return store


def lines(store: MemoryLedger) -> list[tuple[str, int, int]]:
    return [
        (link.entry.kind, link.entry.rebate.revision, link.entry.amount_fen_e4)
        for link in store.links
        if link.entry.rebate
    ]


async def test_a_shift_makes_one_line_and_one_event(signed: MemoryLedger) -> None:
    refused, _ = await accrue_shifts([shift()], store=signed, now=NOW)
    assert refused == []
    assert lines(signed) == [("accrual", 1, 12_000_000)]
    assert signed.events == []
    assert [await tell_entries(CITY, store=signed) for _ in range(2)] == [1, 0]
    [event] = signed.events
    assert isinstance(event, RebateAccrued)
    assert (event.base_fen, event.rate_bp, event.amount_fen_e4, event.month) == (12_000, 1000, 12_000_000, "2026-03")


async def test_the_base_of_output_is_the_output() -> None:
    store = await ledger()
    await sign_agreement(terms(base="output"), store=store, now=NOW, new_id=NEW_ID)
    await accrue_shifts([shift()], store=store, now=NOW)
    assert lines(store) == [("accrual", 1, 30_000_000)]


async def test_duplicates_have_no_effect(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(), shift()], store=signed, now=NOW)
    refused, _ = await accrue_shifts([shift(event_id="evt-" + "f" * 32)], store=signed, now=NOW)
    assert refused == []
    assert len(signed.links) == 1


async def test_a_revision_that_says_otherwise_is_refused(signed: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=signed, now=NOW)
    refused, _ = await accrue_shifts([shift(wage_fen=1)], store=signed, now=NOW)
    assert [reason for _, reason in refused] == ["revision: already applied with another content"]
    assert len(signed.links) == 1


async def test_a_correction_reverses_and_posts_anew(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(), shift(revision=2, wage_fen=9_000)], store=signed, now=NOW)
    assert lines(signed) == [("accrual", 1, 12_000_000), ("reversal", 1, -12_000_000), ("accrual", 2, 9_000_000)]


async def test_revision_3_before_2(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(revision=3, wage_fen=7_000)], store=signed, now=NOW)
    await accrue_shifts([shift(revision=2, wage_fen=9_000), shift()], store=signed, now=NOW)
    assert lines(signed) == [("accrual", 3, 7_000_000)]


async def test_a_missed_shift_makes_no_line_but_a_correction_to_nothing_reverses(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(wage_fen=0, output_fen=0)], store=signed, now=NOW)
    assert (lines(signed), signed.suspense) == ([], {})
    await accrue_shifts([shift(revision=2), shift(revision=3, wage_fen=0, output_fen=0)], store=signed, now=NOW)
    assert lines(signed) == [("accrual", 2, 12_000_000), ("reversal", 2, -12_000_000)]


async def test_no_community_no_rebate(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(community_id=None)], store=signed, now=NOW)
    assert (lines(signed), signed.suspense) == ([], {})


async def test_a_shift_without_agreement_waits_and_is_posted_when_one_is_signed() -> None:
    store = await ledger()
    await accrue_shifts([shift()], store=store, now=NOW)
    assert list(store.suspense) == [shift().shift_id]
    assert lines(store) == [("suspense", 1, 6_000_000)]
    await sign_agreement(terms(valid_from=date(2026, 4, 1)), store=store, now=NOW, new_id=NEW_ID)
    assert list(store.suspense) == [shift().shift_id]
    await sign_agreement(terms(valid_until=date(2026, 3, 31)), store=store, now=NOW, new_id=NEW_ID)
    assert store.suspense == {}
    assert lines(store)[1:] == [("suspense-reversal", 1, -6_000_000), ("accrual", 1, 12_000_000)]
    assert store.links[-1].entry.rebate
    assert store.links[-1].entry.rebate.agreement_version == 2
    assert sum(totals.sum_fen_e4 for key, totals in store.books.items() if not key.agreement_id) == 0
    assert (await verify_city(CITY, snapshot=store)).findings == []


async def test_a_correction_replaces_what_waits() -> None:
    store = await ledger()
    await accrue_shifts([shift(), shift(revision=2, wage_fen=9_000)], store=store, now=NOW)
    assert store.suspense[shift().shift_id].revision == 2
    await accrue_shifts([shift(revision=3, community_id=None)], store=store, now=NOW)
    assert store.suspense == {}


async def test_a_correction_to_a_day_without_agreement_reverses_and_waits(signed: MemoryLedger) -> None:
    await accrue_shifts([shift(), shift(revision=2, day=date(2025, 12, 31))], store=signed, now=NOW)
    assert lines(signed) == [("accrual", 1, 12_000_000), ("reversal", 1, -12_000_000), ("suspense", 2, 6_000_000)]
    assert list(signed.suspense) == [shift().shift_id]


async def test_a_correction_can_move_the_shift_to_another_community(signed: MemoryLedger) -> None:
    await sign_agreement(terms(community_id=COMMUNITIES[1], rate_bp=500), store=signed, now=NOW, new_id=NEW_ID)
    await accrue_shifts([shift(), shift(revision=2, community_id=COMMUNITIES[1])], store=signed, now=NOW)
    sums = {(key.pair, key.month): totals.sum_fen_e4 for key, totals in signed.books.items()}
    assert sums == {(PAIR, "2026-03"): 0, (Pair(EMPLOYERS[0], COMMUNITIES[1]), "2026-03"): 6_000_000}


async def test_a_late_shift_goes_into_the_first_open_month(signed: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=signed, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), signed, NEW_ID)
    late = shift(shift_id="sft-" + "1" * 32)
    await accrue_shifts([late, shift(revision=2, wage_fen=9_000)], store=signed, now=NOW)
    posted = [link.entry for link in signed.links if link.entry.rebate][1:]
    assert [entry.month for entry in posted] == ["2026-04"] * 3
    assert {entry.rebate.worked_day for entry in posted if entry.rebate} == {date(2026, 3, 9)}
    assert (await verify_city(CITY, snapshot=signed)).findings == []


async def test_another_city_is_refused_or_waits(signed: MemoryLedger) -> None:
    await accrue_shifts([shift()], store=signed, now=NOW)
    refused, _ = await accrue_shifts([shift(revision=2, city="370700")], store=signed, now=NOW)
    assert [reason for _, reason in refused] == ["city: expected the city of the shift's earlier revision"]
    await accrue_shifts([shift(shift_id="sft-" + "1" * 32, city="370700")], store=signed, now=NOW)
    assert list(signed.suspense) == ["sft-" + "1" * 32]


async def test_a_month_that_no_event_could_tell_is_refused(signed: MemoryLedger) -> None:
    big = [shift(shift_id=f"sft-{n:032x}", wage_fen=FEN_MAX) for n in range(2)]
    refused, _ = await accrue_shifts(big, store=signed, now=NOW)
    assert [which.shift_id for which, _ in refused] == [big[1].shift_id]
    assert "base_fen" in refused[0][1]
    assert len(signed.links) == 1


async def test_the_ledger_does_not_depend_on_how_batches_are_cut() -> None:
    story = [
        shift(revision=revision, shift_id=f"sft-{n:032x}", wage_fen=1_000 * n + revision)
        for n in range(5)
        for revision in (1, 3, 2)
    ]
    ledgers: list[list[Link]] = []
    for size in (1, 4, len(story)):
        store = await ledger()
        await sign_agreement(terms(), store=store, now=NOW, new_id=ids())
        for start in range(0, len(story), size):
            await accrue_shifts(story[start : start + size], store=store, now=NOW)
        ledgers.append(store.links)
    assert ledgers[0] == ledgers[1] == ledgers[2]


PAIRS = [Pair(employer_id, community_id) for employer_id in EMPLOYERS for community_id in COMMUNITIES]
SHIFTS = st.builds(
    Shift,
    shift_id=st.integers(0, 4).map(lambda n: f"sft-{n:032x}"),
    revision=st.sampled_from([1, 1, 1, 2, 3]),
    city=st.sampled_from([*[CITY] * 7, "110100"]),
    employer_id=st.sampled_from(EMPLOYERS),
    community_id=st.sampled_from([*COMMUNITIES * 3, None]),
    day=st.dates(date(2026, 1, 28), date(2026, 2, 10)),
    wage_fen=st.sampled_from([0, 70, 250, 999, FEN_MAX]),
    output_fen=st.sampled_from([0, 30, 90, 999]),
    event_id=st.integers(0, 9).map(lambda n: f"evt-{n:032x}"),
)


@st.composite
def desks(draw: st.DrawFn) -> tuple[Desk, Desk]:
    """The same desk twice, the second without the short way: versions of some pairs, closed months, standing shifts."""
    agreements: dict[Pair, list[Agreement]] = {}
    sums: dict[BookKey, int] = {}
    for pair in PAIRS:
        first = date(2026, 1, 20)
        for version in range(1, draw(st.integers(1, 3)) + 1):
            until = first + timedelta(days=draw(st.integers(5, 20)))
            bases: list[Base] = ["wages", "output"]
            base, rate_bp = draw(st.sampled_from(bases)), draw(st.integers(500, 1500))
            tiers = draw(st.sampled_from([(), (), (Tier(500, 1400),)]))
            agreement_id = f"agr-{len(sums):032x}"
            one = Agreement(agreement_id, version, CITY, pair, base, rate_bp, first, until, tiers)
            agreements.setdefault(pair, []).append(one)
            sums[BookKey(pair, "2026-02", "2026-02", agreement_id)] = draw(st.sampled_from([0, 400, FEN_MAX - 500]))
            first = until + timedelta(days=1)
    closed = draw(st.dictionaries(st.sampled_from(PAIRS), st.sampled_from(["2026-01", "2026-02"])))
    standing = draw(st.dictionaries(st.just("sft-" + "0" * 32), st.just(Standing(1, "evt-" + "9" * 32, CITY))))
    return (
        Desk(NOW, agreements, closed, sums, dict(standing)),
        _General(NOW, agreements, closed, sums, dict(standing)),
    )


class _General(Desk):
    """A desk whose shifts all go the general way."""

    def _take_plain(self, shift: Shift) -> bool:
        return False


def stands(desk: Desk) -> dict[str, Standing]:
    """What stands of each shift: as the desk keeps it, or as its one line says."""
    lines = {entry.rebate.shift_id: one for entry in desk.entries if entry.rebate and (one := standing_of(entry))}
    return lines | desk.standing


@given(desks(), st.lists(SHIFTS, max_size=12))
def test_the_short_way_comes_to_what_the_general_one_does(both: tuple[Desk, Desk], shifts: list[Shift]) -> None:
    """For any shifts, corrections, duplicates and orders: the same lines, the same standing, the same refusals."""
    short, general = both
    for one in shifts:
        assert short.take(one) == general.take(one)
        assert short.entries == general.entries
        assert (short.changed, short.suspense) == (general.changed, general.suspense)
        assert stands(short) == stands(general)
