"""Payouts: the bank moves what was settled from the employer to the community, by a file out and a file back.

A batch orders, for each pair of a city, what was settled and not ordered before. The file for the bank is CSV like a
statement: UTF-8, lines end in `\n`, nothing is quoted; one `payout` record for each, then the control totals:

    record,payout_id,employer_id,community_id,amount_fen,value
    payout,pay-…,emp-…,com-…,12345,
    batch_id,,,,,bat-…
    count,,,,,1
    amount_fen,,,,,12345

The bank answers with what became of each, and the control totals of its own file:

    record,payout_id,amount_fen,state,bank_reference,booked_on,value
    payout,pay-…,12345,paid,REF-1,2026-05-06,
    count,,,,,,1
    amount_fen,,,,,,12345

`state` is `paid` or `failed`; a failed payout is ordered anew by the next batch. `employer_id` and `community_id` are
what the bank keeps account numbers under; no account number stands here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, NamedTuple

from services.revenue.domain.agreements import Pair
from services.revenue.domain.ledger import Entry, entry_id_of, payout_postings
from shared.kernel.clock import month_of
from shared.kernel.errors import Fault
from shared.kernel.money import E4, FEN_MAX

PAYOUTS_MAX = 2_000
"""Payouts of a batch, and lines of a confirmation: one transaction holds them. What is over waits for the next."""

ORDER_HEADER = "record,payout_id,employer_id,community_id,amount_fen,value"
CONFIRMATION_HEADER = "record,payout_id,amount_fen,state,bank_reference,booked_on,value"

Outcome = Literal["paid", "failed"]
State = Literal["ordered", "paid", "failed"]
OUTCOMES: dict[str, Outcome] = {"paid": "paid", "failed": "failed"}

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./-]{0,63}")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,13}")


@dataclass(frozen=True, slots=True)
class Payout:
    """One transfer from an employer to a community.

    Attributes:
        bank_reference: as the bank told with its answer; with `booked_on` absent until then.
    """

    payout_id: str
    batch_id: str
    city: str
    pair: Pair
    amount_fen: int
    ordered_at: datetime
    state: State = "ordered"
    bank_reference: str | None = None
    booked_on: date | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Payouts that were ordered together."""

    batch_id: str
    city: str
    count: int
    amount_fen: int
    file_hash: str
    ordered_at: datetime


def order_file(batch_id: str, payouts: Iterable[Payout]) -> str:
    """The file for the bank."""
    lines, total_fen = [ORDER_HEADER], 0
    for payout in payouts:
        pair = payout.pair
        total_fen += payout.amount_fen
        lines.append(f"payout,{payout.payout_id},{pair.employer_id},{pair.community_id},{payout.amount_fen},")
    count = len(lines) - 1
    lines += [f"batch_id,,,,,{batch_id}", f"count,,,,,{count}", f"amount_fen,,,,,{total_fen}"]
    return "\n".join(lines) + "\n"


def batch_of(batch_id: str, city: str, payouts: Sequence[Payout], now: datetime) -> Batch:
    """A batch, with the hash of its file."""
    digest = hashlib.sha256(order_file(batch_id, payouts).encode()).hexdigest()
    return Batch(batch_id, city, len(payouts), sum(payout.amount_fen for payout in payouts), digest, now)


class Confirmation(NamedTuple):
    """What the bank says of one payout.

    Attributes:
        line: number in the file, from 1, the header.
    """

    line: int
    payout_id: str
    amount_fen: int
    state: Outcome
    bank_reference: str
    booked_on: date


class Unusable(NamedTuple):
    """A line that changes nothing, and why."""

    line: int
    payout_id: str
    fault: Fault


