"""Have the bank pay what was settled, and take in what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.revenue.domain.ledger import seal
from services.revenue.domain.payouts import (
    Payout,
    Unusable,
    batch_of,
    confirmed,
    due,
    payout_entry,
    read_confirmation,
)
from services.revenue.errors import ConfirmationInvalid, NothingDue
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.revenue import PayoutConfirmed, PayoutsOrdered
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


async def order_payouts(city: str, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Order what was settled in a city and not ordered before, one payout for each pair.

    Raises:
        NothingDue
    """
    await store.lock([city])
    wanted = due(await store.outstanding(city))
    if not wanted:
        raise NothingDue("nothing is settled that was not ordered", Fault("city", "one with settlements to be paid"))
    batch_id = new_id("batch")
    payouts = [Payout(new_id("payout"), batch_id, city, pair, amount, now) for pair, amount in wanted]
    batch = batch_of(batch_id, city, payouts, now)
    await store.add_batch(batch, payouts)
    ordered = PayoutsOrdered(
        batch_id=batch_id,
        city=city,
        count=batch.count,
        amount_fen=batch.amount_fen,
        file_hash=batch.file_hash,
        ordered_at=now,
    )
    [envelope] = await store.publish([ordered], now)
    return envelope


@dataclass
class Confirmed:
    """What came of a confirmation."""

    paid: int = 0
    failed: int = 0
    repeated: int = 0
    refused: list[Unusable] = field(default_factory=list)


async def confirm_payouts(city: str, text: str, *, store: LedgerStore, now: datetime) -> Confirmed:
    """Take in the bank's file: a payout is paid once, whatever comes twice; a line that does not fit has no effect.

    Raises:
        ConfirmationInvalid: the file as a whole is not one, or its control totals are not those of its lines.
    """
    lines, unreadable, wrong = read_confirmation(text, civil_day(now))
    if wrong:
        raise ConfirmationInvalid("the file cannot be used", *wrong)
    result = Confirmed(refused=list(unreadable))
    head = (await store.lock([city]))[city]
    known = await store.payouts([line.payout_id for line in lines])
    changed: dict[str, Payout] = {}
    for line in lines:
        payout = changed.get(line.payout_id) or known.get(line.payout_id)
        became = confirmed(payout if payout and payout.city == city else None, line)
        if isinstance(became, Fault):
            result.refused.append(Unusable(line.line, line.payout_id, became))
        elif became is None:
            result.repeated += 1
        else:
            changed[line.payout_id] = became
    result.paid = sum(payout.state == "paid" for payout in changed.values())
    result.failed = len(changed) - result.paid
    result.refused.sort()
    paid = [payout_entry(payout, now) for payout in changed.values() if payout.state == "paid"]
    if paid:
        links, block = seal(head, paid)
        await store.append(links, [block])
    if changed:
        await store.save_payouts(list(changed.values()))
        events: list[Event] = [_confirmed(payout, now) for payout in changed.values()]
        await store.publish(events, now)
    return result


def _confirmed(payout: Payout, now: datetime) -> PayoutConfirmed:
    if payout.booked_on is None or payout.state == "ordered":
        raise ValueError(f"{payout.payout_id} is not confirmed")
    return PayoutConfirmed(
        payout_id=payout.payout_id,
        batch_id=payout.batch_id,
        employer_id=payout.pair.employer_id,
        community_id=payout.pair.community_id,
        city=payout.city,
        amount_fen=payout.amount_fen,
        state=payout.state,
        booked_on=payout.booked_on,
        confirmed_at=now,
    )
