"""The demo in small: every promise at once, with each service killed in mid-stream, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TIMEOUT_S = 300


def test_the_demo_holds_every_check(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    command = [sys.executable, "-m", "mamapost", "demo", "--scale", "0.03", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    result = json.loads(file.read_text())
    assert result["ok"] is True
    assert sorted(result["killed"]) == ["matching", "registry", "revenue", "training"]
    assert len(result["checks"]) >= 14
    assert all(check["ok"] and check["count"] > 0 and check["mismatches"] == [] for check in result["checks"])
    assert result["freshness_ms"]["p99"] >= result["freshness_ms"]["p50"] > 0
    assert result["counts"]["commands accepted"] > 500


def test_the_export_is_the_same_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, "-m", "mamapost", "demo", "--scale", "0.02", "--export", str(tmp_path / name)]
        subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)
    files = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "two").iterdir()}
    assert "manifest.json" in files
