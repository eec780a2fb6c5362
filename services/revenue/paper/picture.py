"""Bars as SVG, drawn here: no script, no font and no library is needed to see them, and a reader can speak them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

WIDTH = 640
LABEL_WIDTH = 250
BAR_WIDTH = 270
ROW_HEIGHT = 34

COLOURS = {"income": "#1f5f99", "spent": "#9a5b00", "left": "#2a6b3a"}
"""Each at least 4.5 : 1 against white; what a bar means stands beside it in words, never in its colour alone."""


class Bar(NamedTuple):
    """One bar and its label."""

    label: str
    value: int
    meaning: Literal["income", "spent", "left"]


def bars(title: str, given: Sequence[Bar], show: Callable[[int], str]) -> Markup:
    """Horizontal bars on one scale from zero; a negative value has no bar, only its number.

    Args:
        show: a value in words.
    """
    longest = max((bar.value for bar in given), default=0)
    height = ROW_HEIGHT * len(given) + 8
    spoken = "; ".join(f"{bar.label}: {show(bar.value)}" for bar in given)
    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="img" aria-labelledby="picture-title picture-text">').format(
            WIDTH, height
        ),
        Markup('<title id="picture-title">{}</title><desc id="picture-text">{}</desc>').format(title, spoken),
    ]
    for number, bar in enumerate(given):
        y = ROW_HEIGHT * number
        width = BAR_WIDTH * max(bar.value, 0) // longest if longest > 0 else 0
        parts += [
            _text(0, y, bar.label),
            Markup('<rect x="{}" y="{}" width="{}" height="20" fill="{}"/>').format(
                LABEL_WIDTH, y + 7, width, COLOURS[bar.meaning]
            ),
            _text(LABEL_WIDTH + width + 8, y, show(bar.value)),
        ]
    return Markup("").join([*parts, Markup("</svg>")])


def _text(x: int, y: int, text: str) -> Markup:
    return Markup('<text x="{}" y="{}" font-size="14" fill="#1a1a1a">{}</text>').format(x, y + 22, text)
