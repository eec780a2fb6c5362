"""Instant hiring over HTTP: start and cancel it for a post, read offers, answer one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from services.matching.api.offer_forms import (
    AcceptBody,
    HiringBody,
    HiringView,
    OfferView,
    PostOffers,
    SeatWon,
    State,
    hiring_view,
    offer_view,
)
from services.matching.domain.offers import Offer, Terms
from services.matching.errors import (
    CatchingUp,
    HiringUnknown,
    HoursInvalid,
    HoursOutsideOffer,
    OfferSettledAlready,
    OfferUnknown,
    PostNotOpen,
    PostUnknown,
)
from services.matching.hiring import Hirings, answering, offering
from services.matching.hiring.steps import count
from services.matching.ports import Declined, OfferChanges, OfferReads
from shared.contracts.matching import OfferSettled
from shared.contracts.position import Position
from shared.kernel.clock import Clock, civil_day
from shared.kernel.ids import ID_PATTERN
from shared.kernel.week import span_mask
from shared.runtime.commands import Accepted, CommandRunner
from shared.runtime.mongo import Session
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import reading, writing

PostPath = Annotated[str, Path(pattern=ID_PATTERN, description="`pst-…`")]
SeekerPath = Annotated[str, Path(pattern=ID_PATTERN, description="`skr-…`, a pseudonym")]
OfferPath = Annotated[str, Path(pattern=ID_PATTERN, description="`ofr-…`")]
StateFilter = Annotated[State | None, Query(description="Only offers in this state.")]


@dataclass(frozen=True, slots=True)
class HiringDesk:
    """What the composition root hands to the routes.

    Attributes:
        has_all_cities: whether a post that is unknown here is unknown everywhere.
    """

    runner: CommandRunner
    hirings: Hirings
    offers: OfferReads
    clock: Clock
    has_all_cities: Callable[[], bool]


def router(desk: HiringDesk) -> APIRouter:
    """The routes of instant hiring."""
    routes = APIRouter()
    for part in (_hiring_commands(desk), _answers(desk), _reads(desk)):
        routes.include_router(part)
    return routes


def _hiring_commands(desk: HiringDesk) -> APIRouter:
    write = writing("instant hiring")

    @write.post("/posts/{post_id}/offers", status_code=201, response_model=HiringView, response_model_exclude_none=True)
    async def start(request: Request, post_id: PostPath, body: HiringBody) -> Response:
        """Offer the free seats of a post to its best candidates, or change the terms of the offers to come."""
        city = await _city_of_open(desk, request, post_id)

        async def work(session: Session) -> BaseModel:
            terms = desk.hirings.terms
            hiring = await offering.start(
                desk.offers.book(session),
                post_id,
                city,
                per_seat=body.offers_per_seat or terms.per_seat,
                expiry_minutes=body.expires_in_minutes or terms.expiry_minutes,
                is_asked=True,
                now=desk.clock(),
            )
            return hiring_view(hiring)

        response, _ = await desk.runner.counted(request, "start-hiring", work)
        desk.hirings.wake(post_id)
        return response

    @write.delete("/posts/{post_id}/offers", response_model=HiringView, response_model_exclude_none=True)
    async def cancel(request: Request, post_id: PostPath) -> Response:
        """Offer the seats of a post no more, and take its live offers back; a yes that was said is carried out."""
        written = OfferChanges()

        async def work(session: Session) -> BaseModel:
            nonlocal written
            hiring, written = await offering.cancel(desk.offers.book(session), post_id, desk.clock())
            return hiring_view(hiring)

        response, _ = await desk.runner.counted(request, "cancel-hiring", work, status=200)
        count(written)
        return response

    return write


async def _city_of_open(desk: HiringDesk, request: Request, post_id: str) -> str:
    """City of a post that takes somebody; for a command that was answered before it need not any more.

    Raises:
        PostUnknown, PostNotOpen, CatchingUp
    """
    board = desk.hirings.board(desk.clock())
    city = board.city_of("post", post_id)
    if city is not None and (opening := board.opening(post_id)) is not None and not opening.expired:
        return city
    if await desk.runner.first_answer(request) is not None:
        return city or ""
    if city is not None:
        raise PostNotOpen
    raise PostUnknown if desk.has_all_cities() else CatchingUp


def _answers(desk: HiringDesk) -> APIRouter:
    write = writing("instant hiring")

    @write.post("/offers/{offer_id}/accept", status_code=201, response_model=SeatWon)
    async def accept(request: Request, offer_id: OfferPath, body: AcceptBody) -> Response:
        """Say yes: take the seat in the registry, if it is still free. 503: ask again, the yes is kept."""
        with desk.runner.counting("accept-offer") as count_as:
            first = await desk.runner.first_answer(request)
            response = first or await _accept(desk, request, offer_id, body)
            count_as("repeated" if first else "accepted")
        return response

    @write.post("/offers/{offer_id}/refuse", status_code=201, response_model=Accepted)
    async def refuse(request: Request, offer_id: OfferPath) -> Response:
        """Say no: the next is asked."""
        written = OfferChanges()

        async def work(session: Session) -> BaseModel:
            nonlocal written
            written, envelope = await answering.say_no(desk.offers.book(session), offer_id, desk.clock())
            return Accepted.of(envelope)

        response, _ = await desk.runner.counted(request, "refuse-offer", work)
        count(written)
        for _, offer in written.offers:
            desk.hirings.wake(offer.post_id)
        return response

    return write


async def _accept(desk: HiringDesk, request: Request, offer_id: str, body: AcceptBody) -> Response:
    offer = await desk.offers.offer(offer_id)
    if offer is None:
        raise OfferUnknown
    terms, command = terms_of(body, offer, desk.clock()), await desk.runner.name_of(request)
    asked = await desk.offers.transaction(lambda book: answering.say_yes(book, offer_id, terms, command, desk.clock()))
    if asked.state == "accepting":
        answer = await desk.hirings.ask_only(asked)
        if isinstance(answer, Declined):
            after = await desk.hirings.note(asked, answer)
            raise answering.verdict(after, answer)
    elif asked.outcome != "accepted":
        raise OfferSettledAlready(asked.outcome or "settled")
    written = OfferChanges()

    async def work(session: Session) -> BaseModel:
        nonlocal written
        book = desk.offers.book(session)
        after = asked
        if asked.state == "accepting":
            after, written, _ = await answering.conclude(book, asked, answer, desk.clock())
        if after.outcome != "accepted" or after.placement_id is None:
            raise OfferSettledAlready(after.outcome or "settled")
        return SeatWon(
            id=after.id,
            version=after.version,
            topic=OfferSettled.topic,
            event_id=await book.settling_event(after),
            position=str(Position(OfferSettled.topic, after.id, after.version)),
            placement_id=after.placement_id,
        )

    response, _ = await desk.runner.run(request, work)
    count(written)
    desk.hirings.wake(asked.post_id)
    return response


def terms_of(body: AcceptBody, offer: Offer, now: datetime) -> Terms:
    """What she says yes to; what she leaves out is as she said before, or as it was offered.

    Raises:
        HoursInvalid, HoursOutsideOffer
    """
    said = offer.terms
    if body.hours is None:
        hours = offer.hours if said is None else said.hours
    elif not body.hours and offer.hours:
        raise HoursOutsideOffer
    else:
        hours = 0
        for index, span in enumerate(body.hours):
            try:
                hours |= span_mask(span.day, span.start, span.to)
            except ValueError:
                raise HoursInvalid(f"hours.{index}.to") from None
    starts_on = body.starts_on or (civil_day(now) if said is None else said.starts_on)
    return Terms(hours, starts_on, body.child_care, body.child_care_station_id, body.shuttle_id)


def _reads(desk: HiringDesk) -> APIRouter:
    read = reading("instant hiring")

    @read.get("/posts/{post_id}/offers", response_model_exclude_none=True)
    async def offers_of_post(
        post_id: PostPath, state: StateFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> PostOffers:
        """A post's offers, of all rounds, and where its hiring stands."""
        found = await desk.offers.hirings([post_id])
        if not found:
            raise HiringUnknown
        after = decode_cursor("offers", cursor) or ""
        items = await desk.offers.list_of_post(post_id, state, after, limit + 1)
        return PostOffers(items=_views(items, limit), next=_next(items, limit), hiring=hiring_view(found[0]))

    @read.get("/seekers/{seeker_id}/offers", response_model_exclude_none=True)
    async def offers_of_seeker(
        seeker_id: SeekerPath, state: StateFilter = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> Page[OfferView]:
        """A seeker's offers; empty for one who was never offered anything."""
        after = decode_cursor("offers", cursor) or ""
        items = await desk.offers.list_of_seeker(seeker_id, state, after, limit + 1)
        return Page(items=_views(items, limit), next=_next(items, limit))

    @read.get("/offers/{offer_id}", response_model_exclude_none=True)
    async def get_offer(offer_id: OfferPath) -> OfferView:
        """One offer."""
        found = await desk.offers.offer(offer_id)
        if found is None:
            raise OfferUnknown
        return offer_view(found)

    return read


def _views(offers: Sequence[Offer], limit: int) -> list[OfferView]:
    return [offer_view(offer) for offer in offers[:limit]]


def _next(offers: Sequence[Offer], limit: int) -> str | None:
    return encode_cursor("offers", offers[limit - 1].id) if len(offers) > limit else None
