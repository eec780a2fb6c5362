"""Why not, and what would help, over HTTP on real engines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.engines import Engines
from services.matching.app import create
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.integration.serving import Client, served
from tests.integration.test_matching_service import create_topics, told
from tests.unit.matching.wire import id_of, post_opened, seeker_registered

TUESDAY_SHORT = [{"day": 1, "from": "08:30", "to": "11:30"}, {"day": 2, "from": "08:30", "to": "09:00"}]
TWO_MORNINGS = [{"day": day, "from": "08:30", "to": "11:30"} for day in (1, 2)]


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Mongo]:
    """Matching's own database, dropped after the test."""
    connected = Mongo.connect(settings, "matching")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.mark.usefixtures("own")
async def test_a_reader_is_told_why_not_and_what_would_help(fresh_broker: Engines, settings: Settings) -> None:
    await create_topics(settings)
    pay = {"per": "hour", "fen": 1500, "expected_hourly_fen": 1500}
    async with served(create(settings), bus=True) as client:
        await eventually(client.is_ready, "matching is ready")
        await told(
            settings,
            client.read,
            [
                post_opened(1, hours=TWO_MORNINGS, min_minutes=300, pay=pay, location={"lat": 37.535, "lon": 121.44}),
                post_opened(2, hours=TWO_MORNINGS, min_minutes=240, location={"lat": 37.535, "lon": 121.39}),
                post_opened(3, hours=[], min_minutes=0, location=None, kind="mobile", pay=pay),
                post_opened(4, hours=[], min_minutes=0, location=None, kind="mobile", pay=pay),
                post_opened(5, kind="team"),
                seeker_registered(1, free=TUESDAY_SHORT, pay_floor_fen=1700, commute_km=2),
            ],
        )
        why = await _why(client)
        assert [(failed["reason"], failed["says"]) for failed in why["failed"]] == [
            ("pay-below-floor", "pays 200 fen an hour less than she asks"),
            ("hours-do-not-fit", "90 minutes a week of overlap missing; Tuesday has 30 of 180 minutes"),
            ("too-far", "2,409 m beyond her limit of 2 km"),
        ]
        assert why["failed"][1]["days"] == [
            {"day": 1, "asked_minutes": 180, "shared_minutes": 180},
            {"day": 2, "asked_minutes": 180, "shared_minutes": 30},
        ]
        assert "days" not in why["failed"][0]
        assert (why["failed"][2]["limit"], why["failed"][2]["limit_of"]) == (2000, "seeker")

        hers = await client.get(f"/seekers/{id_of('skr', 1)}/what-helps")
        assert [(help_["change"], help_["opens"]) for help_ in hers["helps"]] == [("pay-floor", 2), ("free-time", 1)]
        assert (hers["helps"][0]["by"], hers["helps"][0]["unit"]) == (200, "fen-an-hour")
        assert hers["helps"][1]["free"] == {"day": 2, "from": "09:00", "to": "09:30"}
        assert hers["helps"][1]["says"] == "free on Tuesday from 09:00 to 09:30 she would match 1 more post"
        assert (hers["looked_at"], hers["of"], hers["policy"]["city"]) == (5, 5, "*")

        its = await client.get(f"/posts/{id_of('pst', 2)}/what-helps")
        assert [(help_["change"], help_["by"], help_["unit"], help_["opens"]) for help_ in its["helps"]] == [
            ("min-minutes", 30, "minutes-a-week", 1)
        ]
        assert (await client.http.get(f"/seekers/{id_of('skr', 9)}/what-helps")).status_code == 404
        assert (await client.http.get(f"/posts/{id_of('pst', 9)}/what-helps")).status_code == 404
        assert (await client.http.get("/posts/nobody/what-helps")).status_code == 422


async def _why(client: Client) -> dict[str, list[dict[str, object]]]:
    answer: dict[str, list[dict[str, object]]] = await client.get(
        f"/posts/{id_of('pst', 1)}/seekers/{id_of('skr', 1)}/why"
    )
    return answer
