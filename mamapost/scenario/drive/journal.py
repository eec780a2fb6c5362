"""What became of each command."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that a service accepted, alone or as a row of an upload.

    Attributes:
        ref: of the command.
        id, version, topic, event_id, position: as the service answered.
        answered_at: when the answer came, UTC; the commit lies before it.
    """

    stage: str
    service: str
    ref: str
    id: str
    version: int
    topic: str
    event_id: str
    position: str
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that a service refused.

    Attributes:
        status: HTTP status; `None` for a row of an upload.
        code: of the problem or the row.
        fields: that were named.
    """

    stage: str
    service: str
    ref: str
    status: int | None
    code: str
    fields: tuple[str, ...]
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A command whose outcome is not the one that the scenario expects."""

    stage: str
    ref: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.ref}: expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class StageReport:
    """Counters of a stage.

    Attributes:
        requests: HTTP requests that got their final answer.
        retries: repetitions of requests, for whatever reason.
        waited_s: time until what the stage awaits had come to pass; not part of `seconds`.
        seconds: from the first request to the last answer.
    """

    name: str
    service: str
    accepted: int = 0
    refused: int = 0
    mismatches: int = 0
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Journal:
    """The outcome of every command, in the order of the answers. Can be read while it grows.

    Attributes:
        ids: the id that each entity got, by the ref of the command that made it.
        stages: in the order of the scenario.
    """

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageReport] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything was accepted or refused as expected."""
        return not self.mismatches

    @property
    def retries(self) -> int:
        return sum(stage.retries for stage in self.stages.values())

    def accept(self, entry: Accepted, *, makes_entity: bool) -> None:
        """Note an accepted command."""
        self.accepted.append(entry)
        self.stages[entry.stage].accepted += 1
        if makes_entity:
            self.ids[entry.ref] = entry.id

    def refuse(self, entry: Refused) -> None:
        """Note a refused command."""
        self.refused.append(entry)
        self.stages[entry.stage].refused += 1

    def mismatch(self, stage: str, ref: str, expected: str, found: str) -> None:
        """Note an outcome that was not expected."""
        self.mismatches.append(Mismatch(stage, ref, expected, found))
        self.stages[stage].mismatches += 1
