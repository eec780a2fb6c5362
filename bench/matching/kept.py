"""Cities that an engine has loaded, kept on disk: the first lists of a large one take most of a quick run's time.

What is made of other sources is another file, and lists that are compared afterwards show one that is wrong.
"""

from __future__ import annotations

import gc
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.matching.goals import Size
from bench.matching.play import Play
from bench.matching.show import step
from bench.matching.tables import AT, CITY
from services.matching.engine import Engine

ROOT = Path(__file__).parents[2]
KEPT_IN = ROOT / "var" / "bench"
SOURCES = ("bench/matching", "mamapost/scenario/yantai", "services/matching/domain", "services/matching/engine")


def prepare(size: Size, seed: int) -> None:
    """Make the file of a city, if there is none: part of the set-up, not of what a run measures."""
    file = _file(size, seed)
    if file.exists():
        return
    with step(f"set-up: the first lists of a city of {size.seekers:,} seekers, kept in {file.relative_to(ROOT)}"):
        play = Play(size, seed)
        play.load()
        KEPT_IN.mkdir(parents=True, exist_ok=True)
        for old in KEPT_IN.glob(f"{size.name}-{seed}-*.npz"):
            old.unlink()
        temporary = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, allow_pickle=False, **dict[str, Any](play.engine.dump(CITY)))
        temporary.rename(file)


def load(play: Play) -> float:
    """Give a city to a new engine: from its file, if there is one. Returns the seconds that it took."""
    file = _file(play.size, play.seed)
    if play.keep or not file.exists():  # its facts are kept too, for the pure function
        return play.load()
    started = time.perf_counter()
    play.engine = Engine(AT)
    with np.load(file, allow_pickle=False) as arrays:
        play.engine.restore(CITY, dict(arrays))
    gc.collect()
    gc.freeze()
    return time.perf_counter() - started


def _file(size: Size, seed: int) -> Path:
    digest = hashlib.sha256()
    for folder in SOURCES:
        for source in sorted((ROOT / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    return KEPT_IN / f"{size.name}-{seed}-{digest.hexdigest()[:16]}.npz"
