"""What a person sees while it works."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

_begun = time.perf_counter()


def say(what: str) -> None:
    """A line of progress, with the seconds since the beginning; on stderr, so that the table can be piped."""
    sys.stderr.write(f"[{time.perf_counter() - _begun:6.1f} s] {what}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """A piece of work that is told when it begins and, on a terminal, how long it took."""
    say(f"{what} …")
    started = time.perf_counter()
    yield
    taken = time.perf_counter() - started
    if taken > 1:
        say(f"{what}: {taken:.1f} s")
