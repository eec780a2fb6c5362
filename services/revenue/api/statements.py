"""Routes of a settlement's statement: for machines (JSON, CSV) and for people (HTML, PDF), and its public form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from services.revenue.api.desk import Desk
from services.revenue.api.views import (
    PublicStatementView,
    StatementView,
    line_view,
    public_statement_view,
    settlement_view,
)
from services.revenue.domain.ledger import Entry
from services.revenue.domain.settlements import HEADER, Settlement, line_of, total_lines
from services.revenue.domain.statements import LINES_SHOWN_MAX, Statement, Summary
from services.revenue.errors import SettlementUnknown
from services.revenue.paper.pages import statement_page
from services.revenue.paper.pdf import statement_pdf
from services.revenue.ports import LedgerReads
from shared.kernel.errors import Fault
from shared.runtime.routers import EntityPath, reading

STREAM_CHUNK = 500
"""Lines of a statement that are sent together: some 100 kB."""

Accept = Annotated[str, Header(max_length=500)]


def _of(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: other forms of the answer beside JSON."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in media_types}}}


def routers(desk: Desk) -> list[APIRouter]:
    """The router of statements, and that of their public form, which needs no token."""
    return [_statements(desk), _public(desk)]


def _statements(desk: Desk) -> APIRouter:
    read = reading("settlements")

    @read.get(
        "/settlements/{settlement_id}/statement",
        response_model=StatementView,
        responses=_of("text/csv", "text/html", "application/pdf"),
    )
    async def get_statement(settlement_id: EntityPath, accept: Accept = "application/json") -> Response:
        """The statement. JSON and CSV hold every line; `statement_hash` is of the CSV. HTML and PDF are for people and
        list the first 2,000."""
        settlement = await known_settlement(desk.reads, settlement_id)
        if _asks(accept, "text/csv"):
            return StreamingResponse(
                _csv(desk.reads, settlement), media_type="text/csv", headers=_named(f"{settlement_id}.csv")
            )
        if _asks(accept, "application/pdf") or _asks(accept, "text/html"):
            return await _paper(await _statement(desk.reads, settlement, is_public=False), accept)
        return StreamingResponse(_json(desk.reads, settlement), media_type="application/json")

    return read


def _public(desk: Desk) -> APIRouter:
    public = APIRouter(tags=["settlements"])

    @public.get(
        "/settlements/{settlement_id}/statement/public",
        response_model=PublicStatementView,
        responses=_of("text/html", "application/pdf"),
    )
    async def get_public_statement(settlement_id: EntityPath, accept: Accept = "text/html") -> Response:
        """The statement for everybody, without a token: HTML, PDF or JSON; no lines, ids or days that lead to a
        woman."""
        settlement = await known_settlement(desk.reads, settlement_id)
        statement = await _statement(desk.reads, settlement, is_public=True)
        if _asks(accept, "application/json"):
            return Response(public_statement_view(statement).model_dump_json(), media_type="application/json")
        return await _paper(statement, accept)

    return public


async def known_settlement(reads: LedgerReads, settlement_id: str) -> Settlement:
    """The settlement of an id.

    Raises:
        SettlementUnknown
    """
    found = await reads.settlement(settlement_id)
    if found is None:
        raise SettlementUnknown("there is no such settlement", Fault("settlement_id", "the id of a settlement"))
    return found


def _asks(accept: str, media_type: str) -> bool:
    return media_type in accept.lower()


def _named(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}


async def _paper(statement: Statement, accept: str) -> Response:
    """Made in a thread: a PDF of 2,000 lines takes up to a second."""
    if _asks(accept, "application/pdf"):
        made = await asyncio.to_thread(statement_pdf, statement)
        return Response(made, media_type="application/pdf", headers=_named(f"{statement.settlement.settlement_id}.pdf"))
    return HTMLResponse(await asyncio.to_thread(statement_page, statement))


async def _statement(reads: LedgerReads, settlement: Settlement, *, is_public: bool) -> Statement:
    summary = Summary()
    lines: list[Entry] = []
    async for entry in reads.statement_lines(settlement):
        summary.add(entry)
        if not is_public and len(lines) < LINES_SHOWN_MAX:
            lines.append(entry)
    signed = await reads.latest_agreement(settlement.pair)
    return Statement(
        settlement=settlement,
        employer=signed.signatories.employer.office if signed else settlement.pair.employer_id,
        community=signed.signatories.community.office if signed else settlement.pair.community_id,
        groups=summary.public_groups() if is_public else summary.groups(),
        lines=lines,
        is_public=is_public,
    )


async def _csv(reads: LedgerReads, settlement: Settlement) -> AsyncIterator[str]:
    lines = [HEADER]
    async for entry in reads.statement_lines(settlement):
        lines.append(line_of(entry))
        if len(lines) == STREAM_CHUNK:
            yield "".join(lines)
            lines.clear()
    yield "".join([*lines, *total_lines(settlement)])


async def _json(reads: LedgerReads, settlement: Settlement) -> AsyncIterator[bytes]:
    head = settlement_view(settlement).model_dump_json().encode()
    yield head[:-1] + b',"lines":['
    lines: list[bytes] = []
    sent = False
    async for entry in reads.statement_lines(settlement):
        lines.append(orjson.dumps(line_view(entry).model_dump(mode="json")))
        if len(lines) == STREAM_CHUNK:
            yield (b"," if sent else b"") + b",".join(lines)
            sent = True
            lines.clear()
    if lines:
        yield (b"," if sent else b"") + b",".join(lines)
    yield b"]}"
