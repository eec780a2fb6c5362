"""What the use cases need of the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from services.matching.domain import Fact, RankedSeeker


class News(NamedTuple):
    """A fact and the moment of the change that it tells of (the event's `ce_time`)."""

    fact: Fact
    at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """The top of a post's ranking as it was last published."""

    post_id: str
    city: str
    sequence: int
    top: tuple[RankedSeeker, ...]


class FactStore(Protocol):
    """The facts that are known, each in its newest version."""

    async def prepare(self) -> None:
        """Make what must exist before the first use; may be repeated."""

    async def load(self) -> list[News]:
        """All of them."""

    async def save(self, news: Sequence[News]) -> None:
        """Keep those that are newer than what is kept, all in one transaction; each entity at most once."""


class RankingOutbox(Protocol):
    """Where changed rankings are published from."""

    async def prepare(self) -> None:
        """Make what must exist before the first use; may be repeated."""

    async def last_published(self) -> Mapping[str, Published]:
        """What was published last, by post."""

    async def publish(self, changes: Sequence[Published], as_of: datetime) -> None:
        """Publish tops, each with the sequence after its last one, and note them, in one transaction.

        Raises:
            PublishedElsewhereError: a sequence is not the next one; nothing was published.
        """
