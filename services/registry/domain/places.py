"""Communities, their stations, the shuttles there, and employers; and where a division code lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.registry.domain.occupancy import NONE_HELD, Occupancy
from shared.kernel.errors import Fault
from shared.kernel.geo import Place

Facility = Literal["child-care-room", "nursing-room", "shuttle-bus", "parental-leave"]
EmployerKind = Literal["enterprise", "public-institution", "social-organisation", "individual-business"]
SuspensionReason = Literal["contract-missing", "insurance-missing", "safety", "pay-arrears", "other"]


@dataclass(frozen=True, slots=True)
class Community:
    """A community of residents (社区): lends rooms, receives rebates."""

    id: str
    version: int
    city: str
    area: str
    name: str
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Station:
    """A station (驿站) in a community's idle room; city and area are the community's.

    Attributes:
        production_accepted: fire, blast and dust acceptance of the production zone (FACTS.md, Y, L).
        lock: rises with each write, also those without an event (a child-care place taken), so that the last place has
            one winner; 0 where a station was stored before there were child-care places.
        child_care_places: children that its child-care zone takes at a time; 0: none.
        child_care_held: places held by active placements, by the half hour.
    """

    id: str
    version: int
    city: str
    area: str
    community_id: str
    location: Place
    production_accepted: bool
    facilities: tuple[Facility, ...]
    name: str
    registered_at: datetime
    lock: int = 0
    child_care_places: int = 0
    child_care_held: Occupancy = NONE_HELD


@dataclass(frozen=True, slots=True)
class Shuttle:
    """A shuttle (妈妈班车) to and from a station, at the hours of the posts there (FACTS.md, L, Z).

    Attributes:
        lock: rises with each write, also those without an event (a seat taken), so that the last seat has one winner.
        seats: 0 where it no longer runs.
        seats_held: seats held by active placements, by the half hour of their work, which stands for the rides to it.
    """

    id: str
    version: int
    lock: int
    city: str
    station_id: str
    seats: int
    name: str
    registered_at: datetime
    seats_held: Occupancy = NONE_HELD


@dataclass(frozen=True, slots=True)
class Employer:
    """A screened partner of the programme.

    Attributes:
        suspended: why supervision stopped its posts, if it did.
    """

    id: str
    version: int
    city: str
    kind: EmployerKind
    name: str
    registered_at: datetime
    suspended: SuspensionReason | None = None
    suspended_at: datetime | None = None


def area_faults(city: str, area: str) -> list[Fault]:
    """A division code (GB/T 2260) begins with the code of what it lies in, less the trailing pairs of zeros.

    `370600` Yantai holds `370602…`; `110000` Beijing holds `1101…`; a county-level city such as `429004` holds itself.
    """
    prefix = city
    while prefix.endswith("00"):
        prefix = prefix[:-2]
    return [] if area.startswith(prefix) else [Fault("area", f"a division code that begins with {prefix}")]
