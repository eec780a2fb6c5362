"""What training hears: which seekers there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.training.domain import Seeker
from services.training.ports import TrainingStore
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.registry import SeekerRegistered, SeekerWithdrawn
from shared.messaging.consume import Apply, Refusal
from shared.runtime.mongo import Mongo, Session

CONSUMED: tuple[type[Event], ...] = (SeekerRegistered, SeekerWithdrawn)


def seekers_handler(mongo: Mongo, store: Callable[[Session], TrainingStore]) -> Apply:
    """A handler that notes the newest version of each seeker, a batch in one transaction."""

    async def apply(batch: Sequence[Envelope]) -> Sequence[Refusal]:
        seekers = [seeker for envelope in batch if (seeker := seeker_of(envelope.event)) is not None]
        await mongo.transaction(lambda session: store(session).note_seekers(seekers))
        return []

    return apply


def seeker_of(event: Event) -> Seeker | None:
    """What training keeps of a seeker's event."""
    if isinstance(event, SeekerRegistered):
        return Seeker(event.seeker_id, event.city, event.version, withdrawn=False)
    if isinstance(event, SeekerWithdrawn):
        return Seeker(event.seeker_id, event.city, event.version, withdrawn=True)
    return None
