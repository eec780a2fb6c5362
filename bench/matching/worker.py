"""Measurements that need a process of their own: memory, and engines side by side. Speaks JSON lines."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.matching import kept
from bench.matching.child import PYTHONPATH
from bench.matching.goals import SIZES, Size
from bench.matching.play import BATCH, PIECE, Play
from bench.matching.speak import city_facts
from bench.matching.tables import AT
from services.matching.engine import Engine

WARM = Size("warm", 600, 50)
"""A city that is ranked first, so that compiled code and imports are not counted."""


def rss_bytes() -> int:
    """Memory of this process that is in RAM, after everything that is free was given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc: then what is free stays with the process
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status: expected a line VmRSS")


def warm(seed: int) -> None:
    """Rank a small city, and change it."""
    small = Play(WARM, seed)
    small.load()
    small.apply(small.draw(BATCH)[1])


def memory(size: Size, seed: int) -> None:
    """Say by how much the process grows when a city is given to an engine, in batches as they are polled.

    Of a larger batch the few objects that stay would keep the memory of all of them from being given back.
    """
    warm(seed)
    play = Play(size, seed)
    for facts in city_facts(play.city, BATCH):
        del facts  # what the objects of a batch leave behind in the allocator is not the engine's
    before = rss_bytes()
    engine = Engine(AT)
    for facts in city_facts(play.city, BATCH):
        engine.apply(facts)
        del facts
    _say({"bytes": rss_bytes() - before, "seekers": size.seekers})
    engine.counts()


def rate(size: Size, seed: int, events: int, times: int) -> None:
    """Load a city, from its file if it is kept, and draw the mix; then, for each line that comes, apply so many events
    and say how long it took."""
    warm(seed)
    play = Play(size, seed)
    kept.load(play)
    play.apply(play.draw(BATCH)[1])
    drawn = [[play.draw(min(PIECE, events - at))[1] for at in range(0, events, PIECE)] for _ in range(times)]
    gc.collect()
    gc.freeze()
    _say({"ready": True})
    for round_, _ in zip(drawn, sys.stdin, strict=False):
        started = time.perf_counter()
        for facts in round_:
            play.apply(facts)
        _say({"events": events, "seconds": time.perf_counter() - started})


def plain(turns: int, times: int) -> None:
    """As `rate`, of a loop that does nothing and needs no memory: what this machine's cores do side by side."""
    _say({"ready": True})
    for _, _ in zip(range(times), sys.stdin, strict=False):
        started = time.perf_counter()
        for _ in range(turns):
            pass
        _say({"events": turns, "seconds": time.perf_counter() - started})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of this module."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.matching.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a process.

    Raises:
        RuntimeError: it ended without one; its own message stands on the terminal.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a measuring process ended with exit code {process.wait()}")
    said: dict[str, Any] = json.loads(line)
    return said


def go(process: subprocess.Popen[str]) -> None:
    """Let a process begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.matching.worker", description=__doc__)
    parser.add_argument("what", choices=["memory", "rate", "plain"])
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("seed", type=int)
    parser.add_argument("--events", type=int, default=PIECE)
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    if arguments.what == "memory":
        memory(size, arguments.seed)
    elif arguments.what == "plain":
        plain(arguments.events, arguments.times)
    else:
        rate(size, arguments.seed, arguments.events, arguments.times)


if __name__ == "__main__":
    main()
