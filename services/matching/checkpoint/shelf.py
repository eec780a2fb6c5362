"""The directory of a service's checkpoints: for each partition the newest, and the one before it as a fallback."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.matching.checkpoint.file import Checkpoint, Damaged, read

Outcome = Literal["loaded", "fallback", "missing", "damaged", "foreign"]
"""What became of a load: the newest, the one before it, none there, none whole, none of this database and release."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load found.

    Attributes:
        checkpoint: `None`: the state has to be rebuilt from the topics.
        reasons: what was wrong with those that were passed over.
        size_bytes: of the file that was loaded.
    """

    checkpoint: Checkpoint | None
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    size_bytes: int = 0


class Shelf:
    """Checkpoints of one service and database.

    Args:
        directory: made if it is not there; several instances may share it.
        layout: version of the engine's arrays; checkpoints with another one are passed over.
    """

    def __init__(self, directory: Path, layout: str) -> None:
        self._directory = directory
        self._layout = layout
        self._host = re.sub("[^A-Za-z0-9-]", "-", socket.gethostname())

    def prepare(self) -> None:
        """Make the directory, and remove what writers that died have left.

        Raises:
            OSError: it cannot be made or written to.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._directory.glob(f"*.{self._host}.*.tmp"):
            if not _is_alive(leftover.name.split(".")[-2]):
                leftover.unlink(missing_ok=True)

    def temporary(self, partition: int) -> Path:
        """Where this process writes a partition's next checkpoint, before it is `keep`t."""
        return self._directory / f"partition-{partition}.{self._host}.{os.getpid()}.tmp"

    def newest(self, partition: int) -> Path:
        return self._directory / f"partition-{partition}.checkpoint"

    def previous(self, partition: int) -> Path:
        return self._directory / f"partition-{partition}.previous"

    def keep(self, partition: int, temporary: Path) -> int:
        """Make a written checkpoint the newest one, and that one the fallback. Returns its size.

        Raises:
            OSError
        """
        newest = self.newest(partition)
        if newest.exists():
            os.replace(newest, self.previous(partition))
        os.replace(temporary, newest)
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return newest.stat().st_size

    def load(self, partition: int, store_id: str) -> Loaded:
        """The newest checkpoint of a partition that is whole and of this database and release. Never raises."""
        reasons: list[str] = []
        worst: Outcome = "missing"
        for path in (self.newest(partition), self.previous(partition)):
            try:
                checkpoint = read(path)
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            except (Damaged, OSError) as error:
                reasons.append(f"{path.name}: {error if isinstance(error, Damaged) else type(error).__name__}")
                worst = "damaged"
                continue
            if (reason := self._foreign(checkpoint, partition, store_id)) is not None:
                reasons.append(f"{path.name}: {reason}")
                worst = "foreign" if worst == "missing" else worst
                continue
            outcome: Outcome = "loaded" if path == self.newest(partition) else "fallback"
            return Loaded(checkpoint, outcome, tuple(reasons), size)
        return Loaded(None, worst, tuple(reasons))

    def _foreign(self, checkpoint: Checkpoint, partition: int, store_id: str) -> str | None:
        if checkpoint.store_id != store_id:
            return "it goes with another database"
        if checkpoint.layout != self._layout:
            return f"the engine of another release wrote it (layout {checkpoint.layout}, this one has {self._layout})"
        if checkpoint.partition != partition:
            return "it is of another partition"
        return None


def _is_alive(writer: str) -> bool:
    """Whether a process of this machine still runs; the child that writes goes under its parent's number."""
    if not writer.isdigit() or int(writer) == os.getpid():
        return False
    try:
        os.kill(int(writer), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
