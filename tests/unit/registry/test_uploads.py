"""Bulk uploads: two forms, one meaning; whatever cannot be read says where."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.api.uploads import CSV, NDJSON, POST_COLUMNS, SEEKER_COLUMNS, SHIFT_COLUMNS, rows_of
from services.registry.errors import BulkTooLarge, BulkUnreadable, RegistryError, RowInvalid
from services.registry.use_cases.commands import OpenPost, RecordShift, RegisterSeeker
from tests.unit.registry.city import post_body, seeker_body, shift_body

EMPLOYER, PLACEMENT = "emp-" + "1" * 32, "plc-" + "1" * 32
SEEKER_CELLS = {
    "city": "370600",
    "area": "370602",
    "home.lat": "37.53271",
    "home.lon": "121.39164",
    "commute_km": "8",
    "free": "1 08:30-11:30;2 08:30-11:30; 3 08:30-11:30;4 08:30-11:30;5 08:30-11:30",
    "skills": "knitting",
    "kinds": "elastic;mobile",
    "facilities": "",
    "pay_floor_fen": "1500",
    "registered_on": "",
    "person.name": "王芳",
    "person.phone": "138 0000 0000",
    "person.birth_date": "1990-06-01",
    "person.address": "芝罘区东关街 12 号",
    "person.children": "2020-09-10",
}


def ndjson(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def table(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def seekers(content_type: str, body: bytes) -> list[RegisterSeeker | RowInvalid]:
    return rows_of(content_type, body, RegisterSeeker, SEEKER_COLUMNS)


def fields_of(error: RegistryError | RegisterSeeker) -> list[str]:
    assert isinstance(error, RegistryError)
    return [fault.field for fault in error.faults]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_both_forms_mean_the_same_with_and_without_a_mark(mark: bytes) -> None:
    expected = [RegisterSeeker.model_validate(seeker_body())]
    assert seekers(NDJSON, mark + ndjson(seeker_body())) == expected
    assert seekers(f"{CSV}; charset=UTF-8", mark + table(SEEKER_CELLS)) == expected


def test_posts_and_shifts_have_columns_for_every_field() -> None:
    cells = {
        "employer_id": EMPLOYER,
        "area": "370602",
        "kind": "elastic",
        "trade": "food-packing",
        "location.lat": "37.53",
        "location.lon": "121.4",
        "hours": ";".join(f"{day} 08:30-11:30" for day in range(1, 6)),
        "min_minutes": "300",
        "pay.per": "hour",
        "pay.fen": "1800",
        "seats": "2",
    }
    assert rows_of(CSV, table(cells), OpenPost, POST_COLUMNS) == [OpenPost.model_validate(post_body(EMPLOYER))]
    body = shift_body(PLACEMENT, pieces={"accepted": 4, "rejected": 1})
    flat = {**{k: str(v) for k, v in body.items() if k != "pieces"}, "pieces.accepted": "4", "pieces.rejected": "1"}
    assert rows_of(CSV, table(flat), RecordShift, SHIFT_COLUMNS) == [RecordShift.model_validate(body)]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"commute_km": 0}, ["commute_km"]),
        ({"home": {"lat": 91, "lon": 0}}, ["home.lat"]),
        ({"free": [{"day": 8, "from": "08:15", "to": "09:00"}]}, ["free.0.day", "free.0.from"]),
        ({"free": [{"day": 1, "from": "08:00", "to": "09:00"}] * 169}, ["free"]),
        ({"kinds": []}, ["kinds"]),
        ({"nickname": "x"}, ["nickname"]),
        ({"王芳": "x"}, ["row"]),
        ({"city": "37060"}, ["city"]),
        ({"pay_floor_fen": -1}, ["pay_floor_fen"]),
        ({"registered_on": 0}, ["registered_on"]),
        ({"registered_on": "9999-12-31"}, ["registered_on"]),
        ({"person": {"name": "王" * 101}}, ["person.name"]),
        ({"person": {"name": "王\u0007"}}, ["person.name"]),
        ({"person": {"name": "  "}}, ["person.name"]),
        ({"person": {"address": "x" * 301}}, ["person.address"]),
        ({"person": {"phone": "call me"}}, ["person.phone"]),
        ({"person": {"birth_date": "1990-02-30"}}, ["person.birth_date"]),
        ({"person": {"children": []}}, ["person.children"]),
        ({"person": {"children": [{"birth_date": "2020-01-01"}] * 11}}, ["person.children"]),
        ({"person": {"children": [{"birth_date": "soon"}]}}, ["person.children.0.birth_date"]),
    ],
)
def test_a_bad_row_is_named_by_field_and_shows_no_value(given: dict[str, Any], fields: list[str]) -> None:
    good, bad = seekers(NDJSON, ndjson(seeker_body(), seeker_body(**given)))
    assert isinstance(good, RegisterSeeker)
    assert fields_of(bad) == fields
    assert isinstance(bad, RowInvalid)
    told = " ".join(fault.expected for fault in bad.faults) + str(bad)
    assert not any(value in told for value in ("王", "call me", "soon", "1990-02-30", "xxx"))


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '"text"', "1e999", '{"a":', "{}x", "[" * 5000])
def test_a_line_that_is_no_object_is_a_bad_row(line: str) -> None:
    rows = seekers(NDJSON, ndjson(seeker_body()) + b"\n" + line.encode() + b"\n")
    assert len(rows) == (2 if line else 1)
    assert all(isinstance(row, RowInvalid) for row in rows[1:])


@pytest.mark.parametrize(
    ("cells", "fields"),
    [
        ({"free": "1 08:30-11:30;tomorrow"}, ["free.1"]),
        ({"free": "1 08:30-11:45"}, ["free.0.to"]),
        ({"free": ""}, ["free"]),
        ({"person.children": "2020-09-10;x"}, ["person.children.1.birth_date"]),
        ({"home.lat": "north"}, ["home.lat"]),
        ({"kinds": "elastic;odd"}, ["kinds.1"]),
    ],
)
def test_a_bad_cell_is_named_by_its_column(cells: dict[str, str], fields: list[str]) -> None:
    [row] = seekers(CSV, table({**SEEKER_CELLS, **cells}))
    assert fields_of(row) == fields


def test_cells_that_do_not_fit_the_header_are_a_bad_row() -> None:
    good, short = seekers(CSV, table(SEEKER_CELLS) + b"370600,370602\r\n")
    assert isinstance(good, RegisterSeeker)
    assert fields_of(short) == ["row"]


@pytest.mark.parametrize(
    ("content_type", "body", "field"),
    [
        ("application/json", ndjson(seeker_body()), "Content-Type"),
        ("", ndjson(seeker_body()), "Content-Type"),
        ("text/csv; charset=gb18030", table(SEEKER_CELLS), "Content-Type"),
        (NDJSON, b"", "rows"),
        (NDJSON, b"\n \n", "rows"),
        (CSV, table(SEEKER_CELLS).split(b"\r\n")[0], "rows"),
        (NDJSON, ndjson(seeker_body()) + b"\n\n" + ndjson(seeker_body()).decode().encode("gb18030"), "rows.2"),
        (CSV, table(SEEKER_CELLS, SEEKER_CELLS).decode().encode("gb18030"), "rows.1"),
        (CSV, table(SEEKER_CELLS).decode().encode("utf-16"), "header"),
        (CSV, table(SEEKER_CELLS).decode().encode("utf-16-le"), "header"),
        (CSV, b"city,town\r\n370600,x\r\n", "header"),
        (CSV, b"city,city\r\n370600,370600\r\n", "header"),
        (CSV, table(SEEKER_CELLS) + b'"370600', "rows.2"),
        (CSV, b'"city' + b"x" * 200_000, "header"),
    ],
)
def test_what_cannot_be_read_says_where(content_type: str, body: bytes, field: str) -> None:
    with pytest.raises(BulkUnreadable) as caught:
        seekers(content_type, body)
    assert fields_of(caught.value) == [field]


@pytest.mark.parametrize("form", [NDJSON, CSV])
def test_the_1001st_row_is_one_too_many(form: str) -> None:
    def body(count: int) -> bytes:
        return ndjson(*[seeker_body()] * count) if form == NDJSON else table(*[SEEKER_CELLS] * count)

    assert len(seekers(form, body(1000))) == 1000
    with pytest.raises(BulkTooLarge) as caught:
        seekers(form, body(1001))
    assert fields_of(caught.value) == ["rows"]


@given(body=st.binary(max_size=300), form=st.sampled_from([NDJSON, CSV]), header=st.booleans())
def test_whatever_is_uploaded_is_rows_or_a_clear_refusal(body: bytes, form: str, header: bool) -> None:
    if header and form == CSV:
        body = ",".join(SEEKER_COLUMNS).encode() + b"\r\n" + body
    try:
        rows = seekers(form, body)
    except (BulkUnreadable, BulkTooLarge) as error:
        rows = [RowInvalid(*error.faults)]
    assert all(isinstance(row, RowInvalid) and row.faults for row in rows)
