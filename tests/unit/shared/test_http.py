"""Problem details (promise 7): an error names the field, says what was expected, and repeats no value."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.shared.served import GOOD, MARK, Served, fields_of, problem_of


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good body with one value replaced, or left out."""
    body: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    part: Any = body
    for name in parents:
        part = part[int(name) if isinstance(part, list) else name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return body


async def test_a_good_command_passes_with_its_body_untouched(open_app: Served) -> None:
    sent = json.dumps(GOOD).encode()
    response = await open_app.post("/seekers", sent)
    assert response.json() == {"accepted": 1}
    assert open_app.bodies == [sent]


@pytest.mark.parametrize("value", [None, MARK, [MARK], {MARK: MARK}, [13805351234]], ids=str)
@pytest.mark.parametrize(
    "path", ["city", "commute_km", "kind", "at", "person.phone", "person.children", "person.children.0.birth_date"]
)
async def test_a_bad_field_is_named_and_not_repeated(open_app: Served, path: str, value: Any) -> None:
    response = await open_app.post("/seekers", json.dumps(changed(path, value)))
    named = fields_of(problem_of(response, 422, "invalid"))
    assert any(name == path or name.startswith(f"{path}.") for name in named)
    assert "13805351234" not in response.text
    assert "王小妹" not in response.text
    assert open_app.bodies == []


async def test_a_bad_choice_of_form_is_not_repeated(open_app: Served) -> None:
    response = await open_app.post("/seekers", json.dumps(changed("pay", {"per": MARK, "fen": 1})))
    assert fields_of(problem_of(response, 422, "invalid")) == {"pay"}
    assert MARK not in response.text


async def test_every_bad_field_is_named_at_once(open_app: Served) -> None:
    response = await open_app.post("/seekers", json.dumps({"urgent": "perhaps", "note": MARK * 500}))
    named = fields_of(problem_of(response, 422, "invalid"))
    assert named == {"city", "commute_km", "kind", "at", "urgent", "person", "pay", "note"}
    assert MARK not in response.text


async def test_an_unknown_field_is_named_up_to_a_limit(open_app: Served) -> None:
    response = await open_app.post("/seekers", json.dumps({**GOOD, "colour": MARK, "a" * 5000: 1}))
    body = problem_of(response, 422, "invalid")
    assert {"field": "colour", "expected": "no such field"} in body["errors"]
    assert MARK not in response.text
    assert len(response.text) < 1000


async def test_more_faults_than_anyone_reads_are_cut(open_app: Served) -> None:
    response = await open_app.post("/seekers", json.dumps({f"field{n}": 1 for n in range(500)}))
    assert len(problem_of(response, 422, "invalid")["errors"]) == 50


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        MARK.encode(),
        f'{{"city": "{MARK}'.encode(),
        json.dumps(GOOD, ensure_ascii=False).replace("x", "王").encode("gb18030"),
        b"[" * 60_000,
        b"9" * 60_000,
        b"null",
        b"[]",
    ],
    ids=lambda content: repr(content[:12]),
)
async def test_what_is_no_json_object_is_a_clear_error(open_app: Served, content: bytes) -> None:
    response = await open_app.post("/seekers", content)
    assert response.status_code in (400, 422), response.text
    problem_of(response, response.status_code, response.json()["code"])
    assert "王" not in response.text
    assert open_app.bodies == []


async def test_query_and_path_are_named_too(open_app: Served) -> None:
    response = await open_app.client.get("/seekers/skr-1/posts", params={"limit": "21"})
    assert fields_of(problem_of(response, 422, "invalid")) == {"limit"}


async def test_the_page_of_the_routes_needs_nothing_from_elsewhere(open_app: Served) -> None:
    page = (await open_app.client.get("/docs")).text
    assert "//" not in page.replace("window.location.protocol + '//'", "")
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {file.rsplit(".")[-1] for file in files} == {"js", "css", "png"}
    for file in files:
        assert (await open_app.client.get(file)).status_code == 200
    assert '"validatorUrl": null' in page


async def test_unknown_route_and_method(open_app: Served) -> None:
    problem_of(await open_app.client.get(f"/{MARK}"), 404, "no-such-route")
    problem_of(await open_app.client.delete("/seekers"), 405, "method-not-allowed")


async def test_errors_of_a_service_are_problems(open_app: Served) -> None:
    response = await open_app.client.get("/fail/conflict")
    body = problem_of(response, 409, "seat-taken")
    assert body["detail"] == "no seat is left"
    assert body["errors"] == [{"field": "post_id", "expected": "a post with seats left"}]
    assert body["retryable"] is False
    assert "retry-after" not in response.headers
    response = await open_app.client.get("/fail/busy")
    assert problem_of(response, 503, "busy")["retryable"] is True
    assert int(response.headers["retry-after"]) >= 1


async def test_a_lost_database_says_retry_and_not_where_it_was(open_app: Served) -> None:
    response = await open_app.client.get("/fail/store-away")
    assert problem_of(response, 503, "store-unavailable")["retryable"] is True
    assert "db-host" not in response.text
    assert MARK not in response.text


@pytest.mark.parametrize("how", ["store-odd", "bug"])
async def test_an_unexpected_error_is_a_problem_that_tells_nothing(open_app: Served, how: str) -> None:
    response = await open_app.client.get(f"/fail/{how}")
    problem_of(response, 500, "internal")
    assert MARK not in response.text
