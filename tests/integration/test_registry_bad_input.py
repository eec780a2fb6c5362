"""What the registry refuses: every bad input names its field, and nothing of it is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.runtime.mongo import Mongo
from tests.integration.registry_desk import (
    NDJSON,
    TODAY,
    YESTERDAY,
    Registry,
    lines,
    placement,
    shift,
    stored,
)
from tests.unit.registry.city import MORNINGS, post_body, seeker_body

Ids = dict[str, str]
BAD: list[tuple[str, Callable[[Ids], str], Callable[[Ids], Any], int, str]] = [
    ("no body", lambda ids: "/seekers", lambda ids: b"", 422, "body"),
    ("empty", lambda ids: "/seekers", lambda ids: {}, 422, "city"),
    ("a list", lambda ids: "/seekers", lambda ids: [], 422, "body"),
    (
        "a child over 12",
        lambda ids: "/seekers",
        lambda ids: seeker_body(person={"children": [{"birth_date": str(TODAY - timedelta(days=366 * 13))}]}),
        422,
        "person.children.0.birth_date",
    ),
    (
        "a name too long",
        lambda ids: "/seekers",
        lambda ids: seeker_body(person={"name": "王" * 101}),
        422,
        "person.name",
    ),
    (
        "half a character",
        lambda ids: "/seekers",
        lambda ids: json.dumps(seeker_body(person={"name": "\ud83d"})).encode(),
        422,
        "person.name",
    ),
    ("a misspelt field", lambda ids: "/seekers", lambda ids: seeker_body(skils=[]), 422, "skils"),
    ("too large", lambda ids: "/seekers", lambda ids: seeker_body(person={"name": "x" * 70_000}), 413, "body"),
    ("a malformed id", lambda ids: "/seekers/somebody/withdraw", lambda ids: {"reason": "own-wish"}, 422, "seeker_id"),
    (
        "an unknown seeker",
        lambda ids: f"/seekers/skr-{'0' * 32}/withdraw",
        lambda ids: {"reason": "own-wish"},
        404,
        "seeker_id",
    ),
    (
        "a reason of ours",
        lambda ids: f"/seekers/{ids['seeker']}/withdraw",
        lambda ids: {"reason": "erased"},
        422,
        "reason",
    ),
    ("an unknown employer", lambda ids: "/posts", lambda ids: post_body(f"emp-{'0' * 32}"), 404, "employer_id"),
    (
        "an unknown station",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], station_id=f"stn-{'0' * 32}"),
        404,
        "station_id",
    ),
    (
        "a station not accepted",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], station_id=ids["station"]),
        409,
        "station_id",
    ),
    ("no seats", lambda ids: "/posts", lambda ids: post_body(ids["employer"], seats=0), 422, "seats"),
    (
        "hours off the grid",
        lambda ids: "/posts",
        lambda ids: post_body(ids["employer"], hours=[{"day": 1, "from": "08:15", "to": "10:00"}]),
        422,
        "hours.0.from",
    ),
    (
        "an unknown post",
        lambda ids: "/placements",
        lambda ids: placement(f"pst-{'0' * 32}", ids["seeker"]),
        404,
        "post_id",
    ),
    (
        "overlapping placements",
        lambda ids: "/placements",
        lambda ids: placement(ids["other post"], ids["seeker"]),
        409,
        "hours",
    ),
    (
        "the same placement",
        lambda ids: "/placements",
        lambda ids: placement(ids["post"], ids["seeker"]),
        409,
        "post_id",
    ),
    (
        "a placement far ahead",
        lambda ids: "/placements",
        lambda ids: placement(ids["post"], ids["free seeker"], starts_on=str(TODAY + timedelta(days=93))),
        422,
        "starts_on",
    ),
    (
        "a shift before its placement",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], TODAY - timedelta(days=61)),
        422,
        "started_at",
    ),
    (
        "a shift in the future",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], TODAY + timedelta(days=1)),
        422,
        "ended_at",
    ),
    (
        "a shift without an offset",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at=f"{YESTERDAY}T08:00:00"),
        422,
        "started_at",
    ),
    (
        "a shift as a number",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at=1_700_000_000),
        422,
        "started_at",
    ),
    (
        "a shift out of time",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], started_at="0001-01-01T00:00:00+14:00"),
        422,
        "started_at",
    ),
    (
        "pieces for hourly pay",
        lambda ids: "/shifts",
        lambda ids: shift(ids["placement"], pieces={"accepted": 1, "rejected": 0}),
        422,
        "pieces",
    ),
    (
        "a stale correction",
        lambda ids: f"/shifts/{ids['shift']}/correct",
        lambda ids: {**{k: v for k, v in shift("").items() if k != "placement_id"}, "revision": 2},
        409,
        "revision",
    ),
    ("nothing to change", lambda ids: f"/posts/{ids['post']}/change", lambda ids: {}, 422, "body"),
    ("another city", lambda ids: f"/seekers/{ids['seeker']}/change", lambda ids: {"city": "370200"}, 422, "city"),
]


@pytest.fixture
async def ids(registry: Registry) -> Ids:
    """One of each, for bad commands to miss."""
    made = {
        "employer": await registry.employer(),
        "station": await registry.station(accepted=False),
        "seeker": await registry.seeker(),
        "free seeker": await registry.seeker(),
        "post": await registry.opened(),
        "other post": await registry.opened(hours=[MORNINGS[0]], min_minutes=60),
    }
    made["placement"] = await registry.done("/placements", placement(made["post"], made["seeker"]))
    made["shift"] = await registry.done("/shifts", shift(made["placement"], TODAY - timedelta(days=3)))
    return made


async def test_bad_input_names_the_field_and_stores_nothing(registry: Registry, mongo: Mongo, ids: Ids) -> None:
    before = await stored(mongo)
    wrong: list[str] = []
    for name, path, body, status, field in BAD:
        answer = await registry.post(path(ids), body(ids))
        told = answer.json()
        fields = [error["field"] for error in told.get("errors", [])]
        if (answer.status_code, fields[:1]) != (status, [field]):
            wrong.append(f"{name}: {answer.status_code} {told.get('code')} {fields}, not {status} {field}")
        assert answer.headers["content-type"] == "application/problem+json"
    assert not wrong
    assert await stored(mongo) == before


async def test_malformed_text_is_refused(registry: Registry) -> None:
    for body in (b"{", b'{"city": \xff\xfe}', json.dumps(seeker_body(), ensure_ascii=False).encode("gb18030")):
        answer = await registry.post("/seekers", body)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bulk_enters_the_good_rows_and_names_the_bad(registry: Registry, mongo: Mongo) -> None:
    placement_id = await registry.placed()
    rows = [
        shift(placement_id),
        shift(placement_id, hour=9),
        shift(placement_id, TODAY - timedelta(days=70)),
        shift(f"plc-{'0' * 32}"),
        {"placement_id": placement_id},
        shift(placement_id, TODAY - timedelta(days=2), verdict="no-show"),
    ]
    answer = await registry.post("/shifts/bulk", lines(rows), headers=NDJSON)
    assert answer.status_code == 200
    report = answer.json()
    assert (report["accepted"], report["rejected"]) == (2, 4)
    assert [
        (row["row"], row.get("code", "good"), [e["field"] for e in row.get("errors", [])]) for row in report["rows"]
    ] == [
        (1, "good", []),
        (2, "shift-overlap", ["started_at"]),
        (3, "shift-before-placement", ["started_at"]),
        (4, "placement-unknown", ["placement_id"]),
        (5, "invalid", ["started_at", "ended_at", "verdict"]),
        (6, "good", []),
    ]
    good = [row["event_id"] for row in report["rows"] if "event_id" in row]
    assert await mongo.db["events"].count_documents({"_id": {"$in": good}}) == 2
    assert await mongo.db["shifts"].count_documents({}) == 2
    # Rows of an earlier upload are met as well.
    again = (await registry.post("/shifts/bulk", lines(rows[:2]), headers=NDJSON)).json()
    assert [row["code"] for row in again["rows"]] == ["shift-overlap"] * 2


async def test_uploads_that_cannot_be_read_store_nothing(registry: Registry, mongo: Mongo) -> None:
    before = await stored(mongo)
    row = lines([seeker_body()])
    answers = [
        await registry.post("/seekers/bulk", b"\n".join([row] * 1001), headers=NDJSON),
        await registry.post("/seekers/bulk", row.decode().encode("gb18030"), headers=NDJSON),
        await registry.post("/seekers/bulk", row, headers={"Content-Type": "text/plain"}),
        await registry.post("/seekers/bulk", b"", headers=NDJSON),
        await registry.post("/seekers/bulk", b"x" * (4 * 1024 * 1024 + 1), headers=NDJSON),
    ]
    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers] == [
        (413, "rows"),
        (422, "rows.1"),
        (422, "Content-Type"),
        (422, "rows"),
        (413, "body"),
    ]
    assert "UTF-8" in answers[1].json()["errors"][0]["expected"]
    assert await stored(mongo) == before
