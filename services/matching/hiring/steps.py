"""What every step of an offer writes: the offer, her hands, and the event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.matching import metrics
from services.matching.domain.offers import Offer
from services.matching.ports import OfferBook, OfferChanges
from shared.contracts.fields import WeekSpan
from shared.contracts.matching import OfferMade, OfferSettled
from shared.kernel.week import hours_of


def spans_of(mask: int) -> tuple[WeekSpan, ...]:
    """A week mask as events and answers write it."""
    return tuple(WeekSpan(day=day, start=start, to=to) for day, start, to in hours_of(mask))


def made(offer: Offer) -> OfferMade:
    """The event of a new offer."""
    return OfferMade(
        offer_id=offer.id,
        version=offer.version,
        post_id=offer.post_id,
        seeker_id=offer.seeker_id,
        city=offer.city,
        rank=offer.rank,
        hours=spans_of(offer.hours),
        made_at=offer.made_at,
        expires_at=offer.expires_at,
    )


def settled(offer: Offer) -> OfferSettled:
    """The event of an offer's end.

    Raises:
        ValueError: it has not ended.
    """
    if offer.outcome is None or offer.settled_at is None:
        raise ValueError("expected a settled offer")
    return OfferSettled(
        offer_id=offer.id,
        version=offer.version,
        post_id=offer.post_id,
        seeker_id=offer.seeker_id,
        city=offer.city,
        outcome=offer.outcome,
        reason=offer.reason,
        placement_id=offer.placement_id,
        settled_at=offer.settled_at,
    )


async def settle(book: OfferBook, changes: OfferChanges, over: Sequence[tuple[Offer, Offer]]) -> None:
    """Add the end of some offers to the changes of a step; each as it was and as it is."""
    hands = dict(await book.hands({was.seeker_id for was, _ in over}))
    before = dict(hands)
    for was, becomes in over:
        hands[was.seeker_id] = hands[was.seeker_id].after(becomes)
        changes.offers.append((was, becomes))
        changes.events.append(settled(becomes))
    # One write each, whatever the number of her offers that end.
    changes.hands += [(before[id_], replace(hands[id_], lock=before[id_].lock + 1)) for id_ in hands]


def count(changes: OfferChanges) -> None:
    """Bring the metrics up to date; after the step has been stored, since a step may run several times."""
    for event in changes.events:
        if isinstance(event, OfferMade):
            metrics.OFFERS_MADE.inc()
        elif isinstance(event, OfferSettled):
            metrics.OFFERS_SETTLED.labels(event.outcome).inc()


async def touch(book: OfferBook, changes: OfferChanges, post_id: str, placement_id: str | None = None) -> None:
    """Let a hiring know of a step of one of its offers, so that no look that began before can be stored after.

    Args:
        placement_id: what the step led to; the seat is taken, even before the rankings show it.
    """
    hiring = await book.hiring(post_id)
    if hiring is not None:
        unseen = hiring.unseen if placement_id is None else (*hiring.unseen, placement_id)
        changes.hirings.append((hiring, replace(hiring.touched(), unseen=unseen)))
