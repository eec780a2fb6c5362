"""The HTTP edge: problem details that name fields and repeat no value, limits, tokens, metrics without ids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query, Request
from prometheus_client.parser import text_string_to_metric_families
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from pymongo.errors import AutoReconnect, OperationFailure

from shared.kernel.errors import Fault, Kind, ServiceError
from shared.runtime.auth import hash_of
from shared.runtime.http import BODY_MAX_BYTES, BULK_BODY_MAX_BYTES, create_app, needs
from shared.runtime.settings import Settings

MARK = "王小妹-13805351234"
PROBLEM = "application/problem+json"


class Child(BaseModel):
    birth_date: date


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    phone: Annotated[str, Field(pattern=r"^\+?[0-9]{7,15}$")]
    children: Annotated[list[Child], Field(min_length=1, max_length=10)]


class ByHour(BaseModel):
    per: Literal["hour"]
    fen: int


class ByPiece(BaseModel):
    per: Literal["piece"]
    fen: int


class Register(BaseModel):
    """A body with every kind of field that services have."""

    model_config = ConfigDict(extra="forbid")

    city: Annotated[str, Field(pattern=r"^[1-9][0-9]{5}$")]
    commute_km: Annotated[int, Field(ge=1, le=100)]
    kind: Literal["elastic", "team"]
    at: AwareDatetime
    urgent: bool
    person: Person
    pay: Annotated[ByHour | ByPiece, Field(discriminator="per")]
    note: Annotated[str, Field(max_length=2000)] = ""

    @field_validator("city")
    @classmethod
    def _known(cls, city: str) -> str:
        if city != "370600":
            raise ValueError("expected a city of the programme")
        return city


GOOD: dict[str, Any] = {
    "city": "370600",
    "commute_km": 5,
    "kind": "team",
    "at": "2026-03-02T09:00:00+08:00",
    "urgent": False,
    "person": {"name": "x", "phone": "13800000000", "children": [{"birth_date": "2022-05-01"}]},
    "pay": {"per": "hour", "fen": 1800},
}


class SeatTaken(ServiceError):
    code: ClassVar[str] = "seat-taken"
    kind: ClassVar[Kind] = "conflict"


class Busy(ServiceError):
    code: ClassVar[str] = "busy"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True


TOKENS = {"reads": "read", "writes": "read,write", "opens": "read,write,personal"}


class Served:
    """An app of the factory with a client, and what its routes were given."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.bodies: list[bytes] = []
        self.parts = {"store": "up", "bus": "up"}

    async def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        return await self.client.post(path, content=content, headers={"content-type": "application/json"} | headers)


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Served]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, str]:
        return served.parts

    app = create_app("registry", "A test.", settings, lifespan, ready)
    router = APIRouter()

    @router.post("/seekers", dependencies=[needs("write")])
    async def register(_body: Register, request: Request) -> dict[str, int]:
        served.bodies.append(await request.body())
        return {"accepted": 1}

    @router.post("/seekers/bulk")
    async def bulk(request: Request) -> dict[str, int]:
        served.bodies.append(await request.body())
        return {"bytes": len(served.bodies[-1])}

    @router.get("/seekers/{seeker_id}/posts", dependencies=[needs("read")])
    async def posts(seeker_id: str, limit: Annotated[int, Query(ge=1, le=20)] = 20) -> dict[str, int]:
        return {"limit": limit, "length": len(seeker_id)}

    @router.get("/seekers/{seeker_id}/person", dependencies=[needs("personal")])
    async def person(seeker_id: str) -> dict[str, str]:
        return {"id": seeker_id}

    failures: dict[str, Exception] = {
        "conflict": SeatTaken("no seat is left", Fault("post_id", "a post with seats left")),
        "busy": Busy("try again"),
        "store-away": AutoReconnect(f"db-host-7:27017 {MARK}"),
        "store-odd": OperationFailure(f"E11000 {MARK}"),
        "bug": RuntimeError(f"no {MARK}"),
    }

    @router.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise failures[how]

    app.include_router(router)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        served = Served(app, client)
        yield served


@pytest.fixture
async def open_app() -> AsyncIterator[Served]:
    """On loopback, without tokens."""
    async with serve(Settings()) as served:
        yield served


@pytest.fixture
async def guarded_app(tmp_path: Path) -> AsyncIterator[Served]:
    """With a tokens file."""
    file = tmp_path / "tokens"
    file.write_text("".join(f"{hash_of(token)} holder-{token} {scopes}\n" for token, scopes in TOKENS.items()))
    async with serve(Settings(tokens_file=file)) as served:
        yield served


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem details of an answer, checked for what RFC 9457 and our own rules ask of each."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:mamapost:problem:{code}"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["retryable"], bool)
    return body


def fields_of(body: dict[str, Any]) -> set[str]:
    assert all(set(error) == {"field", "expected"} and error["expected"] for error in body["errors"])
    return {error["field"] for error in body["errors"]}


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


