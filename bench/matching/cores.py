"""Who has the processor while something is measured: this process and all that it started, by what they are for."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

PARTS = {
    "bench.matching.served": "service",
    "shared.messaging.fetch": "fetching",
    "bench.matching.broker": "load",
    "bench.matching.bare": "bare client",
    "tansu": "broker",
    "mongod": "database",
}
"""What is in the command line of each process that is told apart."""

OWN, OTHER = "this process", "other"


class Cores:
    """Counts from when it is made; of processes that ended meanwhile it knows nothing. On Linux only."""

    def __init__(self) -> None:
        self._before = _spent()

    def spent_s(self) -> dict[str, float]:
        """Seconds of processor time that each part has spent since."""
        spent = defaultdict[str, float](float)
        for pid, (part, taken_s) in _spent().items():
            spent[part] += taken_s - self._before.get(pid, (part, 0.0))[1]
        return dict(spent)

    def told(self, taken_s: float) -> str:
        """A line of the parts that spent most.

        Args:
            taken_s: time on the wall since.
        """
        spent = {part: spent_s / taken_s for part, spent_s in self.spent_s().items() if spent_s / taken_s >= 0.005}
        parts = ", ".join(f"{part} {spent[part]:.2f}" for part in sorted(spent, key=spent.__getitem__, reverse=True))
        return f"{sum(spent.values()):.2f} of {os.cpu_count()} cores: {parts}"


def _spent() -> dict[int, tuple[str, float]]:
    """Part and processor seconds of each process."""
    ticks = os.sysconf("SC_CLK_TCK")
    children, spent_s = defaultdict[int, list[int]](list), dict[int, float]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        pid = int(file.parent.name)
        children[int(fields[1])].append(pid)
        spent_s[pid] = (int(fields[11]) + int(fields[12])) / ticks
    found, own = dict[int, tuple[str, float]](), [os.getpid()]
    while own:
        pid = own.pop()
        found[pid] = (_part_of(pid), spent_s[pid])
        own += children[pid]
    return found


def _part_of(pid: int) -> str:
    if pid == os.getpid():
        return OWN
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return OTHER
    return next((part for name, part in PARTS.items() if name in command), OTHER)
