"""The edge of every service: body limits, tokens, health, and metrics without ids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.runtime.http import BODY_MAX_BYTES, BULK_BODY_MAX_BYTES
from tests.unit.shared.served import GOOD, Served, fields_of, problem_of


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

    @pytest.mark.parametrize(
        ("path", "is_allowed"),
        [
            ("/seekers?city=370600", True),
            ("/seekers?city=370700", True),
            ("/seekers?city=370200", False),
            ("/seekers?city=370600&city=370200", False),
            ("/seekers?city=", False),
            ("/seekers", False),
            ("/months", False),
            ("/months?city=370600", False),  # it would show all months of all cities
            ("/cities/370600/policies", True),
            ("/cities/370200/policies", False),
            ("/seekers/skr-1/posts", True),
        ],
    )
    async def test_a_token_of_some_cities_reads_these(self, guarded_app: Served, path: str, is_allowed: bool) -> None:
        answer = await guarded_app.client.get(path, headers={"authorization": "Bearer yantai"})
        if is_allowed:
            assert answer.status_code == 200
        else:
            faults = problem_of(answer, 403, "city-forbidden")["errors"]
            assert faults
            assert all(fault == {"field": "city", "expected": "one of 370600, 370700"} for fault in faults)

    @pytest.mark.parametrize("city", ["370200", "", 370600, None, ["370600"], {"370600": 1}])
    async def test_a_token_of_some_cities_commands_these(self, guarded_app: Served, city: Any) -> None:
        bearer = {"authorization": "Bearer yantai"}
        refused = await guarded_app.client.post("/seekers", json=GOOD | {"city": city}, headers=bearer)
        problem_of(refused, 403, "city-forbidden")
        twice = json.dumps(GOOD)[:-1] + ', "city": "370200"}'
        refused = await guarded_app.post("/seekers", twice, **bearer)
        problem_of(refused, 403, "city-forbidden")
        assert guarded_app.bodies == []
        assert (await guarded_app.client.post("/seekers", json=GOOD, headers=bearer)).status_code == 200

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"370600"'])
    async def test_what_is_no_command_stays_a_fault_of_form(self, guarded_app: Served, body: bytes) -> None:
        for kind in ("application/json", "text/plain"):
            held, free = [
                await guarded_app.post("/seekers", body, **{"authorization": f"Bearer {token}", "content-type": kind})
                for token in ("yantai", "writes")
            ]
            assert held.status_code in (400, 422)
            assert (held.status_code, held.content) == (free.status_code, free.content)

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


async def test_probes_are_not_among_the_answers_that_metrics_count(open_app: Served) -> None:
    open_app.parts = {"store": "up", "bus": "starting"}
    for path in ("/health/live", "/health/ready", "/metrics", "/asyncapi.json"):
        await open_app.client.get(path)
    routes = {value for name, value in await labels_of(open_app) if name == "route"}
    assert "/asyncapi.json" in routes
    assert not routes & {"/health/live", "/health/ready", "/metrics"}
