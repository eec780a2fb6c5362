"""Subsidies and grants: money from further sources, each dated and limited, with accounts of their own.

A source gives from one day to another and no more than its limit. A social-insurance subsidy goes to an employer for
its posts at a community; a donation or a grant goes into a community's fund, and is spent as all of it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

from services.revenue.domain.agreements import FIRST_DAY, LAST_DAY
from services.revenue.domain.ledger import Entry, EntryKind, entry_id_of, grant_postings, subsidy_postings
from shared.kernel.clock import month_of
from shared.kernel.errors import Fault
from shared.kernel.money import E4, FEN_MAX

SourceKind = Literal["social-insurance-subsidy", "donation", "grant"]
"""What money beside rebates may be (FACTS.md, Money, source N)."""

SOURCE_KINDS: tuple[str, ...] = get_args(SourceKind)


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who gives.

    Attributes:
        giver: name of an office or organisation, never of a person.
        limit_fen: most that it gives in all; `given_fen` is what it has given.
        valid_until: last day.
    """

    source_id: str
    city: str
    kind: SourceKind
    giver: str
    limit_fen: int
    valid_from: date
    valid_until: date
    given_fen: int = 0

    @property
    def left_fen(self) -> int:
        return self.limit_fen - self.given_fen


@dataclass(frozen=True, slots=True)
class Grant:
    """An amount that a source gave on a day.

    Attributes:
        employer_id: of a subsidy; absent where the community's fund receives it.
    """

    grant_id: str
    source_id: str
    city: str
    kind: SourceKind
    community_id: str
    employer_id: str | None
    amount_fen: int
    granted_on: date
    granted_at: datetime


def faults_of_source(giver: str, limit_fen: int, valid_from: date, valid_until: date) -> list[Fault]:
    """What is wrong with a source; empty if nothing is."""
    faults: list[Fault] = []
    if not giver.strip():
        faults.append(Fault("giver", "the name of an office or organisation"))
    if not 1 <= limit_fen <= FEN_MAX:
        faults.append(Fault("limit_fen", f"1..{FEN_MAX} fen"))
    if not FIRST_DAY <= valid_from <= LAST_DAY:
        faults.append(Fault("valid_from", f"a day from {FIRST_DAY} to {LAST_DAY}"))
    if not valid_from <= valid_until <= LAST_DAY:
        faults.append(Fault("valid_until", f"a day on or after valid_from and until {LAST_DAY}"))
    return faults


def faults_of_grant(
    source: Source, employer_id: str | None, amount_fen: int, granted_on: date, today: date
) -> Sequence[Fault]:
    """What is wrong with a grant as such; empty if nothing is."""
    faults: list[Fault] = []
    if not 1 <= amount_fen <= FEN_MAX:
        faults.append(Fault("amount_fen", f"1..{FEN_MAX} fen"))
    if not source.valid_from <= granted_on <= min(source.valid_until, today):
        faults.append(Fault("granted_on", f"a day from {source.valid_from} to {min(source.valid_until, today)}"))
    if (source.kind == "social-insurance-subsidy") != (employer_id is not None):
        expected = (
            "the employer that it is for" if employer_id is None else f"absent: a {source.kind} is for the community"
        )
        faults.append(Fault("employer_id", expected))
    return faults


def grant_entry(grant: Grant) -> Entry:
    """The ledger entry of a grant: out of the source's account, into the fund or the employer's subsidy."""
    kind: EntryKind = "grant" if grant.employer_id is None else "subsidy"
    return Entry(
        entry_id=entry_id_of(kind, grant.grant_id),
        city=grant.city,
        kind=kind,
        posted_at=grant.granted_at,
        month=month_of(grant.granted_on),
        employer_id=grant.employer_id,
        community_id=grant.community_id,
        amount_fen_e4=grant.amount_fen * E4,
        cause=grant.grant_id,
        legs=grant_postings(grant.source_id, grant.community_id, grant.amount_fen)
        if grant.employer_id is None
        else subsidy_postings(grant.source_id, grant.employer_id, grant.community_id, grant.amount_fen),
    )
