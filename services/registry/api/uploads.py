"""Bulk uploads as rows: NDJSON or CSV, UTF-8 with or without a byte order mark, at most 1,000 rows.

Row n is the n-th row that is not blank, after the header of a CSV. The columns of a CSV are the field paths of the
command (`person.phone`, `pay.fen`), so that a fault names the column. An empty cell means "not given". In one cell,
`;` separates words (`knitting;packing`), weekly hours (`1 09:00-11:30;2 13:00-15:00`) and children's birth dates
(`2019-05-01;2021-03-09`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from services.registry.domain.hours import spans_of_text
from services.registry.errors import BulkTooLarge, BulkUnreadable, RowInvalid
from shared.kernel.errors import Fault
from shared.runtime.http import faults_of

ROWS_MAX = 1_000
"""Rows of one upload: one transaction holds them all, and stays under half a second."""

NDJSON = "application/x-ndjson"
CSV = "text/csv"

_PATH = re.compile(r"^[a-z0-9_.]{1,80}$")

Command = TypeVar("Command", bound=BaseModel)
Cell = Literal["one", "words", "hours", "children"]
Columns = Mapping[str, Cell]

SEEKER_COLUMNS: Columns = {
    "city": "one",
    "area": "one",
    "home.lat": "one",
    "home.lon": "one",
    "commute_km": "one",
    "free": "hours",
    "skills": "words",
    "kinds": "words",
    "facilities": "words",
    "pay_floor_fen": "one",
    "registered_on": "one",
    "person.name": "one",
    "person.phone": "one",
    "person.birth_date": "one",
    "person.address": "one",
    "person.children": "children",
}
POST_COLUMNS: Columns = {
    "employer_id": "one",
    "station_id": "one",
    "area": "one",
    "kind": "one",
    "trade": "one",
    "location.lat": "one",
    "location.lon": "one",
    "hours": "hours",
    "min_minutes": "one",
    "skills_required": "words",
    "skills_desired": "words",
    "pay.per": "one",
    "pay.fen": "one",
    "pay.expected_hourly_fen": "one",
    "seats": "one",
    "facilities": "words",
    "urgent": "one",
    "closes_at": "one",
}
SHIFT_COLUMNS: Columns = {
    "placement_id": "one",
    "started_at": "one",
    "ended_at": "one",
    "verdict": "one",
    "pieces.accepted": "one",
    "pieces.rejected": "one",
    "output_fen": "one",
}


def rows_of(content_type: str, body: bytes, model: type[Command], columns: Columns) -> list[Command | RowInvalid]:
    """The rows of an upload, each as its command or as what is wrong with it.

    Raises:
        BulkUnreadable: media type, encoding, header, no row at all.
        BulkTooLarge: more than `ROWS_MAX` rows.
    """
    media_type, _, parameters = content_type.partition(";")
    form = media_type.strip().lower()
    charset = parameters.partition("charset=")[2].split(";")[0].strip().strip('"').lower()
    if form not in (NDJSON, CSV) or charset not in ("", "utf-8", "utf8"):
        raise BulkUnreadable(Fault("Content-Type", f"{NDJSON} or {CSV}, in UTF-8"))
    text = _text(body, header=form == CSV)
    rows: list[Command | RowInvalid] = []
    for row in _csv_rows(text, columns) if form == CSV else _json_rows(text):
        if len(rows) == ROWS_MAX:
            raise BulkTooLarge(Fault("rows", f"at most {ROWS_MAX} rows"))
        rows.append(row if isinstance(row, RowInvalid) else _command(row, model))
    if not rows:
        raise BulkUnreadable(Fault("rows", "at least one row"))
    return rows


def _text(body: bytes, *, header: bool) -> str:
    """The upload as text. GB18030 and UTF-16, which spreadsheets like to write, are noticed and named by row."""
    expected = "UTF-8 text; save the file as `CSV UTF-8`" if header else "UTF-8 text"
    try:
        text = body.decode("utf-8-sig")
        wrong = len(body)
    except UnicodeDecodeError as error:
        text, wrong = "", error.start
    nul = body.find(b"\0", 0, wrong)
    if wrong == len(body) and nul < 0:
        return text
    wrong = wrong if nul < 0 else nul
    before = [line for line in body[:wrong].split(b"\n")[:-1] if line.strip()]
    number = len(before) + (0 if header else 1)
    raise BulkUnreadable(Fault(f"rows.{number}" if number else "header", expected))


def _command(row: str | dict[str, Any], model: type[Command]) -> Command | RowInvalid:
    try:
        return model.model_validate_json(row) if isinstance(row, str) else model.model_validate(row)
    except ValidationError as error:
        return RowInvalid(*(_named(fault) for fault in faults_of(error)))


def _named(fault: Fault) -> Fault:
    """A field path that may be kept: the report is stored, and an unknown field's name is the sender's text."""
    return fault if _PATH.match(fault.field) else Fault("row", fault.expected)


def _json_rows(text: str) -> Iterator[str]:
    # Not splitlines(): a name may hold one of the other characters that Unicode counts as line ends.
    return (line for line in text.split("\n") if line.strip())


def _csv_rows(text: str, columns: Columns) -> Iterator[dict[str, Any] | RowInvalid]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    number = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(cells, columns)
                continue
            number += 1
            yield _fields(header, cells, columns)
    except csv.Error:
        raise BulkUnreadable(
            Fault(f"rows.{number + 1}" if header else "header", "cells separated by commas, quotes closed")
        ) from None


def _header(cells: list[str], columns: Columns) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(set(names)) != len(names) or not set(names) <= set(columns):
        raise BulkUnreadable(Fault("header", f"columns of {', '.join(columns)}, each once"))
    return names


def _fields(header: list[str], cells: list[str], columns: Columns) -> dict[str, Any] | RowInvalid:
    """A row as the command's JSON would have it."""
    if len(cells) != len(header):
        return RowInvalid(Fault("row", f"{len(header)} cells, as the header has"))
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, cell in zip(header, cells, strict=True):
        if not cell.strip():
            continue
        try:
            value = _value(cell.strip(), columns[name])
        except ValueError as error:
            faults.append(Fault(f"{name}.{str(error).partition(':')[0]}", "hours such as `1 09:00-11:30`"))
            continue
        outer, _, inner = name.partition(".")
        if inner:
            fields.setdefault(outer, {})[inner] = value
        else:
            fields[outer] = value
    return RowInvalid(*faults) if faults else fields


def _value(cell: str, kind: Cell) -> Any:
    if kind == "one":
        return cell
    if kind == "hours":
        return [{"day": day, "from": start, "to": end} for day, start, end in spans_of_text(cell)]
    words = [word.strip() for word in cell.split(";") if word.strip()]
    return [{"birth_date": word} for word in words] if kind == "children" else words
