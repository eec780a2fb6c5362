"""Bulk commands: an upload is one command with one key; its good rows enter, its bad rows are named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, Field

from services.registry import metrics
from services.registry.api.desk import Desk
from services.registry.api.uploads import CSV, NDJSON, ROWS_MAX, Columns, rows_of
from services.registry.errors import RegistryError, RowInvalid
from services.registry.ports import RegistryStore
from services.registry.use_cases.commands import RegisterSeeker
from services.registry.use_cases.rows import Outcome
from shared.contracts.envelope import Envelope
from shared.runtime.cities import hold_to
from shared.runtime.commands import Accepted

Command = TypeVar("Command", bound=BaseModel)
RowNumber = Annotated[
    int, Field(ge=1, description="Row of the upload, from 1; blank rows and the header do not count.")
]


class FieldError(BaseModel):
    """A field of a row that is at fault, and what was expected there."""

    field: str
    expected: str


class AcceptedRow(Accepted):
    """A row that entered."""

    row: RowNumber


class RejectedRow(BaseModel):
    """A row that was refused, by which rule, and what is wrong with it."""

    row: RowNumber
    code: str
    errors: list[FieldError]


class BulkReport(BaseModel):
    """What became of each row, in order."""

    accepted: int
    rejected: int
    rows: list[AcceptedRow | RejectedRow]


async def run_bulk(
    desk: Desk,
    request: Request,
    command: str,
    model: type[Command],
    columns: Columns,
    use_case: Callable[[Sequence[Command], RegistryStore, datetime], Awaitable[list[Outcome]]],
) -> Response:
    """Run an upload in one transaction and answer 200 with the report.

    Raises:
        BulkUnreadable, BulkTooLarge, CityForbidden: nothing was stored.
    """
    rows = rows_of(request.headers.get("content-type", ""), await request.body(), model, columns)
    hold_to(
        request.state.holder,
        [(f"rows.{number}.city", row.city) for number, row in enumerate(rows, 1) if isinstance(row, RegisterSeeker)],
    )
    good = [row for row in rows if not isinstance(row, RowInvalid)]

    async def work(store: RegistryStore, now: datetime) -> BulkReport:
        outcomes = iter(await use_case(good, store, now) if good else [])
        return _report([row if isinstance(row, RowInvalid) else next(outcomes) for row in rows])

    response, report = await desk.answer(request, command, work, 200)
    if report is not None:
        metrics.BULK_ROWS.labels(command, "accepted").inc(report.accepted)
        metrics.BULK_ROWS.labels(command, "rejected").inc(report.rejected)
    return response


def _report(outcomes: Sequence[Outcome]) -> BulkReport:
    rows = [_row(number, outcome) for number, outcome in enumerate(outcomes, 1)]
    accepted = sum(isinstance(row, AcceptedRow) for row in rows)
    return BulkReport(accepted=accepted, rejected=len(rows) - accepted, rows=rows)


def _row(number: int, outcome: Envelope | RegistryError) -> AcceptedRow | RejectedRow:
    if isinstance(outcome, Envelope):
        return AcceptedRow(row=number, **dict(Accepted.of(outcome)))
    errors = [FieldError(field=fault.field, expected=fault.expected) for fault in outcome.faults]
    return RejectedRow(row=number, code=outcome.code, errors=errors)


def upload_docs(model: type[BaseModel], columns: Columns) -> dict[str, Any]:
    """OpenAPI of an upload's body, which FastAPI cannot know as it is read raw."""
    cells = ", ".join(f"`{name}`" for name in columns)
    return {
        "requestBody": {
            "required": True,
            "description": (
                f"At most {ROWS_MAX} rows and 4 MiB, UTF-8. NDJSON: one `{model.__name__}` a line. "
                f"CSV: a header with columns of {cells}; an empty cell is a field not given; "
                "`;` separates the words of a list; weekly hours are `1 09:00-11:30;2 13:00-15:00`, "
                "children `2019-05-01;2021-03-09`."
            ),
            "content": {NDJSON: {"schema": {"type": "string"}}, CSV: {"schema": {"type": "string"}}},
        }
    }
