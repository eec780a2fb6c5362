"""What is asked of matching, and what was measured of it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """A city: seekers and posts."""

    name: str
    seekers: int
    posts: int


SIZES: dict[str, Size] = {
    size.name: size
    for size in (Size("12k", 12_000, 1_000), Size("100k", 100_000, 10_000), Size("1m", 1_000_000, 100_000))
}

QUICK = ("12k", "100k")


class Goal(NamedTuple):
    """One row of the table.

    Attributes:
        at_least: whether more is better; otherwise less is.
        by_size: what is asked; a size that is not named has no goal.
        digits: that are shown.
    """

    what: str
    unit: str
    at_least: bool
    by_size: dict[str, float]
    digits: int = 0

    def met(self, measured: float, size: str) -> bool:
        """Whether a figure reaches the goal of a size; a size without a goal is reached by anything."""
        goal = self.by_size.get(size)
        return goal is None or (measured >= goal if self.at_least else measured <= goal)


def _all(twelve: float, hundred: float, million: float) -> dict[str, float]:
    return {"12k": twelve, "100k": hundred, "1m": million}


GOALS: dict[str, Goal] = {
    "engine": Goal("engine alone, the mix", "events/s", True, _all(120_000, 27_000, 5_000)),
    "loop": Goal("topic → decode → fresh lists → commit", "events/s", True, _all(40_000, 15_000, 3_000)),
    "fresh": Goal("command commit → fresh ranking, p99 at half load", "ms", False, _all(30, 30, 60), 1),
    "read": Goal("reading a ranking over HTTP, p99", "ms", False, _all(5, 5, 5), 2),
    "restart": Goal("restart to serving", "s", False, _all(2, 2, 5), 2),
    "memory": Goal("memory per seeker, all in", "KB", False, _all(0.6, 0.6, 0.6), 2),
    "shards": Goal("two shards on two cores", "times", True, _all(1.8, 1.8, 1.6), 2),
    "vs-postgresql": Goal("a fresh top 50: PostgreSQL's time / ours", "times", True, {"12k": 50, "100k": 100}),
    "vs-mongodb": Goal("a fresh top 50: MongoDB's time / ours", "times", True, {"12k": 500, "100k": 800}),
    "vs-duckdb": Goal("a fresh top 50: DuckDB's time / ours", "times", True, {"12k": 250, "100k": 250}),
    "vs-polars": Goal("a fresh top 50: Polars' time / ours", "times", True, {"12k": 70, "100k": 70}),
    "lists-wrong": Goal("lists that differ from the pure function", "lists", False, _all(0, 0, 0)),
}


@dataclass(slots=True)
class Figures:
    """Everything that was measured, by goal and size: the rounds of ours, and of what it is compared with."""

    ours: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    references: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, goal: str, size: str, *rounds: float) -> None:
        """More rounds of ours.

        Raises:
            KeyError: there is no such goal.
        """
        self.ours.setdefault((_known(goal), size), []).extend(rounds)

    def compare(self, goal: str, size: str, against: str, *rounds: float) -> None:
        """More rounds of a reference, in the goal's unit."""
        self.references.setdefault((goal, size), {}).setdefault(against, []).extend(rounds)

    def skip(self, what: str) -> None:
        """Something that could not be measured here, with the reason."""
        self.skipped.append(what)

    def median(self, goal: str, size: str) -> float | None:
        """Median of our rounds, if there are any."""
        rounds = self.ours.get((goal, size))
        return statistics.median(rounds) if rounds else None

    def shown(self, goal: str, size: str) -> float:
        """The figure of a goal: the median of the rounds; of wrong lists all of them."""
        rounds = self.ours[goal, size]
        return sum(rounds) if goal == "lists-wrong" else statistics.median(rounds)

    def goals(self) -> dict[str, dict[str, float | bool | None]]:
        """`{name: {measured, goal, met}}` of all that was measured; a figure without a goal has the goal `None`."""
        found: dict[str, dict[str, float | bool | None]] = {}
        for goal, size in sorted(self.ours, key=_in_order):
            measured = self.shown(goal, size)
            found[f"{goal}-{size}"] = {
                "measured": float(f"{measured:.6g}"),
                "goal": GOALS[goal].by_size.get(size),
                "met": GOALS[goal].met(measured, size),
            }
        return found

    def write(self, path: Path) -> None:
        """As JSON: the goals, the references' medians, and what was skipped."""
        references = {
            f"{goal}-{size}": {against: float(f"{statistics.median(rounds):.6g}") for against, rounds in by.items()}
            for (goal, size), by in self.references.items()
        }
        said = {"goals": self.goals(), "references": references, "skipped": self.skipped}
        path.write_text(json.dumps(said, indent=2) + "\n")

    def table(self) -> str:
        """Both sides of everything, aligned."""
        return aligned(self._lines(), right=(2, 3)) + "".join(f"\nskipped: {what}" for what in self.skipped)

    def markdown(self) -> str:
        """The same as a table of `docs/performance.md`."""
        head, *lines = self._lines()
        rows = [head, ["---", "---", "---:", "---:", "---", "---", "---"], *lines]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def _lines(self) -> list[list[str]]:
        lines = [["what", "size", "measured", "goal", "met", "unit", "reference"]]
        for goal, size in sorted(self.ours, key=_in_order):
            asked, measured = GOALS[goal], self.shown(goal, size)
            limit = asked.by_size.get(size)
            sign = "≥" if asked.at_least else "≤"
            shown = "-" if limit is None else f"{sign} {limit:,.{asked.digits if limit != int(limit) else 0}f}"
            met = "-" if limit is None else "yes" if asked.met(measured, size) else "NO"
            against = [
                f"{name} {statistics.median(rounds):,.{asked.digits}f}"
                for name, rounds in self.references.get((goal, size), {}).items()
            ]
            lines.append(
                [asked.what, size, f"{measured:,.{asked.digits}f}", shown, met, asked.unit, "; ".join(against)]
            )
        return lines


def _in_order(key: tuple[str, str]) -> tuple[int, int]:
    return list(GOALS).index(key[0]), list(SIZES).index(key[1])


def aligned(lines: list[list[str]], right: Iterable[int] = ()) -> str:
    """Columns under each other."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _known(goal: str) -> str:
    if goal not in GOALS:
        raise KeyError(goal)
    return goal
