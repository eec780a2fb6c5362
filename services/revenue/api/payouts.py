"""Routes of payouts: the file for the bank, and the bank's confirmation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.revenue.api.desk import Desk
from services.revenue.domain.payouts import Batch, order_file
from services.revenue.errors import BatchUnknown, ConfirmationInvalid
from services.revenue.use_cases.pay import confirm_payouts, order_payouts
from shared.contracts.fields import City
from shared.kernel.errors import Fault
from shared.runtime.commands import Accepted
from shared.runtime.mongo import Session
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import EntityPath, reading, writing

CONFIRMATION_BODY_MAX_BYTES = 512 * 1024
"""Body of a confirmation: 2,000 lines of up to 200 bytes."""


class PayoutsBody(BaseModel):
    """Whose settlements to pay."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    city: City


class BatchView(BaseModel):
    """Payouts that were ordered together, with the control totals of their file."""

    batch_id: str
    city: str
    count: int
    amount_fen: int
    file_hash: Annotated[str, Field(description="SHA-256 of the file for the bank.")]


class RefusedLine(BaseModel):
    """A line of a confirmation that changed nothing."""

    line: Annotated[int, Field(description="In the file; the header is 1.")]
    payout_id: str
    field: str
    expected: str


class ConfirmedView(BaseModel):
    """What came of a confirmation."""

    paid: int
    failed: int
    repeated: Annotated[int, Field(description="Told before, in the same words; without effect.")]
    refused: list[RefusedLine]


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of payouts: commands, and lists."""
    return [_commands(desk), _batches(desk)]


def _commands(desk: Desk) -> APIRouter:
    write = writing("payouts")

    @write.post("/payout-batches", status_code=201, response_model=Accepted)
    async def order(request: Request, body: PayoutsBody) -> Response:
        """Order what was settled in a city and not ordered before; `/payout-batches/{id}/file` is for the bank."""
        return await desk.run(
            request,
            "order-payouts",
            lambda store, now: order_payouts(body.city, store=store, now=now, new_id=desk.new_id),
        )

    @write.post(
        "/cities/{city}/payout-confirmations",
        status_code=200,
        response_model=ConfirmedView,
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def confirm(request: Request, city: City) -> Response:
        """Take in the bank's confirmation, a CSV file. A payout confirmed twice is one payout."""
        try:
            text = (await request.body()).decode()
        except UnicodeDecodeError:
            raise ConfirmationInvalid("the file cannot be used", Fault("body", "CSV in UTF-8")) from None

        async def once(session: Session) -> ConfirmedView:
            result = await confirm_payouts(city, text, store=desk.store(session), now=desk.clock())
            return ConfirmedView(
                paid=result.paid,
                failed=result.failed,
                repeated=result.repeated,
                refused=[
                    RefusedLine(
                        line=one.line, payout_id=one.payout_id, field=one.fault.field, expected=one.fault.expected
                    )
                    for one in result.refused
                ],
            )

        async with desk.turn:
            response, _ = await desk.runner.counted(request, "confirm-payouts", once, 200)
        return response

    return write


def _batches(desk: Desk) -> APIRouter:
    read = reading("payouts")

    @read.get("/payout-batches")
    async def list_batches(
        city: Annotated[City | None, Query()] = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
    ) -> Page[BatchView]:
        """Batches that were ordered."""
        found = await desk.reads.batches(city, decode_cursor("payout-batches", cursor) or "", limit + 1)
        more = len(found) > limit
        return Page(
            items=[_view(batch) for batch in found[:limit]],
            next=encode_cursor("payout-batches", found[limit - 1].batch_id) if more else None,
        )

    @read.get("/payout-batches/{batch_id}/file", response_class=Response)
    async def get_file(batch_id: EntityPath) -> Response:
        """The file for the bank: CSV with control totals; its SHA-256 is the batch's `file_hash`."""
        payouts = await desk.reads.payouts_of(batch_id)
        if not payouts:
            raise BatchUnknown("there is no such batch", Fault("batch_id", "the id of a batch of payouts"))
        headers = {"Content-Disposition": f'attachment; filename="{batch_id}.csv"'}
        return Response(order_file(batch_id, payouts), media_type="text/csv", headers=headers)

    return read


def _view(batch: Batch) -> BatchView:
    return BatchView(
        batch_id=batch.batch_id,
        city=batch.city,
        count=batch.count,
        amount_fen=batch.amount_fen,
        file_hash=batch.file_hash,
    )
