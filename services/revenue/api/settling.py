"""Routes of settlements: dry run, order, progress, reversal, and what is known of a month then and now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from services.revenue.api.commands import Body, EntityId
from services.revenue.api.desk import Desk
from services.revenue.api.months import (
    MonthView,
    PreviewView,
    ProgressView,
    month_view,
    preview_view,
    progress_view,
    settled_view,
)
from services.revenue.domain.agreements import Pair
from services.revenue.errors import SettlementUnknown
from services.revenue.use_cases.settle import Preview, SettleMonth, close_month, reverse_settlement
from shared.contracts.fields import Month
from shared.kernel.errors import Fault
from shared.kernel.ids import ID_PATTERN
from shared.runtime.commands import Accepted
from shared.runtime.routers import EntityPath, reading, writing

EntityNeeded = Annotated[str, Query(pattern=ID_PATTERN, max_length=40)]


class SettlementBody(Body):
    """Which month of which pair to settle."""

    employer_id: EntityId
    community_id: EntityId
    month: Month


class ReversalBody(Body):
    """Why a settlement is reversed."""

    reason: Annotated[str, Field(max_length=1000, description="For those who ask later; no names of persons.")]


def routers(
    desk: Desk, preview: Callable[[SettleMonth], Awaitable[Preview]], look_for_orders: Callable[[], None]
) -> list[APIRouter]:
    """The routers of settlements.

    Args:
        preview: the dry run.
        look_for_orders: tells the background that a settlement was ordered.
    """
    return [_commands(desk, look_for_orders), _queries(desk, preview)]


def _commands(desk: Desk, look_for_orders: Callable[[], None]) -> APIRouter:
    write = writing("settlements")

    @write.post("/settlements", status_code=201, response_model=Accepted)
    async def settle(request: Request, body: SettlementBody) -> Response:
        """Close a month of an employer at a community, and all before it; the settlement itself follows at once in the
        background, and its event says so."""
        command = SettleMonth(Pair(body.employer_id, body.community_id), body.month)
        response = await desk.run(
            request, "settle-month", lambda store, now: close_month(command, store=store, now=now, new_id=desk.new_id)
        )
        look_for_orders()
        return response

    @write.post("/settlements/{settlement_id}/reverse", status_code=201, response_model=Accepted)
    async def reverse(request: Request, settlement_id: EntityPath, body: ReversalBody) -> Response:
        """Reverse the last settlement of a pair: its amount leaves the fund, its month is open again."""
        return await desk.run(
            request,
            "reverse-settlement",
            lambda store, now: reverse_settlement(settlement_id, body.reason, store=store, now=now),
        )

    return write


def _queries(desk: Desk, preview: Callable[[SettleMonth], Awaitable[Preview]]) -> APIRouter:
    read = reading("settlements")

    @read.post("/settlements/dry-run")
    async def dry_run(body: SettlementBody) -> PreviewView:
        """What a settlement would come to now. Refused as the settlement would be; nothing is written."""
        return preview_view(await preview(SettleMonth(Pair(body.employer_id, body.community_id), body.month)))

    @read.get("/settlements/{settlement_id}/progress", response_model_exclude_none=True)
    async def get_progress(settlement_id: EntityPath) -> ProgressView:
        """How far a settlement is that was ordered."""
        progress = await desk.reads.progress(settlement_id)
        if progress is not None:
            return progress_view(progress)
        settlement = await desk.reads.settlement(settlement_id)
        if settlement is None:
            raise SettlementUnknown("there is no such settlement", Fault("settlement_id", "the id of a settlement"))
        return settled_view(settlement)

    @read.get("/ledger/months/{month}", response_model_exclude_none=True)
    async def get_month(
        month: Annotated[Month, Path()], employer_id: EntityNeeded, community_id: EntityNeeded
    ) -> MonthView:
        """What is known of the shifts worked in a month: as known then, when it was settled, and as known now."""
        pair = Pair(employer_id, community_id)
        return month_view(pair, month, await desk.reads.books_worked(pair, month))

    return read
