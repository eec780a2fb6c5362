"""How matching's database came to be what it is; steps are added at the end and never changed."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel, UpdateOne

from services.matching.store import offers
from services.matching.store.policies import POLICIES
from services.matching.store.rankings import MongoRankings
from shared.contracts.topics import partition_of
from shared.messaging import events
from shared.runtime import commands
from shared.runtime.migrations import Step
from shared.runtime.mongo import Database


async def _name_partitions(db: Database) -> None:
    """Whole tops were kept before; their digest is unknown, so each ranking is published once more."""
    notes = db[MongoRankings.NAME]
    old = await notes.find({"partition": {"$exists": False}}, {"city": 1}).to_list(None)
    operations = [
        UpdateOne({"_id": note["_id"]}, {"$set": {"partition": partition_of(note["city"])}, "$unset": {"top": 1}})
        for note in old
    ]
    if operations:
        await notes.bulk_write(operations, ordered=False)


STEPS = (
    Step(
        "collections and indexes of the first release",
        {
            **offers.INDEXES,
            POLICIES: [],
            "owners": [],
            "identity": [],
            MongoRankings.NAME: [IndexModel([("partition", ASCENDING)], name="partition")],
            "events": events.INDEXES,
            "command_answers": commands.INDEXES,
        },
    ),
    Step("each published ranking names its partition", backfill=_name_partitions),
)