class TestBodyLimits:
    """A body is refused as soon as it is known to be too large, declared or not."""

    @pytest.mark.parametrize(("path", "limit"), [("/seekers", BODY_MAX_BYTES), ("/seekers/bulk", BULK_BODY_MAX_BYTES)])
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_one_byte_more_than_the_limit(self, open_app: Served, path: str, limit: int, streamed: bool) -> None:
        sent = 0

        async def chunks(size: int) -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < size:
                step = min(16_384, size - sent)
                sent += step
                yield b"x" * step

        response = await open_app.post(path, chunks(limit + 1) if streamed else b"x" * (limit + 1))
        assert fields_of(problem_of(response, 413, "body-too-large")) == {"body"}
        assert str(limit) in response.text
        assert open_app.bodies == []

    async def test_a_body_of_the_limit_passes(self, open_app: Served) -> None:
        response = await open_app.post("/seekers/bulk", b"x" * BULK_BODY_MAX_BYTES)
        assert response.json() == {"bytes": BULK_BODY_MAX_BYTES}

    async def test_an_endless_body_is_not_read_to_its_end(self, open_app: Served) -> None:
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b"x" * 16_384

        problem_of(await open_app.post("/seekers", endless()), 413, "body-too-large")
        assert taken <= BODY_MAX_BYTES // 16_384 + 1

    @pytest.mark.parametrize("declared", ["-1", "many", "１", "", "9" * 5_000], ids=range(5))
    async def test_a_senseless_length_lets_no_more_through(self, open_app: Served, declared: str) -> None:
        response = await open_app.client.post(
            "/seekers",
            content=b"x" * (BODY_MAX_BYTES + 1),
            headers=[(b"content-length", declared.encode()), (b"content-type", b"application/json")],
        )
        problem_of(response, 413, "body-too-large")

    async def test_half_a_body_is_not_taken_for_the_whole(self, open_app: Served) -> None:
        """A client that dies in mid-upload has sent no command: its retry must find none done by halves."""
        messages = iter(
            [
                {"type": "http.request", "body": b'{"row": 1}\n', "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Any:
            return next(messages, {"type": "http.disconnect"})

        async def send(_message: Any) -> None:
            return None

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/seekers/bulk",
            "raw_path": b"/seekers/bulk",
            "query_string": b"",
            "headers": [(b"content-type", b"application/x-ndjson"), (b"transfer-encoding", b"chunked")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "scheme": "http",
            "root_path": "",
        }
        await open_app.app(scope, receive, send)
        assert open_app.bodies == []


class TestTokens:
    @pytest.mark.parametrize(
        "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic reads", "reads", "Bearer réads"]
    )
    async def test_no_known_token(self, guarded_app: Served, authorization: str | None) -> None:
        headers = {} if authorization is None else {"authorization": authorization.encode()}
        response = await guarded_app.client.get("/seekers/skr-1/posts", headers=headers)  # type: ignore[arg-type]  # bytes
        problem_of(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "wrong" not in response.text

    @pytest.mark.parametrize(
        ("token", "status"),
        [("reads", [200, 403, 403]), ("writes", [200, 200, 403]), ("opens", [200, 200, 200])],
    )
    async def test_a_token_opens_what_its_scopes_say(self, guarded_app: Served, token: str, status: list[int]) -> None:
        bearer = {"authorization": f"Bearer {token}"}
        answers = [
            await guarded_app.client.get("/seekers/skr-1/posts", headers=bearer),
            await guarded_app.client.post("/seekers", json=GOOD, headers=bearer),
            await guarded_app.client.get("/seekers/skr-1/person", headers=bearer),
        ]
        assert [answer.status_code for answer in answers] == status
        for answer in answers:
            if answer.status_code == 403:
                problem_of(answer, 403, "forbidden")

    async def test_a_stranger_learns_nothing_of_the_form_of_a_command(self, guarded_app: Served) -> None:
        problem_of(await guarded_app.post("/seekers", b"{}"), 401, "unauthorized")

    async def test_health_and_metrics_need_none(self, guarded_app: Served) -> None:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await guarded_app.client.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"store": "up", "bus": "up"}, 200),
        ({"store": "up", "bus": "away"}, 200),
        ({"store": "up", "bus": "starting"}, 503),
        ({"store": "down", "bus": "up"}, 503),
    ],
)
async def test_readiness(open_app: Served, parts: dict[str, str], status: int) -> None:
    open_app.parts = parts
    response = await open_app.client.get("/health/ready")
    assert (response.status_code, response.json()) == (status, parts)
    assert (await open_app.client.get("/health/live")).status_code == 200


async def labels_of(served: Served) -> set[tuple[str, str]]:
    """Every label of every exposed sample."""

    def each() -> Iterator[tuple[str, str]]:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield from sample.labels.items()

    text = (await served.client.get("/metrics")).text
    return set(each())


async def test_metrics_know_routes_and_no_ids(open_app: Served) -> None:
    seeker = "skr-" + "ab" * 16
    await open_app.client.get(f"/seekers/{seeker}/posts")
    await open_app.client.get(f"/seekers/{seeker}/posts", params={"limit": "0"})
    await open_app.client.get(f"/nowhere/{seeker}")
    await open_app.client.delete(f"/seekers/{seeker}/posts")
    await open_app.client.request("王小妹".encode().hex(), "/seekers")
    await open_app.post("/seekers", b"x" * (BODY_MAX_BYTES + 1))
    labels = await labels_of(open_app)
    assert {("route", "/seekers/{seeker_id}/posts"), ("route", "none"), ("status", "413")} <= labels
    assert not any(seeker in value for _, value in labels)
    methods = {value for name, value in labels if name == "method"}
    assert methods <= {"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "other"}
