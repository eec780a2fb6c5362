"""What a dashboard is made of: pages, panels, queries, and the three forms that queries have.

The label `service` is given by Prometheus (deploy/prometheus/prometheus.yml). Figures of the programme are shown by
every instance of a service alike, so they are taken by `max`, never summed over instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lines", "number", "bars"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; `legend` names its lines by their labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        unit: Grafana's name of the unit.
        meaning: what it says, and when to worry.
        limit: from where on the value is coloured as bad.
    """

    title: str
    unit: str
    meaning: str
    queries: tuple[Query, ...]
    kind: Kind = "lines"
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page, named `mamapost-<name>`."""

    name: str
    title: str
    meaning: str
    panels: tuple[Panel, ...]


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram, over all instances."""
    labels = f"le, {by}" if by else "le"
    shown = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))",
            f"{shown}{name}",
        )
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    )


def rate(metric: str, by: str) -> Query:
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return Query(f"sum by ({by}) (rate({metric}[$__rate_interval])) or vector(0)", legend)


def of_city(metric: str, by: str = "") -> str:
    """A figure of the programme over all cities: instances show the same, cities add up."""
    inner = f"max by (city, {by}) ({metric})" if by else f"max by (city) ({metric})"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"
