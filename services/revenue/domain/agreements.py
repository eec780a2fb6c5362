"""Agreements: who gives back how much of what, and from when until when. Signed, dated, never edited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

from shared.kernel.errors import Fault
from shared.kernel.money import RATE_BP_MAX, RATE_BP_MIN

Base = Literal["wages", "output"]
"""What the rate is taken of: the pay of a shift, or the value of its output to the employer."""

FIRST_DAY = date(2000, 1, 1)
LAST_DAY = date(2099, 12, 31)
"""Days that an agreement may name: the months of the contracts are those of this century."""


class Pair(NamedTuple):
    """The two sides of a rebate. Everything that is settled is settled per pair."""

    employer_id: str
    community_id: str

    @property
    def key(self) -> str:
        """One text for the pair; ids hold no colon."""
        return f"{self.employer_id}:{self.community_id}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """One signed version of what a pair agreed on.

    Attributes:
        version: ordinal within the pair, from 1; each version is a document of its own with its own id.
        valid_until: last valid day; `None` until further notice.
    """

    agreement_id: str
    version: int
    city: str
    pair: Pair
    base: Base
    rate_bp: int
    valid_from: date
    valid_until: date | None

    def covers(self, day: date) -> bool:
        return self.valid_from <= day <= (self.valid_until or date.max)

    def overlaps(self, other: Agreement) -> bool:
        """Whether some day falls under both."""
        return self.valid_from <= (other.valid_until or date.max) and other.valid_from <= (self.valid_until or date.max)

    def base_of(self, wage_fen: int, output_fen: int) -> int:
        """The amount that the rate is taken of, in fen."""
        return wage_fen if self.base == "wages" else output_fen


def faults_of_terms(rate_bp: int, valid_from: date, valid_until: date | None) -> list[Fault]:
    """What is wrong with the terms of an agreement; empty if nothing is."""
    faults: list[Fault] = []
    if not RATE_BP_MIN <= rate_bp <= RATE_BP_MAX:
        faults.append(Fault("rate_bp", f"{RATE_BP_MIN}..{RATE_BP_MAX} basis points (5 % to 15 %)"))
    if not FIRST_DAY <= valid_from <= LAST_DAY:
        faults.append(Fault("valid_from", f"a day from {FIRST_DAY} to {LAST_DAY}"))
    if valid_until is not None and not valid_from <= valid_until <= LAST_DAY:
        faults.append(Fault("valid_until", f"a day on or after valid_from and until {LAST_DAY}"))
    return faults


def overlapped(new: Agreement, standing: Iterable[Agreement]) -> Agreement | None:
    """The first standing version that shares a day with a new one."""
    return next((old for old in standing if old.overlaps(new)), None)


def dates_of(agreement: Agreement) -> str:
    """`2026-01-01 to 2026-12-31`, for messages."""
    return f"{agreement.valid_from} to {agreement.valid_until or 'further notice'}"


def agreement_on(day: date, city: str, versions: Sequence[Agreement]) -> Agreement | None:
    """The version that covers a day; at most one does. One of another city covers nothing."""
    return next((version for version in versions if version.city == city and version.covers(day)), None)
