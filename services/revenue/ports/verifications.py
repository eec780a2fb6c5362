"""What periodic verification needs of a store: who does a city, and what the last one found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.revenue.domain.audit import Audit


@dataclass(frozen=True, slots=True)
class Verification:
    """What the last verification of a city's ledger found.

    Attributes:
        verified_at: when it ended.
        findings: how many things were wrong.
    """

    city: str
    verified_at: datetime
    imbalance_fen_e4: int
    findings: int

    @classmethod
    def of(cls, audit: Audit, verified_at: datetime) -> Verification:
        """What of an audit is kept."""
        return cls(audit.city, verified_at, audit.imbalance_fen_e4, len(audit.findings))


class Verifications(Protocol):
    """The last verification of each city, shared by all instances; one of them does a city at a time."""

    async def claim(self, city: str, due: datetime) -> bool:
        """Take a city for a minute, unless another instance has it, or has verified it after `due`."""
        ...

    async def keep(self, city: str) -> None:
        """Keep what was claimed for a minute more."""
        ...

    async def done(self, found: Verification) -> None:
        """Note what was found, and let go of the city."""
        ...

    async def last(self) -> Sequence[Verification]:
        """Of each city that was ever verified the last one, by city."""
        ...
