"""`make chaos` in small, as a user runs it: services and embedded engines are hurt, and every promise holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mamapost.chaos.history import Answered, Entry, FaultBegan, FaultEnded, Invoked

pytestmark = pytest.mark.slow

TIMEOUT_S = 400


def test_a_short_run_proves_the_promises(tmp_path: Path) -> None:
    file, kept = tmp_path / "found.json", tmp_path / "run"
    command = [sys.executable, "-m", "mamapost", "chaos", "--minutes", "0.4", "--seed", "4", "--engine", "embedded"]
    command += ["--json", str(file), "--keep", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    found = json.loads(file.read_text())
    assert {name: found[name] for name in ("engine", "lost", "doubled", "wrong_ranks", "imbalance")} == {
        "engine": "embedded",
        "lost": 0,
        "doubled": 0,
        "wrong_ranks": 0,
        "imbalance": 0,
    }
    assert found["ok"] is True
    assert found["commands_accepted"] > 400
    assert found["faults"] == sum(found["faults_by_kind"].values()) >= 5
    assert "kill" in found["faults_by_kind"]

    decoder = msgspec.json.Decoder(Entry)
    entries = [decoder.decode(line) for line in (kept / "history.jsonl").read_bytes().splitlines()]
    begun = [entry.number for entry in entries if isinstance(entry, FaultBegan)]
    assert len(begun) == found["faults"]
    assert sorted(begun) == sorted(entry.number for entry in entries if isinstance(entry, FaultEnded))
    sent = {entry.key for entry in entries if isinstance(entry, Invoked)}
    assert sent == {entry.key for entry in entries if isinstance(entry, Answered)}
