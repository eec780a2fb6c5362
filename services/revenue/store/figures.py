"""Figures of the money, by city and community: rebates, settlement's progress, funds."""

from __future__ import annotations

from datetime import datetime

from services.revenue.store.batches import IN_STATEMENT
from shared.kernel.clock import civil_day, month_of
from shared.runtime.figures import QUERY_MAX_MS, Figure
from shared.runtime.mongo import Database, Document

COMMUNITIES_SHOWN = 50
"""Communities with a line of their own, those with the highest rebates; the rest of a city is one line, `other`. A
label's values must stay few, and a picture with more lines cannot be read."""

GROUPS_MAX = 20_000
"""Groups of one figure; a city has some hundred communities, and 2,800 counties three states of their books."""


class MongoFigures:
    """Sums on MongoDB; what they are made of is small: a book is a month of a pair."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def read(self, now: datetime) -> list[Figure]:
        """All figures of this moment.

        Raises:
            PyMongoError: the store is away, or a sum took longer than its limit.
        """
        return [
            *await self._books(month_of(civil_day(now))),
            *await self._rebates(),
            *await self._funds(),
        ]

    async def _books(self, this_month: str) -> list[Figure]:
        is_due = {"$lt": ["$_id.month", this_month]}
        state = {"$cond": ["$settled", "settled", {"$cond": [is_due, "due", "open"]}]}
        month = {"city": "$city", "pair": "$pair", "month": "$month"}
        rows = await self._rows(
            "books",
            [
                {"$match": IN_STATEMENT},
                {"$group": {"_id": month, "settled": {"$min": "$settled"}}},
                {"$group": {"_id": {"city": "$_id.city", "state": state}, "count": {"$sum": 1}}},
            ],
        )
        found = {(row["_id"]["city"], row["_id"]["state"]): row["count"] for row in rows}
        # A state that nobody is in is told as 0: nothing due is news, no figure is not.
        return [
            Figure("books", (city, state), found.get((city, state), 0))
            for city in sorted({city for city, _ in found})
            for state in ("open", "due", "settled")
        ]

    async def _rebates(self) -> list[Figure]:
        rows = await self._rows(
            "books",
            [
                {"$match": IN_STATEMENT},
                {
                    "$group": {
                        "_id": {"city": "$city", "community": "$community_id"},
                        "amount": {"$sum": "$sum_fen_e4"},
                        "entries": {"$sum": "$entries"},
                    }
                },
                {"$sort": {"amount": -1, "_id": 1}},
            ],
        )
        found: list[Figure] = []
        rest: dict[str, tuple[int, int]] = {}
        for place, row in enumerate(rows):
            city, amount_fen_e4, entries = row["_id"]["city"], row["amount"], row["entries"]
            if place < COMMUNITIES_SHOWN:
                found.append(Figure("rebates", (city, row["_id"]["community"]), amount_fen_e4, behind=entries))
            else:
                amount_before, entries_before = rest.get(city, (0, 0))
                rest[city] = (amount_before + amount_fen_e4, entries_before + entries)
        return found + [Figure("rebates", (city, "other"), held[0], behind=held[1]) for city, held in rest.items()]

    async def _funds(self) -> list[Figure]:
        total = {"_id": "$city", "income": {"$sum": "$income_fen"}, "spent": {"$sum": "$spent_fen"}}
        return [
            Figure("funds", (row["_id"], movement), row[movement])
            for row in await self._rows("funds", [{"$group": total}])
            for movement in ("income", "spent")
        ]

    async def _rows(self, collection: str, pipeline: list[Document]) -> list[Document]:
        stages = [*pipeline, {"$limit": GROUPS_MAX}]
        return await self._db[collection].aggregate(stages, maxTimeMS=QUERY_MAX_MS).to_list(GROUPS_MAX)
