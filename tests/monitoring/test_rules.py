"""Alerts by Prometheus' own tool: each fires on its fault and is silent before it."""

from __future__ import annotations

import subprocess

import pytest

from tests.architecture.source import ROOT

FOLDER = ROOT / "deploy/prometheus"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
        ["test", "rules", "alerts.days.test.yml"],
    ],
)
def test_promtool_accepts_the_alerts_and_their_cases(promtool: str, arguments: list[str]) -> None:
    done = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_promtool_accepts_the_configuration(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
