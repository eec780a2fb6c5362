"""What happened in a run, in order: commands with their answers, reads, faults. One JSON object a line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """One event that an answer promises.

    Attributes:
        row: of an upload; 0 for a command of its own.
        position: `topic:entity:version`.
    """

    row: int
    event_id: str
    position: str


class Invoked(msgspec.Struct, frozen=True, tag="invoked"):
    """A command was sent for the first time; every repetition has the same key."""

    at_s: float
    key: str
    service: str
    path: str


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """An instance answered a command; an answer that says "later" is none, and stands as `Unknown`."""

    at_s: float
    key: str
    instance: str
    status: int
    effects: tuple[Effect, ...]


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A command got no answer, or one that says "later": it may have taken effect, or not."""

    at_s: float
    key: str
    instance: str
    what: str


class Place(msgspec.Struct, frozen=True):
    """A seeker in a ranking: her score and its parts."""

    seeker_id: str
    score: int
    parts: tuple[int, ...]


class Ranking(msgspec.Struct, frozen=True, tag="ranking"):
    """A ranking that somebody was told.

    Attributes:
        instance: that answered; `topic` for one that was published.
        positions: that it is made of, as matching names them: at the present broker, then at lost ones. None where a
            published one does not say.
        at: instant that it is of, RFC 3339.
        policy: city and version.
        limit: places that were asked for.
        after: the command's position that the reader asked to see, if any.
    """

    at_s: float
    instance: str
    post_id: str
    positions: tuple[str, ...]
    at: str
    policy: tuple[str, int]
    top: tuple[Place, ...]
    limit: int
    after: str | None = None


class FaultBegan(msgspec.Struct, frozen=True, tag="fault-began"):
    """A fault of the plan was injected."""

    at_s: float
    number: int
    kind: str
    target: str


class FaultEnded(msgspec.Struct, frozen=True, tag="fault-ended"):
    """What a fault did is over: the part runs again."""

    at_s: float
    number: int


Entry = Invoked | Answered | Unknown | Ranking | FaultBegan | FaultEnded
E = TypeVar("E", bound=Entry)


class History:
    """Entries in the order in which they were noted.

    Args:
        file: where each entry is also written at once; `None` = memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._started = time.monotonic()
        self._file: BinaryIO | None = None if file is None else file.open("wb")
        self._encoder = msgspec.json.Encoder()

    @property
    def now_s(self) -> float:
        """Seconds since `begin`."""
        return round(time.monotonic() - self._started, 3)

    def begin(self) -> None:
        """Let the time begin now."""
        self._started = time.monotonic()

    def flush(self) -> None:
        """Have the file hold what was noted so far."""
        if self._file is not None:
            self._file.flush()

    def note(self, entry: Entry) -> None:
        """Add an entry."""
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(self._encoder.encode(entry) + b"\n")

    def of(self, kind: type[E]) -> Iterator[E]:
        """Entries of one kind."""
        return (entry for entry in self.entries if isinstance(entry, kind))

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()
