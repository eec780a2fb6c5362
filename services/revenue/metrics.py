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
    "Shifts, settlements and payouts that one side has otherwise than the other, by kind, at the last reconciliation; "
    "anything but 0 is an alarm.",
    ["kind"],
)
RECONCILED = Gauge(
    "mamapost_revenue_reconciled_timestamp_seconds",
    "When what revenue took was last held against what it posted: at the start, and every "
    "MAMAPOST_REVENUE_RECONCILE_INTERVAL_S.",
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


class Verified(Protocol):
    """What is shown of a city's last verification."""

    @property
    def verified_at(self) -> datetime: ...
    @property
    def imbalance_fen_e4(self) -> int: ...
    @property
    def findings(self) -> int: ...


def show_verifications(last: Sequence[Verified], now: datetime) -> None:
    """Show what the last verification of each city found.

    Args:
        now: where there is no city, nothing is wrong as of now.
    """
    LEDGER_IMBALANCE.set(sum(one.imbalance_fen_e4 for one in last))
    LEDGER_FINDINGS.set(sum(one.findings for one in last))
    LEDGER_VERIFIED.set(min((one.verified_at for one in last), default=now).timestamp())


def show_reconciliation(counts: Mapping[str, int], at_s: float) -> None:
    """Show what a reconciliation found.

    Args:
        counts: differences by kind, with a 0 for each kind that was not found.
        at_s: when, in seconds since 1970.
    """
    for kind, differences in counts.items():
        DIFFERENCES.labels(kind).set(differences)
    RECONCILED.set(at_s)
