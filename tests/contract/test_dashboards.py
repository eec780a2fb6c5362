"""Dashboards: the JSON is what the code says, and every query asks for what the services export."""

from __future__ import annotations

import json

import pytest
import yaml

from deploy.monitoring.grafana import FOLDER, SOURCE, files
from deploy.monitoring.pages import DASHBOARDS
from deploy.monitoring.panels import Dashboard, Query
from tests.architecture.source import ROOT
from tests.promql import faults

PANELS = [
    pytest.param(query, id=f"{page.name}: {panel.title}: {number}")
    for page in DASHBOARDS
    for panel in page.panels
    for number, query in enumerate(panel.queries, 1)
]


def in_full(expr: str) -> str:
    """A query as Prometheus gets it: Grafana's own variable filled in."""
    return expr.replace("$__rate_interval", "1m")


def test_the_json_is_what_the_code_says() -> None:
    made = files()
    assert set(FOLDER.glob("*.json")) == made.keys(), "run `make dashboards` and commit deploy/grafana"
    for path, text in made.items():
        assert path.read_text() == text, "run `make dashboards` and commit deploy/grafana"


@pytest.mark.parametrize("query", PANELS)
def test_a_query_parses_and_asks_for_what_is_exported(query: Query) -> None:
    assert faults(in_full(query.expr)) == []


def test_wrong_queries_are_found() -> None:
    assert faults("sum(mamapost_no_such_total)") == ["no metric mamapost_no_such_total"]
    assert faults("sum by (colour) (mamapost_relay_active)") == ["no metric in it has the label colour"]
    assert faults('mamapost_relay_active{colour="red"}') == ["mamapost_relay_active has no label colour"]
    assert faults("vector(1)") == ["asks for no metric"]
    with pytest.raises(ValueError, match="unclosed"):
        faults("sum(mamapost_relay_active")


@pytest.mark.parametrize("page", DASHBOARDS, ids=lambda page: page.name)
def test_panels_say_what_they_mean(page: Dashboard) -> None:
    titles = [panel.title for panel in page.panels]
    assert len(set(titles)) == len(titles) > 5
    assert all(panel.meaning.endswith(".") for panel in page.panels)


def test_provisioning_names_the_source_and_the_folder() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["uid"] == SOURCE.uid
    for path in FOLDER.glob("*.json"):
        targets = [panel["datasource"]["uid"] for panel in json.loads(path.read_text())["panels"]]
        assert set(targets) == {source["uid"]}
