"""What a PromQL expression asks for, and what the services export."""

from __future__ import annotations

import importlib
import re
from functools import cache

import promql_parser
from prometheus_client import REGISTRY

from tests.architecture.source import SERVICES

PROMETHEUS_OWN = {"up": {"job"}}
"""Series that Prometheus makes of each target itself."""

TARGET_LABELS = {"service", "instance"}
"""Labels that Prometheus gives to every series of a target (deploy/prometheus/prometheus.yml)."""


@cache
def exported() -> dict[str, set[str]]:
    """Every series that a service can export, with its labels."""
    for module in ("shared.runtime.metrics", *(f"services.{service}.metrics" for service in SERVICES)):
        importlib.import_module(module)
    found: dict[str, set[str]] = {name: labels | TARGET_LABELS for name, labels in PROMETHEUS_OWN.items()}
    # The registry keeps the collectors to itself; each knows its series by describing itself.
    for collector, names in REGISTRY._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ())) | TARGET_LABELS
        for name in names:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


def selectors(expr: str) -> list[tuple[str, set[str]]]:
    """Names of the metrics that an expression asks for, each with the labels that it selects by.

    A pattern over names stands for every metric that it matches.

    Raises:
        ValueError: it does not parse.
    """
    found: list[tuple[str, set[str]]] = []

    def look(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in node.matchers.matchers if matcher.name != "__name__"}
            patterns = [matcher.value for matcher in node.matchers.matchers if matcher.name == "__name__"]
            if node.name is not None:
                found.append((node.name, labels))
            for pattern in patterns:
                matched = [name for name in exported() if re.fullmatch(pattern, name)]
                found.extend((name, labels) for name in matched or [pattern])
        return True

    promql_parser.walk(promql_parser.parse(expr), look)
    return found


def grouping(expr: str) -> set[str]:
    """Labels that an expression groups by, wherever in it."""
    return {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", expr) for label in found.split(",")} - {""}


def faults(expr: str) -> list[str]:
    """What is wrong with an expression: metrics that nobody exports, labels that none of its metrics has."""
    asked = selectors(expr)
    wrong = [f"no metric {name}" for name, _ in asked if name not in exported()]
    known: set[str] = set()
    for name, labels in asked:
        has = exported().get(name, set())
        known |= has
        wrong += [f"{name} has no label {label}" for label in sorted(labels - has)]
    if not asked:
        wrong.append("asks for no metric")
    return wrong + [f"no metric in it has the label {label}" for label in sorted(grouping(expr) - known)]
