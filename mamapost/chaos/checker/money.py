"""Promise 5: the ledger, recomputed from the topics alone, without a line of revenue's code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from mamapost.chaos.evidence import Money, Topics
from mamapost.demo.rebates import expected_by_shift
from mamapost.demo.report import Check
from shared.contracts.registry import ShiftCompleted
from shared.contracts.revenue import AgreementSigned, RebateAccrued

Item = dict[str, Any]


class Balance(NamedTuple):
    """What the ledger is short of, or has too much: fen × 10 000, the absolute differences added up."""

    check: Check
    imbalance_fen_e4: int


class _Lines(NamedTuple):
    """What stands in the ledger: fen × 10 000 by shift, and how often each revision was accrued."""

    amounts: Mapping[str, int]
    accruals: Mapping[tuple[str, int], int]


def expected_of(topics: Topics) -> tuple[dict[str, int], dict[str, int]]:
    """By shift id: the exact rebate of its last revision, in fen × 10 000, and which revision that is."""
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
    expected = expected_by_shift(items, list(agreements.values()))
    return expected, {shift_id: shift.revision for shift_id, shift in shifts.items()}


def _lines(money: Money) -> _Lines:
    amounts: defaultdict[str, int] = defaultdict(int)
    accruals: Counter[tuple[str, int]] = Counter()
    for entry in money.entries:
        if entry["kind"] in ("accrual", "reversal"):
            amounts[entry["shift_id"]] += entry["amount_fen_e4"]
        if entry["kind"] == "accrual":
            accruals[entry["shift_id"], entry["revision"]] += 1
    return _Lines(amounts, accruals)


def rebates_are_exact(topics: Topics, money: Money) -> Balance:
    """What the ledger holds for each shift is base × rate of its last revision."""
    check = Check("ledger: each shift's last revision, base × rate")
    expected, _ = expected_of(topics)
    lines = _lines(money)
    imbalance = 0
    for shift_id in expected.keys() | lines.amounts.keys():
        posted, wanted = lines.amounts.get(shift_id, 0), expected.get(shift_id, 0)
        check.compare(f"rebate of {shift_id}", posted, wanted)
        imbalance += abs(posted - wanted)
    return Balance(check, imbalance)


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
    accruals = _lines(money).accruals
    for shift_id, amount in expected.items():
        if amount:
            check.count += 1
            if not accruals.get((shift_id, revisions[shift_id])):
                check.fail(f"revision {revisions[shift_id]} of {shift_id} was not accrued")
    return check


def revisions_are_accrued_once(money: Money) -> Check:
    """No revision of a shift stands in the ledger twice."""
    check = Check("ledger: no revision is accrued twice")
    for (shift_id, revision), times in _lines(money).accruals.items():
        check.compare(f"accruals of revision {revision} of {shift_id}", times, 1)
    return check


def rebates_are_told(topics: Topics, money: Money) -> Check:
    """Every line of the ledger is told on `rebate-accrued`, and none that is not there."""
    check = Check("ledger: its lines are those on `rebate-accrued`")
    told = {e.event.entry_id for _, e in topics.events() if isinstance(e.event, RebateAccrued)}
    posted = {entry["entry_id"] for entry in money.entries if entry["kind"] in ("accrual", "reversal")}
    for entry_id in told | posted:
        check.compare(f"entry {entry_id}", (entry_id in told, entry_id in posted), (True, True))
    return check
