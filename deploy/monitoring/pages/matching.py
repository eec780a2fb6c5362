"""Rankings, checkpoints, offers."""

from __future__ import annotations

from deploy.monitoring.panels import Dashboard, Panel, Query, quantiles, rate

MATCHING = Dashboard(
    "matching",
    "Matching",
    "Whether rankings are fresh, offers are answered, and a restart is cheap.",
    (
        Panel(
            "Freshness 3: change to ranking",
            "s",
            "The promise of the service: from a change to the rankings that show it.",
            quantiles("mamapost_matching_freshness_seconds"),
            limit=5,
        ),
        Panel(
            "Engine: time of a batch",
            "s",
            "Holds up every reader meanwhile.",
            quantiles("mamapost_matching_apply_seconds"),
        ),
        Panel(
            "Posts open, seekers eligible",
            "none",
            "Falls to 0 when a feed is broken.",
            (
                Query("sum(mamapost_matching_open_posts)", "open posts"),
                Query("sum(mamapost_matching_eligible_seekers)", "eligible seekers"),
            ),
            "number",
        ),
        Panel("Facts applied", "cps", "Load, by kind.", (rate("mamapost_matching_facts_applied_total", "kind"),)),
        Panel(
            "Ranking changes published",
            "cps",
            "What subscribers have to digest.",
            (Query("sum(rate(mamapost_matching_ranking_changes_total[$__rate_interval]))", "changes"),),
        ),
        Panel(
            "Rankings waiting to be published",
            "none",
            "Rises when the store is gone.",
            (Query("sum(mamapost_matching_rankings_waiting)", "rankings"),),
        ),
        Panel(
            "Partitions answered for",
            "none",
            "6; fewer for longer than a rebalance: cities without an answer.",
            (Query("sum(mamapost_matching_partitions_owned)", "of 6"),),
            "number",
        ),
        Panel(
            "Reads passed on to other instances",
            "cps",
            "`silent`: an instance does not answer.",
            (rate("mamapost_matching_forwarded_total", "outcome"),),
        ),
        Panel(
            "Age of the oldest checkpoint",
            "s",
            "What a restart has to read again.",
            (Query("max(mamapost_matching_checkpoint_age_seconds)", "age"),),
            limit=300,
        ),
        Panel(
            "Size of checkpoints",
            "bytes",
            "Grows with the city.",
            (Query("sum(mamapost_matching_checkpoint_bytes)", "size"),),
        ),
        Panel(
            "Checkpoints",
            "none",
            "Written, failed; and what a start found.",
            (
                Query("sum by (outcome) (mamapost_matching_checkpoints_total)", "{{outcome}}"),
                Query("sum by (outcome) (mamapost_matching_checkpoint_loads_total)", "start: {{outcome}}"),
            ),
            "bars",
        ),
        Panel(
            "Offers of instant hiring",
            "none",
            "Many that expire: nobody reads them. Many `seat-taken`: too many are made.",
            (
                Query("sum(mamapost_matching_offers_made_total)", "made"),
                Query("sum by (outcome) (mamapost_matching_offers_settled_total) or vector(0)", "{{outcome}}"),
                Query("sum(mamapost_matching_offers_live)", "live"),
            ),
            "bars",
        ),
        Panel(
            "Employers who wait",
            "none",
            "Urgent posts with a free seat and nobody left to offer it to.",
            (Query("sum(mamapost_matching_hirings_waiting)", "hirings"),),
            "number",
        ),
    ),
)
