"""Weekly hours as the registry takes them: checked span by span, and as one line of text."""

from __future__ import annotations

from collections.abc import Sequence

from shared.kernel.errors import Fault
from shared.kernel.week import hours_of, mask_of, span_mask

Span = tuple[int, str, str]
"""ISO weekday 1..7, from, to (`HH:MM` on the half-hour grid)."""

SPANS_MAX = 168
"""More spans cannot be apart from each other on a half-hour grid (336 slots a week)."""


def week_mask(spans: Sequence[Span], field: str) -> tuple[int, list[Fault]]:
    """The week mask of spans, and a fault for each span that is none."""
    mask, faults = 0, []
    for index, span in enumerate(spans):
        try:
            mask |= span_mask(*span)
        except ValueError:
            faults.append(Fault(f"{field}.{index}.to", "a time after `from`; split a night shift at midnight"))
    return mask, faults


def empty_faults(mask: int, field: str) -> list[Fault]:
    """A week without a single half hour cannot be matched with anything."""
    return [] if mask else [Fault(field, "at least one half hour in the week")]


def text_of(mask: int) -> str:
    """A mask as text, `1 09:00-11:30;2 13:00-15:00`: how a CSV cell and the database hold it."""
    return ";".join(f"{day} {start}-{end}" for day, start, end in hours_of(mask))


def spans_of_text(text: str) -> list[Span]:
    """The spans in such a text; the inverse of `text_of` after `mask_of`.

    Raises:
        ValueError: a part is not of the form `1 09:00-11:30`; the message gives the part's number from 0.
    """
    spans: list[Span] = []
    for index, part in enumerate(text.split(";")) if text.strip() else ():
        day, space, times = part.strip().partition(" ")
        start, hyphen, end = times.partition("-")
        if not (space and hyphen and len(day) == 1 and day in "1234567"):
            raise ValueError(f"{index}: expected `1 09:00-11:30`")
        spans.append((int(day), start.strip(), end.strip()))
    return spans


def mask_of_text(text: str) -> int:
    """The mask in a text that `text_of` wrote."""
    return mask_of(spans_of_text(text))
