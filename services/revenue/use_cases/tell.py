"""Write the events of accruals and reversals into the outbox, after the ledger holds them.

An entry is the record from which its event is made, so it is durable as soon as the entry is; which entries have theirs
is one number for each city, raised in the transaction that adds the events.
"""

from __future__ import annotations

from itertools import groupby

from services.revenue.domain.ledger import Entry
from services.revenue.ports import LedgerStore
from shared.contracts.fields import Event
from shared.contracts.revenue import RebateAccrued
from shared.kernel.clock import month_of

TELL_MAX = 1_000
"""Entries whose events one transaction adds: about a tenth of a second."""


async def tell_entries(city: str, *, store: LedgerStore) -> int:
    """Add the events of a city's next entries.

    Returns:
        How many entries were passed; 0 when there are no more.
    """
    links = await store.untold(city, TELL_MAX)
    if not links:
        return 0
    entries = [link.entry for link in links if link.entry.kind in ("accrual", "reversal")]
    for posted_at, together in groupby(entries, key=lambda entry: entry.posted_at):
        events: list[Event] = [accrued_event(entry) for entry in together]
        await store.publish(events, posted_at)
    await store.mark_told(city, links[-1].seq)
    return len(links)


def accrued_event(entry: Entry) -> RebateAccrued:
    """The event of an accrual or a reversal.

    Raises:
        ValueError: another kind of entry.
    """
    rebate = entry.rebate
    if rebate is None or entry.kind not in ("accrual", "reversal"):
        raise ValueError(f"{entry.entry_id} is no rebate")
    return RebateAccrued(
        entry_id=entry.entry_id,
        kind="accrual" if entry.kind == "accrual" else "reversal",
        shift_id=rebate.shift_id,
        revision=rebate.revision,
        community_id=entry.community_id,
        employer_id=entry.pair.employer_id,
        city=entry.city,
        agreement_id=rebate.agreement_id,
        agreement_version=rebate.agreement_version,
        base_fen=rebate.base_fen,
        rate_bp=rebate.rate_bp,
        before_fen=rebate.before_fen,
        amount_fen_e4=entry.amount_fen_e4,
        month=entry.month,
        worked_month=month_of(rebate.worked_day),
        accrued_at=entry.posted_at,
    )
