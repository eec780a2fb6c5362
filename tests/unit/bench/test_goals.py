"""Goals: what is met, what is told, and what a person and a program read of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.matching.goals import GOALS, SIZES, Figures
from bench.matching.web import percentile


def test_every_goal_has_sizes_that_exist() -> None:
    assert [goal.by_size.keys() <= SIZES.keys() for goal in GOALS.values()] == [True] * len(GOALS)
    assert GOALS["engine"].by_size == {"12k": 120_000, "100k": 27_000, "1m": 5_000}


@pytest.mark.parametrize(
    ("goal", "size", "measured", "met"),
    [
        ("engine", "12k", 120_000.0, True),
        ("engine", "12k", 119_999.9, False),
        ("fresh", "1m", 60.0, True),
        ("fresh", "1m", 60.1, False),
        ("vs-duckdb", "1m", 0.0, True),
        ("lists-wrong", "100k", 0.0, True),
        ("lists-wrong", "100k", 1.0, False),
    ],
)
def test_met(goal: str, size: str, measured: float, met: bool) -> None:
    assert GOALS[goal].met(measured, size) is met


def test_figures_are_medians_of_rounds(tmp_path: Path) -> None:
    figures = Figures()
    figures.add("engine", "12k", 100_000, 150_000)
    figures.add("engine", "12k", 130_000)
    figures.compare("engine", "12k", "NumPy scan", 5_000, 6_000)
    figures.add("read", "100k", 7.5)
    figures.skip("C kernel: no gcc or cc here")
    file = tmp_path / "figures.json"
    figures.write(file)
    said = json.loads(file.read_text())
    assert said["goals"] == {
        "engine-12k": {"measured": 130_000, "goal": 120_000, "met": True},
        "read-100k": {"measured": 7.5, "goal": 5, "met": False},
    }
    assert said["references"] == {"engine-12k": {"NumPy scan": 5_500}}
    assert said["skipped"] == ["C kernel: no gcc or cc here"]


def test_one_wrong_list_among_many_rounds_is_told() -> None:
    figures = Figures()
    figures.add("lists-wrong", "12k", 0.0, 0.0, 0.0, 1.0)
    assert figures.goals()["lists-wrong-12k"]["met"] is False


def test_the_table_shows_both_sides_under_each_other() -> None:
    figures = Figures()
    figures.add("memory", "1m", 0.55)
    figures.add("engine", "12k", 130_000)
    figures.compare("engine", "12k", "NumPy scan", 5_000)
    lines = figures.table().splitlines()
    assert [line.split()[0] for line in lines] == ["what", "engine", "memory"]
    at = lines[0].index("size")
    assert [line[at - 1] for line in lines] == [" "] * 3
    assert "130,000  ≥ 120,000  yes  events/s  NumPy scan 5,000" in lines[1]
    assert "0.55     ≤ 0.60  yes  KB" in lines[2]


def test_the_table_of_the_document() -> None:
    figures = Figures()
    figures.add("memory", "1m", 0.55)
    head, rule, row = figures.markdown().splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 8
    assert row == "| memory per seeker, all in | 1m | 0.55 | ≤ 0.60 | yes | KB |  |"


def test_an_unknown_goal_is_refused() -> None:
    with pytest.raises(KeyError):
        Figures().add("speed", "12k", 1.0)


def test_percentiles() -> None:
    times = [float(n) for n in range(1, 101)]
    assert (percentile(times, 50), percentile(times, 99), percentile([3.0], 99)) == (51.0, 100.0, 3.0)
