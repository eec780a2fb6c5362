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
