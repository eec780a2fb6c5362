"""Pages of lists, outside transactions."""

from __future__ import annotations

from services.registry.domain.people import Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.places import Community, Employer, Shuttle, Station
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift
from services.registry.store.documents import COLLECTIONS, E
from services.registry.store.lookup import MongoLookup
from services.registry.vault import Vault
from shared.runtime.mongo import Database, Document


class MongoReader(MongoLookup):
    """Implements `ports.RegistryReader`.

    Lists are by id; what is written meanwhile with a smaller id is not on the later pages.
    """

    def __init__(self, db: Database, vault: Vault) -> None:
        super().__init__(db, vault, session=None)

    async def _page(self, kind: type[E], wanted: Document, after: str | None, limit: int) -> list[E]:
        query = {name: value for name, value in wanted.items() if value is not None}
        if after is not None:
            query["_id"] = {"$gt": after}
        found = self._db[COLLECTIONS[kind]].find(query).sort("_id", 1).limit(limit)
        return [self._entity(kind, held) for held in await found.to_list(limit)]

    async def page_communities(self, city: str | None, after: str | None, limit: int) -> list[Community]:
        return await self._page(Community, {"city": city}, after, limit)

    async def page_stations(
        self, city: str | None, community_id: str | None, after: str | None, limit: int
    ) -> list[Station]:
        return await self._page(Station, {"city": city, "community_id": community_id}, after, limit)

    async def page_shuttles(
        self, city: str | None, station_id: str | None, after: str | None, limit: int
    ) -> list[Shuttle]:
        return await self._page(Shuttle, {"city": city, "station_id": station_id}, after, limit)

    async def page_employers(
        self, city: str | None, suspended: bool | None, after: str | None, limit: int
    ) -> list[Employer]:
        return await self._page(Employer, {"city": city, "suspended": _given(suspended)}, after, limit)

    async def page_seekers(
        self, city: str | None, area: str | None, active: bool | None, after: str | None, limit: int
    ) -> list[Seeker]:
        return await self._page(Seeker, {"city": city, "area": area, "withdrawn": _absent(active)}, after, limit)

    async def page_posts(
        self,
        city: str | None,
        area: str | None,
        employer_id: str | None,
        is_open: bool | None,
        after: str | None,
        limit: int,
    ) -> list[Post]:
        wanted = {"city": city, "area": area, "employer_id": employer_id, "closed": _absent(is_open)}
        return await self._page(Post, wanted, after, limit)

    async def page_placements(
        self,
        city: str | None,
        post_id: str | None,
        seeker_id: str | None,
        active: bool | None,
        after: str | None,
        limit: int,
    ) -> list[Placement]:
        wanted = {"city": city, "post_id": post_id, "seeker_id": seeker_id, "active": active}
        return await self._page(Placement, wanted, after, limit)

    async def page_shifts(
        self, month: str, city: str | None, placement_id: str | None, after: str | None, limit: int
    ) -> list[Shift]:
        return await self._page(Shift, {"month": month, "city": city, "placement_id": placement_id}, after, limit)


def _given(state: bool | None) -> Document | None:
    return None if state is None else {"$exists": state}


def _absent(state: bool | None) -> Document | None:
    return None if state is None else {"$exists": not state}
