"""Metrics of matching. Consumption, lag and dead letters are counted by the shared runtime for every service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from shared.runtime.metrics import observe_ages

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
    "From the moment of each change (ce_time) to the rankings that show it: the promise of the service.",
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
COMMANDS = Counter(
    "mamapost_matching_commands_total",
    "Commands by outcome (accepted, repeated, or the error's code): policies adopted, offers answered.",
    ["command", "outcome"],
)
OFFERS_MADE = Counter(
    "mamapost_matching_offers_made_total", "Offers of instant hiring: stands still when it is broken."
)
OFFERS_SETTLED = Counter(
    "mamapost_matching_offers_settled_total",
    "Ends of offers by outcome; many that expire say that nobody reads them, many seat-taken that too many are made.",
    ["outcome"],
)
OFFERS_LIVE = Gauge("mamapost_matching_offers_live", "Offers that are not settled, those being accepted included.")
HIRINGS_WAITING = Gauge(
    "mamapost_matching_hirings_waiting", "Hirings with a free seat and nobody left to offer it to: employers who wait."
)
STREAMS_OPEN = Gauge("mamapost_matching_streams_open", "Open streams of rankings; near 1,000 new ones are refused.")
STREAMS_ENDED = Counter(
    "mamapost_matching_streams_ended_total",
    "Ends of streams by reason: closed, moved, stopping, gone; many that are slow say that readers cannot keep up.",
    ["reason"],
)
PARTITIONS_OWNED = Gauge(
    "mamapost_matching_partitions_owned",
    "Partitions that this instance answers for; over all instances their sum is the number of partitions.",
)
FORWARDED = Counter(
    "mamapost_matching_forwarded_total",
    "Reads passed on to other instances, by outcome: answered, unknown, unowned, silent.",
    ["outcome"],
)
CHECKPOINT_AGE_SECONDS = Gauge(
    "mamapost_matching_checkpoint_age_seconds",
    "Since the last state of the partition that waited longest was written: what a restart has to read again.",
)
CHECKPOINT_SIZE = Gauge("mamapost_matching_checkpoint_bytes", "Size of this instance's checkpoints together.")
CHECKPOINT_SECONDS = Histogram(
    "mamapost_matching_checkpoint_write_seconds",
    "From the fork until the checkpoints are on the disk; readers are not held up meanwhile.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
)
CHECKPOINT_FORK_SECONDS = Histogram(
    "mamapost_matching_checkpoint_fork_seconds",
    "Time that a fork takes: it holds up every reader meanwhile.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)
CHECKPOINTS_WRITTEN = Counter(
    "mamapost_matching_checkpoints_total",
    "Checkpoints by outcome: written, or failed; a failure says why in the log.",
    ["outcome"],
)
CHECKPOINTS_LOADED = Counter(
    "mamapost_matching_checkpoint_loads_total",
    "Partitions taken up, by what their checkpoint was: loaded, fallback, missing, damaged, foreign.",
    ["outcome"],
)


def observe_freshness(now: datetime, moments: Iterable[datetime]) -> None:
    """Observe the freshness of each change made at one of these moments, which the rankings show from now on."""
    observe_ages(FRESHNESS_SECONDS, now, moments)
