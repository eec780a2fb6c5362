"""What was published of rankings, beside the event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from services.matching.domain import Parts, RankedSeeker
from services.matching.errors import PublishedElsewhereError
from services.matching.ports import Basis, Noted, Published
from services.matching.store.driver import READ_BATCH, told
from shared.contracts.matching import RankingChanged
from shared.contracts.topics import partition_of
from shared.kernel.turns import in_turns
from shared.messaging.events import EventLog
from shared.runtime.mongo import Collection, Document, Mongo, Session

DUPLICATE_KEY = 11000

AT_ONCE = 4
"""Events that are made before others may run: half a millisecond. A transaction holds eight times as many
(`publishing.PUBLISH_MAX`), and who reads waits meanwhile."""


class MongoRankings:
    """The `RankingOutbox` and `RankingLog` in MongoDB: the event log, and beside it of each post the last sequence and
    the digest of its top.

    Event and note are written in one transaction.
    """

    NAME = "published_rankings"

    def __init__(self, mongo: Mongo, events: EventLog) -> None:
        self._mongo = mongo
        self._events = events
        self._collection: Collection = mongo.db[self.NAME]

    async def last_published(self, partition: int) -> Mapping[str, Noted]:
        """What was published last of a partition's posts, by post. Raises `StoreUnavailable`."""
        wanted = {"sequence": 1, "digest": 1}
        try:
            documents = await self._collection.find({"partition": partition}, wanted, batch_size=READ_BATCH).to_list(
                None
            )
        except PyMongoError as error:
            raise told(error) from error
        return {document["_id"]: Noted(document["sequence"], document.get("digest")) for document in documents}

    async def published(self, post_id: str, sequence: int | None = None) -> Published | None:
        """A post's ranking of a sequence, or the latest; `None` if it is not there. Raises `StoreUnavailable`."""
        wanted: Document = {"topic": RankingChanged.topic, "entity_id": post_id}
        if sequence is not None:
            wanted["version"] = sequence
        try:
            found = await self._events.collection.find_one(wanted, {"value": 1}, sort=[("version", -1)])
        except PyMongoError as error:
            raise told(error) from error
        return None if found is None else _published(RankingChanged.model_validate_json(found["value"]))

    async def publish(self, changes: Sequence[Published], at: datetime) -> None:
        """Append `ranking-changed` events and note the tops.

        Raises:
            PublishedElsewhereError, StoreUnavailable
        """
        operations: list[ReplaceOne[Document]] = []
        events: list[RankingChanged] = []
        async for few in in_turns(changes, AT_ONCE):
            operations += [
                ReplaceOne(
                    {"_id": change.post_id, "sequence": change.sequence - 1},
                    _note(change, at),
                    upsert=change.sequence == 1,
                )
                for change in few
            ]
            events += map(_event, few)

        async def work(session: Session) -> None:
            done = await self._collection.bulk_write(operations, session=session)
            if done.matched_count + done.upserted_count != len(changes):
                raise PublishedElsewhereError
            await self._events.append(session, events, at)

        try:
            await self._mongo.transaction(work)
        except (BulkWriteError, DuplicateKeyError) as error:
            if isinstance(error, BulkWriteError) and not _is_duplicate(error):
                raise
            raise PublishedElsewhereError from error
        self._events.wake()


def _is_duplicate(error: BulkWriteError) -> bool:
    return any(fault.get("code") == DUPLICATE_KEY for fault in (error.details or {}).get("writeErrors", ()))


def _note(change: Published, at: datetime) -> Document:
    return {
        "_id": change.post_id,
        "partition": partition_of(change.city),
        "city": change.city,
        "sequence": change.sequence,
        "digest": change.digest,
        "at": at,
    }


def _event(change: Published) -> RankingChanged:
    """The event, validated in one go: a model made for each place would take half as long again."""
    basis = change.basis
    said: Document = {
        "post_id": change.post_id,
        "sequence": change.sequence,
        "city": change.city,
        "as_of": basis.at,
        "top": [
            {"seeker_id": place.seeker_id, "score": place.score, "parts": place.parts._asdict()} for place in change.top
        ],
        "position": basis.position,
        "policy": None if basis.policy is None else {"city": basis.policy[0], "version": basis.policy[1]},
    }
    return RankingChanged.model_validate(said)


def _published(event: RankingChanged) -> Published:
    top = tuple(
        RankedSeeker(place.seeker_id, place.score, Parts(*(getattr(place.parts, part) for part in Parts._fields)))
        for place in event.top
    )
    policy = None if event.policy is None else (event.policy.city, event.policy.version)
    return Published(event.post_id, event.city, event.sequence, top, Basis(event.as_of, event.position, policy))
