"""A small city for tests: valid commands, with what matters to a test given by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import pytest

from services.registry.errors import RegistryError
from services.registry.use_cases import placements, places, posts, seekers, shifts, shuttles
from services.registry.use_cases.commands import (
    MakePlacement,
    OpenPost,
    RecordShift,
    RegisterCommunity,
    RegisterEmployer,
    RegisterSeeker,
    RegisterShuttle,
    RegisterStation,
)
from services.registry.use_cases.rows import only
from shared.contracts.envelope import Envelope
from shared.kernel.ids import new_id
from tests.unit.registry.memory import MemoryStore

YANTAI = "370600"
NOW = datetime(2026, 3, 9, 2, 0, tzinfo=UTC)
"""A Monday, ten in the morning in China."""

TODAY = date(2026, 3, 9)
MORNINGS = [{"day": day, "from": "08:30", "to": "11:30"} for day in range(1, 6)]
AFTERNOONS = [{"day": day, "from": "13:00", "to": "16:00"} for day in range(1, 6)]
E = TypeVar("E", bound=RegistryError)


def seeker_body(**given: Any) -> dict[str, Any]:
    """A woman of 35 with a child of five; `person` is merged."""
    person = {
        "name": "王芳",
        "phone": "138 0000 0000",
        "birth_date": "1990-06-01",
        "address": "芝罘区东关街 12 号",
        "children": [{"birth_date": "2020-09-10"}],
        **given.pop("person", {}),
    }
    return {
        "city": YANTAI,
        "area": "370602",
        "home": {"lat": 37.53271, "lon": 121.39164},
        "commute_km": 8,
        "free": MORNINGS,
        "skills": ["knitting"],
        "kinds": ["elastic", "mobile"],
        "pay_floor_fen": 1500,
        "person": person,
        **given,
    }


def post_body(employer_id: str, **given: Any) -> dict[str, Any]:
    """Packing on weekday mornings, paid by the hour, with a location of its own."""
    return {
        "employer_id": employer_id,
        "area": "370602",
        "kind": "elastic",
        "trade": "food-packing",
        "location": {"lat": 37.53, "lon": 121.4},
        "hours": MORNINGS,
        "min_minutes": 300,
        "pay": {"per": "hour", "fen": 1800},
        "seats": 2,
        **given,
    }


def shift_body(placement_id: str, day: date = TODAY - timedelta(days=1), **given: Any) -> dict[str, Any]:
    """Three hours on a civil morning."""
    return {
        "placement_id": placement_id,
        "started_at": f"{day}T08:30:00+08:00",
        "ended_at": f"{day}T11:30:00+08:00",
        "verdict": "attended",
        **given,
    }


class City:
    """One city in a memory store, with an employer, a community and an accepted station."""

    def __init__(self, store: MemoryStore, employer_id: str, community_id: str, station_id: str) -> None:
        self.store = store
        self.employer_id = employer_id
        self.community_id = community_id
        self.station_id = station_id

    @classmethod
    async def founded(cls) -> City:
        store = MemoryStore()
        community = await places.register_community(
            RegisterCommunity(city=YANTAI, area="370602001", name="东关社区"), store=store, now=NOW, new_id=new_id
        )
        community_id = community.event.entity_id
        station = await places.register_station(
            RegisterStation.model_validate(
                {
                    "community_id": community_id,
                    "location": {"lat": 37.54, "lon": 121.38},
                    "production_accepted": True,
                    "facilities": ["child-care-room"],
                    "name": "东关驿站",
                }
            ),
            store=store,
            now=NOW,
            new_id=new_id,
        )
        employer = await places.register_employer(
            RegisterEmployer(city=YANTAI, kind="enterprise", name="海味食品"), store=store, now=NOW, new_id=new_id
        )
        return cls(store, employer.event.entity_id, community_id, station.event.entity_id)

    async def seeker(self, now: datetime = NOW, **given: Any) -> str:
        command = RegisterSeeker.model_validate(seeker_body(**given))
        return _id(await seekers.register_seekers([command], store=self.store, now=now, new_id=new_id))

    async def station(self, child_care_places: int, community_id: str | None = None) -> str:
        command = RegisterStation.model_validate(
            {
                "community_id": community_id or self.community_id,
                "location": {"lat": 37.55, "lon": 121.37},
                "production_accepted": True,
                "child_care_places": child_care_places,
                "name": "西关驿站",
            }
        )
        return (await places.register_station(command, store=self.store, now=NOW, new_id=new_id)).event.entity_id

    async def shuttle(self, station_id: str, seats: int = 2) -> str:
        command = RegisterShuttle(station_id=station_id, seats=seats, name="开发区线")
        return (await shuttles.register_shuttle(command, store=self.store, now=NOW, new_id=new_id)).event.entity_id

    async def post(self, now: datetime = NOW, **given: Any) -> str:
        command = OpenPost.model_validate(post_body(given.pop("employer_id", self.employer_id), **given))
        return _id(await posts.open_posts([command], store=self.store, now=now, new_id=new_id))

    async def place(
        self,
        post_id: str,
        seeker_id: str,
        starts_on: date = TODAY - timedelta(days=30),
        now: datetime = NOW,
        **given: Any,
    ) -> str:
        command = MakePlacement.model_validate(
            {"post_id": post_id, "seeker_id": seeker_id, "starts_on": str(starts_on), **given}
        )
        envelope = await placements.make_placement(command, store=self.store, now=now, new_id=new_id)
        return envelope.event.entity_id

    async def shift(self, placement_id: str, **given: Any) -> str:
        command = RecordShift.model_validate(shift_body(placement_id, **given))
        return _id(await shifts.record_shifts([command], store=self.store, now=NOW, new_id=new_id))


def _id(outcomes: Sequence[Envelope | RegistryError]) -> str:
    return only(outcomes).event.entity_id


class Refused:
    """`with Refused(ChildTooOld, "person.children.0.birth_date"):` the block is refused for these fields."""

    def __init__(self, error: type[RegistryError], *fields: str) -> None:
        self._raises = pytest.raises(error)
        self._error = error
        self._fields = fields

    def __enter__(self) -> None:
        self._caught = self._raises.__enter__()

    def __exit__(self, *info: Any) -> bool | None:
        outcome = self._raises.__exit__(*info)
        assert type(self._caught.value) is self._error
        assert [fault.field for fault in self._caught.value.faults] == list(self._fields)
        return outcome
