"""Offers of instant hiring (即时快招): a seat of a post, offered to one seeker until a moment.

An offer goes from `live`, by her word, over `accepting` to `settled`; every other way to `settled` starts from `live`
alone. While it is `accepting`, the registry is being asked for the seat: nothing else may end it, since the seat may be
hers already. It is settled once. Seats themselves are the registry's (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

OfferState = Literal["live", "accepting", "settled"]
Outcome = Literal["accepted", "refused", "expired", "seat-taken", "withdrawn"]
Attendance = Literal["awaited", "came", "missed", "released"]
Obstacle = Literal["live", "settled", "accepting", "expired", "hours"]

ANSWER_WITHIN = timedelta(seconds=30)
"""After this long nobody waits for the registry's answer any more: three times the longest timeout of asking it."""

HOLDS_MAX = 20
"""Live offers of one seeker: nobody can judge more at once."""


class Impossible(Exception):
    """A step that the offer's state does not allow; nothing has changed.

    Attributes:
        obstacle: what stands against it.
    """

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle: Obstacle = obstacle


@dataclass(frozen=True, slots=True)
class Terms:
    """What she says yes to.

    Attributes:
        hours: week mask, a part of the hours offered; 0 where the post has none.
        starts_on: her first day.
        child_care: also a child-care place, all or nothing; at which station, if not the post's.
        shuttle_id: also a seat on this shuttle, all or nothing.
    """

    hours: int
    starts_on: date
    child_care: bool = False
    child_care_station_id: str | None = None
    shuttle_id: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A seat of a post, offered to one seeker.

    Attributes:
        version: of its events: 1 made, 2 settled.
        lock: rises with each write, also those without an event, so that of two steps at once one wins.
        round: which run of the post's hiring it belongs to.
        rank: her place in the ranking when it was made, from 1.
        hours: week mask of the post's hours in which she is free.
        terms: given once she has accepted; from its end on without child care, which tells of her children.
        command: whose yes it is: a hash of the command's key, so that a retry is told from a second yes.
        accepting_at: when somebody last went to ask the registry; `None` once that is known to have failed.
        reason: why it was taken back, or the registry's code.
        attendance: whether she came to a shift of her placement; a no-show gives the seat back.
        noted_of: placement whose shift said so.
    """

    id: str
    version: int
    lock: int
    post_id: str
    seeker_id: str
    city: str
    round: int
    rank: int
    hours: int
    made_at: datetime
    expires_at: datetime
    state: OfferState = "live"
    terms: Terms | None = None
    command: str | None = None
    accepting_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    placement_id: str | None = None
    settled_at: datetime | None = None
    attendance: Attendance | None = None
    noted_of: str | None = None
    missed_on: date | None = None


def accept(offer: Offer, terms: Terms, command: str, now: datetime) -> Offer:
    """Her yes; from now on the registry is being asked for the seat.

    Raises:
        Impossible: the offer is settled, being accepted or expired, or her hours are not those offered.
    """
    if offer.state != "live":
        raise Impossible(offer.state)
    if now >= offer.expires_at:
        raise Impossible("expired")
    if terms.hours & ~offer.hours or (offer.hours and not terms.hours):
        raise Impossible("hours")
    return replace(
        offer,
        lock=offer.lock + 1,
        state="accepting",
        terms=terms,
        command=command,
        accepting_at=now,
        attendance="awaited",
    )


def ask_again(offer: Offer, now: datetime) -> Offer:
    """Somebody goes to the registry again, whose answer was lost or never came.

    One at a time: two who ask at once could be told different things, if a seat becomes free in between.

    Raises:
        Impossible: the registry was not asked, or somebody is still waiting for its answer.
    """
    if offer.state != "accepting":
        raise Impossible(offer.state)
    if offer.accepting_at is not None and now < offer.accepting_at + ANSWER_WITHIN:
        raise Impossible("accepting")
    return replace(offer, lock=offer.lock + 1, accepting_at=now)


def unasked(offer: Offer) -> Offer:
    """The registry could not even be reached, so whoever comes next may ask it at once."""
    return replace(offer, lock=offer.lock + 1, accepting_at=None)


def grant(offer: Offer, asked: Offer, placement_id: str, now: datetime) -> Offer:
    """The registry gave her the seat.

    Also if another answer came first and handed the offer back: a request that was given up, and carried out after all
    once what had stood against it was gone. Her yes stands, with the terms that were asked for.

    Args:
        asked: the offer as the registry was asked for it.

    Raises:
        Impossible: the offer is settled.
    """
    if offer.state == "live":
        offer = replace(asked, lock=offer.lock)
    given = replace(_ended(offer, "accepting", "accepted", None, now), placement_id=placement_id)
    if offer.noted_of in (None, placement_id):
        return given
    # A shift of an earlier placement on this post, whose event came while the registry was being asked.
    return replace(given, attendance="awaited", noted_of=None, missed_on=None)


def deny(offer: Offer, outcome: Literal["seat-taken", "withdrawn"], code: str, now: datetime) -> Offer:
    """The registry refused for good, with its code.

    Raises:
        Impossible: the registry was not asked, or the offer is settled.
    """
    return _ended(offer, "accepting", outcome, code, now)


def hand_back(offer: Offer) -> Offer:
    """The registry refused her terms, not her: the offer is live again, and she can choose others.

    Raises:
        Impossible: the registry was not asked.
    """
    if offer.state != "accepting":
        raise Impossible(offer.state)
    return replace(
        offer, lock=offer.lock + 1, state="live", terms=None, command=None, accepting_at=None, attendance=None
    )


def refuse(offer: Offer, now: datetime) -> Offer:
    """Her no.

    Raises:
        Impossible: it is settled, being accepted, or expired.
    """
    if offer.state == "live" and now >= offer.expires_at:
        raise Impossible("expired")
    return _ended(offer, "live", "refused", None, now)


def expire(offer: Offer, now: datetime) -> Offer:
    """Its time has passed.

    Raises:
        Impossible: it is settled or being accepted.
        ValueError: its time has not passed.
    """
    if now < offer.expires_at:
        raise ValueError("expected a moment at or after `expires_at`")
    return _ended(offer, "live", "expired", None, now)


def take_back(offer: Offer, outcome: Literal["seat-taken", "withdrawn"], reason: str | None, now: datetime) -> Offer:
    """The seat is gone, or the post, or she.

    Raises:
        Impossible: it is settled or being accepted.
    """
    return _ended(offer, "live", outcome, reason, now)


def _ended(offer: Offer, only_from: OfferState, outcome: Outcome, reason: str | None, now: datetime) -> Offer:
    if offer.state != only_from:
        raise Impossible(offer.state)
    return replace(
        offer,
        version=offer.version + 1,
        lock=offer.lock + 1,
        state="settled",
        outcome=outcome,
        reason=reason,
        settled_at=now,
        terms=None if offer.terms is None else replace(offer.terms, child_care=False, child_care_station_id=None),
        attendance=offer.attendance if outcome == "accepted" else None,
    )


def stray(offer: Offer, asked: Offer, placement_id: str) -> Offer:
    """The registry placed her although the offer had ended otherwise: the placement is to be given back.

    It takes a request that the registry carries out long after its answer was given up, and a seat that became free in
    between.

    Args:
        asked: the offer as the registry was asked for it, with its terms.
    """
    day_before = asked.terms.starts_on - timedelta(days=1) if asked.terms is not None else None
    return replace(offer, lock=offer.lock + 1, placement_id=placement_id, attendance="missed", missed_on=day_before)


@dataclass(frozen=True, slots=True)
class Hold:
    """An offer in a seeker's hands. With a placement it is accepted, and held until the rankings show the placement."""

    offer_id: str
    hours: int
    placement_id: str | None = None


