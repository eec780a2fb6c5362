"""Check 3: the money, recomputed from the exported shifts and agreements without a line of revenue's code.

The arithmetic is written anew on purpose, with fractions and decimals, so that it shares no mistake with the ledger.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import httpx

from mamapost.demo.bank import check_paid
from mamapost.demo.gifts import check_gifts, check_spendings
from mamapost.demo.offline import check_offline
from mamapost.demo.reader import Reader
from mamapost.demo.reads import Item, items
from mamapost.demo.report import Check
from shared.kernel.clock import CITY_ZONE
from shared.kernel.money import E4

LEAST_RATE_BP = 500
"""What suspense is posted at (decision 0032)."""

LINES = ("accrual", "reversal")
"""Kinds of entries that are lines of a statement."""


class Owed(NamedTuple):
    """What shifts come to, by the agreements or by the ledger.

    Attributes:
        bases: of each shift, in fen.
        flat: exact rebate of each shift in fen × 10 000, where its rate is flat.
        tiered: the same under tiers, where it depends on the order of the shifts what each of them adds, by agreement
            and month worked.
    """

    bases: dict[str, int]
    flat: dict[str, int]
    tiered: dict[str, int]


async def check_rebates(
    registry: httpx.AsyncClient, revenue: httpx.AsyncClient, reader: Reader, month: str
) -> list[Check]:
    """Ledger, settlements, statements, funds, payouts and wages against a recomputation, to the fen.

    Args:
        reader: of all topics, to their end.
        month: the month whose shifts were worked, `YYYY-MM`.
    """
    shifts = await items(registry, "/shifts", month=month)
    placements = {placement["placement_id"]: placement for placement in await items(registry, "/placements")}
    agreements = await items(revenue, "/agreements")
    entries = await items(revenue, "/ledger/entries", kinds="all")
    settlements = await items(revenue, "/settlements")
    verified = (await revenue.get("/ledger/verify")).raise_for_status().json()
    expected, found = owed(shifts, agreements), posted(entries)
    return [
        _wages(shifts, placements),
        _ledger(expected, found),
        _tiers(expected, found),
        _suspense(shifts, expected, entries, await items(revenue, "/suspense")),
        _audit(verified),
        await _settlements(revenue, entries, settlements),
        *await check_offline(revenue, settlements, reader),
        check_paid(entries, settlements, reader),
        check_gifts(entries, await items(revenue, "/funding-sources"), reader),
        check_spendings(entries, reader),
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


def owed(shifts: Iterable[Item], agreements: Iterable[Item]) -> Owed:
    """What the agreements make of shifts as they stand."""
    by_pair: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for agreement in agreements:
        by_pair[agreement["employer_id"], agreement["community_id"]].append(agreement)
    expected = Owed({}, {}, {})
    months: defaultdict[str, int] = defaultdict(int)
    tiered: dict[str, Item] = {}
    for shift in shifts:
        day = _civil_day(shift["started_at"])
        for agreement in by_pair.get((shift["employer_id"], shift.get("community_id", "")), []):
            until = agreement.get("valid_until")
            if day < date.fromisoformat(agreement["valid_from"]) or (until and day > date.fromisoformat(until)):
                continue
            base = shift["wage_fen"] if agreement["base"] == "wages" else shift["base_fen"]
            expected.bases[shift["shift_id"]] = base
            if agreement.get("tiers"):
                under = f"{agreement['agreement_id']} in {day:%Y-%m}"
                tiered[under] = agreement
                months[under] += base
            else:
                expected.flat[shift["shift_id"]] = _exact(base, agreement["rate_bp"])
    for under, base in months.items():
        expected.tiered[under] = _marginal(base, tiered[under])
    return expected


def _marginal(base_fen: int, agreement: Item) -> int:
    """A month's base, each part of it at its own rate."""
    rebate, top = 0, base_fen
    for tier in reversed(agreement["tiers"]):
        rebate += _exact(max(top - tier["from_fen"], 0), tier["rate_bp"])
        top = min(top, tier["from_fen"])
    return rebate + _exact(top, agreement["rate_bp"])


def _exact(base_fen: int, rate_bp: int) -> int:
    rebate = Fraction(rate_bp, 10_000) * base_fen * E4
    if rebate.denominator != 1:
        raise AssertionError("an accrual is exact in fen × 10 000 by its definition")
    return rebate.numerator


