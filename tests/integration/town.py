"""A town for the tests of revenue: an employer, a community, and the shifts that one has worked at the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.revenue.store import at_one_moment
from services.revenue.use_cases.verify import verify_ledger
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.registry import CommunityRegistered, EmployerRegistered, ShiftCompleted
from shared.kernel.ids import new_id
from shared.runtime.mongo import Mongo
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.serving import Client

NOW = datetime(2026, 5, 4, 1, 0, tzinfo=UTC)
WORKED = datetime(2026, 3, 9, 0, 30, tzinfo=UTC)


class Town:
    """An employer and a community, and the shifts that one works at the other."""

    def __init__(self) -> None:
        self.employer_id = new_id("employer")
        self.community_id = new_id("community")

    def parties(self) -> list[Event]:
        return [
            EmployerRegistered(
                employer_id=self.employer_id, version=1, city=YANTAI, kind="enterprise", registered_at=NOW
            ),
            CommunityRegistered(
                community_id=self.community_id, version=1, city=YANTAI, area="370602", registered_at=NOW
            ),
        ]

    def shift(self, **given: Any) -> ShiftCompleted:
        """Four hours for 60 yuan on 9 March."""
        return ShiftCompleted.model_validate(
            {
                "shift_id": new_id("shift"),
                "revision": 1,
                "placement_id": new_id("placement"),
                "post_id": new_id("post"),
                "seeker_id": new_id("seeker"),
                "employer_id": self.employer_id,
                "community_id": self.community_id,
                "city": YANTAI,
                "started_at": WORKED,
                "ended_at": WORKED + timedelta(hours=4),
                "minutes": 240,
                "wage_fen": 6_000,
                "base_fen": 15_000,
                "verdict": "attended",
                **given,
            }
        )

    def terms(self, **given: Any) -> dict[str, Any]:
        """8 % of wages from 2026 on."""
        return {
            "employer_id": self.employer_id,
            "community_id": self.community_id,
            "base": "wages",
            "rate_bp": 800,
            "valid_from": "2026-01-01",
            "signatories": {"federation": "Yantai Women's Federation", "employer": "E", "community": "C"},
            **given,
        }

    def month(self, month: str) -> dict[str, str]:
        return {"employer_id": self.employer_id, "community_id": self.community_id, "month": month}


def envelopes(events: Sequence[Event]) -> list[Envelope]:
    return [Envelope(new_id("event"), NOW, event) for event in events]


async def settle(revenue: Client, body: dict[str, Any]) -> str:
    """Order a settlement and wait for it."""
    settlement_id = str((await revenue.accepted("/settlements", body))["id"])
    await eventually(lambda: is_settled(revenue, settlement_id), "the settlement is entered")
    return settlement_id


async def is_settled(revenue: Client, settlement_id: str) -> bool:
    return bool((await revenue.get(f"/settlements/{settlement_id}/progress"))["state"] == "settled")


async def healthy(mongo: Mongo) -> None:
    """Read the whole ledger again and find nothing wrong."""
    for audit in await verify_ledger(at_one_moment=lambda: at_one_moment(mongo)):
        assert audit.findings == []
