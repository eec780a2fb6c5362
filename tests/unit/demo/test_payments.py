"""The demo's checks of payouts, grants and spendings see what is wrong, and its bank sees what is paid twice."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mamapost.demo.bank import check_paid, play_bank
from mamapost.demo.gifts import check_gifts, check_spendings
from services.revenue.domain.agreements import Pair
from services.revenue.domain.payouts import Payout, batch_of, order_file
from shared.kernel.ids import new_id
from tests.events import NOW, YANTAI
from tests.unit.demo.test_checks import read
from tests.unit.demo.told import SOURCE, confirmed, declined, granted, ordered, spent
from tests.unit.revenue.given import COMMUNITIES, EMPLOYERS

SETTLED = {"employer_id": EMPLOYERS[0], "community_id": COMMUNITIES[0], "amount_fen": 700}
PAYOUT, OTHER = new_id("payout"), new_id("payout")
PAID = {**SETTLED, "kind": "payout", "cause": PAYOUT, "amount_fen_e4": 700_0000}


def test_what_was_settled_is_paid_once() -> None:
    undone = {**SETTLED, "amount_fen": 500, "reversed_at": "2026-05-02T01:00:00Z"}
    failed = confirmed(OTHER, 700, paid=False)
    assert check_paid([PAID], [SETTLED, undone], read(confirmed(PAYOUT, 700), failed)).ok


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([], [confirmed(PAYOUT, 700)]),
        ([PAID, {**PAID, "cause": OTHER}], [confirmed(PAYOUT, 700), confirmed(OTHER, 700)]),
        ([{**PAID, "amount_fen_e4": 699_0000}], [confirmed(PAYOUT, 699)]),
        ([PAID], [confirmed(PAYOUT, 700, paid=False)]),
        ([PAID], [confirmed(PAYOUT, 700), confirmed(PAYOUT, 700)]),
        ([PAID], []),
    ],
)
def test_a_payout_that_is_missing_wrong_or_doubled_is_found(entries: list[dict[str, Any]], told: list[Any]) -> None:
    assert not check_paid(entries, [SETTLED], read(*told)).ok


def test_grants_are_held_against_the_ledger_and_their_limits() -> None:
    grant, subsidy = new_id("grant"), new_id("grant")
    entries = [
        {"kind": "grant", "cause": grant, "amount_fen_e4": 30_0000},
        {"kind": "subsidy", "cause": subsidy, "amount_fen_e4": 20_0000},
    ]
    source = {"source_id": SOURCE, "given_fen": 50, "limit_fen": 60}
    told = read(granted(30, grant), granted(20, subsidy, EMPLOYERS[0]))
    assert check_gifts(entries, [source], told).ok
    assert not check_gifts(entries[:1], [source], told).ok
    assert not check_gifts([*entries, {**entries[0], "cause": "gra-x"}], [source], told).ok
    assert not check_gifts(entries, [{**source, "given_fen": 30}], told).ok
    assert not check_gifts(entries, [{**source, "limit_fen": 40}], told).ok
    assert not check_gifts([entries[0], {**entries[1], "kind": "grant"}], [source], told).ok


def test_a_declined_request_that_was_paid_is_found() -> None:
    approved, refused = new_id("spending"), new_id("spending")
    entry = {"kind": "spending", "cause": approved, "amount_fen_e4": 100_0000}
    told = read(spent(100, approved), declined(refused))
    assert check_spendings([entry], told).ok
    assert not check_spendings([], told).ok
    assert not check_spendings([{**entry, "amount_fen_e4": 99_0000}], told).ok
    assert not check_spendings([entry, {**entry, "cause": refused}], told).ok


class Desk:
    """Orders and takes confirmations as revenue does; `forgets` takes a repeated one for a new one."""

    def __init__(self, *, forgets: bool = False) -> None:
        pairs = [Pair(EMPLOYERS[0], community) for community in COMMUNITIES[:2]]
        self.batches = [new_id("batch"), new_id("batch")]
        self.payouts = [Payout(new_id("payout"), self.batches[0], YANTAI, pair, 700, NOW) for pair in pairs]
        self.again = [Payout(new_id("payout"), self.batches[1], YANTAI, pairs[0], 700, NOW)]
        self.reader = read()
        self.forgets = forgets
        self.told: set[str] = set()
        self._note(self.batches[0], self.payouts)

    def _note(self, batch_id: str, payouts: list[Payout]) -> str:
        batch = batch_of(batch_id, YANTAI, payouts, NOW)
        event = ordered(batch_id, [payout.amount_fen for payout in payouts], batch.file_hash)
        self.reader.events[event.id] = event
        return event.id

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            first = self.batches[0] in request.url.path
            which = (self.batches[0], self.payouts) if first else (self.batches[1], self.again)
            return httpx.Response(200, text=order_file(*which))
        if request.url.path == "/payout-batches":
            if len(self.told) == 3:
                return httpx.Response(409, json={"code": "nothing-due"})
            event_id = self._note(self.batches[1], self.again)
            return httpx.Response(201, json={"topic": "payouts-ordered", "event_id": event_id, "position": "p"})
        rows = [row.split(",") for row in request.content.decode().splitlines() if row.startswith("payout,")]
        known = [row for row in rows if row[1] in self.told and not self.forgets]
        new = [row for row in rows if row not in known]
        for row in new:
            self.told.add(row[1])
            event = confirmed(row[1], int(row[2]), paid=row[3] == "paid")
            self.reader.events[event.id] = event
        paid = sum(row[3] == "paid" for row in new)
        answer = {"paid": paid, "failed": len(new) - paid, "repeated": len(known), "refused": []}
        return httpx.Response(200, content=json.dumps(answer))


@pytest.mark.parametrize("forgets", [False, True])
async def test_the_bank_pays_until_nothing_is_due_and_sees_a_second_payment(forgets: bool) -> None:
    desk = Desk(forgets=forgets)
    async with httpx.AsyncClient(transport=httpx.MockTransport(desk.answer), base_url="http://revenue") as http:
        check, orders = await play_bank(http, desk.reader)
    assert check.ok is not forgets
    assert len(orders) == 1
