"""Rows as an upload's body: NDJSON, or CSV as the registry reads it (docs of `/seekers/bulk`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from mamapost.scenario.model import Body

NDJSON = "application/x-ndjson"
CSV = "text/csv"
MEDIA_TYPES = {"ndjson": NDJSON, "csv": CSV}
"""Ending of an upload's name, and what it is sent as."""


def media_type_of(upload: str) -> str:
    """The media type that an upload's name tells.

    Raises:
        ValueError: the name ends in neither `.ndjson` nor `.csv`.
    """
    ending = upload.rpartition(".")[2]
    if ending not in MEDIA_TYPES:
        raise ValueError("upload: expected a name that ends in .ndjson or .csv")
    return MEDIA_TYPES[ending]


def content_of(upload: str, rows: Sequence[Body]) -> bytes:
    """The rows in the form that the upload's name tells."""
    if media_type_of(upload) == NDJSON:
        return b"\n".join(orjson.dumps(row) for row in rows) + b"\n"
    return _csv_of(rows)


def _csv_of(rows: Sequence[Body]) -> bytes:
    """A header with the field paths of all rows, and a line for each row; an absent field is an empty cell."""
    flat = [dict(_cells("", row)) for row in rows]
    header = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().encode()


def _cells(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _cells(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        yield path, ";".join(_word(item) for item in value)
    else:
        yield path, orjson.dumps(value).decode() if isinstance(value, bool) else str(value)


def _word(item: Any) -> str:
    """An item of a list in a cell: a word, weekly hours, or a child's birth date."""
    if not isinstance(item, dict):
        return str(item)
    if "from" in item:
        return f"{item['day']} {item['from']}-{item['to']}"
    return str(item["birth_date"])
