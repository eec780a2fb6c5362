"""Community funds on a real database: two people with tokens of their own, racing approvals, what everybody may see."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.revenue.app import create
from services.revenue.domain.funds import RECEIPT_MAX_BYTES
from services.revenue.domain.payouts import CONFIRMATION_HEADER
from services.revenue.handlers import Ledger
from services.revenue.store import MongoLedger
from shared.messaging.events import EventLog
from shared.runtime.auth import hash_of
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.events import YANTAI
from tests.integration.serving import Client, served, without_broker
from tests.integration.town import NOW, Town, envelopes, healthy, settle

HOLDERS = {"desk": "read,write", "approver": "read,write", "auditor": "read,personal"}


@dataclass(frozen=True, slots=True)
class Desks:
    """One service and the people before it; `anybody` has no token."""

    town: Town
    desk: Client
    approver: Client
    auditor: Client
    anybody: Client

    @property
    def path(self) -> str:
        return f"/communities/{self.town.community_id}"

    async def asked(self, **given: Any) -> str:
        """Id of a request by the desk."""
        answer = await self.desk.accepted(f"{self.path}/spending-requests", request(**given))
        return str(answer["id"])


def receipt(content: bytes | None = None) -> str:
    return base64.b64encode(content or b"%PDF-1.4 " + secrets.token_bytes(16)).decode()


def request(**given: Any) -> dict[str, Any]:
    """Six LED lights, with a receipt of their own."""
    return {"category": "lighting", "amount_fen": 600, "purpose": "六盏 LED 灯 <6>", "receipt": receipt(), **given}


@pytest.fixture
async def mongo(settings: Settings) -> AsyncIterator[Mongo]:
    connected = Mongo.connect(settings, "revenue")
    yield connected
    await connected.client.drop_database(connected.db.name)
    connected.close()


@pytest.fixture
def guarded(settings: Settings, tmp_path: Path) -> tuple[Settings, dict[str, str]]:
    """Settings with a tokens file, and each holder's token."""
    tokens = {holder: secrets.token_hex(16) for holder in HOLDERS}
    file = tmp_path / "tokens"
    file.write_text("".join(f"{hash_of(tokens[holder])} {holder} {scopes}\n" for holder, scopes in HOLDERS.items()))
    return without_broker(settings).model_copy(update={"tokens_file": file}), tokens


@asynccontextmanager
async def opened(guarded: tuple[Settings, dict[str, str]], town: Town) -> AsyncIterator[Desks]:
    """An instance of the service, and a client for each holder."""
    app = create(guarded[0], lambda: NOW)
    async with served(app) as anybody:

        def client(holder: str) -> Client:
            headers = {"Authorization": f"Bearer {guarded[1][holder]}"}
            transport = httpx.ASGITransport(app)
            return Client(httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers))

        yield Desks(town, client("desk"), client("approver"), client("auditor"), anybody)


@pytest.fixture
async def desks(guarded: tuple[Settings, dict[str, str]], mongo: Mongo) -> AsyncIterator[Desks]:
    """A fund of 1,000 fen."""
    town = Town()
    async with opened(guarded, town) as made:
        events = EventLog(mongo.db, "revenue")
        ledger = Ledger(mongo, lambda session: MongoLedger(mongo.db, events, session), lambda: NOW)
        await ledger.apply(envelopes(town.parties()))
        await made.desk.accepted("/agreements", town.terms())
        await ledger.apply(envelopes([town.shift(wage_fen=12_500)]))
        await settle(made.desk, town.month("2026-03"))
        yield made


async def test_a_declined_request_is_off_the_list_and_cannot_be_approved(desks: Desks, mongo: Mongo) -> None:
    spending_id = await desks.asked(receipt=receipt(b"%PDF-1.4 a clinic"))
    decline = f"/spending-requests/{spending_id}/decline"
    assert (await desks.approver.refused(decline, {"reason": " "}, 422))["errors"][0]["field"] == "reason"
    assert (await desks.approver.accepted(decline, {"reason": "asked for twice"}))["topic"] == "spending-declined"
    assert (await desks.desk.get("/spending-requests"))["items"] == []
    problem = await desks.approver.refused(f"/spending-requests/{spending_id}/approve", {}, 409)
    assert problem["code"] == "request-declined"
    kept = await mongo.db["spendings"].find_one({"_id": spending_id})
    assert kept
    assert (kept["declined"]["reason"], kept["is_approved"]) == ("asked for twice", False)


