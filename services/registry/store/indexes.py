"""Every index, with the question that it answers. Lists are read by id, so each filter ends in `_id`."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from services.registry.store.documents import PERSONS
from shared.messaging import events
from shared.runtime import commands
from shared.runtime.migrations import Step


def _index(name: str, *keys: str) -> IndexModel:
    return IndexModel([(key, ASCENDING) for key in keys], name=name)


_INDEXES: dict[str, list[IndexModel]] = {
    "communities": [_index("by_city", "city", "_id")],
    "stations": [_index("by_city", "city", "_id"), _index("by_community", "community_id", "_id")],
    "shuttles": [_index("by_city", "city", "_id"), _index("by_station", "station_id", "_id")],
    "employers": [_index("by_city", "city", "_id")],
    "seekers": [_index("by_city", "city", "_id")],
    "posts": [_index("by_city", "city", "_id"), _index("by_employer", "employer_id", "_id")],
    "placements": [
        _index("by_city", "city", "_id"),
        _index("by_post", "post_id", "_id"),
        _index("of_seeker", "seeker_id", "_id"),
        # The second line of defence behind the locks: one active placement per seeker and post.
        IndexModel(
            [("seeker_id", ASCENDING), ("post_id", ASCENDING)],
            name="one_active",
            unique=True,
            partialFilterExpression={"active": True},
        ),
    ],
    "shifts": [
        _index("by_time", "placement_id", "started_at"),
        _index("by_month", "month", "_id"),
        _index("by_city", "month", "city", "_id"),
    ],
}


STEPS = (
    Step(
        "collections and indexes of the first release",
        {PERSONS: [], **_INDEXES, "events": events.INDEXES, "command_answers": commands.INDEXES},
    ),
)
"""How the registry's database came to be what it is; steps are added at the end and never changed."""
