"""Grafana's JSON of the dashboards, made with Grafana's own library, so that it has the form that Grafana reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import prometheus as prometheus_builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from deploy.monitoring.pages import DASHBOARDS
from deploy.monitoring.panels import Dashboard, Panel

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
"""Where the JSON is committed; Grafana reads it there (deploy/grafana/provisioning)."""

SOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source of deploy/grafana/provisioning/datasources."""

_HEIGHT: Final = 7
_WIDTHS: Final = {"number": 6, "lines": 12, "bars": 12}  # of 24
_Builder = stat.Panel | timeseries.Panel | bargauge.Panel


def json_of(page: Dashboard) -> str:
    """A dashboard as the text of its file."""
    made = (
        dashboard_builder.Dashboard(f"mamapost: {page.title}")
        .uid(f"mamapost-{page.name}")
        .description(page.meaning)
        .tags(["mamapost", "generated"])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
    )
    for panel in page.panels:
        made = made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def files() -> dict[Path, str]:
    """Every file with its text."""
    return {FOLDER / f"{page.name}.json": json_of(page) for page in DASHBOARDS}


def _panel(panel: Panel) -> _Builder:
    made: _Builder
    reduced = common_builder.ReduceDataOptions().calcs(["lastNotNull"])
    if panel.kind == "number":
        made = stat.Panel().graph_mode(common.BigValueGraphMode.AREA).reduce_options(reduced)
    elif panel.kind == "bars":
        made = bargauge.Panel().orientation(common.VizOrientation.HORIZONTAL).reduce_options(reduced)
    else:
        made = timeseries.Panel().fill_opacity(10).min(0) if panel.unit != "percentunit" else timeseries.Panel()
    made = (
        made.title(panel.title)
        .description(panel.meaning)
        .unit(panel.unit)
        .datasource(SOURCE)
        .span(_WIDTHS[panel.kind])
        .height(_HEIGHT)
        .no_value("—")
    )
    if panel.limit is not None:
        made = made.thresholds(_thresholds(panel.limit))
    for number, query in enumerate(panel.queries):
        target = prometheus_builder.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number))
        made = made.with_target(target.legend_format(query.legend) if query.legend else target)
    return made


def _thresholds(limit: float) -> dashboard_builder.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green"), dashboard.Threshold(value=limit, color="red")]
    return dashboard_builder.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
