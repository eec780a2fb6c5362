"""Figures of the programme, by city: women, placements, posts, hours, pay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from shared.kernel.clock import civil_day, month_of
from shared.runtime.figures import QUERY_MAX_MS, Figure
from shared.runtime.mongo import Database, Document

GROUPS_MAX = 20_000
"""Groups of one figure: 2,800 counties with four kinds of post are 11,200."""


WHOLE_BP = 10_000
"""The whole, in basis points."""


class MongoFigures:
    """Counts on MongoDB.

    Args:
        ordinary_hourly_fen: what an hour of ordinary work pays; without it there is no pay gap to tell.
    """

    def __init__(self, db: Database, ordinary_hourly_fen: int | None) -> None:
        self._db = db
        self._ordinary_hourly_fen = ordinary_hourly_fen

    async def read(self, now: datetime) -> list[Figure]:
        """All figures of this moment.

        Raises:
            PyMongoError: the store is away, or a count took longer than its limit.
        """
        today = civil_day(now)
        months = {
            month_of(today): "current",
            month_of(today.replace(day=1) - timedelta(days=1)): "previous",
        }
        return [
            *await self._women(),
            *await self._placed(),
            *await self._posts(now),
            *await self._hours(months),
        ]

    async def _women(self) -> list[Figure]:
        # The index alone answers this; no document is read.
        rows = await self._rows("seekers", [_group("$city", count={"$sum": 1})], hint="by_city")
        return [Figure("women_registered", (row["_id"],), row["count"], behind=row["count"]) for row in rows]

    async def _placed(self) -> list[Figure]:
        by_person = _group({"city": "$city", "seeker": "$seeker_id"}, times={"$sum": 1})
        by_city = _group("$_id.city", persons={"$sum": 1}, participations={"$sum": "$times"})
        found = []
        for row in await self._rows("placements", [by_person, by_city]):
            # Persons and participations are different counts and are never added (FACTS.md, Z).
            found += [
                Figure("placed_persons", (row["_id"],), row["persons"], behind=row["persons"]),
                Figure("placed_participations", (row["_id"],), row["participations"], behind=row["persons"]),
            ]
        return found

    async def _posts(self, now: datetime) -> list[Figure]:
        is_open = {
            "$and": [
                {"$eq": [{"$type": "$closed"}, "missing"]},
                {"$or": [{"$eq": [{"$type": "$closes_at"}, "missing"]}, {"$gt": ["$closes_at", now]}]},
            ]
        }
        rows = await self._rows(
            "posts",
            [
                _group(
                    {"city": "$city", "kind": "$kind", "open": is_open},
                    count={"$sum": 1},
                    pay_fen={"$sum": "$pay.expected_hourly_fen"},
                )
            ],
        )
        return [figure for row in rows for figure in self._of_posts(row)]

    def _of_posts(self, row: Document) -> Iterator[Figure]:
        """Posts tell of no woman: what one pays is published for everybody to read."""
        city, kind, is_open = row["_id"]["city"], row["_id"]["kind"], row["_id"]["open"]
        yield Figure("posts", (city, kind, "open" if is_open else "closed"), row["count"])
        if is_open:
            mean_fen = row["pay_fen"] // row["count"]
            yield Figure("post_hourly_pay", (city, kind), mean_fen)
            if self._ordinary_hourly_fen is not None:
                yield Figure("pay_gap", (city, kind), WHOLE_BP - mean_fen * WHOLE_BP // self._ordinary_hourly_fen)

    async def _hours(self, months: dict[str, str]) -> list[Figure]:
        rows = await self._rows(
            "shifts",
            [
                {"$match": {"month": {"$in": list(months)}, "minutes": {"$gt": 0}}},
                _group(
                    {"city": "$city", "month": "$month", "seeker": "$seeker_id"},
                    minutes={"$sum": "$minutes"},
                ),
                _group(
                    {"city": "$_id.city", "month": "$_id.month"},
                    minutes={"$sum": "$minutes"},
                    persons={"$sum": 1},
                ),
            ],
        )
        return [
            Figure(
                "minutes_worked",
                (row["_id"]["city"], months[row["_id"]["month"]]),
                row["minutes"],
                behind=row["persons"],
            )
            for row in rows
        ]

    async def _rows(self, collection: str, pipeline: list[Document], hint: str | None = None) -> list[Document]:
        stages = [*pipeline, {"$limit": GROUPS_MAX}]
        options: dict[str, Any] = {"maxTimeMS": QUERY_MAX_MS} | ({} if hint is None else {"hint": hint})
        return await self._db[collection].aggregate(stages, **options).to_list(GROUPS_MAX)


def _group(key: Any, **totals: Document) -> Document:
    return {"$group": {"_id": key, **totals}}