async def test_two_people_spend_and_everybody_sees_it(desks: Desks, mongo: Mongo) -> None:
    content = b"%PDF-1.4 " + b"six LED lights"
    spending_id = await desks.asked(receipt=receipt(content))
    [waiting] = (await desks.desk.get("/spending-requests"))["items"]
    assert (waiting["spending_id"], waiting["requested_by"]) == (spending_id, "desk")
    approve = f"/spending-requests/{spending_id}/approve"
    problem = await desks.desk.refused(approve, {}, 403)
    assert (problem["code"], problem["errors"][0]["field"]) == ("self-approval", "Authorization")
    assert (await desks.approver.accepted(approve, {}))["topic"] == "fund-spent"
    assert (await desks.approver.refused(approve, {}, 409))["code"] == "already-approved"
    assert (await desks.desk.get("/spending-requests"))["items"] == []

    fund = await desks.anybody.get(f"{desks.path}/fund")
    assert (fund["income_fen"], fund["spent_fen"], fund["balance_fen"]) == (1_000, 600, 400)
    assert [movement["amount_fen"] for movement in fund["movements"]["items"]] == [1_000, -600]

    kept = await desks.auditor.http.get(f"/receipts/{waiting['receipt_hash']}")
    assert (kept.content, kept.headers["content-type"]) == (content, "application/pdf")
    assert (await desks.desk.http.get(f"/receipts/{waiting['receipt_hash']}")).status_code == 403

    page = (await desks.anybody.http.get(f"{desks.path}/fund", headers={"Accept": "text/html"})).text
    assert "六盏 LED 灯 &lt;6&gt;" in page
    for amount in ("10.00", "6.00", "4.00"):
        assert amount in page
    assert not re.search(r"<script|src=|url\(|https?://", page)
    assert "desk" not in page
    assert re.findall(r'<rect [^>]*width="(\d+)"', page) == ["270", "162", "108"]
    assert '<svg viewBox="0 0 640 110" role="img"' in page
    [settlement] = (await desks.desk.get("/settlements"))["items"]
    link = f"/settlements/{settlement['settlement_id']}/statement/public"
    assert link in page
    assert (await desks.anybody.http.get(link)).status_code == 200
    assert (await desks.anybody.http.get(link.removesuffix("/public"))).status_code == 401
    await healthy(mongo)


async def test_racing_approvals_do_not_overdraw(
    desks: Desks, guarded: tuple[Settings, dict[str, str]], mongo: Mongo
) -> None:
    """Ten requests that were each covered when they were made, approved at once in two instances."""
    requested = [await desks.asked(amount_fen=300, category="clinic") for _ in range(10)]
    async with opened(guarded, desks.town) as other:

        async def approve(approver: Client, spending_id: str) -> int:
            path = f"/spending-requests/{spending_id}/approve"
            while (response := await approver.post(path, {})).status_code == 503:
                pass
            return response.status_code

        one = [approve(desks.approver, spending_id) for spending_id in requested]
        twice = [approve(other.approver, spending_id) for spending_id in requested[::-1]]
        statuses = await asyncio.gather(*one, *twice)
    assert Counter(statuses) == {201: 3, 409: 17}
    fund = await desks.anybody.get(f"{desks.path}/fund")
    assert (fund["spent_fen"], fund["balance_fen"]) == (900, 100)
    assert await mongo.db["events"].count_documents({"topic": "fund-spent"}) == 3
    await healthy(mongo)


BAD: tuple[tuple[dict[str, Any], int, str, str], ...] = (
    ({"category": "banquet"}, 422, "spending-invalid", "category"),
    ({"amount_fen": 0}, 422, "spending-invalid", "amount_fen"),
    ({"amount_fen": -5}, 422, "spending-invalid", "amount_fen"),
    ({"amount_fen": 10**30}, 422, "spending-invalid", "amount_fen"),
    ({"amount_fen": 1.5}, 422, "invalid", "amount_fen"),
    ({"amount_fen": 1_001}, 409, "fund-too-small", "amount_fen"),
    ({"receipt": "not base64!"}, 422, "invalid", "receipt"),
    ({"receipt": receipt(b"GIF89a")}, 422, "spending-invalid", "receipt"),
    ({"receipt": receipt(b"%PDF-".ljust(RECEIPT_MAX_BYTES + 1))}, 422, "spending-invalid", "receipt"),
    ({"receipt": receipt(b"%PDF-".ljust(2 * RECEIPT_MAX_BYTES))}, 413, "body-too-large", "body"),
    ({"purpose": ""}, 422, "spending-invalid", "purpose"),
)


