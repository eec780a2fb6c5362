"""Metrics of revenue. Labels are closed lists: kinds of entries, command names, error codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client import Counter, Gauge

ENTRIES = Counter(
    "mamapost_revenue_entries_total",
    "Ledger entries committed; many reversals: the shifts that are reported are not right at first.",
    ["kind"],
)
SUSPENSE = Gauge(
    "mamapost_revenue_suspense_shifts",
    "Shifts that wait for an agreement; a rise means that somebody works under none.",
)
COMMANDS = Counter(
    "mamapost_revenue_commands_total",
    "Commands by outcome (accepted, repeated, or the error's code). Settlements and spendings are among them.",
    ["command", "outcome"],
)
LEDGER_IMBALANCE = Gauge(
    "mamapost_revenue_ledger_imbalance_fen_e4",
    "Debits minus credits, all cities, each at its last verification by any instance; anything but 0 is an alarm.",
)
LEDGER_FINDINGS = Gauge(
    "mamapost_revenue_ledger_findings",
    "Things wrong with the ledger, all cities, each at its last verification; anything but 0 is an alarm.",
)
LEDGER_VERIFIED = Gauge(
    "mamapost_revenue_ledger_verified_timestamp_seconds",
    "When the city that waits longest was last verified: each is every MAMAPOST_REVENUE_VERIFY_INTERVAL_S, by one "
    "instance, and when asked for.",
)
DIFFERENCES = Gauge(
    "mamapost_revenue_reconciliation_differences",
    "Shifts, settlements and payouts that one side has otherwise than the other, by kind, all cities, each at its last "
    "reconciliation by any instance; anything but 0 is an alarm.",
    ["kind"],
)
RECONCILED = Gauge(
    "mamapost_revenue_reconciled_timestamp_seconds",
    "When the city that waits longest was last reconciled, what was taken held against what was posted: each is every "
    "MAMAPOST_REVENUE_RECONCILE_INTERVAL_S, by one instance.",
)
BOOKS = Gauge(
    "mamapost_revenue_books",
    "Months of an employer and a community: `open` (the month runs), `due` (it is over and not settled), `settled`.",
    ["city", "state"],
)
REBATES = Gauge(
    "mamapost_revenue_rebates_fen_e4",
    "Rebates accrued by community: the 50 with the most, and `other`; those of fewer than 10 entries are not shown.",
    ["city", "community"],
)
FUNDS = Gauge(
    "mamapost_revenue_funds_fen",
    "What came into the community funds by settlements (`income`), and what they have `spent`.",
    ["city", "movement"],
)

FIGURES = {"books": BOOKS, "rebates": REBATES, "funds": FUNDS}
"""What the store sums up, and the gauge that shows it."""


class Checked(Protocol):
    """A city's last check."""

    @property
    def checked_at(self) -> datetime: ...


class Verified(Checked, Protocol):
    """What is shown of a city's last verification."""

    @property
    def imbalance_fen_e4(self) -> int: ...
    @property
    def findings(self) -> int: ...


class Reconciled(Checked, Protocol):
    """What is shown of a city's last reconciliation: differences by kind."""

    @property
    def counts(self) -> Mapping[str, int]: ...


def show_verifications(last: Sequence[Verified], now: datetime) -> None:
    """Show what the last verification of each city found.

    Args:
        now: where there is no city, nothing is wrong as of now.
    """
    LEDGER_IMBALANCE.set(sum(one.imbalance_fen_e4 for one in last))
    LEDGER_FINDINGS.set(sum(one.findings for one in last))
    LEDGER_VERIFIED.set(_oldest_s(last, now))


def show_reconciliations(last: Sequence[Reconciled], kinds: Sequence[str], now: datetime) -> None:
    """Show what the last reconciliation of each city found.

    Args:
        kinds: all that there are; one that was not found is shown as 0.
        now: where there is no city, nothing differs as of now.
    """
    for kind in kinds:
        DIFFERENCES.labels(kind).set(sum(one.counts.get(kind, 0) for one in last))
    RECONCILED.set(_oldest_s(last, now))


def _oldest_s(last: Sequence[Checked], now: datetime) -> float:
    return min((one.checked_at for one in last), default=now).timestamp()
