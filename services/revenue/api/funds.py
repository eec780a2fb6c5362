"""Routes of a community's fund: its public page, requests to spend, their receipts and approvals."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from services.revenue.api.desk import Desk
from services.revenue.api.views import (
    FundView,
    SpendingRequestView,
    fund_view,
    movement_view,
    spending_request_view,
)
from services.revenue.domain.funds import Fund, Receipt
from services.revenue.errors import CommunityUnknown, ReceiptUnknown
from services.revenue.paper.fund import FundPage, fund_page
from services.revenue.ports import LedgerReads
from services.revenue.use_cases.spend import (
    ApproveSpending,
    DeclineSpending,
    RequestSpending,
    approve_spending,
    decline_spending,
    request_spending,
)
from shared.kernel.errors import Fault
from shared.kernel.ids import ID_PATTERN
from shared.runtime.auth import Holder
from shared.runtime.commands import Accepted
from shared.runtime.http import needs
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, CursorInvalid, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import EntityPath, reading, writing

REQUEST_BODY_MAX_BYTES = 3 * 1024 * 1024
"""Body of a spending request: a receipt of 2 MiB in base64, and some text."""

RECEIPT_BASE64_MAX = REQUEST_BODY_MAX_BYTES
"""Characters of a receipt in base64; the size of the file itself is a rule of the domain."""

PAGE_MOVEMENTS_MAX = 200
"""Settlements and spendings that the page of a fund lists, newest first; the JSON has all of them, in pages."""


class SpendingRequestBody(BaseModel):
    """What the fund shall pay for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Annotated[str, Field(max_length=40, description="An earmarked purpose.")]
    amount_fen: Annotated[int, Field(strict=True)]
    purpose: Annotated[str, Field(max_length=1000, description="For the public; no names of persons.")]
    receipt: Annotated[
        Base64Bytes,
        Field(max_length=RECEIPT_BASE64_MAX, description="PDF, PNG or JPEG of at most 2 MiB, in base64."),
    ]


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of funds: commands, lists, the files of receipts, and the public page, which needs no token."""
    return [_commands(desk), _requests(desk), _receipts(desk), _public(desk)]


class DeclineBody(BaseModel):
    """Why a request is not paid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, Field(max_length=1000, description="For those who ask later; no names of persons.")]


def _commands(desk: Desk) -> APIRouter:
    write = writing("funds")

    @write.post("/communities/{community_id}/spending-requests", status_code=201, response_model=Accepted)
    async def ask(
        request: Request, community_id: EntityPath, body: SpendingRequestBody, holder: Annotated[Holder, needs("write")]
    ) -> Response:
        """Ask a community's fund to pay for something earmarked, with the receipt. Another one must approve."""
        command = RequestSpending(
            community_id=community_id,
            category=body.category,
            amount_fen=body.amount_fen,
            purpose=body.purpose,
            receipt=Receipt(body.receipt),
            requested_by=holder.name,
        )
        return await desk.run(
            request,
            "request-spending",
            lambda store, now: request_spending(command, store=store, now=now, new_id=desk.new_id),
        )

    @write.post("/spending-requests/{spending_id}/approve", status_code=201, response_model=Accepted)
    async def approve(request: Request, spending_id: EntityPath, holder: Annotated[Holder, needs("write")]) -> Response:
        """Approve a request of somebody else: the fund pays, if it holds the amount."""
        command = ApproveSpending(spending_id, holder.name)
        return await desk.run(
            request, "approve-spending", lambda store, now: approve_spending(command, store=store, now=now)
        )

    @write.post("/spending-requests/{spending_id}/decline", status_code=201, response_model=Accepted)
    async def decline(
        request: Request, spending_id: EntityPath, body: DeclineBody, holder: Annotated[Holder, needs("write")]
    ) -> Response:
        """Decline a request, or take back one's own: the fund never pays for it."""
        command = DeclineSpending(spending_id, body.reason, holder.name)
        return await desk.run(
            request, "decline-spending", lambda store, now: decline_spending(command, store=store, now=now)
        )

    return write


def _requests(desk: Desk) -> APIRouter:
    read = reading("funds")

    @read.get("/spending-requests")
    async def list_requests(
        community_id: Annotated[str | None, Query(pattern=ID_PATTERN, max_length=40)] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[SpendingRequestView]:
        """Requests that wait for their approval."""
        after = decode_cursor("spending-requests", cursor) or ""
        found = await desk.reads.requests(community_id, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[spending_request_view(request) for request in found[:limit]],
            next=encode_cursor("spending-requests", found[limit - 1].spending_id) if more else None,
        )

    return read


def _receipts(desk: Desk) -> APIRouter:
    # A receipt may name persons, so it is not for everybody who reads pseudonyms.
    personal = APIRouter(tags=["funds"], dependencies=[needs("personal")])

    @personal.get(
        "/receipts/{receipt_hash}",
        response_class=Response,
        responses={200: {"content": {"application/pdf": {}, "image/png": {}, "image/jpeg": {}}}},
    )
    async def get_receipt(receipt_hash: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]) -> Response:
        """The file of a receipt, for who checks or approves a spending."""
        receipt = await desk.reads.receipt(receipt_hash)
        if receipt is None:
            raise ReceiptUnknown("there is no such receipt", Fault("receipt_hash", "the hash of a receipt"))
        # Never shown inside the page of this origin: the file is somebody else's.
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(receipt.content, media_type=receipt.media_type, headers=headers)

    return personal


def _public(desk: Desk) -> APIRouter:
    public = APIRouter(tags=["funds"])

    @public.get(
        "/communities/{community_id}/fund",
        response_model=FundView,
        response_model_exclude_none=True,
        responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    )
    async def get_fund(
        community_id: EntityPath,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
        accept: Annotated[str, Header(max_length=500)] = "application/json",
    ) -> FundView | Response:
        """A community's fund for everybody, without a token: what came in, what it paid for, what is left; JSON, or
        HTML with a picture."""
        fund = await _fund(desk.reads, community_id)
        if "text/html" in accept.lower():
            return HTMLResponse(await asyncio.to_thread(fund_page, await _page(desk.reads, fund)))
        after = number_of(decode_cursor("movements", cursor))
        found = await desk.reads.movements(community_id, after, limit + 1)
        more = len(found) > limit
        movements = Page(
            items=[movement_view(movement) for movement in found[:limit]],
            next=encode_cursor("movements", str(found[limit - 1].seq)) if more else None,
        )
        return fund_view(fund, movements)

    return public


async def _fund(reads: LedgerReads, community_id: str) -> Fund:
    city = await reads.city_of_community(community_id)
    if city is None:
        raise CommunityUnknown(
            "there is no such community", Fault("community_id", "a registered community; if just now, retry")
        )
    return await reads.fund(community_id) or Fund(community_id, city)


async def _page(reads: LedgerReads, fund: Fund) -> FundPage:
    return FundPage(
        fund=fund,
        office=await reads.office_of(fund.community_id) or fund.community_id,
        spent_fen=await reads.spent_by_category(fund.community_id),
        movements=[movement.source for movement in await reads.latest_movements(fund.community_id, PAGE_MOVEMENTS_MAX)],
    )


def number_of(text: str | None) -> int:
    """The number in a cursor; 0 for the first page.

    Raises:
        CursorInvalid: there is none.
    """
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise CursorInvalid("not a cursor of this list", Fault("cursor", "`next` of an earlier page of the same list"))
    return int(text)
