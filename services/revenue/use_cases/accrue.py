"""Shifts come in; entries and what stands go out, all in the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.revenue.domain.accrual import Desk, Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair
from services.revenue.domain.books import BookKey, BookTotals, Numbered, by_book
from services.revenue.domain.ledger import Block, Entry, Head, block_after
from services.revenue.ports import LedgerStore
from shared.kernel.clock import month_of

RELEASE_MAX = 2_000
"""Shifts that one transaction takes out of suspense: about a second, and some MB of documents."""


async def accrue_shifts(
    shifts: Sequence[Shift], *, store: LedgerStore, now: datetime
) -> tuple[list[tuple[Shift, str]], Desk]:
    """Take a batch of shifts, in the order in which they came.

    Returns:
        The shifts that cannot be used, each with the reason, and the desk with what was written.
    """
    heads = await store.lock({shift.city for shift in shifts})
    standing = await store.standing({shift.shift_id for shift in shifts})
    desk = await desk_for(shifts, standing, store=store, now=now)
    refused = [(shift, reason) for shift in shifts if (reason := desk.take(shift)) is not None]
    await write(desk, heads, store=store)
    return refused, desk


async def release_waiting(agreement: Agreement, after: str, *, store: LedgerStore, now: datetime) -> str | None:
    """Post the next shifts that waited for an agreement.

    Args:
        after: id of the last shift that was tried; empty at first.

    Returns:
        The id to go on after, or `None` when no more wait for it.
    """
    heads = await store.lock([agreement.city])
    last = agreement.valid_until or agreement.valid_from.max
    shifts = await store.waiting(agreement.pair, agreement.city, agreement.valid_from, last, after, RELEASE_MAX)
    if shifts:
        standing = await store.standing({shift.shift_id for shift in shifts})
        desk = await desk_for(shifts, standing, store=store, now=now)
        for shift in shifts:
            desk.release(shift)
        await write(desk, heads, store=store)
    if len(shifts) == RELEASE_MAX:
        return shifts[-1].shift_id
    await store.release_done(agreement.agreement_id)
    return None


async def desk_for(
    shifts: Sequence[Shift], standing: dict[str, Standing], *, store: LedgerStore, now: datetime
) -> Desk:
    """A desk with all that these shifts, and the accruals that stand, need."""
    pairs = {Pair(*sides) for sides in {(one.employer_id, one.community_id) for one in shifts if one.community_id}}
    days = {shift.day for shift in shifts}
    reversible = [known.accrued for known in standing.values() if known.accrued is not None]
    concerned = {*pairs, *(accrued.pair for accrued in reversible)}
    worked = {*(month_of(day) for day in days), *(month_of(accrued.worked_day) for accrued in reversible)}
    accounts = await store.accounts(concerned)
    return Desk(
        now=now,
        agreements=await store.agreements(concerned),
        closed_through={pair: through for pair, account in accounts.items() if (through := account.closed_through)},
        base_fen=await store.bases(concerned, worked),
        standing=standing,
    )


async def write(desk: Desk, heads: Mapping[str, Head], *, store: LedgerStore) -> None:
    """Save what a desk holds: entries, a block for each city, books, standing, suspense.

    Events follow from the entries (`tell`): to write them down here too would take longer than all the rest.
    """
    by_city: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in desk.entries:
        by_city[entry.city].append(entry)
    if by_city:
        lines: dict[str, Mapping[BookKey, Sequence[Numbered]]] = {}
        blocks: list[Block] = []
        for city, entries in by_city.items():
            block = block_after(heads[city], entries)
            lines[city] = by_book(entries, block.first)
            blocks.append(block)
        await store.add_to_books(
            {city: {key: BookTotals.of(some) for key, some in books.items()} for city, books in lines.items()}
        )
        await store.append_lines(lines, blocks)
    if desk.changed:
        await store.save_shifts({shift_id: desk.standing[shift_id] for shift_id in desk.changed}, desk.suspense)
