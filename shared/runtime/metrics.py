"""Metrics that all services have. Labels are closed lists (topic, route, reason): never an id, never free text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram, Metric, ProcessCollector

_LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

HTTP_REQUESTS = Counter(
    "mamapost_http_requests_total",
    "Answers by route and status: rate and errors. Without those to probes (/health/*, /metrics).",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "mamapost_http_request_seconds",
    "Time to answer, of the same requests: duration.",
    ["method", "route"],
    buckets=_LATENCY_S,
)
RELAYED = Counter("mamapost_relay_events_total", "Events acknowledged by the broker.", ["topic"])
RELAY_DELAY_SECONDS = Histogram(
    "mamapost_relay_delay_seconds",
    "From the moment of the change (ce_time) to the broker's acknowledgement; stage one of freshness.",
    buckets=_LATENCY_S,
)
OUTBOX_OLDEST_SECONDS = Gauge(
    "mamapost_outbox_oldest_seconds", "Age of the oldest event not yet published; rises when the broker is gone."
)
OUTBOX_WAITING = Gauge(
    "mamapost_outbox_waiting_events",
    "Events not yet published, at most 10,000 (then it reads 10,000): how much the relay has to catch up with.",
)
RELAY_ACTIVE = Gauge(
    "mamapost_relay_active",
    "1 while this instance's relay publishes, 0 from a failure until it does again; over the instances of a service the"
    " sum is 1, but for a change of hands.",
)
BROKER_REFILLS = Counter("mamapost_broker_refills_total", "Times that a lost broker was refilled from own events.")
CONSUMED = Counter("mamapost_consumed_events_total", "Valid events applied.", ["topic"])
APPLY_SECONDS = Histogram("mamapost_apply_batch_seconds", "Time to apply one batch and commit it.", buckets=_LATENCY_S)
APPLY_DELAY_SECONDS = Histogram(
    "mamapost_apply_delay_seconds",
    "From the moment of each change (ce_time) to its effect here; freshness end to end.",
    ["topic"],
    buckets=_LATENCY_S,
)
BATCH_FAILURES = Counter("mamapost_batch_failures_total", "Batches that failed and will come again.", ["code"])
DEAD_LETTERS = Counter("mamapost_dead_letters_total", "Messages dead-lettered.", ["topic", "reason"])
CONSUMER_LAG = Gauge(
    "mamapost_consumer_lag_messages",
    "Messages on the partitions of this instance that have not taken effect, those of a batch that fails or hangs"
    " included; rises for a consumer that stands still, too.",
    ["topic"],
)
BUS_CONNECTED = Gauge(
    "mamapost_bus_connected", "1 while the broker answers and the bus works; 0 once a defect ended it."
)
FIGURES_READ = Gauge(
    "mamapost_figures_read_timestamp_seconds",
    "When the figures of the programme were last counted (registry, revenue); long ago: the store is away or too slow.",
)
FEED_EVENTS = Counter(
    "mamapost_feed_events_total", "Events given over HTTP as `page`, `stream` or `snapshot`.", ["topic", "kind"]
)
FEED_OPEN = Gauge("mamapost_feed_open", "Streams and snapshots open now; at 100 new ones are refused.")
FEED_RESUMES = Counter(
    "mamapost_feed_resumes_total",
    "Streams whose reader was asked to connect again: many `stalled` are readers too slow for their topic.",
    ["reason"],
)


class FetchProcess(ProcessCollector):
    """Processor time, memory and files of the process that fetches for this one (decision 0040).

    Attributes:
        pids: of those that run, the last one's figures are told; nothing while there is none.
    """

    def __init__(self) -> None:
        self.pids: list[int] = []
        super().__init__("mamapost_fetch", lambda: self.pids[-1] if self.pids else "none")

    def describe(self) -> Iterable[Metric]:
        """The same metrics, of this process."""
        return ProcessCollector("mamapost_fetch", registry=None).collect()


FETCH_PROCESS = FetchProcess()


def observe_ages(histogram: Histogram, now: datetime, moments: Iterable[datetime]) -> None:
    """Observe the age of each of these moments; a moment to come has none.

    As `observe` once each, for a fraction of what that costs on a path that takes thousands a second: each bucket is
    counted up once for all that fall into it. A histogram whose labels are chosen.
    """
    ages_s = sorted([max((now - moment).total_seconds(), 0.0) for moment in moments])
    histogram._sum.inc(sum(ages_s))
    counted = 0
    for bound_s, bucket in zip(histogram._upper_bounds, histogram._buckets, strict=True):
        if counted == len(ages_s):
            break
        within = bisect_right(ages_s, bound_s, counted)
        bucket.inc(within - counted)
        counted = within
