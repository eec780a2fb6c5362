"""Events: out, across, and in effect."""

from __future__ import annotations

from deploy.monitoring.panels import Dashboard, Panel, Query, quantiles, rate

BUS = Dashboard(
    "bus",
    "Bus",
    "Whether every event gets out, arrives, and takes effect.",
    (
        Panel(
            "Connected to the broker",
            "bool_yes_no",
            "No: commands are still accepted, their events wait.",
            (Query("min by (service) (mamapost_bus_connected)", "{{service}}"),),
            "number",
        ),
        Panel(
            "Relays that publish",
            "none",
            "1 for each service; 0 for longer than a few seconds: nobody publishes its events.",
            (Query("sum by (service) (mamapost_relay_active)", "{{service}}"),),
            "number",
        ),
        Panel("Published", "cps", "Events on topics.", (rate("mamapost_relay_events_total", "service"),)),
        Panel(
            "Applied", "cps", "Events in effect at a consumer.", (rate("mamapost_consumed_events_total", "service"),)
        ),
        Panel(
            "Freshness 1: change to topic",
            "s",
            "From the commit of a command to the broker's acknowledgement.",
            quantiles("mamapost_relay_delay_seconds", "service"),
        ),
        Panel(
            "Freshness 2: change to effect",
            "s",
            "From the commit of a command to its effect at a consumer.",
            quantiles("mamapost_apply_delay_seconds", "service"),
        ),
        Panel(
            "Consumer lag: the ten longest",
            "none",
            "Messages not yet applied.",
            (
                Query(
                    "topk(10, sum by (service, topic) (mamapost_consumer_lag_messages))",
                    "{{service}} {{topic}}",
                ),
            ),
            limit=1000,
        ),
        Panel(
            "Outbox: age of the oldest event",
            "s",
            "Rises while events do not get out.",
            (Query("max by (service) (mamapost_outbox_oldest_seconds)", "{{service}}"),),
            limit=30,
        ),
        Panel(
            "Outbox: events waiting",
            "none",
            "At most 10,000 are counted.",
            (Query("max by (service) (mamapost_outbox_waiting_events)", "{{service}}"),),
        ),
        Panel(
            "Dead letters",
            "none",
            "Messages that no consumer can use, since the services were started.",
            (
                Query(
                    "sum by (service, topic, reason) (mamapost_dead_letters_total) or vector(0)",
                    "{{service}} {{topic}} {{reason}}",
                ),
            ),
            limit=1,
        ),
        Panel(
            "Batches that come again",
            "cps",
            "The database does not take them; harmless unless it goes on.",
            (rate("mamapost_batch_failures_total", "service, code"),),
        ),
        Panel(
            "Feeds over HTTP",
            "none",
            "Subscribers without Kafka: streams that are open, and events sent to them a second.",
            (
                Query("sum by (service) (mamapost_feed_open)", "{{service}} open"),
                Query(
                    "sum by (service) (rate(mamapost_feed_events_total[$__rate_interval])) or vector(0)",
                    "{{service}} events/s",
                ),
                Query(
                    "sum by (service, reason) (mamapost_feed_resumes_total) or vector(0)",
                    "{{service}} resumed: {{reason}}",
                ),
            ),
        ),
        Panel(
            "Refills of a lost broker",
            "none",
            "How often all own events were published again.",
            (Query("sum by (service) (mamapost_broker_refills_total)", "{{service}}"),),
            "number",
        ),
    ),
)
