"""Read the whole ledger again and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.revenue.domain.audit import Audit
from services.revenue.ports import AtOneMoment, LedgerSnapshot

EVENTS_TOGETHER = 2_000
"""Entries whose events are fetched at once."""

TELL_EVERY = 2_000
"""Entries between two reports of progress."""

OnEntries = Callable[[str, int, int], None]
"""Told now and then: city, entries read, entries in all."""


def _silent(_city: str, _read: int, _total: int) -> None:
    """Nobody watches."""


async def verify_city(city: str, *, snapshot: LedgerSnapshot, on_entries: OnEntries = _silent) -> Audit:
    """Audit one city: chain, debits and credits, running totals, settlements, statements, funds, events."""
    audit = Audit(city, await snapshot.kept(city))
    told_of: list[str] = []
    blocks = snapshot.blocks(city)
    block = await anext(blocks, None)
    async for link in snapshot.chain(city):
        while block is not None and block.last < link.seq:
            audit.close(block)
            block = await anext(blocks, None)
        audit.read(link)
        if link.entry.kind in ("accrual", "reversal") and link.seq <= audit.kept.told:
            told_of.append(link.entry.entry_id)
        if len(told_of) == EVENTS_TOGETHER:
            audit.read_events(told_of, await snapshot.told(told_of))
            told_of = []
        if audit.entries % TELL_EVERY == 0:
            on_entries(city, audit.entries, audit.kept.head.seq)
    while block is not None:
        audit.close(block)
        block = await anext(blocks, None)
    audit.read_events(told_of, await snapshot.told(told_of))
    audit.finish()
    on_entries(city, audit.entries, audit.kept.head.seq)
    return audit


async def verify_ledger(
    *, at_one_moment: AtOneMoment, city: str | None = None, on_entries: OnEntries = _silent
) -> list[Audit]:
    """Audit a city, or every one that has a ledger, each at a moment of its own: to read the chains of all takes longer
    than a database keeps one."""
    cities: Sequence[str]
    if city is not None:
        cities = [city]
    else:
        async with at_one_moment() as snapshot:
            cities = await snapshot.cities()
    audits: list[Audit] = []
    for one in cities:
        async with at_one_moment() as snapshot:
            audits.append(await verify_city(one, snapshot=snapshot, on_entries=on_entries))
    return audits
