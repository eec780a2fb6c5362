"""The instant hiring of a post: how many offers there may be, and which are to be taken back.

The rankings say how many seats are left; they may be some milliseconds behind the registry, which has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.matching.domain.offers import Offer, expire, take_back
from services.matching.domain.profiles import Candidate, Opening

HiringState = Literal["open", "cancelled", "closed"]
Progress = Literal["offering", "waiting", "filled"]

EXPIRY_LEAST_MINUTES, EXPIRY_MOST_MINUTES = 1, 1440
"""She needs a minute to read it; after a day nothing about it is instant."""

PER_SEAT_MOST = 5
"""More offers for one seat would disappoint most of those who say yes."""

LIVE_MAX = 200
"""Live offers of one hiring, whatever its seats: a wave of it is settled in one transaction when the post closes."""

OFFERED_MAX = 2_000
"""Offers of one hiring, live and settled. By then the post itself is what is wrong."""


@dataclass(frozen=True, slots=True)
class Hiring:
    """The instant hiring of one post.

    Attributes:
        lock: rises with each write and with each step of one of its offers.
        round: rises each time it is started again; whoever was offered a seat is not asked again in the same round.
        is_asked: started by request, not because the post is urgent.
        unseen: placements that its offers led to and the rankings do not show yet.
        progress: what the last look found.
    """

    post_id: str
    city: str
    lock: int
    round: int
    state: HiringState
    per_seat: int
    expiry_minutes: int
    is_asked: bool
    started_at: datetime
    ended_at: datetime | None = None
    unseen: tuple[str, ...] = ()
    progress: Progress = "waiting"

    def touched(self) -> Hiring:
        """After a step of one of its offers."""
        return replace(self, lock=self.lock + 1)

    def expires_at(self, now: datetime) -> datetime:
        """When an offer made now runs out."""
        return now + timedelta(minutes=self.expiry_minutes)


def start(
    before: Hiring | None, post_id: str, city: str, per_seat: int, expiry_minutes: int, *, is_asked: bool, now: datetime
) -> Hiring:
    """A new hiring, a new round of an ended one, or the running one with new terms for the offers to come."""
    if before is not None and before.state == "open":
        return replace(
            before,
            lock=before.lock + 1,
            per_seat=per_seat,
            expiry_minutes=expiry_minutes,
            is_asked=before.is_asked or is_asked,
        )
    return Hiring(
        post_id=post_id,
        city=city,
        lock=1 if before is None else before.lock + 1,
        round=1 if before is None else before.round + 1,
        state="open",
        per_seat=per_seat,
        expiry_minutes=expiry_minutes,
        is_asked=is_asked,
        started_at=now,
        unseen=() if before is None else before.unseen,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What one look at a hiring found to do.

    Attributes:
        room: how many offers more there may be.
        free: seats that nobody has taken or is taking.
        seen: placements that the rankings show by now.
        over: offers that end, each as it is and as it becomes.
        live: offers that stay.
        ends: the post is over, and with it the hiring.
    """

    room: int
    free: int
    seen: tuple[str, ...]
    over: tuple[tuple[Offer, Offer], ...]
    live: tuple[Offer, ...]
    ends: bool = False


def plan(
    hiring: Hiring,
    opening: Opening | None,
    unsettled: Sequence[Offer],
    is_seen: Callable[[str], bool],
    posts_of: Callable[[str], Collection[str] | None],
    now: datetime,
) -> Plan:
    """Judge a hiring by the rankings' view of its post.

    A seat is spoken for by a placement, by one that the rankings do not show yet, and by an offer that is being
    accepted, unless its placement shows already. `per_seat` offers may be live for each seat that is left; what is
    beyond that loses its seat, the latest first.

    Args:
        opening: the post, `None` when it is closed.
        unsettled: its offers, live and accepting.
        is_seen: whether the rankings know a placement.
        posts_of: the posts that the rankings know a seeker to be placed at, `None` when she withdrew.
    """
    seen = tuple(id_ for id_ in hiring.unseen if is_seen(id_))
    over: list[tuple[Offer, Offer]] = []
    live: list[Offer] = []
    for offer in sorted(unsettled, key=lambda offer: (offer.made_at, offer.rank)):
        if offer.state != "live":
            continue
        if now >= offer.expires_at:
            over.append((offer, expire(offer, now)))
        elif (reason := _reason_against(offer, opening, posts_of)) is not None:
            over.append((offer, take_back(offer, "withdrawn", reason, now)))
        else:
            live.append(offer)
    if opening is None or opening.expired:
        return Plan(0, 0, seen, tuple(over), (), ends=True)
    being_taken = [offer for offer in unsettled if offer.state == "accepting"]
    unplaced = sum(offer.post_id not in (posts_of(offer.seeker_id) or ()) for offer in being_taken)
    free = max(opening.post.seats - opening.taken - (len(hiring.unseen) - len(seen)) - unplaced, 0)
    most = min(free * hiring.per_seat, LIVE_MAX) if _is_offered(opening) else 0
    over += [(offer, take_back(offer, "seat-taken", None, now)) for offer in live[most:]]
    return Plan(max(most - len(live), 0), free, seen, tuple(over), tuple(live[:most]))


def _reason_against(
    offer: Offer, opening: Opening | None, posts_of: Callable[[str], Collection[str] | None]
) -> str | None:
    """Why a live offer cannot stand; `None` if it can."""
    if opening is None or opening.expired:
        return "post-closed"
    if not _is_offered(opening):
        return "post-not-available"
    return "seeker-withdrawn" if posts_of(offer.seeker_id) is None else None


def _is_offered(opening: Opening) -> bool:
    """Whether supervision lets the post take anybody."""
    return opening.employer_active and opening.station_accepted


def hours_for(candidate: Candidate, opening: Opening) -> int | None:
    """Hours to offer her: the post's in which she is free; 0 where it has none.

    Returns:
        `None` if she is free in none of them, so that there is nothing to offer.
    """
    if not opening.post.hours:
        return 0
    return (candidate.seeker.free & opening.post.hours & ~candidate.busy) or None


def progress_of(free: int, live: Collection[Offer]) -> Progress:
    """What readers are told of a hiring that goes on."""
    if live:
        return "offering"
    return "waiting" if free else "filled"
