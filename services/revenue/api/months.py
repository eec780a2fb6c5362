"""What the routes of settlements answer. Amounts are integers: `*_fen`, or `*_fen_e4` for fen × 10 000."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.revenue.domain.agreements import Pair
from services.revenue.domain.books import BookKey, BookTotals
from services.revenue.domain.settlements import Settlement
from services.revenue.ports import Progress
from services.revenue.use_cases.settle import Preview


class PreviewView(BaseModel):
    """A settlement that has not been made."""

    city: str
    employer_id: str
    community_id: str
    month: str
    entries: int
    late_entries: Annotated[int, Field(description="Lines of shifts that were worked in an earlier month.")]
    base_fen: int
    sum_fen_e4: int
    carry_in_fen_e4: int
    amount_fen: int
    carry_out_fen_e4: int
    waiting: Annotated[
        int, Field(description="Shifts until the end of the month that wait for an agreement; not in the sum.")
    ]


def preview_view(preview: Preview) -> PreviewView:
    return PreviewView(
        city=preview.city,
        employer_id=preview.pair.employer_id,
        community_id=preview.pair.community_id,
        month=preview.month,
        entries=preview.entries,
        late_entries=preview.late_entries,
        base_fen=preview.base_fen,
        sum_fen_e4=preview.sum_fen_e4,
        carry_in_fen_e4=preview.carry_in_fen_e4,
        amount_fen=preview.amount_fen,
        carry_out_fen_e4=preview.carry_out_fen_e4,
        waiting=preview.waiting,
    )


class ProgressView(BaseModel):
    """Where a settlement stands."""

    settlement_id: str
    state: Literal["settling", "settled", "reversed", "stopped"]
    entries: int
    read: Annotated[int, Field(description="Lines read so far.")]
    failure: Annotated[str | None, Field(description="Why it stopped; it goes on when the ledger verifies.")] = None


def progress_view(progress: Progress) -> ProgressView:
    return ProgressView(
        settlement_id=progress.order.settlement_id,
        state="settling" if progress.failure is None else "stopped",
        entries=progress.order.entries,
        read=progress.read,
        failure=progress.failure,
    )


def settled_view(settlement: Settlement) -> ProgressView:
    """A settlement that was entered."""
    return ProgressView(
        settlement_id=settlement.settlement_id,
        state="settled" if settlement.reversed_at is None else "reversed",
        entries=settlement.entries,
        read=settlement.entries,
    )


class KnownView(BaseModel):
    """Lines of shifts worked in one month."""

    entries: int
    base_fen: int
    sum_fen_e4: int


class PostedView(KnownView):
    """The same, by the month that they were posted into."""

    month: str


class MonthView(BaseModel):
    """The shifts worked in a month: what was posted into that month itself, and all that is posted by now."""

    employer_id: str
    community_id: str
    month: str
    as_known_then: KnownView
    as_known_now: KnownView
    late: Annotated[list[PostedView], Field(description="What came late, by the month it was posted into.")]


def month_view(pair: Pair, month: str, books: Mapping[BookKey, BookTotals]) -> MonthView:
    """Then and now; `books` are those of the month worked."""
    later = sorted({key.month for key in books if key.month != month})
    late = [PostedView(month=at, **_sums(t for key, t in books.items() if key.month == at)) for at in later]
    return MonthView(
        employer_id=pair.employer_id,
        community_id=pair.community_id,
        month=month,
        as_known_then=KnownView(**_sums(totals for key, totals in books.items() if key.month == month)),
        as_known_now=KnownView(**_sums(books.values())),
        late=late,
    )


def _sums(books: Iterable[BookTotals]) -> dict[str, int]:
    found = list(books)
    return {
        "entries": sum(totals.entries for totals in found),
        "base_fen": sum(totals.base_fen for totals in found),
        "sum_fen_e4": sum(totals.sum_fen_e4 for totals in found),
    }
