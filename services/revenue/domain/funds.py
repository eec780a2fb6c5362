"""A community's fund: settlements come in, spendings for earmarked purposes go out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from services.revenue.domain.ledger import Entry, entry_id_of, spending_postings
from shared.kernel.clock import civil_day, month_of
from shared.kernel.errors import Fault
from shared.kernel.money import E4, FEN_MAX

Category = Literal["clinic", "child-care-lecture", "home-visit", "lighting", "painting", "activity"]
"""What a fund may pay for: clinics, child-care lectures, visits to mothers in need, lighting and painting the square,
activities for women and children of the community (FACTS.md, Money, source Y)."""

CATEGORIES: tuple[str, ...] = get_args(Category)

PURPOSE_MAX = 200
"""Characters of a purpose: a line on a public page."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Fund:
    """What came in by settlements and what was spent, in fen. Negative income is a month that corrections turned."""

    community_id: str
    city: str
    income_fen: int = 0
    spent_fen: int = 0

    @property
    def balance_fen(self) -> int:
        return self.income_fen - self.spent_fen


@dataclass(frozen=True, slots=True)
class Spending:
    """Something that a fund paid for.

    Attributes:
        purpose: for people, e.g. "six LED lights"; never published on a topic, since it is free text.
        receipt_hash: SHA-256 of the receipt's file.
    """

    spending_id: str
    city: str
    community_id: str
    category: str
    amount_fen: int
    purpose: str
    receipt_hash: str
    spent_at: datetime


def faults_of_spending(category: str, amount_fen: int, purpose: str, receipt_hash: str) -> list[Fault]:
    """What is wrong with a spending as such; empty if nothing is."""
    faults: list[Fault] = []
    if category not in CATEGORIES:
        faults.append(Fault("category", f"an earmarked purpose: {', '.join(CATEGORIES)}"))
    if not 1 <= amount_fen <= FEN_MAX:
        faults.append(Fault("amount_fen", f"1..{FEN_MAX} fen"))
    if not 1 <= len(purpose.strip()) <= PURPOSE_MAX:
        faults.append(Fault("purpose", f"1 to {PURPOSE_MAX} characters"))
    if not _SHA256.fullmatch(receipt_hash):
        faults.append(Fault("receipt_hash", "SHA-256 of the receipt's file, 64 lower-case hexadecimal digits"))
    return faults


def spending_entry(spending: Spending) -> Entry:
    """The ledger entry of a spending; it vouches for the receipt."""
    return Entry(
        entry_id=entry_id_of("spending", spending.spending_id),
        city=spending.city,
        kind="spending",
        posted_at=spending.spent_at,
        month=month_of(civil_day(spending.spent_at)),
        employer_id=None,
        community_id=spending.community_id,
        amount_fen_e4=spending.amount_fen * E4,
        cause=spending.spending_id,
        postings=spending_postings(spending.community_id, spending.category, spending.amount_fen),
        document_hash=spending.receipt_hash,
    )
