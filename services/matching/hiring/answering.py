"""Her answer to an offer: no is one step; yes is two, with the registry's word in between.

The first step notes her yes, so that nothing else ends the offer any more. Then the registry is asked for the seat,
with the offer's id as Idempotency-Key, so that it may be asked again with the same effect. The second step notes its
answer.
Whatever dies in between, the offer stays `accepting`, and the loop goes on from there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.matching.domain.offers import (
    Impossible,
    Offer,
    Terms,
    accept,
    ask_again,
    deny,
    grant,
    hand_back,
    refuse,
    stray,
    unasked,
)
from services.matching.errors import (
    HoursOutsideOffer,
    MatchingError,
    OfferBeingAccepted,
    OfferExpired,
    OfferSettledAlready,
    OfferUnknown,
    PlacementRefused,
    SeatTaken,
    TermsRefused,
)
from services.matching.hiring.steps import settle, touch
from services.matching.ports import Declined, OfferBook, OfferChanges, Placed
from shared.contracts.envelope import Envelope
from shared.runtime.logs import logger

SEAT_GONE = frozenset({"no-seat-left"})
"""Codes of the registry that mean: somebody else has the seat."""

FINAL = frozenset(
    {
        "post-unknown",
        "seeker-unknown",
        "post-closed",
        "employer-suspended",
        "station-not-accepted",
        "seeker-withdrawn",
        "seeker-elsewhere",
        "already-placed",
    }
)
"""Codes that no other terms would change. Any other (a day, hours, a child-care place) leaves her offer standing."""

_log = logger(__name__)


def told(error: Impossible, offer: Offer) -> MatchingError:
    """An impossible step as its caller is told of it."""
    if error.obstacle == "settled":
        return OfferSettledAlready(offer.outcome or "settled")
    if error.obstacle == "expired":
        return OfferExpired()
    return HoursOutsideOffer() if error.obstacle == "hours" else OfferBeingAccepted()


async def say_yes(book: OfferBook, offer_id: str, terms: Terms, command: str, now: datetime) -> Offer:
    """Note her yes. For a repetition of the same command, go on from where the first one stopped.

    Returns:
        The offer: `accepting`, and this caller is the one to ask the registry; or settled, by the same command.

    Raises:
        OfferUnknown, OfferSettledAlready, OfferBeingAccepted, OfferExpired, HoursOutsideOffer
    """
    offer = await _known(book, offer_id)
    try:
        if offer.command != command:
            after = accept(offer, terms, command, now)
        elif offer.state == "settled":
            return offer
        else:
            after = ask_again(offer, now)
    except Impossible as error:
        raise told(error, offer) from None
    await _save(book, offer, after, now)
    return after


async def take_up(book: OfferBook, offer_id: str, now: datetime) -> Offer | None:
    """Become the one who asks the registry for an offer that was left `accepting`; `None` if somebody else is."""
    offer = await _known(book, offer_id)
    try:
        after = ask_again(offer, now)
    except Impossible:
        return None
    await _save(book, offer, after, now)
    return after


async def lay_down(book: OfferBook, asked: Offer, now: datetime) -> None:
    """The registry could not be reached: let whoever comes next ask at once."""
    offer = await _known(book, asked.id)
    if offer.lock == asked.lock and offer.state == "accepting":
        await _save(book, offer, unasked(offer), now)


async def conclude(
    book: OfferBook, asked: Offer, answer: Placed | Declined, now: datetime
) -> tuple[Offer, OfferChanges, Envelope | None]:
    """Note the registry's answer. What is settled already stays as it is.

    Args:
        asked: the offer as the registry was asked for it.

    Returns:
        The offer, what was written, and the event of its end if it ended now.
    """
    offer = await _known(book, asked.id)
    changes = OfferChanges()
    if offer.state == "settled" or (offer.state == "live" and isinstance(answer, Declined)):
        if isinstance(answer, Placed) and offer.placement_id is None:
            _log.error("the registry placed someone whose offer had ended; giving the seat back")
            changes.offers.append((offer, stray(offer, asked, answer.placement_id)))
            await book.save(changes, now)
        return offer, changes, None
    hiring = await book.hiring(offer.post_id)
    if isinstance(answer, Placed):
        after = grant(offer, asked, answer.placement_id, now)
    elif answer.code in SEAT_GONE:
        after = deny(offer, "seat-taken", answer.code, now)
    elif answer.code in FINAL or hiring is None or hiring.state != "open":
        after = deny(offer, "withdrawn", answer.code, now)
    else:
        after = hand_back(offer)
    if after.state == "settled":
        await settle(book, changes, [(offer, after)])
    else:
        changes.offers.append((offer, after))
    await touch(book, changes, offer.post_id, after.placement_id)
    envelopes = await book.save(changes, now)
    return after, changes, envelopes[0] if envelopes else None


def verdict(offer: Offer, answer: Declined) -> MatchingError:
    """What she is told after a refusal by the registry."""
    if offer.outcome == "seat-taken":
        return SeatTaken()
    refused = TermsRefused if offer.state == "live" else PlacementRefused
    return refused(f"the registry answered {answer.code}: {answer.detail}", *answer.faults)


async def say_no(book: OfferBook, offer_id: str, now: datetime) -> tuple[OfferChanges, Envelope]:
    """Note her no.

    Raises:
        OfferUnknown, OfferSettledAlready, OfferBeingAccepted, OfferExpired
    """
    offer = await _known(book, offer_id)
    try:
        after = refuse(offer, now)
    except Impossible as error:
        raise told(error, offer) from None
    changes = OfferChanges()
    await settle(book, changes, [(offer, after)])
    await touch(book, changes, offer.post_id)
    [envelope] = await book.save(changes, now)
    return changes, envelope


async def note_released(book: OfferBook, offer_id: str, now: datetime) -> None:
    """Note that the seat of a woman who never came was given back."""
    offer = await _known(book, offer_id)
    if offer.attendance == "missed":
        await _save(book, offer, replace(offer, lock=offer.lock + 1, attendance="released"), now)


async def _known(book: OfferBook, offer_id: str) -> Offer:
    offer = await book.offer(offer_id)
    if offer is None:
        raise OfferUnknown
    return offer


async def _save(book: OfferBook, was: Offer, becomes: Offer, now: datetime) -> None:
    changes = OfferChanges(offers=[(was, becomes)])
    await touch(book, changes, was.post_id)
    await book.save(changes, now)