async def test_bad_requests_are_refused_by_field(desks: Desks, mongo: Mongo) -> None:
    for given, status, code, field in BAD:
        problem = await desks.desk.refused(f"{desks.path}/spending-requests", request(**given), status)
        assert (problem["code"], [error["field"] for error in problem["errors"]]) == (code, [field])
    assert await mongo.db["spendings"].count_documents({}) == 0
    assert await mongo.db["receipts"].count_documents({}) == 0


async def test_a_receipt_pays_once_and_strangers_are_not_found(desks: Desks) -> None:
    same = receipt()
    spending_id = await desks.asked(receipt=same)
    problem = await desks.desk.refused(f"{desks.path}/spending-requests", request(receipt=same, amount_fen=1), 409)
    assert problem["code"] == "receipt-used"
    assert spending_id in problem["detail"]
    nobody = "0" * 32
    await desks.approver.refused(f"/spending-requests/spd-{nobody}/approve", {}, 404)
    await desks.desk.refused(f"/communities/com-{nobody}/spending-requests", request(), 404)
    assert (await desks.anybody.http.get(f"/communities/com-{nobody}/fund")).status_code == 404
    assert (await desks.anybody.post(f"{desks.path}/spending-requests", request())).status_code == 401


async def test_the_bank_pays_and_a_donation_comes_in(desks: Desks, mongo: Mongo) -> None:
    """What was settled goes to the bank once; its file twice is one payout; a donation is in the fund."""
    batch = await desks.desk.accepted("/payout-batches", {"city": YANTAI})
    assert (await desks.desk.refused("/payout-batches", {"city": YANTAI}, 409))["code"] == "nothing-due"
    file = await desks.desk.http.get(f"/payout-batches/{batch['id']}/file")
    [told] = (await desks.desk.get("/payout-batches", city=YANTAI))["items"]
    assert hashlib.sha256(file.content).hexdigest() == told["file_hash"]
    assert (told["count"], told["amount_fen"]) == (1, 1_000)
    payout_id = file.text.splitlines()[1].split(",")[1]

    async def confirm(amount_fen: int) -> httpx.Response:
        line = f"payout,{payout_id},{amount_fen},paid,REF 1,2026-05-01,"
        text = "\n".join([CONFIRMATION_HEADER, line, "count,,,,,,1", f"amount_fen,,,,,,{amount_fen}"])
        headers = {"Content-Type": "text/csv", "Idempotency-Key": secrets.token_hex(16)}
        return await desks.desk.http.post(f"/cities/{YANTAI}/payout-confirmations", content=text, headers=headers)

    [refused] = (await confirm(999)).json()["refused"]
    assert refused == {"line": 2, "payout_id": payout_id, "field": "amount_fen", "expected": "1000 fen, as ordered"}
    answers = await asyncio.gather(confirm(1_000), confirm(1_000))
    assert Counter((answer.json()["paid"], answer.json()["repeated"]) for answer in answers) == {(1, 0): 1, (0, 1): 1}
    assert await mongo.db["entries"].count_documents({"kind": "payout"}) == 1
    assert await mongo.db["events"].count_documents({"topic": "payout-confirmed"}) == 1

    terms = {"city": YANTAI, "kind": "donation", "giver": "a foundation", "limit_fen": 500}
    days = {"valid_from": "2026-05-01", "valid_until": "2026-12-31"}
    source = await desks.desk.accepted("/funding-sources", {**terms, **days})
    grant = {"community_id": desks.town.community_id, "amount_fen": 400, "granted_on": "2026-05-02"}
    await desks.desk.accepted(f"/funding-sources/{source['id']}/grants", grant)
    problem = await desks.desk.refused(f"/funding-sources/{source['id']}/grants", grant, 409)
    assert (problem["code"], problem["errors"][0]["expected"]) == ("source-exhausted", "at most 100 fen")
    fund = await desks.anybody.get(f"{desks.path}/fund")
    assert (fund["income_fen"], fund["granted_fen"], fund["balance_fen"]) == (1_000, 400, 1_400)
    page = (await desks.anybody.http.get(f"{desks.path}/fund", headers={"Accept": "text/html"})).text
    assert "捐赠" in page
    assert "14.00" in page
    [kept] = (await desks.desk.get("/funding-sources"))["items"]
    assert (kept["given_fen"], kept["left_fen"]) == (400, 100)
    await healthy(mongo)
