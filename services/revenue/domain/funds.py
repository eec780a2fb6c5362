"""A community's fund: settlements come in, spendings for earmarked purposes go out.

One person requests a spending, with its receipt; another one approves it. Only then does money leave the fund.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args

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

RECEIPT_MAX_BYTES = 2 * 1024 * 1024
"""Size of a receipt: several pages scanned in colour; far below the 16 MB of the document that it is kept in."""

MEDIA_TYPES = {b"%PDF-": "application/pdf", b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""What a receipt may be, by the bytes that it begins with; what a client says of it is not asked."""


@dataclass(frozen=True, slots=True)
class Fund:
    """What came in by settlements and by grants, and what was spent, in fen. Negative income is a month that
    corrections turned."""

    community_id: str
    city: str
    income_fen: int = 0
    spent_fen: int = 0
    granted_fen: int = 0

    @property
    def balance_fen(self) -> int:
        return self.income_fen + self.granted_fen - self.spent_fen


@dataclass(frozen=True, slots=True)
class Receipt:
    """The file of a receipt. It may name persons, so it is shown to few and published nowhere; its hash is open."""

    content: bytes

    @property
    def receipt_hash(self) -> str:
        """SHA-256 of the file, hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def media_type(self) -> str | None:
        """By what it begins with; `None` if it is none that a receipt may be."""
        return next((kind for begin, kind in MEDIA_TYPES.items() if self.content.startswith(begin)), None)

    def faults(self) -> list[Fault]:
        """What is wrong with the file; empty if nothing is."""
        if len(self.content) > RECEIPT_MAX_BYTES:
            return [Fault("receipt", f"a file of at most {RECEIPT_MAX_BYTES} bytes")]
        return [] if self.media_type else [Fault("receipt", "a PDF, PNG or JPEG file, in base64")]


REASON_MAX = 200
"""Characters of the reason of a refusal or a reversal: a line for those who ask later."""


class Declined(NamedTuple):
    """Why a request is not paid.

    Attributes:
        by: holder of the token; whoever requested it may take it back so.
        reason: for people; never published on a topic, since it is free text.
    """

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class SpendingRequest:
    """What somebody wants a fund to pay for.

    Attributes:
        purpose: for people, e.g. "six LED lights"; never published on a topic, since it is free text.
        requested_by: holder of the token; another one must approve.
        is_approved: the money has left the fund.
        declined: by whom, when and why it was not approved; `None` while it may still be.
    """

    spending_id: str
    city: str
    community_id: str
    category: str
    amount_fen: int
    purpose: str
    receipt_hash: str
    requested_by: str
    requested_at: datetime
    is_approved: bool = False
    declined: Declined | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """Something that a fund paid for: an approved request, with the same id."""

    request: SpendingRequest
    approved_by: str
    spent_at: datetime


def faults_of_request(category: str, amount_fen: int, purpose: str, receipt: Receipt) -> list[Fault]:
    """What is wrong with a request as such; empty if nothing is."""
    faults: list[Fault] = []
    if category not in CATEGORIES:
        faults.append(Fault("category", f"an earmarked purpose: {', '.join(CATEGORIES)}"))
    if not 1 <= amount_fen <= FEN_MAX:
        faults.append(Fault("amount_fen", f"1..{FEN_MAX} fen"))
    if not 1 <= len(purpose.strip()) <= PURPOSE_MAX:
        faults.append(Fault("purpose", f"1 to {PURPOSE_MAX} characters"))
    return [*faults, *receipt.faults()]


def spending_entry(spending: Spending) -> Entry:
    """The ledger entry of a spending; it vouches for the receipt."""
    request = spending.request
    return Entry(
        entry_id=entry_id_of("spending", request.spending_id),
        city=request.city,
        kind="spending",
        posted_at=spending.spent_at,
        month=month_of(civil_day(spending.spent_at)),
        employer_id=None,
        community_id=request.community_id,
        amount_fen_e4=request.amount_fen * E4,
        cause=request.spending_id,
        legs=spending_postings(request.community_id, request.category, request.amount_fen),
        document_hash=request.receipt_hash,
    )
