"""Hold every shift against what was posted, settled and paid for it, and name each one that differs."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable
from itertools import count

from services.revenue.domain.accrual import Shift, Standing
from services.revenue.domain.ledger import Link
from services.revenue.domain.reconciliation import Held, Published, Reconciliation, Report
from services.revenue.ports import AtOneMoment, LedgerSnapshot

Fact = Published | Standing | Shift | Link
"""Something about a shift, from one of the four sides."""

Side = AsyncIterator[tuple[str, Fact]]
"""Facts of one side, by the id of their shift, in ascending order."""

TELL_EVERY = 2_000
"""Shifts between two reports of progress."""

OnShifts = Callable[[str, int], None]
"""Told now and then: city, shifts compared so far."""


def _silent(_city: str, _shifts: int) -> None:
    """Nobody watches."""


async def reconcile_city(
    city: str,
    *,
    snapshot: LedgerSnapshot,
    report: Report,
    published: Side | None = None,
    on_shifts: OnShifts = _silent,
) -> None:
    """Compare one city.

    Args:
        report: counts and lists what differs.
        published: all that stands on the topic, read to an end that is later than the snapshot. Without it, what
            revenue keeps of each shift stands in for the topic: what it never took cannot be missed then.
    """
    work = Reconciliation(city, await snapshot.money(city), report, is_topic_read=published is not None)
    sides: list[Side] = [snapshot.standings(city), snapshot.suspended(city), *await snapshot.shift_lines(city)]
    if published is not None:
        sides.append(published)
    shifts = 0
    async for held in _by_shift(sides):
        work.take(held)
        shifts += 1
        if shifts % TELL_EVERY == 0:
            on_shifts(city, shifts)
    work.finish()
    on_shifts(city, shifts)


async def reconcile_kept(city: str, *, at_one_moment: AtOneMoment) -> Report:
    """Compare one city at a moment of its own, with what revenue keeps of each shift in the place of the topic."""
    report = Report()
    async with at_one_moment() as snapshot:
        await reconcile_city(city, snapshot=snapshot, report=report)
    return report


async def _by_shift(sides: list[Side]) -> AsyncIterator[Held]:
    """Merge the sides; holds one fact of each at a time, and the shift at hand."""
    number = count()
    heap: list[tuple[str, int, Fact, Side]] = []
    for side in sides:
        async for shift_id, fact in side:
            heapq.heappush(heap, (shift_id, next(number), fact, side))
            break
    held: Held | None = None
    while heap:
        shift_id, _, fact, side = heapq.heappop(heap)
        if held is None or held.shift_id != shift_id:
            if held is not None:
                yield held
            held = Held(shift_id)
        _put(held, fact)
        async for following, next_fact in side:
            heapq.heappush(heap, (following, next(number), next_fact, side))
            break
    if held is not None:
        yield held


def _put(held: Held, fact: Fact) -> None:
    if isinstance(fact, Published):
        held.published.append(fact)
    elif isinstance(fact, Standing):
        held.standing = fact
    elif isinstance(fact, Shift):
        held.waiting = fact
    else:
        held.lines.append(fact)
