"""What a chaos run found: aligned for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from mamapost.chaos.checker import Verdict
from mamapost.chaos.plan import Fault
from mamapost.demo.report import aligned, print_checks


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run.

    Attributes:
        counts: what was done meanwhile, in words.
        skipped: what could not be injected here, and why.
    """

    engine: str
    minutes: float
    seed: int
    faults: list[Fault]
    counts: Mapping[str, int]
    verdict: Verdict
    skipped: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return self.verdict.ok

    def document(self) -> dict[str, Any]:
        """As JSON."""
        verdict = self.verdict
        return {
            "engine": self.engine,
            "faults": len(self.faults),
            "commands_accepted": self.counts["commands accepted"],
            "lost": verdict.count("lost"),
            "doubled": verdict.count("doubled"),
            "wrong_ranks": verdict.count("wrong_ranks"),
            "imbalance": max(verdict.imbalance_fen_e4, verdict.count("imbalance")),
            "other_violations": verdict.count("other"),
            "ok": self.ok,
            "minutes": self.minutes,
            "seed": self.seed,
            "faults_by_kind": dict(sorted(Counter(fault.kind for fault in self.faults).items())),
            "counts": dict(self.counts),
            "skipped": dict(self.skipped),
            "checks": [
                {
                    "name": check.name,
                    "violation": violation,
                    "compared": check.count,
                    "mismatches_found": check.mismatches_found,
                    "mismatches": check.mismatches,
                }
                for violation, check in verdict.checks
            ],
        }

    def write(self, file: Path) -> None:
        """Write the JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(self.document(), option=orjson.OPT_INDENT_2) + b"\n")

    def print(self, console: Console) -> None:
        """Tables for a person."""
        faults = aligned("fault", "times")
        for kind, times in sorted(Counter(fault.kind for fault in self.faults).items()):
            faults.add_row(kind, f"{times:,}")
        console.print(faults, "")
        counts = aligned("meanwhile", "count")
        for name, count in self.counts.items():
            counts.add_row(name, f"{count:,}")
        console.print(counts, "")
        print_checks(console, [check for _, check in self.verdict.checks])
        for what, why in self.skipped.items():
            console.print(f"{what}: skipped, {why}", markup=False)
        found = self.document()
        console.print(
            f"{'every check holds' if self.ok else 'NOT every check holds'} · {self.engine} · seed {self.seed} · "
            f"{self.minutes:g} min · {found['faults']} faults · {found['commands_accepted']:,} commands accepted\n"
            f"lost {found['lost']} · doubled {found['doubled']} · wrong ranks {found['wrong_ranks']} · "
            f"imbalance {found['imbalance']}"
        )
