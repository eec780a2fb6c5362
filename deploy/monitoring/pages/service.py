"""Rate, errors, duration, and what a service uses."""

from __future__ import annotations

from deploy.monitoring.panels import Dashboard, Panel, Query, quantiles, rate

SERVICE = Dashboard(
    "service",
    "Service",
    "Rate, errors, duration of each service, and what it uses.",
    (
        Panel(
            "Up", "bool_yes_no", "Instances that answer.", (Query("sum by (service) (up)", "{{service}}"),), "number"
        ),
        Panel(
            "Requests",
            "reqps",
            "Answers of all routes but probes (/health/*, /metrics).",
            (rate("mamapost_http_requests_total", "service"),),
        ),
        Panel(
            "Errors",
            "percentunit",
            "Share of answers with a status of 500 or more.",
            (
                Query(
                    'sum by (service) (rate(mamapost_http_requests_total{status=~"5.."}[$__rate_interval])) / '
                    "sum by (service) (rate(mamapost_http_requests_total[$__rate_interval])) or vector(0)",
                    "{{service}}",
                ),
            ),
            limit=0.01,
        ),
        Panel(
            "Duration",
            "s",
            "Time to answer.",
            quantiles("mamapost_http_request_seconds", "service"),
            limit=1,
        ),
        Panel(
            "The ten slowest routes",
            "s",
            "Mean time to answer.",
            (
                Query(
                    "topk(10, sum by (service, method, route)"
                    " (rate(mamapost_http_request_seconds_sum[$__rate_interval])) / "
                    "(sum by (service, method, route)"
                    " (rate(mamapost_http_request_seconds_count[$__rate_interval])) > 0))",
                    "{{service}} {{method}} {{route}}",
                ),
            ),
        ),
        Panel(
            "Refusals by command",
            "none",
            "Which rule turns people away, since the services were started.",
            (
                Query(
                    "topk(10, sum by (command, outcome) ("
                    '{__name__=~"mamapost_(registry|matching|training|revenue)_commands_total",'
                    'outcome!~"accepted|repeated"})) or vector(0)',
                    "{{command}} {{outcome}}",
                ),
            ),
            "bars",
        ),
        Panel(
            "Rows of bulk uploads",
            "none",
            "Many rejections: a broken export.",
            (
                Query(
                    "sum by (command, outcome) (mamapost_registry_bulk_rows_total) or vector(0)",
                    "{{command}} {{outcome}}",
                ),
            ),
            "bars",
        ),
        Panel(
            "Reads of personal data",
            "none",
            "In the last hour. A rise nobody can explain is a leak.",
            (
                Query("sum(increase(mamapost_registry_persons_read_total[1h]))", "read"),
                Query("sum(increase(mamapost_registry_persons_erased_total[1h]))", "erased"),
            ),
        ),
        Panel(
            "Memory",
            "bytes",
            "Resident.",
            (
                Query("process_resident_memory_bytes", "{{service}} {{instance}}"),
                Query("mamapost_fetch_process_resident_memory_bytes", "{{service}} {{instance}} fetching"),
            ),
        ),
        Panel(
            "Processor",
            "none",
            "Cores in use.",
            (
                Query("rate(process_cpu_seconds_total[$__rate_interval])", "{{service}} {{instance}}"),
                Query(
                    "rate(mamapost_fetch_process_cpu_seconds_total[$__rate_interval])",
                    "{{service}} {{instance}} fetching",
                ),
            ),
        ),
    ),
)
