"""Communities, their stations, and employers; and where a division code lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
