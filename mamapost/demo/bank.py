"""The bank: it pays what it was ordered to, one transfer fails at first, and its confirmation comes twice."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import cast

import httpx

from mamapost.demo.commands import Answered
from mamapost.demo.reader import Reader
from mamapost.demo.reads import Item
from mamapost.demo.report import Check
from shared.contracts.revenue import PayoutConfirmed, PayoutsOrdered
from shared.kernel.clock import civil_day, system_clock
from shared.kernel.money import E4

COLUMNS = "record,payout_id,amount_fen,state,bank_reference,booked_on,value"
"""Of the bank's file, as `docs/http.md` has them."""

ARRIVAL_TIMEOUT_S = 30.0


async def play_bank(revenue: httpx.AsyncClient, reader: Reader) -> tuple[Check, list[Answered]]:
    """Pay what was ordered, batch after batch, until nothing is due; tell of each batch twice.

    Returns:
        How revenue took it, and the answers to the orders that were given here.
    """
    check = Check("bank: twice confirmed is once paid")
    answers: list[Answered] = []
    batches = [cast("PayoutsOrdered", envelope.event) for envelope in reader.of(PayoutsOrdered)]
    for number, batch in enumerate(batches, 1):
        file = (await revenue.get(f"/payout-batches/{batch.batch_id}/file")).raise_for_status().content
        check.compare(f"hash of {batch.batch_id}", hashlib.sha256(file).hexdigest(), batch.file_hash)
        rows = [row for row in csv.DictReader(io.StringIO(file.decode())) if row["record"] == "payout"]
        failed = 1 if number == 1 else 0
        told = _confirmation(rows, failed)
        for time, wanted in enumerate(((len(rows) - failed, failed, 0), (0, 0, len(rows))), 1):
            answer = await revenue.post(
                f"/cities/{batch.city}/payout-confirmations",
                content=told,
                headers={"Content-Type": "text/csv", "Idempotency-Key": f"bank-{number}-{time}"},
            )
            result = answer.raise_for_status().json()
            found = (result["paid"], result["failed"], result["repeated"])
            check.compare(f"{batch.batch_id}, told for the {time}. time", (*found, result["refused"]), (*wanted, []))
        ordered = await revenue.post(
            "/payout-batches", json={"city": batch.city}, headers={"Idempotency-Key": f"bank-order-{number}"}
        )
        check.compare(f"what is due after {batch.batch_id}", ordered.status_code, 201 if failed else 409)
        if ordered.is_success:
            answers.append(Answered.of(ordered))
            await reader.wait_for([answers[-1].event_id], ARRIVAL_TIMEOUT_S)
            batches.append(cast("PayoutsOrdered", reader.events[answers[-1].event_id].event))
    said = sum(batch.count for batch in batches)
    await reader.wait(lambda: len(reader.of(PayoutConfirmed)) >= said, ARRIVAL_TIMEOUT_S)
    return check, answers


def _confirmation(rows: Sequence[dict[str, str]], failed: int) -> str:
    """What the bank says of a batch: its first transfers fail, the others are made."""
    today = civil_day(system_clock())
    lines = [
        f"payout,{row['payout_id']},{row['amount_fen']},{'failed' if number < failed else 'paid'},REF-{number},{today},"
        for number, row in enumerate(rows)
    ]
    total_fen = sum(int(row["amount_fen"]) for row in rows)
    return "\n".join([COLUMNS, *lines, f"count,,,,,,{len(rows)}", f"amount_fen,,,,,,{total_fen}"]) + "\n"


def check_paid(entries: Sequence[Item], settlements: Sequence[Item], reader: Reader) -> Check:
    """What the ledger holds as paid is what was settled, pair by pair, and what was told on the topic."""
    check = Check("payouts: what was settled was paid, once")
    settled, paid, told = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str]()
    for settlement in settlements:
        if settlement.get("reversed_at") is None:
            settled[settlement["employer_id"], settlement["community_id"]] += settlement["amount_fen"] * E4
    in_ledger = {entry["cause"]: entry for entry in entries if entry["kind"] == "payout"}
    for entry in in_ledger.values():
        paid[entry["employer_id"], entry["community_id"]] += entry["amount_fen_e4"]
    for pair in settled | paid:
        check.compare(f"paid by {pair}", paid[pair], settled[pair])
    for envelope in reader.of(PayoutConfirmed):
        event = cast("PayoutConfirmed", envelope.event)
        told[event.payout_id] += 1
        posted = in_ledger.get(event.payout_id, {}).get("amount_fen_e4", 0)
        check.compare(f"posted of {event.payout_id}", posted, event.amount_fen * E4 * (event.state == "paid"))
    check.compare(
        "payouts in the ledger, told of once each", {one: told[one] for one in in_ledger}, dict.fromkeys(in_ledger, 1)
    )
    return check
