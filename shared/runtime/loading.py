"""Loading a program. Imports next to nothing, so that it can come before all else."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import and put together a program without collecting garbage.

    Next to nothing of it is any, and searching it again and again took a quarter of that time. What is there afterwards
    is not searched any more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_seldom(after: int) -> None:
    """Search what is there now for garbage no more, and what comes only when there is much of it.

    What is done with goes at once, without any search; only what refers to itself is searched for. Python does so after
    every 700 objects that are more than before, so that a service that takes in batches has each searched several times
    over while it is in use, and again and again all that it holds besides; nothing else happens meanwhile.

    Args:
        after: new objects that stay, after which they are searched: above what the batches at hand make.
    """
    gc.freeze()
    gc.set_threshold(after)
