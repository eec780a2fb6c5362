"""What periodic checks of the ledger need of a store: who does a city, and what the last check found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from services.revenue.domain.audit import Audit
from services.revenue.domain.reconciliation import Report


@dataclass(frozen=True, slots=True)
class Check:
    """The last check of a city.

    Attributes:
        checked_at: when it ended.
    """

    city: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Verification(Check):
    """What the last verification of a city's ledger found.

    Attributes:
        findings: how many things were wrong.
    """

    imbalance_fen_e4: int
    findings: int

    @classmethod
    def of(cls, audit: Audit, checked_at: datetime) -> Verification:
        """What of an audit is kept."""
        return cls(audit.city, checked_at, audit.imbalance_fen_e4, len(audit.findings))


@dataclass(frozen=True, slots=True)
class Differences(Check):
    """What the last reconciliation of a city found.

    Attributes:
        counts: differences by kind; kinds without any are absent.
    """

    counts: Mapping[str, int]

    @classmethod
    def of(cls, city: str, report: Report, checked_at: datetime) -> Differences:
        """What of a report is kept."""
        return cls(city, checked_at, dict(report.counts.items()))


C = TypeVar("C", bound=Check)


class Checks(Protocol[C]):
    """The last check of each city, shared by all instances; one of them does a city at a time."""

    async def claim(self, city: str, due: datetime) -> bool:
        """Take a city for a minute, unless another instance has it, or has checked it after `due`."""
        ...

    async def keep(self, city: str) -> None:
        """Keep what was claimed for a minute more."""
        ...

    async def done(self, found: C) -> None:
        """Note what was found, and let go of the city."""
        ...

    async def last(self) -> Sequence[C]:
        """Of each city that was ever checked the last one, by city."""
        ...
