"""The store inside one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from pymongo import ReplaceOne, ReturnDocument

from services.registry.domain.placements import Placement
from services.registry.domain.shifts import SHIFT_MAX, Shift, Stretch
from services.registry.errors import LostRace
from services.registry.ports import Changes, Entity
from services.registry.store.documents import (
    BESIDE,
    COLLECTIONS,
    PERSONS,
    as_loaded,
    bytes_of_beside,
    bytes_of_person,
    document_of,
)
from services.registry.store.lookup import MongoLookup
from services.registry.vault import Vault
from shared.contracts.envelope import Envelope
from shared.messaging.events import EventLog
from shared.runtime.mongo import Database, Document, Session


class MongoStore(MongoLookup):
    """Implements `ports.RegistryStore` on one session; made anew for each attempt of a transaction."""

    def __init__(self, db: Database, vault: Vault, events: EventLog, session: Session) -> None:
        super().__init__(db, vault, session)
        self._events = events
        self._transaction = session

    async def hold_placements(self, ids: Collection[str]) -> Mapping[str, Placement]:
        held, raised = self._db[COLLECTIONS[Placement]], {"$inc": {"lock": 1}}
        if len(ids) == 1:  # a single shift, the most frequent command: one round trip
            [one] = ids
            found: Document | None = await held.find_one_and_update(
                {"_id": one}, raised, return_document=ReturnDocument.AFTER, session=self._session
            )
            return {} if found is None else {one: self._entity(Placement, found)}
        await held.update_many({"_id": {"$in": list(ids)}}, raised, session=self._session)
        return await self.placements(ids)

    async def placements_of_seeker(self, seeker_id: str, running_after: date) -> Sequence[Placement]:
        query = {
            "seeker_id": seeker_id,
            "$or": [{"active": True}, {"ends_on": {"$gt": running_after.isoformat()}}],
        }
        found = self._db[COLLECTIONS[Placement]].find(query, session=self._session)
        return [self._entity(Placement, held) for held in await found.to_list(None)]

    async def stretches(self, placement_ids: Collection[str], start: datetime, end: datetime) -> Sequence[Stretch]:
        # The lower bound of the start lets the index stop: no shift is longer than SHIFT_MAX.
        query = {
            "placement_id": {"$in": list(placement_ids)},
            "started_at": {"$gt": start - SHIFT_MAX, "$lt": end},
            "ended_at": {"$gt": start},
        }
        shown = {"placement_id": 1, "started_at": 1, "ended_at": 1}
        found = self._db[COLLECTIONS[Shift]].find(query, shown, session=self._session)
        return [
            Stretch(held["_id"], held["placement_id"], held["started_at"], held["ended_at"])
            for held in await found.to_list(None)
        ]

    async def last_shift_start(self, placement_id: str) -> datetime | None:
        held = await self._db[COLLECTIONS[Shift]].find_one(
            {"placement_id": placement_id}, {"started_at": 1}, sort=[("started_at", -1)], session=self._session
        )
        return None if held is None else held["started_at"]

    async def save(self, changes: Changes, at: datetime) -> Sequence[Envelope]:
        await self._add(changes)
        await self._replace(changes)
        await self._seal(changes, at)
        return await self._events.append(self._transaction, changes.events, at)

    def _document(self, entity: Entity) -> Document:
        """An entity as a document; what a placement holds for her child is sealed."""
        held = document_of(entity)
        if isinstance(entity, Placement) and entity.ended is None:
            sealed = self._vault.seal(entity.seeker_id, bytes_of_beside(entity))
            held[BESIDE] = {"wrapped_key": sealed.wrapped_key, "ciphertext": sealed.ciphertext}
        return held

    async def _add(self, changes: Changes) -> None:
        added: defaultdict[str, list[Document]] = defaultdict(list)
        for entity in changes.added:
            added[COLLECTIONS[type(entity)]].append(self._document(entity))
        for collection, documents in added.items():
            await self._db[collection].insert_many(documents, session=self._session)

    async def _replace(self, changes: Changes) -> None:
        replaced: defaultdict[str, list[ReplaceOne[Document]]] = defaultdict(list)
        for was, becomes in changes.replaced:
            replaced[COLLECTIONS[type(becomes)]].append(ReplaceOne(as_loaded(was), self._document(becomes)))
        for collection, writes in replaced.items():
            result = await self._db[collection].bulk_write(writes, session=self._session)
            if result.matched_count != len(writes):
                raise LostRace

    async def _seal(self, changes: Changes, at: datetime) -> None:
        writes: list[ReplaceOne[Document]] = []
        for seeker_id, person in changes.persons.items():
            sealed = self._vault.seal(seeker_id, bytes_of_person(person))
            held = {"wrapped_key": sealed.wrapped_key, "ciphertext": sealed.ciphertext, "sealed_at": at}
            writes.append(ReplaceOne({"_id": seeker_id}, held, upsert=True))
        # Key and ciphertext go together; that the key goes is what makes older copies of the ciphertext unreadable.
        writes.extend(ReplaceOne({"_id": seeker_id}, {"erased_at": at}, upsert=True) for seeker_id in changes.erased)
        if writes:
            await self._db[PERSONS].bulk_write(writes, ordered=False, session=self._session)
