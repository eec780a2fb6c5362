"""What is said to the registry, and what its answers are taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.matching.domain.offers import Offer, Terms, accept
from services.matching.errors import RegistryUnavailable
from services.matching.ports import Declined, Placed
from services.matching.registry import HttpRegistry
from shared.kernel.errors import Fault
from shared.kernel.week import mask_of
from shared.runtime import tracing
from shared.runtime.settings import Settings
from tests.unit.matching.cities import NOW, YANTAI
from tests.unit.matching.wire import id_of

HOURS = mask_of([(1, "08:30", "11:30"), (6, "09:00", "10:00")])
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Answer = Callable[[httpx.Request], httpx.Response]


def accepted(**given: Any) -> Offer:
    offer = Offer(
        id_of("ofr", 1), 1, 1, id_of("pst", 1), id_of("skr", 1), YANTAI, 1, 1, HOURS, NOW, NOW + timedelta(minutes=15)
    )
    return accept(offer, Terms(**{"hours": HOURS, "starts_on": date(2026, 3, 16), **given}), "key", NOW)


def registry(answer: Answer, token_file: Path | None = None) -> HttpRegistry:
    return HttpRegistry("http://registry", token_file, 1_000, httpx.MockTransport(answer))


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "why", "retryable": False, **more})


async def test_a_traced_yes_goes_on_in_the_registry(tmp_path: Path) -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(201, json={"id": id_of("plc", 1), "version": 1})

    async with registry(answer) as client:
        await client.place(accepted())
        tracing.start("matching", Settings(trace_to=(tmp_path / "spans").as_uri(), trace_ratio=0.0))
        spans = tracing.spans()
        assert spans is not None
        try:
            with spans.request("POST", TRACEPARENT):
                await client.place(accepted())
                her_yes = tracing.traceparent()
            with spans.request("POST", None):
                await client.place(accepted())
        finally:
            tracing.stop()
    assert her_yes is not None
    assert her_yes.split("-")[1] == TRACEPARENT.split("-")[1]
    assert [headers.get("traceparent") for headers in seen] == [None, her_yes, None], "off; on; on, but not of a trace"


async def test_a_seat_is_asked_for_with_the_offers_id_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"id": id_of("plc", 1), "version": 1})

    token_file = tmp_path / "token"
    token_file.write_text("secret-token\n")
    async with registry(answer, token_file) as client:
        shuttle = id_of("sht", 1)
        for _ in range(2):
            assert await client.place(accepted(child_care=True, shuttle_id=shuttle)) == Placed(id_of("plc", 1))
        await client.place(accepted())
    first, second, plain = seen
    assert (first.method, first.url.path) == ("POST", "/placements")
    assert first.headers["Idempotency-Key"] == id_of("ofr", 1)
    assert first.headers["Authorization"] == "Bearer secret-token"
    assert first.content == second.content
    assert json.loads(first.content) == {
        "post_id": id_of("pst", 1),
        "seeker_id": id_of("skr", 1),
        "starts_on": "2026-03-16",
        "hours": [{"day": 1, "from": "08:30", "to": "11:30"}, {"day": 6, "from": "09:00", "to": "10:00"}],
        "child_care": True,
        "shuttle_id": shuttle,
    }
    assert "child_care" not in json.loads(plain.content)


async def test_a_refusal_is_passed_on() -> None:
    errors = [{"field": "hours", "expected": "others"}]
    async with registry(lambda _: problem(409, "hours-overlap", errors=errors)) as client:
        assert await client.place(accepted()) == Declined("hours-overlap", "why", (Fault("hours", "others"),))


@pytest.mark.parametrize(
    "answer",
    [
        problem(503, "store-unavailable", retryable=True),
        problem(409, "lost-race", retryable=True),
        problem(401, "unauthorized"),
        problem(403, "forbidden"),
        problem(404, "no-such-route"),
        problem(422, "idempotency-key-reused"),
        problem(500, "internal"),
        httpx.Response(502, text="<html>"),
        httpx.Response(409, text="<html>"),
        httpx.Response(409, json=["seat"]),
        httpx.Response(409, json={"detail": "no code"}),
        httpx.Response(201, json={"version": 1}),
        httpx.Response(201, text=""),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
    ],
)
async def test_what_decides_nothing_is_no_answer(answer: httpx.Response) -> None:
    async with registry(lambda _: answer) as client:
        with pytest.raises(RegistryUnavailable) as raised:
            await client.place(accepted())
    assert raised.value.retryable
    assert raised.value.is_reached


@pytest.mark.parametrize(
    ("error", "is_reached"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("late"), True),
        (httpx.RemoteProtocolError("gone"), True),
    ],
)
async def test_whether_it_may_have_acted_is_told(error: httpx.HTTPError, is_reached: bool) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    async with registry(answer) as client:
        with pytest.raises(RegistryUnavailable) as raised:
            await client.place(accepted())
    assert raised.value.is_reached == is_reached


async def test_a_seat_is_given_back_and_one_that_is_free_already_needs_nothing() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return [
            httpx.Response(201, json={"id": "x"}),
            problem(409, "placement-ended"),
            problem(422, "shifts-after-end"),
        ][len(seen) - 1]

    missed = Offer(
        id_of("ofr", 1), 2, 3, id_of("pst", 1), id_of("skr", 1), YANTAI, 1, 1, 0, NOW, NOW, placement_id=id_of("plc", 1)
    )
    async with registry(answer) as client:
        assert await client.release(missed, date(2026, 3, 9)) is None
        assert await client.release(missed, date(2026, 3, 9)) is None
        assert await client.release(missed, date(2026, 3, 9)) == Declined("shifts-after-end", "why", ())
    assert seen[0].url.path == f"/placements/{id_of('plc', 1)}/end"
    assert json.loads(seen[0].content) == {"reason": "employer", "ends_on": "2026-03-09"}
    assert len({request.headers["Idempotency-Key"] for request in seen}) == 1
