"""Policies that cities have adopted: one document a city, `{_id, city, version, policies}`, beside the event log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime

from pymongo.errors import PyMongoError

from services.matching.domain import Limits, Policy, Weights, policy_id_of
from services.matching.ports import Adoption
from services.matching.store.driver import told
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.messaging.events import EventLog
from shared.runtime.mongo import Database, Document, Session

POLICIES = "policies"


class MongoPolicies:
    """The `PolicyStore` in MongoDB, inside one transaction.

    Two transactions that adopt a policy of one city write the same document, so one of them runs again and sees the
    other's.
    """

    def __init__(self, db: Database, events: EventLog, session: Session) -> None:
        self._collection = db[POLICIES]
        self._events = events
        self._session = session

    async def adopted(self, city: str) -> Sequence[Adoption]:
        return _adoptions(await self._collection.find_one({"_id": policy_id_of(city)}, session=self._session))

    async def save(self, city: str, adoptions: Sequence[Adoption]) -> None:
        document = {
            "_id": policy_id_of(city),
            "city": city,
            "version": len(adoptions),
            "policies": [_document(adoption) for adoption in adoptions],
        }
        await self._collection.replace_one({"_id": document["_id"]}, document, upsert=True, session=self._session)

    async def publish(self, event: Event, at: datetime) -> Envelope:
        (envelope,) = await self._events.append(self._session, [event], at)
        return envelope


class MongoPolicyReads:
    """The `PolicyReads` in MongoDB."""

    def __init__(self, db: Database) -> None:
        self._collection = db[POLICIES]

    async def adopted(self, city: str) -> Sequence[Adoption]:
        """Raises `StoreUnavailable`."""
        try:
            return _adoptions(await self._collection.find_one({"_id": policy_id_of(city)}))
        except PyMongoError as error:
            raise told(error) from error


def _adoptions(document: Document | None) -> list[Adoption]:
    return [] if document is None else [_adoption(document["city"], one) for one in document["policies"]]


def _document(adoption: Adoption) -> Document:
    policy = adoption.policy
    return {
        "version": policy.version,
        "valid_from": policy.valid_from.isoformat(),
        "weights": policy.weights._asdict(),
        "limits": asdict(policy.limits),
        "adopted_at": adoption.adopted_at,
    }


def _adoption(city: str, document: Document) -> Adoption:
    policy = Policy(
        city=city,
        version=document["version"],
        valid_from=date.fromisoformat(document["valid_from"]),
        weights=Weights(**document["weights"]),
        limits=Limits(**document["limits"]),
    )
    return Adoption(policy, document["adopted_at"])