@dataclass(frozen=True, slots=True)
class Hands:
    """What a seeker holds. One record a seeker, written by whatever makes or settles an offer of hers.

    So of two offers for the same hours, made at once for two posts, one meets the other's write and is not made: no
    reading alone could promise that.
    """

    seeker_id: str
    lock: int
    holds: tuple[Hold, ...] = ()

    def can_take(self, hours: int) -> bool:
        """Whether no half hour of these is offered to her already."""
        return len(self.holds) < HOLDS_MAX and not any(hold.hours & hours for hold in self.holds)

    def taking(self, offer: Offer) -> Hands:
        """With an offer more.

        Raises:
            ValueError: its hours are taken.
        """
        if not self.can_take(offer.hours):
            raise ValueError("expected hours that she holds no offer for")
        return replace(self, lock=self.lock + 1, holds=(*self.holds, Hold(offer.id, offer.hours)))

    def after(self, offer: Offer) -> Hands:
        """After a settlement: without the offer, or with the placement that came of it."""
        left = tuple(hold for hold in self.holds if hold.offer_id != offer.id)
        if offer.outcome == "accepted" and offer.terms is not None:
            left = (*left, Hold(offer.id, offer.terms.hours, offer.placement_id))
        return replace(self, lock=self.lock + 1, holds=left)

    def without_placements(self, is_seen: Callable[[str], bool]) -> Hands:
        """Without the placements that the rankings know: from then on they are what keeps her hours apart."""
        left = tuple(hold for hold in self.holds if hold.placement_id is None or not is_seen(hold.placement_id))
        return self if left == self.holds else replace(self, holds=left)
