"""The registry's store in memory: the same port, nothing of a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TypeVar

from services.registry.domain.people import Person, Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift, Stretch
from services.registry.errors import LostRace, PersonErased
from services.registry.ports import Changes, Entity
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.ids import new_id

K = TypeVar("K", Community, Station, Shuttle, Employer, Seeker, Post, Placement, Shift)


class MemoryStore:
    """Implements `RegistryStore`; keeps all events in order."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.persons: dict[str, Person] = {}
        self.events: list[Event] = []

    def one(self, kind: type[K], entity_id: str) -> K:
        """The entity as it is now."""
        entity = self.entities[entity_id]
        assert isinstance(entity, kind)
        return entity

    def _by_id(self, kind: type[K], ids: Collection[str]) -> Mapping[str, K]:
        return {entity_id: entity for entity_id in ids if isinstance(entity := self.entities.get(entity_id), kind)}

    async def communities(self, ids: Collection[str]) -> Mapping[str, Community]:
        return self._by_id(Community, ids)

    async def stations(self, ids: Collection[str]) -> Mapping[str, Station]:
        return self._by_id(Station, ids)

    async def shuttles(self, ids: Collection[str]) -> Mapping[str, Shuttle]:
        return self._by_id(Shuttle, ids)

    async def employers(self, ids: Collection[str]) -> Mapping[str, Employer]:
        return self._by_id(Employer, ids)

    async def seekers(self, ids: Collection[str]) -> Mapping[str, Seeker]:
        return self._by_id(Seeker, ids)

    async def posts(self, ids: Collection[str]) -> Mapping[str, Post]:
        return self._by_id(Post, ids)

    async def placements(self, ids: Collection[str]) -> Mapping[str, Placement]:
        return self._by_id(Placement, ids)

    async def shifts(self, ids: Collection[str]) -> Mapping[str, Shift]:
        return self._by_id(Shift, ids)

    async def person(self, seeker_id: str) -> Person:
        if seeker_id not in self.persons:
            raise PersonErased
        return self.persons[seeker_id]

    async def hold_placements(self, ids: Collection[str]) -> Mapping[str, Placement]:
        for held in self._by_id(Placement, ids).values():
            self.entities[held.id] = replace(held, lock=held.lock + 1)
        return await self.placements(ids)

    async def placements_of_seeker(self, seeker_id: str, running_after: date) -> Sequence[Placement]:
        return [
            entity
            for entity in self.entities.values()
            if isinstance(entity, Placement)
            and entity.seeker_id == seeker_id
            and (entity.ended is None or (entity.ends_on is not None and entity.ends_on > running_after))
        ]

    async def stretches(self, placement_ids: Collection[str], start: datetime, end: datetime) -> Sequence[Stretch]:
        return [
            Stretch(entity.id, entity.placement_id, entity.started_at, entity.ended_at)
            for entity in self.entities.values()
            if isinstance(entity, Shift)
            and entity.placement_id in placement_ids
            and entity.started_at < end
            and start < entity.ended_at
        ]

    async def last_shift_start(self, placement_id: str) -> datetime | None:
        starts = [
            entity.started_at
            for entity in self.entities.values()
            if isinstance(entity, Shift) and entity.placement_id == placement_id
        ]
        return max(starts, default=None)

    async def save(self, changes: Changes, at: datetime) -> Sequence[Envelope]:
        for was, becomes in changes.replaced:
            if self.entities.get(was.id) != was:
                raise LostRace
            self.entities[becomes.id] = becomes
        for entity in changes.added:
            assert entity.id not in self.entities
            self.entities[entity.id] = entity
        self.persons.update(changes.persons)
        for seeker_id in changes.erased:
            del self.persons[seeker_id]
        self.events.extend(changes.events)
        return [Envelope(new_id("event"), at, event) for event in changes.events]
