"""The verifier for strangers, as they run it: on what settlements really wrote, and on what somebody changed since."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.revenue.domain.agreements import Tier
from services.revenue.domain.settlements import HEADER, Settlement, line_of, total_lines
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from shared.kernel.money import settle_e4
from tests.architecture.source import ROOT
from tests.unit.revenue.given import NOW, PAIR, ids, ledger, settled, shift, terms
from tests.unit.revenue.memory import MemoryLedger

SCRIPT = ROOT / "examples" / "verify_statement.py"
LINES_MAX = 100
verify: Callable[[bytes, str, dict[Any, int]], str] = runpy.run_path(str(SCRIPT))["verify"]


class Written(NamedTuple):
    """A statement as it was sent, and the hash that the event told."""

    content: bytes
    told_hash: str


async def statement(store: MemoryLedger, settlement: Settlement) -> Written:
    lines = [line_of(link.entry) for link in store.links if link.entry.rebate and link.entry.month == settlement.month]
    return Written("".join([HEADER, *lines, *total_lines(settlement)]).encode(), settlement.statement_hash)


async def two_months() -> list[Written]:
    """March with a correction, and April with a late shift of March and a remainder carried in."""
    store, new_id = await ledger(), ids()
    await sign_agreement(terms(rate_bp=825), store=store, now=NOW, new_id=new_id)
    march = [shift(shift_id=f"sft-{n:032x}", wage_fen=6_001 + n) for n in range(5)]
    await accrue_shifts([*march, shift(revision=2, wage_fen=5_999)], store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), store, new_id)
    await accrue_shifts([shift(shift_id="sft-" + "f" * 32), shift(revision=3, wage_fen=1)], store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-04"), store, new_id)
    return [await statement(store, settlement) for settlement in store.settlements.values()]


def run(directory: Path, *given: Written) -> subprocess.CompletedProcess[str]:
    """The script in a Python that sees nothing of ours."""
    arguments: list[str] = []
    for number, written in enumerate(given):
        file = directory / f"{number}.csv"
        file.write_bytes(written.content)
        arguments.append(f"{file}={written.told_hash}")
    return subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stranger_can_read_it() -> None:
    assert SCRIPT.read_text(encoding="utf-8").count("\n") < LINES_MAX


async def test_what_was_settled_passes(tmp_path: Path) -> None:
    march, april = await two_months()
    done = run(tmp_path, march, april)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert f"pass {tmp_path / '0.csv'}: 2026-03, 7 lines" in first
    assert march.told_hash in first
    assert april.told_hash in second


async def test_a_month_that_does_not_take_up_what_the_last_one_left(tmp_path: Path) -> None:
    march, april = await two_months()
    done = run(tmp_path, april, march)
    assert done.returncode == 1
    assert "carry_in_fen_e4" in done.stdout.splitlines()[1]


async def tiered() -> Written:
    """March under 5 %, from 100 yuan on 8 %, from 200 on 12 %: lines that cross tiers, and one that leaves again."""
    store, new_id = await ledger(), ids()
    tiers = (Tier(10_000, 800), Tier(20_000, 1_200))
    await sign_agreement(terms(rate_bp=500, tiers=tiers), store=store, now=NOW, new_id=new_id)
    shifts = [shift(shift_id=f"sft-{n:032x}", wage_fen=wage) for n, wage in enumerate((9_001, 999, 0, 17_003, 9_001))]
    await accrue_shifts([*shifts, shift(revision=2, wage_fen=1)], store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), store, new_id)
    [settlement] = store.settlements.values()
    return await statement(store, settlement)


async def test_tiers_are_recomputed(tmp_path: Path) -> None:
    written = await tiered()
    done = run(tmp_path, written)
    assert (done.returncode, done.stdout[:4]) == (0, "pass"), done.stdout
    lines = [line.split(",") for line in written.content.decode().split("\n") if line.startswith("line,")]
    assert len(lines) > 5
    base = sum(int(line[9]) for line in lines)
    exact = min(base, 10_000) * 500 + min(max(base - 10_000, 0), 10_000) * 800 + max(base - 20_000, 0) * 1_200
    assert sum(int(line[11]) for line in lines) == exact


async def test_a_tier_that_does_not_follow_is_found(tmp_path: Path) -> None:
    written = await tiered()
    level = run(tmp_path, written._replace(content=change(3, "before_fen", "9000")(written.content.decode()).encode()))
    assert "line 3: before_fen is 9000; the line before came to 9001" in level.stdout


async def test_a_part_of_the_month_that_has_two_rates_is_found(tmp_path: Path) -> None:
    """What a correction takes off the top must leave at the rate at which it came; the sums are made to fit."""
    written = await tiered()
    lines = [line.split(",") for line in written.content.decode().split("\n")]
    [last] = [line for line in lines if line[0] == "line" and line[5] == "reversal"]
    last[10], last[11] = "800", str(int(last[9]) * 800)
    exact = sum(int(line[11]) for line in lines if line[0] == "line")
    amount, carry = settle_e4(exact)
    totals = {"sum_fen_e4": exact, "amount_fen": amount, "carry_out_fen_e4": carry}
    for line in lines:
        line[-1] = f"{totals.get(line[0], line[-1])}"
    forged = "\n".join(",".join(line) for line in lines).encode()
    assert "two rates above" in run(tmp_path, written._replace(content=forged)).stdout


def change(row: int, column: str, value: str) -> Callable[[str], str]:
    """Another value in one place of a statement; rows count from 1, the header."""

    def changed(text: str) -> str:
        lines = [line.split(",") for line in text.split("\n")]
        lines[row - 1][HEADER.strip().split(",").index(column)] = value
        return "\n".join(",".join(line) for line in lines)

    return changed


def without_line(text: str) -> str:
    lines = text.split("\n")
    return "\n".join([*lines[:3], *lines[4:]])


def twice(text: str) -> str:
    lines = text.split("\n")
    return "\n".join([*lines[:3], lines[2], *lines[3:]])


def swapped(text: str) -> str:
    lines = text.split("\n")
    return "\n".join([lines[0], lines[2], lines[1], *lines[3:]])


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (change(3, "base_fen", "6003"), "line 3: 6003 fen × 825 bp"),
        (change(3, "amount_fen_e4", "4951651"), "line 3: "),
        (change(3, "rate_bp", "1600"), "line 3: rate_bp"),
        (change(3, "shift_id", "sft-" + "e" * 32), "line 3: entry_id"),
        (change(3, "worked_day", "2026-04-01"), "month is 2026-03, but it comes to 2026-04"),
        (change(3, "base_fen", "6.002"), "line 3: base_fen"),
        (without_line, "entries is 7, but it comes to 6"),
        (twice, "line 4: "),
        (swapped, "another statement"),
        (change(15, "value", "1"), "base_fen is 1, but"),
        (change(18, "value", "2477"), "amount_fen is 2477, but"),
        (change(19, "value", "1"), "carry_out_fen_e4 is 1, but"),
        (lambda text: text[: text.index("carry_in")], "not complete"),
        (lambda text: text + "note,,,,,,,,,,,,1\n", "the end belongs"),
        (lambda text: text.replace("\n", "\r\n"), "line 1: "),
    ],
)
async def test_the_first_wrong_line_is_named(tmp_path: Path, tamper: Callable[[str], str], says: str) -> None:
    march, _ = await two_months()
    changed = tamper(march.content.decode()).encode()
    assert changed != march.content
    done = run(tmp_path, march._replace(content=changed))
    assert done.returncode == 1
    assert done.stdout.startswith("WRONG")
    assert says in done.stdout


@settings(max_examples=60)
@given(
    wages=st.lists(st.integers(0, 10**6), min_size=1, max_size=8),
    rate_bp=st.sampled_from([500, 825, 1500]),
    where=st.floats(0, 1, exclude_max=True),
    digit=st.sampled_from(b"0123456789-,"),
)
async def test_any_other_byte_is_found(wages: list[int], rate_bp: int, where: float, digit: int) -> None:
    store, new_id = await ledger(), ids()
    await sign_agreement(terms(rate_bp=rate_bp), store=store, now=NOW, new_id=new_id)
    shifts = [shift(shift_id=f"sft-{n:032x}", wage_fen=wage) for n, wage in enumerate(wages)]
    await accrue_shifts(shifts, store=store, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), store, new_id)
    [settlement] = store.settlements.values()
    written = await statement(store, settlement)
    assert f"{settlement.amount_fen} fen" in verify(written.content, written.told_hash, {})
    at = int(where * len(written.content))
    changed = written.content[:at] + bytes([digit]) + written.content[at + 1 :]
    if changed != written.content:
        with pytest.raises(ValueError, match=r"line|hash"):
            verify(changed, written.told_hash, {})
