"""Events of revenue as the demo's reader has them."""

from __future__ import annotations

from datetime import date

from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.revenue import FundSpent, GrantMade, PayoutConfirmed, PayoutsOrdered, SpendingDeclined
from shared.kernel.ids import new_id
from tests.events import NOW, YANTAI
from tests.unit.revenue.given import COMMUNITIES, EMPLOYERS

DAY = date(2026, 3, 2)
HASH = "0" * 64
SOURCE = new_id("source")


def _told(event: Event) -> Envelope:
    return Envelope(new_id("event"), NOW, event)


def spent(amount_fen: int, spending_id: str | None = None) -> Envelope:
    return _told(
        FundSpent(
            spending_id=spending_id or new_id("spending"),
            community_id=COMMUNITIES[0],
            city=YANTAI,
            category="lighting",
            amount_fen=amount_fen,
            receipt_hash=HASH,
            spent_at=NOW,
        )
    )


def declined(spending_id: str) -> Envelope:
    return _told(
        SpendingDeclined(
            spending_id=spending_id,
            community_id=COMMUNITIES[0],
            city=YANTAI,
            category="lighting",
            amount_fen=100,
            declined_at=NOW,
        )
    )


def granted(amount_fen: int, grant_id: str | None = None, employer_id: str | None = None) -> Envelope:
    return _told(
        GrantMade(
            grant_id=grant_id or new_id("grant"),
            source_id=SOURCE,
            kind="grant" if employer_id is None else "social-insurance-subsidy",
            community_id=COMMUNITIES[0],
            employer_id=employer_id,
            city=YANTAI,
            amount_fen=amount_fen,
            granted_on=DAY,
            granted_at=NOW,
        )
    )


def ordered(batch_id: str, amounts_fen: list[int], file_hash: str) -> Envelope:
    return _told(
        PayoutsOrdered(
            batch_id=batch_id,
            city=YANTAI,
            count=len(amounts_fen),
            amount_fen=sum(amounts_fen),
            file_hash=file_hash,
            ordered_at=NOW,
        )
    )


def confirmed(payout_id: str, amount_fen: int, *, paid: bool = True) -> Envelope:
    return _told(
        PayoutConfirmed(
            payout_id=payout_id,
            batch_id=new_id("batch"),
            employer_id=EMPLOYERS[0],
            community_id=COMMUNITIES[0],
            city=YANTAI,
            amount_fen=amount_fen,
            state="paid" if paid else "failed",
            booked_on=DAY,
            confirmed_at=NOW,
        )
    )
