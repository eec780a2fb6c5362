"""Checkpoints of the live state: written in the background by a forked child, and taken up at a start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from services.matching import metrics
from services.matching.checkpoint import Checkpoint, ChildFailed, Loaded, Shelf, in_child, write
from services.matching.use_cases import Live, Part
from shared.contracts.topics import partition_of
from shared.kernel.clock import Clock
from shared.runtime.logs import logger

WRITE_MAX_S = 120.0
"""A child that takes longer is killed: a gigabyte takes a slow disk ten seconds."""

LAST_MAX_S = 7.0
"""Longest last checkpoint before a rebalance goes on, which waits ten seconds for a member."""

_log = logger(__name__)


class Checkpoints:
    """Writes the state of the partitions that this instance owns, and reads it back."""

    def __init__(self, live: Live, shelf: Shelf, clock: Clock, interval_s: float) -> None:
        self._live = live
        self._shelf = shelf
        self._clock = clock
        self._interval_s = interval_s
        self._store_id = ""
        self._writing = asyncio.Lock()
        self._sizes: dict[int, int] = {}
        self._saved_s: dict[int, float] = {}
        metrics.CHECKPOINT_AGE_SECONDS.set_function(self._age_s)
        metrics.CHECKPOINT_SIZE.set_function(lambda: float(sum(self._sizes.values())))

    async def prepare(self, store_id: str) -> None:
        """Make the directory.

        Args:
            store_id: identity of the database that the checkpoints go with.

        Raises:
            OSError: it cannot be made.
        """
        self._store_id = store_id
        await asyncio.to_thread(self._shelf.prepare)

    async def run(self) -> None:
        """Write at every interval what has changed, until it is cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.write(WRITE_MAX_S)

    async def write(self, timeout_s: float) -> None:
        """Write the partitions that have changed and are owned here. A failure is logged, and tried again later."""
        async with self._writing:
            parts = [part for part in self._live.parts.values() if part.is_changed and self._live.owns(part.number)]
            if not parts:
                return
            self._live.moved_on(self._clock())
            started = time.perf_counter()
            for part in parts:
                part.is_changed = False
            try:
                files = [self._shelf.temporary(part.number) for part in parts]
                done = await in_child(partial(self._work, parts, files), timeout_s)
                for part, file in zip(parts, files, strict=True):
                    await self._keep(part, file)
            except (ChildFailed, OSError) as error:
                for part in parts:
                    part.is_changed = True
                metrics.CHECKPOINTS_WRITTEN.labels("failed").inc(len(parts))
                _log.error("checkpoint not written", cause=str(error), partitions=[part.number for part in parts])
                return
            took_s = time.perf_counter() - started
            metrics.CHECKPOINT_FORK_SECONDS.observe(done.fork_s)
            metrics.CHECKPOINT_SECONDS.observe(took_s)
            metrics.CHECKPOINTS_WRITTEN.labels("written").inc(len(parts))
            _log.info(
                "checkpoint written",
                partitions=[part.number for part in parts],
                size_bytes=done.result,
                took_ms=round(took_s * 1000),
                fork_ms=round(done.fork_s * 1000, 1),
            )

    async def load(self, number: int) -> Part:
        """Take up a partition: from its checkpoint, or empty where there is none that can be used."""
        loaded = await asyncio.to_thread(self._shelf.load, number, self._store_id)
        part = self._restored(number, loaded)
        if part is None:
            part = Part(number, "", {})
        self._live.parts[number] = part
        self._saved_s[number] = self._live.clock_s()
        self._sizes[number] = loaded.size_bytes
        return part

    def _restored(self, number: int, loaded: Loaded) -> Part | None:
        outcome, checkpoint = loaded.outcome, loaded.checkpoint
        if checkpoint is not None:
            done: list[str] = []
            try:
                for city, arrays in checkpoint.cities.items():
                    done.append(city)
                    self._live.engine.restore(city, arrays)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                _log.error("the engine cannot use the checkpoint", partition=number, error=type(error).__name__)
                for city in set(done) & set(self._live.engine.cities()):
                    self._live.engine.drop(city)
                outcome, checkpoint = "damaged", None
        metrics.CHECKPOINTS_LOADED.labels(outcome).inc()
        if checkpoint is None:
            _log.warning(
                "no checkpoint to go on from; the topics are read from their beginning",
                partition=number,
                outcome=outcome,
                reasons=list(loaded.reasons),
            )
            return None
        _log.info(
            "checkpoint loaded",
            partition=number,
            outcome=outcome,
            reasons=list(loaded.reasons),
            size_bytes=loaded.size_bytes,
            at=checkpoint.at.isoformat(),
        )
        self._live.newest |= checkpoint.newest
        return Part(number, checkpoint.cluster_id, dict(checkpoint.offsets), lost=checkpoint.lost)

    def _work(self, parts: Sequence[Part], files: Sequence[Path]) -> int:
        """In the child: write all parts. Returns their size together."""
        size = 0
        for part, file in zip(parts, files, strict=True):
            file.unlink(missing_ok=True)  # of a child that was killed
            size += write(file, self._of(part))
        return size

    def _of(self, part: Part) -> Checkpoint:
        live = self._live
        cities = [city for city in live.engine.cities() if partition_of(city) == part.number]
        return Checkpoint(
            store_id=self._store_id,
            cluster_id=part.cluster_id,
            partition=part.number,
            layout=live.engine.layout,
            offsets=part.offsets,
            at=live.stands_at or self._clock(),
            newest={city: live.newest[city] for city in cities if city in live.newest},
            cities={city: live.engine.dump(city) for city in cities},
            lost=part.lost,
        )

    async def _keep(self, part: Part, temporary: Path) -> None:
        """Only who owns the partition may replace its checkpoint, since instances may share the directory."""
        if not self._live.owns(part.number):
            await asyncio.to_thread(temporary.unlink, missing_ok=True)
            return
        self._sizes[part.number] = await asyncio.to_thread(self._shelf.keep, part.number, temporary)
        self._saved_s[part.number] = self._live.clock_s()

    def _age_s(self) -> float:
        now_s = self._live.clock_s()
        changed = [number for number, part in self._live.parts.items() if part.is_changed and self._live.owns(number)]
        return max((now_s - self._saved_s.get(number, now_s) for number in changed), default=0.0)
