"""What the use cases need of a store. Two implementations: MongoDB (`store`), and memory (the unit tests)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from services.registry.domain.people import Person, Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift, Stretch
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event

Entity = Community | Station | Shuttle | Employer | Seeker | Post | Placement | Shift


@dataclass(slots=True)
class Changes:
    """Everything that one command changes; saved as a whole.

    Attributes:
        added: new entities.
        replaced: `(as loaded, as it shall be)`; the save fails if the stored one is no longer as loaded.
        persons: personal data by seeker, replacing what was there.
        erased: seekers whose personal data becomes unreadable for ever.
        events: what happened, in order.
    """

    added: list[Entity] = field(default_factory=list)
    replaced: list[tuple[Entity, Entity]] = field(default_factory=list)
    persons: dict[str, Person] = field(default_factory=dict)
    erased: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Lookup(Protocol):
    """Entities by id; answers only what was found."""

    async def communities(self, ids: Collection[str]) -> Mapping[str, Community]: ...

    async def stations(self, ids: Collection[str]) -> Mapping[str, Station]: ...

    async def shuttles(self, ids: Collection[str]) -> Mapping[str, Shuttle]: ...

    async def employers(self, ids: Collection[str]) -> Mapping[str, Employer]: ...

    async def seekers(self, ids: Collection[str]) -> Mapping[str, Seeker]: ...

    async def posts(self, ids: Collection[str]) -> Mapping[str, Post]: ...

    async def placements(self, ids: Collection[str]) -> Mapping[str, Placement]: ...

    async def shifts(self, ids: Collection[str]) -> Mapping[str, Shift]: ...

    async def person(self, seeker_id: str) -> Person:
        """Her personal data.

        Raises:
            PersonErased: her key was destroyed.
        """
        ...


class RegistryStore(Lookup, Protocol):
    """The store inside one transaction."""

    async def hold_placements(self, ids: Collection[str]) -> Mapping[str, Placement]:
        """Placements by id, with their `lock` raised: of two transactions that hold the same one, one starts again."""

    async def placements_of_seeker(self, seeker_id: str, running_after: date) -> Sequence[Placement]:
        """Her placements that have not ended, or whose last day is after a day."""

    async def stretches(self, placement_ids: Collection[str], start: datetime, end: datetime) -> Sequence[Stretch]:
        """Shifts of placements that share a moment with a span of time."""

    async def last_shift_start(self, placement_id: str) -> datetime | None:
        """Start of the placement's latest shift."""

    async def save(self, changes: Changes, at: datetime) -> Sequence[Envelope]:
        """Save everything, with the events of the moment `at`; answers the events with their ids, in order.

        Raises:
            LostRace: an entity is no longer as it was loaded.
        """


class RegistryReader(Lookup, Protocol):
    """Lookups and lists for readers, outside transactions. Lists are by id: `after` is the last of the page before."""

    async def page_communities(self, city: str | None, after: str | None, limit: int) -> list[Community]: ...

    async def page_stations(
        self, city: str | None, community_id: str | None, after: str | None, limit: int
    ) -> list[Station]: ...

    async def page_shuttles(
        self, city: str | None, station_id: str | None, after: str | None, limit: int
    ) -> list[Shuttle]: ...

    async def page_employers(
        self, city: str | None, suspended: bool | None, after: str | None, limit: int
    ) -> list[Employer]: ...

    async def page_seekers(
        self, city: str | None, area: str | None, active: bool | None, after: str | None, limit: int
    ) -> list[Seeker]: ...

    async def page_posts(
        self,
        city: str | None,
        area: str | None,
        employer_id: str | None,
        is_open: bool | None,
        after: str | None,
        limit: int,
    ) -> list[Post]: ...

    async def page_placements(
        self,
        city: str | None,
        post_id: str | None,
        seeker_id: str | None,
        active: bool | None,
        after: str | None,
        limit: int,
    ) -> list[Placement]: ...

    async def page_shifts(
        self, month: str, city: str | None, placement_id: str | None, after: str | None, limit: int
    ) -> list[Shift]: ...
