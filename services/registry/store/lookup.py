"""Entities by id, inside a transaction or outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.registry.domain.people import Person, Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift
from services.registry.errors import PersonErased
from services.registry.store.documents import (
    BESIDE,
    COLLECTIONS,
    PERSONS,
    E,
    beside_of_bytes,
    entity_of,
    person_of_bytes,
)
from services.registry.vault import Sealed, Vault
from shared.kernel.errors import Fault
from shared.runtime.mongo import Database, Document, Session


class MongoLookup:
    """Implements `ports.Lookup`.

    Args:
        session: of the transaction to read in; `None` outside.
    """

    def __init__(self, db: Database, vault: Vault, session: Session | None) -> None:
        self._db = db
        self._vault = vault
        self._session = session

    async def _by_id(self, kind: type[E], ids: Collection[str]) -> dict[str, E]:
        if not ids:
            return {}
        found = self._db[COLLECTIONS[kind]].find({"_id": {"$in": list(ids)}}, session=self._session)
        return {held["_id"]: self._entity(kind, held) for held in await found.to_list(None)}

    def _entity(self, kind: type[E], held: Document) -> E:
        """The entity in a document, with what is sealed in it."""
        sealed = held.get(BESIDE)
        if sealed is not None:
            text = self._vault.open(held["seeker_id"], Sealed(sealed["wrapped_key"], sealed["ciphertext"]))
            held = {**held, **beside_of_bytes(text)}
        return entity_of(kind, held)

    async def communities(self, ids: Collection[str]) -> Mapping[str, Community]:
        return await self._by_id(Community, ids)

    async def stations(self, ids: Collection[str]) -> Mapping[str, Station]:
        return await self._by_id(Station, ids)

    async def shuttles(self, ids: Collection[str]) -> Mapping[str, Shuttle]:
        return await self._by_id(Shuttle, ids)

    async def employers(self, ids: Collection[str]) -> Mapping[str, Employer]:
        return await self._by_id(Employer, ids)

    async def seekers(self, ids: Collection[str]) -> Mapping[str, Seeker]:
        return await self._by_id(Seeker, ids)

    async def posts(self, ids: Collection[str]) -> Mapping[str, Post]:
        return await self._by_id(Post, ids)

    async def placements(self, ids: Collection[str]) -> Mapping[str, Placement]:
        return await self._by_id(Placement, ids)

    async def shifts(self, ids: Collection[str]) -> Mapping[str, Shift]:
        return await self._by_id(Shift, ids)

    async def person(self, seeker_id: str) -> Person:
        held = await self._db[PERSONS].find_one({"_id": seeker_id}, session=self._session)
        if held is None or "wrapped_key" not in held:
            raise PersonErased(Fault("seeker_id", "a seeker whose data was not erased"))
        return person_of_bytes(self._vault.open(seeker_id, Sealed(held["wrapped_key"], held["ciphertext"])))
