"""Bodies and answers of instant hiring."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.matching.domain.hiring import EXPIRY_LEAST_MINUTES, EXPIRY_MOST_MINUTES, PER_SEAT_MOST, Hiring, Progress
from services.matching.domain.offers import Offer, Outcome
from services.matching.hiring.steps import spans_of
from shared.contracts.fields import Id, WeekSpan
from shared.runtime.commands import Accepted
from shared.runtime.pages import Page

State = Literal["live", "accepting", "settled"]

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
"""Days that a placement can mean; what is too far from today is for the registry to say."""


class Body(BaseModel):
    """A command's body; a field that nobody knows is refused, since it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HiringBody(Body):
    """How the seats are offered; what is absent is as for urgent posts."""

    offers_per_seat: Annotated[
        int | None,
        Field(strict=True, ge=1, le=PER_SEAT_MOST, description="Offers at a time for each free seat; one wins it."),
    ] = None
    expires_in_minutes: Annotated[
        int | None,
        Field(strict=True, ge=EXPIRY_LEAST_MINUTES, le=EXPIRY_MOST_MINUTES, description="How long each offer stands."),
    ] = None


class AcceptBody(Body):
    """Her yes, and on which terms."""

    starts_on: Annotated[
        date | None, Field(ge=FIRST_DAY, le=LAST_DAY, description="Her first day; absent: today, in China.")
    ] = None
    hours: Annotated[
        tuple[WeekSpan, ...] | None, Field(max_length=168, description="A part of the offer's hours; absent: all.")
    ] = None
    child_care: Annotated[bool, Field(description="Also a child-care place, at the same hours; all or nothing.")] = (
        False
    )
    child_care_station_id: Annotated[Id | None, Field(description="Where; absent: the post's station.")] = None
    shuttle_id: Annotated[Id | None, Field(description="Also a seat on this shuttle; all or nothing.")] = None


class HiringView(BaseModel):
    """The instant hiring of a post."""

    post_id: str
    city: str
    state: Literal["open", "cancelled", "closed"]
    progress: Annotated[
        Progress | None,
        Field(description="While open. `waiting`: a seat is free and nobody is left to ask; `filled`: no seat is."),
    ] = None
    round: Annotated[int, Field(description="Nobody is asked twice in a round; a new start begins a new one.")]
    offers_per_seat: int
    expires_in_minutes: int
    requested: Annotated[bool, Field(description="Started by request, not because the post is urgent.")]
    started_at: datetime
    ended_at: datetime | None = None


class OfferView(BaseModel):
    """An offer, with its present state."""

    offer_id: str
    version: int
    post_id: str
    seeker_id: str
    city: str
    rank: int
    hours: tuple[WeekSpan, ...]
    made_at: datetime
    expires_at: datetime
    state: State
    outcome: Outcome | None = None
    reason: str | None = None
    placement_id: str | None = None
    settled_at: datetime | None = None


class PostOffers(Page[OfferView]):
    """Offers of a post, and its hiring."""

    hiring: HiringView


class SeatWon(Accepted):
    """Answer to a yes that won the seat."""

    placement_id: Annotated[str, Field(description="Her placement, in the registry.")]


def hiring_view(hiring: Hiring) -> HiringView:
    """A hiring as it is answered."""
    return HiringView(
        post_id=hiring.post_id,
        city=hiring.city,
        state=hiring.state,
        progress=hiring.progress if hiring.state == "open" else None,
        round=hiring.round,
        offers_per_seat=hiring.per_seat,
        expires_in_minutes=hiring.expiry_minutes,
        requested=hiring.is_asked,
        started_at=hiring.started_at,
        ended_at=hiring.ended_at,
    )


def offer_view(offer: Offer) -> OfferView:
    """An offer as it is answered."""
    return OfferView(
        offer_id=offer.id,
        version=offer.version,
        post_id=offer.post_id,
        seeker_id=offer.seeker_id,
        city=offer.city,
        rank=offer.rank,
        hours=spans_of(offer.hours),
        made_at=offer.made_at,
        expires_at=offer.expires_at,
        state=offer.state,
        outcome=offer.outcome,
        reason=offer.reason,
        placement_id=offer.placement_id,
        settled_at=offer.settled_at,
    )
