"""Ledger, settlement, funds."""

from __future__ import annotations

from deploy.monitoring.panels import Dashboard, Panel, Query, of_city, rate

REVENUE = Dashboard(
    "revenue",
    "Revenue",
    "Whether every fen is where it belongs.",
    (
        Panel(
            "Ledger: debits minus credits",
            "none",
            "Must be 0 (fen × 10,000).",
            (Query("max(abs(mamapost_revenue_ledger_imbalance_fen_e4))", "imbalance"),),
            "number",
            limit=1,
        ),
        Panel(
            "Ledger: findings",
            "none",
            "Must be 0. What they are: GET /ledger/verify.",
            (Query("max(mamapost_revenue_ledger_findings)", "findings"),),
            "number",
            limit=1,
        ),
        Panel(
            "Since the last verification",
            "s",
            "The whole ledger is read again once a day.",
            (Query("time() - max(mamapost_revenue_ledger_verified_timestamp_seconds)", "ago"),),
            "number",
            limit=172_800,
        ),
        Panel(
            "Since the last reconciliation",
            "s",
            "What was taken of shifts is held against what was posted once a day.",
            (Query("time() - max(mamapost_revenue_reconciled_timestamp_seconds)", "ago"),),
            "number",
            limit=172_800,
        ),
        Panel(
            "Reconciliation: differences",
            "none",
            "Must be 0. What they are: `mamapost ledger reconcile`.",
            (Query("max by (kind) (mamapost_revenue_reconciliation_differences)", "{{kind}}"),),
            limit=1,
        ),
        Panel(
            "Settled, of the months that are over",
            "percentunit",
            "Months of an employer and a community.",
            (
                Query(
                    'sum(max by (city) (mamapost_revenue_books{state="settled"})) / '
                    'sum(max by (city, state) (mamapost_revenue_books{state=~"settled|due"}))',
                    "settled",
                ),
            ),
            "number",
        ),
        Panel(
            "Months by state",
            "none",
            "`due`: the month is over and not settled.",
            (Query(of_city("mamapost_revenue_books", "state"), "{{state}}"),),
        ),
        Panel(
            "Ledger entries",
            "cps",
            "Many reversals: shifts are not reported right at first.",
            (rate("mamapost_revenue_entries_total", "kind"),),
        ),
        Panel(
            "Shifts without an agreement",
            "none",
            "They wait; somebody works under none.",
            (Query("max(mamapost_revenue_suspense_shifts)", "shifts"),),
        ),
        Panel(
            "Community funds",
            "currencyCNY",
            "What came in by settlements, and what was spent.",
            (Query(f"{of_city('mamapost_revenue_funds_fen', 'movement')} / 100", "{{movement}}"),),
        ),
        Panel(
            "Commands",
            "cps",
            "By outcome.",
            (rate("mamapost_revenue_commands_total", "command, outcome"),),
        ),
    ),
)
