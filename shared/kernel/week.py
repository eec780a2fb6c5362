"""The week as 336 half-hour slots in one integer (a *week mask*).

Bit `(day - 1) * 48 + slot` stands for the half hour that starts `slot * 30` minutes after midnight of ISO weekday `day`
(1 = Monday). Care time is arranged in half hours ("start half an hour later, leave half an hour earlier", FACTS.md, L),
so half an hour is the grain of all weekly hours, and times off the grain are refused, not rounded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

SLOT_MINUTES = 30
SLOTS_PER_DAY = 48
SLOTS_PER_WEEK = 336
FULL_WEEK = (1 << SLOTS_PER_WEEK) - 1

SPANS_MAX = 7 * SLOTS_PER_DAY * (SLOTS_PER_DAY + 1) // 2
"""Spans that there are; the masks of those that were read are kept, since most people's hours are much alike."""

SLOT_TIME_PATTERN = r"^(([01][0-9]|2[0-3]):(00|30)|24:00)$"
"""`HH:MM` on the half-hour grid; `24:00` only makes sense as an end."""


def slot_of(time: str) -> int:
    """Slot number 0..48 of a grid time such as `"08:30"`.

    Raises:
        ValueError: the text is not a time on the half-hour grid.
    """
    if len(time) != 5 or time[2] != ":" or not (time[:2].isdigit() and time[3:].isdigit()):
        raise ValueError(f"expected HH:MM, got {len(time)} other characters")
    hour, minute = int(time[:2]), int(time[3:])
    slot = hour * 2 + minute // SLOT_MINUTES
    if minute % SLOT_MINUTES or minute >= 60 or slot > SLOTS_PER_DAY:
        raise ValueError("expected a half-hour time between 00:00 and 24:00")
    return slot


def time_of(slot: int) -> str:
    """`17` → `"08:30"`."""
    return f"{slot // 2:02d}:{slot % 2 * SLOT_MINUTES:02d}"


def mask_of(hours: Iterable[tuple[int, str, str]]) -> int:
    """Week mask of `(day 1..7, from, to)` spans.

    Raises:
        ValueError: a day outside 1..7, a time off the grid, or a span that does not end after it starts (a night shift
            is two spans).
    """
    mask = 0
    for day, start, end in hours:
        mask |= span_mask(day, start, end)
    return mask


@functools.lru_cache(SPANS_MAX)
def span_mask(day: int, start: str, end: str) -> int:
    """Week mask of one span; as `mask_of`."""
    if not 1 <= day <= 7:
        raise ValueError("day: expected 1 (Monday) to 7 (Sunday)")
    first, last = slot_of(start), slot_of(end)
    if last <= first:
        raise ValueError("to: expected a time after `from`; split a night shift at midnight")
    return ((1 << (last - first)) - 1) << ((day - 1) * SLOTS_PER_DAY + first)


def hours_of(mask: int) -> list[tuple[int, str, str]]:
    """The fewest spans that make up a mask, in order: the inverse of `mask_of`."""
    spans: list[tuple[int, str, str]] = []
    for day in range(7):
        bits = (mask >> (day * SLOTS_PER_DAY)) & ((1 << SLOTS_PER_DAY) - 1)
        slot = 0
        while bits >> slot:
            if not (bits >> slot) & 1:
                slot += 1
                continue
            start = slot
            while (bits >> slot) & 1:
                slot += 1
            spans.append((day + 1, time_of(start), time_of(slot)))
    return spans


def minutes_of(mask: int) -> int:
    """Minutes a week that a mask covers."""
    return mask.bit_count() * SLOT_MINUTES


def overlap_minutes(a: int, b: int) -> int:
    """Minutes a week that two masks share."""
    return (a & b).bit_count() * SLOT_MINUTES
