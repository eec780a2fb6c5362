"""Check 3: the money, recomputed from the exported shifts and agreements without a line of revenue's code.

The arithmetic is written anew on purpose, with fractions and decimals, so that it shares no mistake with the ledger.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import httpx

from mamapost.demo.offline import check_offline
from mamapost.demo.reads import Item, items
from mamapost.demo.report import Check
from shared.kernel.clock import CITY_ZONE

FEN_E4 = 10_000


async def check_rebates(registry: httpx.AsyncClient, revenue: httpx.AsyncClient, month: str) -> list[Check]:
    """Ledger, settlements, statements, funds and wages against a recomputation, to the fen.

    Args:
        month: the month whose shifts were worked, `YYYY-MM`.
    """
    shifts = await items(registry, "/shifts", month=month)
    placements = {placement["placement_id"]: placement for placement in await items(registry, "/placements")}
    agreements = await items(revenue, "/agreements")
    entries = await items(revenue, "/ledger/entries")
    settlements = await items(revenue, "/settlements")
    verified = (await revenue.get("/ledger/verify")).raise_for_status().json()
    return [
        _wages(shifts, placements),
        _ledger(shifts, agreements, entries),
        _audit(verified),
        await _settlements(revenue, entries, settlements),
        *await check_offline(revenue, settlements),
    ]


def _wages(shifts: list[Item], placements: dict[str, Item]) -> Check:
    """Her pay is what her placement's terms say, whatever rebate was accrued on it."""
    check = Check("no woman's pay changed: shift = placement's terms")
    for shift in shifts:
        pay = placements[shift["placement_id"]]["pay"]
        if shift["verdict"] == "no-show":
            wage = 0
        elif pay["per"] == "piece":
            wage = shift["pieces"]["accepted"] * pay["fen"]
        else:
            exact = Fraction(shift["minutes"] * pay["fen"], 60)
            wage = -(-exact.numerator // exact.denominator)
        check.compare(f"wage_fen of {shift['shift_id']}", shift["wage_fen"], wage)
    return check


def expected_by_shift(shifts: list[Item], agreements: list[Item]) -> dict[str, int]:
    """Exact rebate of each shift that has one, in fen × 10 000."""
    by_pair: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for agreement in agreements:
        by_pair[agreement["employer_id"], agreement["community_id"]].append(agreement)
    expected: dict[str, int] = {}
    for shift in shifts:
        day = _civil_day(shift["started_at"])
        for agreement in by_pair.get((shift["employer_id"], shift.get("community_id", "")), []):
            until = agreement.get("valid_until")
            if date.fromisoformat(agreement["valid_from"]) <= day and (
                until is None or day <= date.fromisoformat(until)
            ):
                base = shift["wage_fen"] if agreement["base"] == "wages" else shift["base_fen"]
                rebate = Fraction(agreement["rate_bp"], 10_000) * base * FEN_E4
                if rebate.denominator != 1:
                    raise AssertionError("an accrual is exact in fen × 10 000 by its definition")
                expected[shift["shift_id"]] = rebate.numerator
    return expected


def _ledger(shifts: list[Item], agreements: list[Item], entries: list[Item]) -> Check:
    check = Check("ledger: each shift = base × rate, exact")
    posted: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        if entry["kind"] in ("accrual", "reversal"):
            posted[entry["shift_id"]] += entry["amount_fen_e4"]
    expected = expected_by_shift(shifts, agreements)
    for shift_id in posted.keys() | expected.keys():
        check.compare(f"rebate of {shift_id}", posted.get(shift_id, 0), expected.get(shift_id, 0))
    return check


def _audit(verified: Item) -> Check:
    check = Check("ledger: chain, debits = credits, totals")
    for city in verified["cities"]:
        check.count += city["entries"]
        check.compare(f"credits of {city['city']}", city["credits_fen_e4"], city["debits_fen_e4"])
        for finding in city["findings"]:
            check.fail(f"{finding['rule']} at {finding['where']}")
    return check


async def _settlements(revenue: httpx.AsyncClient, entries: list[Item], settlements: list[Item]) -> Check:
    """Each settlement is the sum of its lines, rounded once; its statement says so, and has the hash that was told."""
    check = Check("settlements, statements: recomputed, hashes agree")
    lines: defaultdict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for entry in entries:
        if entry["kind"] in ("accrual", "reversal"):
            lines[entry["employer_id"], entry["community_id"], entry["month"]].append(entry)
    carried: defaultdict[tuple[str, str], int] = defaultdict(int)
    for settlement in sorted(settlements, key=lambda item: str(item["month"])):
        pair = settlement["employer_id"], settlement["community_id"]
        own = lines.pop((*pair, settlement["month"]), [])
        exact = sum(entry["amount_fen_e4"] for entry in own) + carried[pair]
        amount = int((Decimal(exact) / FEN_E4).quantize(Decimal(1), ROUND_HALF_EVEN))
        carried[pair] = exact - amount * FEN_E4
        which = settlement["settlement_id"]
        check.compare(f"amount_fen of {which}", settlement["amount_fen"], amount)
        check.compare(f"carry of {which}", settlement["carry_out_fen_e4"], carried[pair])
        check.compare(f"entries of {which}", settlement["entries"], len(own))
        statement = await revenue.get(f"/settlements/{which}/statement", headers={"Accept": "text/csv"})
        statement.raise_for_status()
        found = hashlib.sha256(statement.content).hexdigest()
        check.compare(f"statement_hash of {which}", found, settlement["statement_hash"])
        _compare_statement(check, which, statement.text, own)
    for (employer, community, month), left in lines.items():
        if sum(entry["amount_fen_e4"] for entry in left):
            check.fail(f"{employer} at {community} has unsettled entries in {month}")
    return check


def _compare_statement(check: Check, which: str, text: str, own: list[Item]) -> None:
    """Every line of the ledger stands on the statement with the same amount, and its amount is base × rate."""
    rows: list[dict[str, Any]] = [row for row in csv.DictReader(io.StringIO(text)) if row["entry_id"]]
    listed = {row["entry_id"]: int(row["amount_fen_e4"]) for row in rows}
    check.compare(f"lines of {which}", listed, {entry["entry_id"]: entry["amount_fen_e4"] for entry in own})
    for row in rows:
        product = int(row["base_fen"]) * int(row["rate_bp"])
        check.compare(f"line {row['entry_id']}", int(row["amount_fen_e4"]), product)


def _civil_day(instant: str) -> date:
    return datetime.fromisoformat(instant).astimezone(CITY_ZONE).date()
