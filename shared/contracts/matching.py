"""Events of matching: rankings."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.fields import OPEN, City, Event, Instant, OpenId, Payload, PseudonymId, Version

Score = Annotated[int, Field(ge=0, le=10**9), OPEN]


class Parts(Payload):
    """A score by its parts, each already times its weight; the score is their sum (DESIGN.md §5)."""

    time_fit: Score
    distance: Score
    skills: Score
    pay: Score
    facilities: Score
    reliability: Score
    waiting: Score


class Ranked(Payload):
    """One place in a ranking."""

    seeker_id: PseudonymId
    score: Score
    parts: Parts


class RankingChanged(Event):
    """The ten best seekers of a post changed; coalesced, so that only the latest matters."""

    source: ClassVar[str] = "matching"
    topic: ClassVar[str] = "ranking-changed"
    entity: ClassVar[str] = "post_id"
    order: ClassVar[str] = "sequence"

    post_id: OpenId
    sequence: Version
    city: City
    as_of: Instant
    top: Annotated[tuple[Ranked, ...], Field(max_length=10)]
