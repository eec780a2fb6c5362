"""`python -m bench`: run the benchmarks and print both sides of each."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.bus import bench_bus
from bench.decode import bench_decode
from bench.feeds import bench_feeds
from bench.measure import Measured
from bench.saturation import run_saturation
from shared.runtime import logs

BENCHES: dict[str, Callable[[int], Coroutine[None, None, list[Measured]]]] = {
    "bus": bench_bus,
    "decode": bench_decode,
    "feeds": bench_feeds,
}
SATURATION = "saturation"
"""Has no other side to stand beside: it finds the limit of the whole path."""


def main() -> None:
    """Parse the arguments, run, print medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*BENCHES, SATURATION, []], help="which benchmarks; default all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each; the median is printed (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    logs.configure("bench", "warning")  # what is measured would print a line an event
    only = arguments.only or [*BENCHES, SATURATION]
    told: dict[str, object] = {}
    compared = [name for name in only if name in BENCHES]
    if compared:
        told |= _compare(compared, 1 if arguments.quick else arguments.rounds)
    if SATURATION in only:
        found = run_saturation()
        told[SATURATION] = {
            "rest_ms_per_s": found.rest_ms_per_s,
            "steps": [asdict(step) | {"sustained": step.sustained} for step in found.steps],
        }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(told, indent=2) + "\n")


def _compare(names: Sequence[str], rounds: int) -> dict[str, object]:
    figures: dict[str, dict[str, float]] = {}
    goals: dict[str, dict[str, float]] = {}
    print(f"{'what':44} {'ours':>12} {'reference':>12} {'ratio':>7}  unit; reference")
    for name in names:
        runs = [asyncio.run(BENCHES[name](number)) for number in range(rounds)]
        for same in zip(*runs, strict=True):
            ours = statistics.median(one.ours for one in same)
            reference = statistics.median(one.reference for one in same)
            ratio = statistics.median(one.ours / one.reference for one in same)
            print(
                f"{same[0].name:44} {ours:12,.0f} {reference:12,.0f} {ratio:7.2f}  {same[0].unit}; {same[0].against}",
                flush=True,
            )
            figures[same[0].name] = {"ours": ours, "reference": reference, "ratio": round(ratio, 3)}
            if (goal := same[0].goal) is not None:
                goals[goal.name] = {
                    "measured": round(goal.measured(ratio), 3),
                    "goal": goal.limit,
                    "met": goal.met(ratio),
                }
                sign = "≤" if goal.at_most else "≥"
                told = "met" if goal.met(ratio) else "NOT MET"
                print(f"  goal {goal.name}: {goal.measured(ratio):.2f} {sign} {goal.limit:g}, {told}", flush=True)
    return {"goals": goals, "figures": figures}


if __name__ == "__main__":
    main()
