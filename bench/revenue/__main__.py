"""`make bench-revenue`: accruals, settlement and verification of the ledger on one mongod.

Every comparison is of one run on one engine: the documents that accruing wrote are read back and inserted again, bare,
so that both sides write the same.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.revenue.measure import Load, measure
from deploy.local.engines import Engines
from services.revenue.config import RevenueSettings
from shared.runtime import logs


class Goal(NamedTuple):
    """What is asked of a figure: at least, or where `at_most` at most, `goal`."""

    what: str
    unit: str
    goal: float | None
    at_most: bool = False

    def met(self, measured: float) -> bool:
        return self.goal is None or (measured <= self.goal if self.at_most else measured >= self.goal)


GOALS = {
    "accruals": Goal("accruals, from the topic to the durable ledger", "shifts/s", 25_000),
    "accruals-vs-bare": Goal("accruals / the same documents in bare bulk inserts", "times", 0.5),
    "events": Goal("their events, from the ledger into the outbox", "events/s", None),
    "settlement": Goal("settlement of one month", "shifts/s", None),
    "settlement-memory": Goal("memory that the settlement took beside what was there", "MB", 200, at_most=True),
    "verification": Goal("verification, streaming", "postings/s", None),
    "verification-memory": Goal("memory that the verification took beside what was there", "MB", 200, at_most=True),
}

QUICK = Load(accrued=32_000, settled=16_000)
FULL = Load(accrued=200_000, settled=1_000_000)
EXHAUSTIVE = Load(accrued=200_000, settled=5_000_000)
"""Ten million postings: each entry has two."""


def main() -> None:
    """Parse the arguments, measure, print the table."""
    parser = argparse.ArgumentParser(prog="make bench-revenue", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shifts; within 50 seconds")
    parser.add_argument(
        "--postings-10m", action="store_true", help="settle 5 million shifts, verify 10 million postings"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    logs.configure("bench", "warning")  # what is measured would print a line an event
    load = QUICK if arguments.quick else EXHAUSTIVE if arguments.postings_10m else FULL
    with (
        tempfile.TemporaryDirectory(prefix="mamapost-bench-") as root,
        Engines.start(Path(root) / "data", Path(root) / "log") as engines,
    ):
        settings = RevenueSettings(
            kafka=engines.urls.kafka, mongo=engines.urls.mongo, db_prefix=f"bench_{secrets.token_hex(4)}"
        )
        measured, accrued = asyncio.run(measure(settings, load))
    print(f"{'what':58} {'measured':>12} {'goal':>10}  met  unit")
    for name, goal in GOALS.items():
        asked = "-" if goal.goal is None else f"{'≤' if goal.at_most else '≥'} {goal.goal:,g}"
        met = "-" if goal.goal is None else "yes" if goal.met(measured[name]) else "NO"
        print(f"{goal.what:58} {measured[name]:12,.2f} {asked:>10}  {met:3}  {goal.unit}")
    print("\nof each accrual, in microseconds:")
    for what, parts in (("processor time", accrued.cpu_us), ("time of an instance", accrued.wall_us)):
        for part, us in sorted(parts.items(), key=lambda one: -one[1]):
            print(f"{what:24} {part:33} {us:12,.1f}")
    if arguments.json is not None:
        goals = {
            name: {"measured": float(f"{measured[name]:.6g}"), "goal": goal.goal, "met": goal.met(measured[name])}
            for name, goal in GOALS.items()
        }
        arguments.json.write_text(json.dumps({"goals": goals}, indent=2) + "\n")


if __name__ == "__main__":
    main()
