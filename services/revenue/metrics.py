"""Metrics of revenue. Labels are closed lists: kinds of entries, command names, error codes."""

from __future__ import annotations

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
    "Debits minus credits, all cities, at the last verification; anything but 0 is an alarm.",
)
LEDGER_FINDINGS = Gauge(
    "mamapost_revenue_ledger_findings",
    "Things wrong with the ledger at the last verification; anything but 0 is an alarm.",
)
LEDGER_VERIFIED = Gauge(
    "mamapost_revenue_ledger_verified_timestamp_seconds",
    "When the ledger was last verified; an alarm when that is long ago.",
)
