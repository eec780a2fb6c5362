"""Making offers and ending them: start, look, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.matching.domain import Opening
from services.matching.domain.hiring import OFFERED_MAX, Hiring, Plan, hours_for, plan, progress_of
from services.matching.domain.hiring import start as started
from services.matching.domain.offers import Hands, Offer, take_back
from services.matching.errors import HiringOver, HiringUnknown
from services.matching.hiring.steps import made, settle
from services.matching.ports import Board, OfferBook, OfferChanges
from shared.kernel.ids import NewId

PAGE = 50
"""Places of the ranking that are looked at first: those that the rankings keep ready."""

PLACES_MAX = 500
"""Places that one look goes down to, all at once, since it costs a look at the whole city. A hiring that nobody of them
can take waits until somebody else comes, or for a while (`loop.AGAIN_AFTER`)."""


async def start(
    book: OfferBook,
    post_id: str,
    city: str,
    *,
    per_seat: int,
    expiry_minutes: int,
    is_asked: bool,
    now: datetime,
) -> Hiring:
    """Begin to offer a post's seats; for a hiring that runs, change the terms of the offers to come."""
    before = await book.hiring(post_id)
    hiring = started(before, post_id, city, per_seat, expiry_minutes, is_asked=is_asked, now=now)
    await book.save(OfferChanges(hirings=[(before, hiring)]), now)
    return hiring


async def cancel(book: OfferBook, post_id: str, now: datetime) -> tuple[Hiring, OfferChanges]:
    """Stop offering a post's seats and take its live offers back; one that is being accepted comes to its end.

    Raises:
        HiringUnknown, HiringOver
    """
    hiring = await book.hiring(post_id)
    if hiring is None:
        raise HiringUnknown
    if hiring.state != "open":
        raise HiringOver
    ended = replace(hiring, lock=hiring.lock + 1, state="cancelled", ended_at=now)
    changes = OfferChanges(hirings=[(hiring, ended)])
    live = [offer for offer in await book.unsettled(post_id) if offer.state == "live"]
    await settle(book, changes, [(o, take_back(o, "withdrawn", "hiring-cancelled", now)) for o in live])
    await book.save(changes, now)
    return ended, changes


async def look(
    book: OfferBook, post_id: str, *, board: Board, now: datetime, new_id: NewId, is_deep: bool = True
) -> tuple[Plan, OfferChanges] | None:
    """Bring a hiring up to date: end offers that are over, make new ones, or find that there is nothing to do.

    Args:
        is_deep: where nobody of the first `PAGE` places can be asked, go down to `PLACES_MAX`.

    Returns:
        What was found and what was written; `None` when the hiring is not open, or its city has gone to another
        instance: a post that is unknown here is not over.
    """
    hiring = await book.hiring(post_id)
    if hiring is None or hiring.state != "open":
        return None
    unsettled = await book.unsettled(post_id)
    if board.city_of("post", post_id) is None:
        return None
    opening = board.opening(post_id)
    found = plan(hiring, opening, unsettled, lambda id_: is_seen(board, id_), board.posts_of, now)
    changes = OfferChanges()
    if found.over:
        await settle(book, changes, found.over)
    fresh: list[Offer] = []
    if found.room and opening is not None:
        asked = {*await book.asked(hiring), *(offer.seeker_id for offer in unsettled)}
        hands = {becomes.seeker_id: (was, becomes) for was, becomes in changes.hands}
        fresh = await _Wave(book, board, hiring, opening, asked, hands, now, new_id).make(found.room, is_deep)
        changes.hands = list(hands.values())
        changes.offers += [(None, offer) for offer in fresh]
        changes.events += [made(offer) for offer in fresh]
    after = replace(
        hiring,
        state="closed" if found.ends else "open",
        ended_at=now if found.ends else None,
        unseen=tuple(id_ for id_ in hiring.unseen if id_ not in found.seen),
        progress=progress_of(found.free, (*found.live, *fresh)),
    )
    if changes.offers or after != hiring:
        changes.hirings.append((hiring, after.touched()))
        await book.save(changes, now)
    return found, changes


def is_seen(board: Board, placement_id: str) -> bool:
    """Whether the rankings know a placement."""
    return board.version_of("placement", placement_id) > 0


@dataclass(slots=True)
class _Wave:
    """The offers that one look makes.

    Attributes:
        asked: seekers who are not asked: they were in this round, or hold an offer of an earlier one.
        hands: hands that this step changes, as they were and as they become; each is written once.
    """

    book: OfferBook
    board: Board
    hiring: Hiring
    opening: Opening
    asked: set[str]
    hands: dict[str, tuple[Hands, Hands]]
    now: datetime
    new_id: NewId

    async def make(self, room: int, is_deep: bool) -> list[Offer]:
        """Offer up to `room` seats to the best who are not asked yet and whose hands are free at the hours."""
        room = min(room, OFFERED_MAX - len(self.asked))
        offers: list[Offer] = []
        for first, last in ((0, PAGE), (PAGE, PLACES_MAX)) if is_deep else ((0, PAGE),):
            if len(offers) >= room:
                break
            page = self.board.ranking(self.hiring.post_id, last)[first:]
            places = [(rank, place.seeker_id) for rank, place in enumerate(page, first + 1)]
            offers += await self._of([place for place in places if place[1] not in self.asked], room - len(offers))
            if len(page) < last - first:
                break
        return offers

    async def _of(self, places: Sequence[tuple[int, str]], room: int) -> list[Offer]:
        held = await self.book.hands({seeker_id for _, seeker_id in places})
        offers: list[Offer] = []
        for rank, seeker_id in places:
            if len(offers) >= room:
                break
            candidate = self.board.candidate(seeker_id)
            hours = None if candidate is None else hours_for(candidate, self.opening)
            was, hands = self.hands.get(seeker_id, (held[seeker_id], held[seeker_id]))
            hands = hands.without_placements(lambda id_: is_seen(self.board, id_))
            if hours is None or not hands.can_take(hours):
                continue
            offer = self._offer(seeker_id, rank, hours)
            self.hands[seeker_id] = (was, replace(hands.taking(offer), lock=was.lock + 1))
            offers.append(offer)
        return offers

    def _offer(self, seeker_id: str, rank: int, hours: int) -> Offer:
        return Offer(
            id=self.new_id("offer"),
            version=1,
            lock=1,
            post_id=self.hiring.post_id,
            seeker_id=seeker_id,
            city=self.hiring.city,
            round=self.hiring.round,
            rank=rank,
            hours=hours,
            made_at=self.now,
            expires_at=self.hiring.expires_at(self.now),
        )
