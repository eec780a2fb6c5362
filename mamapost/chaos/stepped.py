"""`mamapost serve` with a clock that can be stepped while it runs, by libfaketime and a file that says how far.

libfaketime 0.9.10 refuses to sleep until a moment of the monotonic clock, which is how `time.sleep` sleeps; waiting for
an event that never comes is left alone.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Final, SupportsIndex

LIBRARY: Final = "var/parts/faketime/usr/lib/*/faketime/libfaketime.so.1"
"""Where `make parts` puts libfaketime."""

LOOK_S: Final = 1
"""How often a process looks how far its clock is stepped."""


def library(root: Path = Path()) -> Path | None:
    """libfaketime, if it is there."""
    return next((found.absolute() for found in root.glob(LIBRARY)), None)


def serve_stepped(service: str, port: int, faketime: Path, offset: Path) -> list[str]:
    """The command that serves a service whose clock differs from the machine's by what stands in a file."""
    return [
        "env",
        f"LD_PRELOAD={faketime}",
        f"FAKETIME_TIMESTAMP_FILE={offset.absolute()}",
        f"FAKETIME_CACHE_DURATION={LOOK_S}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        *(sys.executable, "-m", __name__, "serve", service, "--port", str(port)),
    ]


def write_offset(file: Path, offset_s: int) -> None:
    """Step the clock of the process that reads this file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(f"{offset_s:+d}\n", encoding="ascii")
    beside.replace(file)  # whole or not at all: the process may read at any moment


def _sleep(seconds: float | SupportsIndex, /) -> None:
    threading.Event().wait(max(float(seconds), 0))


if __name__ == "__main__":
    from mamapost.cli import main

    time.sleep = _sleep
    main()
