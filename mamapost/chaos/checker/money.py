"""Promise 5: the ledger, recomputed from the topics alone, without a line of revenue's code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from mamapost.chaos.evidence import Money, Topics
from mamapost.demo.rebates import Owed, compare_flat, compare_tiered, owed, posted
from mamapost.demo.report import Check
from shared.contracts.registry import ShiftCompleted
from shared.contracts.revenue import AgreementSigned, RebateAccrued

Item = dict[str, Any]


class Balance(NamedTuple):
    """What the ledger is short of, or has too much: fen × 10 000, the absolute differences added up."""

    check: Check
    imbalance_fen_e4: int


def expected_of(topics: Topics) -> tuple[Owed, dict[str, int]]:
    """What each shift's last revision comes to, and by shift id which revision that is."""
    shifts: dict[str, ShiftCompleted] = {}
    agreements: dict[str, Item] = {}
    for _, envelope in topics.events():
        event = envelope.event
        if isinstance(event, ShiftCompleted):
            known = shifts.get(event.shift_id)
            if known is None or event.revision > known.revision:
                shifts[event.shift_id] = event
        elif isinstance(event, AgreementSigned):
            agreements[f"{event.agreement_id}:{event.version}"] = event.model_dump(mode="json", exclude_none=True)
    items = [shift.model_dump(mode="json", exclude_none=True) for shift in shifts.values()]
    return owed(items, agreements.values()), {shift_id: shift.revision for shift_id, shift in shifts.items()}


def _accruals(money: Money) -> Mapping[tuple[str, int, int], int]:
    """How often each revision was accrued, by rate: under tiers it has a line for each rate."""
    accruals = (entry for entry in money.entries if entry["kind"] == "accrual")
    return Counter((entry["shift_id"], entry["revision"], entry["rate_bp"]) for entry in accruals)


def rebates_are_exact(topics: Topics, money: Money) -> Balance:
    """What the ledger holds for each shift is base × rate of its last revision; under tiers, for each month."""
    check = Check("ledger: each shift's last revision, base × rate")
    expected, _ = expected_of(topics)
    found = posted(money.entries)
    return Balance(check, compare_flat(check, expected, found) + compare_tiered(check, expected, found))


def debits_equal_credits(money: Money) -> Balance:
    """Each city's ledger balances, and its chain of hashes is whole, as revenue's own audit finds it."""
    check = Check("ledger: debits = credits, chain whole")
    imbalance = 0
    for audit in money.audits:
        check.count += audit["entries"]
        check.compare(f"debits of {audit['city']}", audit["debits_fen_e4"], audit["credits_fen_e4"])
        imbalance += abs(audit["debits_fen_e4"] - audit["credits_fen_e4"])
        for finding in audit["findings"]:
            check.fail(f"{finding['rule']} at {finding['where']}")
    return Balance(check, imbalance)


def revisions_are_accrued(topics: Topics, money: Money) -> Check:
    """The last revision of each shift that has a rebate stands in the ledger."""
    check = Check("ledger: each last revision is accrued")
    expected, revisions = expected_of(topics)
    accrued = {(shift_id, revision) for shift_id, revision, _ in _accruals(money)}
    for shift_id, base_fen in expected.bases.items():
        if base_fen:
            check.count += 1
            if (shift_id, revisions[shift_id]) not in accrued:
                check.fail(f"revision {revisions[shift_id]} of {shift_id} was not accrued")
    return check


def revisions_are_accrued_once(money: Money) -> Check:
    """No revision of a shift stands in the ledger twice."""
    check = Check("ledger: no revision is accrued twice")
    for (shift_id, revision, rate_bp), times in _accruals(money).items():
        check.compare(f"accruals of revision {revision} of {shift_id} at {rate_bp} bp", times, 1)
    return check


def rebates_are_told(topics: Topics, money: Money) -> Check:
    """Every line of the ledger is told on `rebate-accrued`, and none that is not there."""
    check = Check("ledger: its lines are those on `rebate-accrued`")
    told = {e.event.entry_id for _, e in topics.events() if isinstance(e.event, RebateAccrued)}
    posted = {entry["entry_id"] for entry in money.entries if entry["kind"] in ("accrual", "reversal")}
    for entry_id in told | posted:
        check.compare(f"entry {entry_id}", (entry_id in told, entry_id in posted), (True, True))
    return check