def posted(entries: Iterable[Mapping[str, Any]]) -> Owed:
    """What the ledger's lines come to."""
    bases, flat, tiered = defaultdict[str, int](int), defaultdict[str, int](int), defaultdict[str, int](int)
    for entry in entries:
        if entry["kind"] not in LINES:
            continue
        bases[entry["shift_id"]] += entry["base_fen"]
        if entry.get("before_fen") is None:
            flat[entry["shift_id"]] += entry["amount_fen_e4"]
        else:
            tiered[f"{entry['agreement_id']} in {entry['worked_month']}"] += entry["amount_fen_e4"]
    return Owed(bases, flat, tiered)


def compare_flat(check: Check, expected: Owed, found: Owed) -> int:
    """Each shift's rebate where its rate is flat. Returns what differs, in fen × 10 000."""
    return _compare(check, "rebate of", expected.flat, found.flat)


def compare_tiered(check: Check, expected: Owed, found: Owed) -> int:
    """Each month's rebate under tiers, and the bases that it is made of. Returns what the rebates differ by."""
    for shift_id in (found.bases.keys() | expected.bases.keys()) - expected.flat.keys() - found.flat.keys():
        check.compare(f"base of {shift_id}", found.bases.get(shift_id, 0), expected.bases.get(shift_id, 0))
    return _compare(check, "rebate under", expected.tiered, found.tiered)


def _compare(check: Check, what: str, expected: Mapping[str, int], found: Mapping[str, int]) -> int:
    differing = 0
    for key in found.keys() | expected.keys():
        check.compare(f"{what} {key}", found.get(key, 0), expected.get(key, 0))
        differing += abs(found.get(key, 0) - expected.get(key, 0))
    return differing


def _ledger(expected: Owed, found: Owed) -> Check:
    check = Check("ledger: each shift = base × rate, exact")
    compare_flat(check, expected, found)
    return check


def _tiers(expected: Owed, found: Owed) -> Check:
    check = Check("tiers: a month's base at marginal rates")
    compare_tiered(check, expected, found)
    return check


def _suspense(shifts: Iterable[Item], expected: Owed, entries: Iterable[Item], waiting: Iterable[Item]) -> Check:
    """What came before its agreement left suspense when the agreement came; what has none yet is still held."""
    check = Check("suspense: held at the least rate, then posted")
    held: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        if entry["kind"] in ("suspense", "suspense-reversal"):
            held[entry["shift_id"]] += entry["amount_fen_e4"]
    wanted = {
        shift["shift_id"]: _exact(shift["wage_fen"], LEAST_RATE_BP)
        for shift in shifts
        if shift.get("community_id") and shift["wage_fen"] and shift["shift_id"] not in expected.bases
    }
    for shift_id in held.keys() | wanted.keys():
        check.compare(f"in suspense of {shift_id}", held[shift_id], wanted.get(shift_id, 0))
    check.compare("shifts that wait", sorted(shift["shift_id"] for shift in waiting), sorted(wanted))
    if not held.keys() - wanted.keys():
        check.fail("no shift was ever posted out of suspense")
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
    """Each settlement is the sum of its lines, rounded once; its statement says so, and has the hash that was told.

    One that was reversed is the sum of the lines that were there by then.
    """
    check = Check("settlements, statements: recomputed, hashes agree")
    lines: defaultdict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for entry in entries:
        if entry["kind"] in LINES:
            lines[entry["employer_id"], entry["community_id"], entry["month"]].append(entry)
    carried: defaultdict[tuple[str, str], int] = defaultdict(int)
    for settlement in sorted(settlements, key=lambda one: (one["month"], not one.get("reversed_at"))):
        pair = settlement["employer_id"], settlement["community_id"]
        own = lines.get((*pair, settlement["month"]), [])[: settlement["entries"]]
        exact = sum(entry["amount_fen_e4"] for entry in own) + carried[pair]
        amount = int((Decimal(exact) / E4).quantize(Decimal(1), ROUND_HALF_EVEN))
        which = settlement["settlement_id"]
        check.compare(f"amount_fen of {which}", settlement["amount_fen"], amount)
        check.compare(f"carry of {which}", settlement["carry_out_fen_e4"], exact - amount * E4)
        check.compare(f"entries of {which}", settlement["entries"], len(own))
        if not settlement.get("reversed_at"):
            carried[pair] = exact - amount * E4
            del lines[*pair, settlement["month"]][: len(own)]
        statement = await revenue.get(f"/settlements/{which}/statement", headers={"Accept": "text/csv"})
        statement.raise_for_status()
        found = hashlib.sha256(statement.content).hexdigest()
        check.compare(f"statement_hash of {which}", found, settlement["statement_hash"])
        _compare_statement(check, which, statement.text, own)
    for (employer, community, month), left in lines.items():
        if left:
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
