"""Who has the processor: what a process spends is counted for the part that it is, wherever it was started."""

from __future__ import annotations

import subprocess
import sys

from bench.matching.cores import OTHER, OWN, Cores

SPENDS_S = 0.3
SPEND = f"""
import time
while time.process_time() < {SPENDS_S}: pass
print(flush=True)
input()
"""
START = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"


def test_what_a_process_spends_is_counted_for_its_part() -> None:
    cores = Cores()
    for command, part in (
        (["-c", SPEND], OTHER),
        (["-c", START, "-c", SPEND, "bench.matching.broker"], "load"),
        (["-c", SPEND, "bench.matching.bare"], "bare client"),
    ):
        with subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            spent = cores.spent_s()
            process.communicate(b"\n")
        assert spent[part] >= SPENDS_S * 0.9, "but for what its clock had not counted yet"
        assert spent[OWN] >= 0
    assert "load" not in cores.spent_s(), "it has ended"


def test_the_line_tells_who_spent_most_first() -> None:
    cores = Cores()
    with subprocess.Popen([sys.executable, "-c", SPEND], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        told = cores.told(taken_s=0.3)
        process.communicate(b"\n")
    total, parts = told.split(" cores: ")
    shares = [float(part.rpartition(" ")[2]) for part in parts.split(", ")]
    assert shares == sorted(shares, reverse=True)
    assert abs(float(total.split()[0]) - sum(shares)) < 0.01 * len(shares)
