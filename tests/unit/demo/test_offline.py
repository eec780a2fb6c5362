"""The demo's check with the verifier for strangers: it passes what is right, and sees each kind of fault."""

from __future__ import annotations

import re
from typing import Any

import httpx

from mamapost.demo.offline import check_offline
from mamapost.demo.reader import Reader
from tests.unit.demo.test_checks import read
from tests.unit.demo.told import granted, spent
from tests.unit.examples.test_verify_statement import Written, two_months
from tests.unit.revenue.given import COMMUNITIES


def amount_fen(written: Written) -> int:
    found = re.search(r"^amount_fen,+(-?\d+)$", written.content.decode(), re.MULTILINE)
    assert found
    return int(found[1])


class Revenue:
    """Answers with statements and a fund, as they are given."""

    def __init__(self, statements: dict[str, bytes], income_fen: int, spent_fen: int, granted_fen: int = 0) -> None:
        self.statements = statements
        self.fund = {
            "income_fen": income_fen,
            "granted_fen": granted_fen,
            "spent_fen": spent_fen,
            "balance_fen": income_fen + granted_fen - spent_fen,
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.split("/")
        if parts[1] == "settlements":
            return httpx.Response(200, content=self.statements[parts[2]])
        return httpx.Response(200, json=self.fund)


def settlements(written: list[Written]) -> list[dict[str, Any]]:
    return [
        {
            "settlement_id": f"stl-{number}",
            "community_id": COMMUNITIES[0],
            "month": month,
            "amount_fen": amount_fen(one),
            "statement_hash": one.told_hash,
        }
        for number, (month, one) in enumerate(zip(("2026-03", "2026-04"), written, strict=True))
    ]


async def checked(
    told: list[dict[str, Any]],
    revenue: Revenue,
    topics: Reader = read(spent(100)),  # noqa: B008 - only read
) -> list[bool]:
    transport = httpx.MockTransport(revenue.answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://revenue") as http:
        return [check.ok for check in await check_offline(http, told, topics)]


async def test_what_is_right_passes_and_what_is_wrong_is_seen() -> None:
    written = await two_months()
    told = settlements(written)
    right = {f"stl-{number}": one.content for number, one in enumerate(written)}
    total = sum(amount_fen(one) for one in written)
    assert await checked(told, Revenue(right, total, 100)) == [True, True]
    assert await checked(told, Revenue(right, total + 1, 100)) == [True, False]
    assert await checked(told, Revenue(right, total, 99)) == [True, False]
    assert await checked(told, Revenue(right, total, total + 1), read(spent(total + 1))) == [True, False]
    assert await checked(told, Revenue(right, total, 0, 7), read(granted(7))) == [True, True]
    assert await checked(told, Revenue(right, total, 0, 7), read(granted(8))) == [True, False]
    wrong = {**right, "stl-0": right["stl-0"].replace(b",6002,", b",6003,")}
    assert await checked(told, Revenue(wrong, total, 100)) == [False, False]
    assert await checked(
        [told[0], {**told[1], "amount_fen": told[1]["amount_fen"] + 1}], Revenue(right, total, 100)
    ) == [False, True]
    assert await checked([told[0], {**told[1], "statement_hash": "0" * 64}], Revenue(right, total, 100)) == [
        False,
        False,
    ]


async def test_a_reversed_statement_is_verified_by_itself_and_is_no_income() -> None:
    first, second = settlements(written := await two_months())
    right = {f"stl-{number}": one.content for number, one in enumerate(written)}
    undone = {**second, "reversed_at": "2026-05-02T01:00:00Z"}
    income = first["amount_fen"]
    assert await checked([first, undone], Revenue(right, income, 100)) == [True, True]
    assert await checked([first, undone], Revenue(right, income + second["amount_fen"], 100)) == [True, False]
    wrong = {**right, "stl-1": right["stl-0"]}
    assert await checked([first, undone], Revenue(wrong, income, 100)) == [False, True]


async def test_nothing_to_verify_is_no_proof() -> None:
    assert await checked([], Revenue({}, 0, 0), read()) == [False, False]
