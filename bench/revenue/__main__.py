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
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.revenue.filled import measure_verification
from bench.revenue.measure import Load, measure
from bench.revenue.topic import Accrued
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

VERIFICATION_GOALS = {
    "made": Goal("a ledger in one city made, without topic and transactions", "postings/s", None),
    "verification-of-a-tenth": Goal("verification of a tenth of it", "postings/s", None),
    "verification-of-all": Goal("verification of all", "postings/s", None),
    "verified": Goal("postings verified", "postings", None),
    "processor-time": Goal("processor time of a posting, without the database's", "µs", None),
    "memory-of-a-tenth": Goal("peak memory of the process that verified a tenth", "MB", None),
    "memory-of-all": Goal("peak memory of the process that verified all", "MB", None),
    "memory-growth": Goal("of that, with ten times as many postings", "MB", 50, at_most=True),
}

QUICK = Load(accrued=32_000, settled=16_000)
FULL = Load(accrued=200_000, settled=1_000_000)


def main() -> None:
    """Parse the arguments, measure, print the table."""
    parser = argparse.ArgumentParser(prog="make bench-revenue", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shifts; within 50 seconds")
    parser.add_argument(
        "--postings", type=int, metavar="N", help="instead: make a ledger of N postings, verify a tenth of it and all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    logs.configure("bench", "warning")  # what is measured would print a line an event
    with (
        tempfile.TemporaryDirectory(prefix="mamapost-bench-") as root,
        Engines.start(Path(root) / "data", Path(root) / "log") as engines,
    ):
        settings = RevenueSettings(
            kafka=engines.urls.kafka, mongo=engines.urls.mongo, db_prefix=f"bench_{secrets.token_hex(4)}"
        )
        if arguments.postings is not None:
            _report(VERIFICATION_GOALS, asyncio.run(measure_verification(settings, arguments.postings)), arguments.json)
        else:
            measured, accrued = asyncio.run(measure(settings, QUICK if arguments.quick else FULL))
            _report(GOALS, measured, arguments.json)
            _report_parts(accrued)


def _report(goals: Mapping[str, Goal], measured: Mapping[str, float], file: Path | None) -> None:
    """Print the table, and write it to a file where one is given."""
    print(f"{'what':58} {'measured':>13} {'goal':>10}  met  unit")
    for name, goal in goals.items():
        asked = "-" if goal.goal is None else f"{'≤' if goal.at_most else '≥'} {goal.goal:,g}"
        met = "-" if goal.goal is None else "yes" if goal.met(measured[name]) else "NO"
        print(f"{goal.what:58} {measured[name]:13,.2f} {asked:>10}  {met:3}  {goal.unit}")
    if file is not None:
        told = {
            name: {"measured": float(f"{measured[name]:.6g}"), "goal": goal.goal, "met": goal.met(measured[name])}
            for name, goal in goals.items()
        }
        file.write_text(json.dumps({"goals": told}, indent=2) + "\n")


def _report_parts(accrued: Accrued) -> None:
    """Print what an accrual was made of."""
    print("\nof each accrual, in microseconds:")
    for what, parts in (("processor time", accrued.cpu_us), ("time of an instance", accrued.wall_us)):
        for part, us in sorted(parts.items(), key=lambda one: -one[1]):
            print(f"{what:24} {part:33} {us:12,.1f}")


if __name__ == "__main__":
    main()
