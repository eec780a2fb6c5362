"""Metrics of matching. Consumption, lag and dead letters are counted by the shared runtime for every service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FACTS_APPLIED = Counter(
    "mamapost_matching_facts_applied_total",
    "Entity versions taken into the rankings, by kind of entity: the load on the engine, without repetitions.",
    ["kind"],
)
APPLY_SECONDS = Histogram(
    "mamapost_matching_apply_seconds",
    "Time that the engine takes for one batch, without the store: it holds up every reader meanwhile.",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
FRESHNESS_SECONDS = Histogram(
    "mamapost_matching_freshness_seconds",
    "From the moment of a change (ce_time) to the rankings that show it: the promise of the service.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
OPEN_POSTS = Gauge("mamapost_matching_open_posts", "Posts that take someone now: falls to 0 when a feed is broken.")
ELIGIBLE_SEEKERS = Gauge("mamapost_matching_eligible_seekers", "Seekers who can be ranked today.")
CHANGES_WAITING = Gauge(
    "mamapost_matching_rankings_waiting", "Posts whose ranking may have to be published; rises when the store is gone."
)
CHANGES_PUBLISHED = Counter(
    "mamapost_matching_ranking_changes_total", "Rankings published as ranking-changed: what subscribers have to digest."
)
