"""What topics and stores hold: what the checker judges beside the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.contracts.envelope import Envelope

INJECTED_HEADER = "mamapost_chaos"
"""Header of a message that chaos itself put on a topic, so that it is told from what services sent."""


class Spot(NamedTuple):
    """Where a message stands. The generation is the broker's identity, shortened as positions shorten it."""

    generation: str
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset} of broker {self.generation}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic.

    Attributes:
        envelope: `None` where it is no valid event.
        digest: of its value.
        injected: put there by chaos.
    """

    spot: Spot
    envelope: Envelope | None
    digest: bytes
    injected: bool


class Logged(NamedTuple):
    """An event in the log of the service that owns it: what must be on its topic.

    Attributes:
        cause: where no command caused it, what did; empty otherwise.
    """

    event_id: str
    position: str
    digest: bytes
    cause: str


class Letter(NamedTuple):
    """A dead letter: who set which message aside."""

    consumer: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Topics:
    """All that was read from all topics.

    Attributes:
        generations: brokers in the order in which they followed each other; the last one is there now.
    """

    generations: Sequence[str]
    messages: Sequence[Message]
    letters: Sequence[Letter] = ()

    def events(self, generation: str | None = None) -> Iterable[tuple[Message, Envelope]]:
        """Valid events with where they stand, of one generation or of all."""
        for message in self.messages:
            if message.envelope is not None and generation in (None, message.spot.generation):
                yield message, message.envelope


@dataclass(frozen=True, slots=True)
class Money:
    """What revenue tells of its ledger.

    Attributes:
        entries: of the ledger, as `GET /ledger/entries` lists them.
        audits: a city each, as `GET /ledger/verify` answers.
    """

    entries: Sequence[Mapping[str, Any]]
    audits: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything but the history.

    Attributes:
        log: every event of every service, by id.
        consumers: topics that each service consumes.
        raw: everything that could be read by anybody, by where it stood.
        personal: text that stands in every personal text of its kind, and the kind.
    """

    topics: Topics
    log: Mapping[str, Logged]
    money: Money
    consumers: Mapping[str, frozenset[str]]
    raw: Mapping[str, Sequence[bytes]]
    personal: Mapping[str, str]
