"""What people read of a settlement: groups that sum to it, nothing in public that leads to a woman, and real paper."""

from __future__ import annotations

import re
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from services.revenue.domain.ledger import Entry
from services.revenue.domain.settlements import Settlement
from services.revenue.domain.statements import (
    GROUP_LINES_MIN,
    LINES_SHOWN_MAX,
    Statement,
    Summary,
    exact_yuan,
    percent,
)
from services.revenue.paper.pages import statement_page
from services.revenue.paper.pdf import statement_pdf
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from tests.unit.revenue.given import NOW, PAIR, ids, ledger, settled, shift, terms


async def settled_march(days: list[date]) -> tuple[Settlement, list[Entry]]:
    """March of the pair, with a shift on each of these days."""
    store, new_id = await ledger(), ids()
    await sign_agreement(terms(), store=store, now=NOW, new_id=new_id)
    shifts = [shift(shift_id=f"sft-{n:032x}", day=day, wage_fen=10_000 + n) for n, day in enumerate(days)]
    await settled(SettleMonth(PAIR, "2026-02"), store, new_id)
    await accrue_shifts(shifts, store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), store, new_id)
    entries = [link.entry for link in store.links if link.entry.rebate and link.entry.month == "2026-03"]
    return next(one for one in store.settlements.values() if one.month == "2026-03"), entries


def statement(settlement: Settlement, entries: list[Entry], *, is_public: bool) -> Statement:
    summary = Summary()
    for entry in entries:
        summary.add(entry)
    return Statement(
        settlement=settlement,
        employer="示例服装 & <厂>",
        community="凤凰社区",
        groups=summary.public_groups() if is_public else summary.groups(),
        lines=[] if is_public else entries[:LINES_SHOWN_MAX],
        is_public=is_public,
    )


DAYS = st.lists(
    st.sampled_from([date(2026, 1, 9), date(2026, 2, 9), date(2026, 3, 9), date(2026, 3, 10)]), min_size=1, max_size=30
)


@settings(max_examples=60)
@given(days=DAYS)
async def test_groups_sum_to_the_settlement_and_hide_the_few(days: list[date]) -> None:
    settlement, entries = await settled_march(days)
    for is_public in (False, True):
        groups = statement(settlement, entries, is_public=is_public).groups
        assert sum(group.lines for group in groups) == settlement.entries
        assert sum(group.base_fen for group in groups) == settlement.base_fen
        assert sum(group.amount_fen_e4 for group in groups) == settlement.sum_fen_e4
    assert all(group.lines >= GROUP_LINES_MIN for group in groups) or len(groups) == 1


async def test_the_public_page_names_no_shift_and_no_day() -> None:
    settlement, entries = await settled_march([date(2026, 3, 9)] * 6)
    public = statement_page(statement(settlement, entries, is_public=True))
    full = statement_page(statement(settlement, entries, is_public=False))
    assert "2026-03-09" in full
    assert entries[0].rebate is not None
    assert f"{entries[0].rebate.shift_id[-8:]}·1" in full
    for trace in ("2026-03-09", "sft-", "00000000·", "ent-", "skr-", exact_yuan(entries[1].amount_fen_e4)):
        assert trace not in public
    assert settlement.statement_hash in public


async def test_pages_need_nothing_from_elsewhere_and_escape_what_was_typed() -> None:
    page = statement_page(statement(*(await settled_march([date(2026, 3, 9)] * 2)), is_public=False))
    assert not re.search(r"(?:src|href)=|url\(|@import|<script", page)
    assert "示例服装 &amp; &lt;厂&gt;" in page
    assert 'lang="zh-Hans"' in page


async def test_a_pdf_has_a_page_of_sums_then_the_lines_and_brings_its_font() -> None:
    settlement, entries = await settled_march([date(2026, 3, 9)] * 120)
    made = statement_pdf(statement(settlement, entries, is_public=False))
    assert made.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", made)) == 4
    assert b"/FontFile2" in made
    assert made == statement_pdf(statement(settlement, entries, is_public=False))
    public = statement_pdf(statement(settlement, entries, is_public=True))
    assert len(re.findall(rb"/Type /Page\b", public)) == 1


def test_amounts_for_people_are_exact() -> None:
    assert [exact_yuan(amount) for amount in (0, 1, -1, 4_950_825, 12_345_678_901)] == [
        "0.000000", "0.000001", "-0.000001", "4.950825", "12,345.678901",
    ]  # fmt: skip
    assert (percent(500), percent(825), percent(1500)) == ("5.00 %", "8.25 %", "15.00 %")
