"""What a demo found: checks with counts, for people as tables and for machines as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

MISMATCHES_SHOWN = 20
"""Mismatches kept of one check: enough to see what is wrong."""


@dataclass(slots=True)
class Check:
    """One thing that was verified.

    Attributes:
        count: how many things were compared.
        mismatches: what did not agree, in words; the check holds when there are none and something was compared.
    """

    name: str
    count: int = 0
    mismatches: list[str] = field(default_factory=list)
    mismatches_found: int = 0

    @property
    def ok(self) -> bool:
        return self.count > 0 and self.mismatches_found == 0

    def compare(self, what: str, found: object, wanted: object) -> None:
        """Count one comparison, and note it where the two differ."""
        self.count += 1
        if found != wanted:
            self.fail(f"{what}: found {_short(found)}, expected {_short(wanted)}")

    def fail(self, mismatch: str) -> None:
        """Note a mismatch."""
        self.mismatches_found += 1
        if len(self.mismatches) < MISMATCHES_SHOWN:
            self.mismatches.append(mismatch)


@dataclass(slots=True)
class Result:
    """The machine-readable result of a demo (`mamapost demo --json`)."""

    scenario: str
    seed: int
    scale: float
    month: str
    counts: dict[str, int]
    checks: list[Check]
    freshness_ms: dict[str, float]
    stages_ms: dict[str, dict[str, float]]
    events_per_s: float
    stage_events_per_s: dict[str, float]
    killed: list[str]
    duration_s: float

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        document: dict[str, Any] = asdict(self)
        document["ok"] = self.ok
        document["checks"] = [
            {
                "name": check.name,
                "ok": check.ok,
                "count": check.count,
                "mismatches": check.mismatches,
                "mismatches_found": check.mismatches_found,
            }
            for check in self.checks
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")

    def print(self, console: Console) -> None:
        """Tables for a person: what happened, how fast, what was verified."""
        counts = aligned("programme", "count")
        for name, count in self.counts.items():
            counts.add_row(name, f"{count:,}")
        console.print(counts, "")
        speed = aligned("from the commit of a command to", "p50 ms", "p99 ms")
        for name, figures in {**self.stages_ms, "fresh rankings (read over HTTP)": self.freshness_ms}.items():
            speed.add_row(name, f"{figures['p50']:.0f}", f"{figures['p99']:.0f}")
        console.print(speed, "")
        rates = aligned("stage", "events/s")
        for name, rate in self.stage_events_per_s.items():
            rates.add_row(name, f"{rate:,.0f}")
        rates.add_row("all", f"{self.events_per_s:,.0f}")
        console.print(rates, "")
        print_checks(console, self.checks)
        console.print(
            f"{'every check holds' if self.ok else 'NOT every check holds'} · seed {self.seed} · scale {self.scale:g}"
            f" · {self.duration_s:.0f} s · killed in mid-stream: {', '.join(self.killed) or 'none'}"
        )


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """A table of checks, and under it what did not agree."""
    table = aligned("verified", "compared", "result")
    for check in checks:
        verdict = "[green]holds[/]" if check.ok else f"[red]{check.mismatches_found} mismatches[/]"
        if check.count == 0:
            verdict = "[red]nothing to compare[/]"
        table.add_row(check.name, f"{check.count:,}", verdict)
    console.print(table)
    for check in checks:
        for mismatch in check.mismatches:
            console.print(f"[red]{check.name}[/]: ", end="")
            console.print(mismatch, markup=False)
    console.print()


def percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p99 by the nearest rank; zeros where there is no value."""
    if not values:
        return {"p50": 0.0, "p99": 0.0}
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)
        for name, share in (("p50", 0.50), ("p99", 0.99))
    }


def aligned(first: str, *others: str) -> Table:
    """A table of names and figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name == "result" else "right", no_wrap=True)
    return table


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