def read_confirmation(text: str, today: date) -> tuple[list[Confirmation], list[Unusable], list[Fault]]:
    """The lines of the bank's file that can be read, those that cannot, and what is wrong with the file as a whole.

    Args:
        today: no booking is later.
    """
    lines = text.removesuffix("\n").replace("\r\n", "\n").split("\n")
    if lines[0] != CONFIRMATION_HEADER:
        return [], [], [Fault("line 1", CONFIRMATION_HEADER)]
    if len(lines) > PAYOUTS_MAX + 3:
        return [], [], [Fault("body", f"at most {PAYOUTS_MAX} payouts")]
    good: list[Confirmation] = []
    bad: list[Unusable] = []
    sums = {"count": 0, "amount_fen": 0}
    told: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(",")
        if cells[0] in sums and len(cells) == 7 and not any(cells[1:6]):
            told[cells[0]] = cells[6]
            continue
        read = _read_line(number, cells, today)
        sums["count"] += 1
        if len(cells) == 7 and _WHOLE.fullmatch(cells[2]):
            sums["amount_fen"] += int(cells[2])
        if isinstance(read, Confirmation):
            good.append(read)
        else:
            bad.append(read)
    wrong = [
        Fault(name, f"the control total {total}, which the lines come to")
        for name, total in sums.items()
        if told.get(name) != f"{total}"
    ]
    return good, bad, wrong


def _read_line(number: int, cells: Sequence[str], today: date) -> Confirmation | Unusable:
    if len(cells) != 7 or cells[0] != "payout" or cells[6]:
        return Unusable(number, "", Fault("record", CONFIRMATION_HEADER))
    _, payout_id, amount, state, reference, booked, _ = cells
    if not _WHOLE.fullmatch(amount) or not 1 <= int(amount) <= FEN_MAX:
        return Unusable(number, payout_id, Fault("amount_fen", f"1..{FEN_MAX} fen"))
    outcome = OUTCOMES.get(state)
    if outcome is None:
        return Unusable(number, payout_id, Fault("state", "paid or failed"))
    if not _REFERENCE.fullmatch(reference):
        return Unusable(number, payout_id, Fault("bank_reference", "1 to 64 letters, digits, and ./- between them"))
    try:
        booked_on = date.fromisoformat(booked)
    except ValueError:
        booked_on = date.max
    if booked_on > today:
        return Unusable(number, payout_id, Fault("booked_on", f"a day not after {today}, as YYYY-MM-DD"))
    return Confirmation(number, payout_id, int(amount), outcome, reference, booked_on)


def confirmed(payout: Payout | None, told: Confirmation) -> Payout | Fault | None:
    """What a payout becomes by what the bank says of it.

    Returns:
        The payout; `None` if the bank says the same again, which has no effect; or why it cannot be.
    """
    if payout is None:
        return Fault("payout_id", "a payout that was ordered")
    if told.amount_fen != payout.amount_fen:
        return Fault("amount_fen", f"{payout.amount_fen} fen, as ordered")
    if payout.state == "ordered":
        return replace(payout, state=told.state, bank_reference=told.bank_reference, booked_on=told.booked_on)
    known = (payout.state, payout.bank_reference, payout.booked_on)
    if known == (told.state, told.bank_reference, told.booked_on):
        return None
    return Fault("state", f"{payout.state} on {payout.booked_on} with {payout.bank_reference}, as told before")


def due(outstanding: Mapping[Pair, int]) -> list[tuple[Pair, int]]:
    """What a batch orders: all that is owed and not ordered, pair by pair; what a community owes back waits."""
    return [(pair, amount) for pair, amount in sorted(outstanding.items()) if amount > 0][:PAYOUTS_MAX]


def payout_entry(payout: Payout, now: datetime) -> Entry:
    """The ledger entry of a payout that the bank has made: the employer owes that much less."""
    if payout.booked_on is None:
        raise ValueError(f"{payout.payout_id} is not paid")
    return Entry(
        entry_id=entry_id_of("payout", payout.payout_id),
        city=payout.city,
        kind="payout",
        posted_at=now,
        month=month_of(payout.booked_on),
        employer_id=payout.pair.employer_id,
        community_id=payout.pair.community_id,
        amount_fen_e4=payout.amount_fen * E4,
        cause=payout.payout_id,
        legs=payout_postings(payout.pair, payout.amount_fen),
    )
