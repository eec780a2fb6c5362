"""A position in the stream of events: what a command answers, and what a reader can wait for."""

from __future__ import annotations

from typing import NamedTuple

from shared.contracts.fields import Event
from shared.contracts.topics import TOPICS


class Position(NamedTuple):
    """One version of one entity, on one topic. As text: `post-opened:pst-…:3`."""

    topic: str
    entity_id: str
    version: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.entity_id}:{self.version}"

    @classmethod
    def of(cls, event: Event) -> Position:
        return cls(event.topic, event.entity_id, event.entity_version)

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position in a text.

        Raises:
            ValueError: not of the form `topic:entity id:version` with a topic of the catalogue.
        """
        topic, _, rest = text.partition(":")
        entity_id, _, version = rest.partition(":")
        if topic not in TOPICS or not entity_id or not (version.isascii() and version.isdigit()) or len(text) > 150:
            raise ValueError("`topic:entity id:version`, as a command answers it in `position`")
        return cls(topic, entity_id, int(version))
