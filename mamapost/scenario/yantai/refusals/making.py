"""What all bad commands share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import count
from typing import TypeVar

from mamapost.scenario.model import Body, Command, Refusal

T = TypeVar("T")

NOBODY = "0" * 32
"""The digits of an id that no server gives."""

NIGHT = [{"day": 7, "from": "02:00", "to": "04:00"}]
"""Hours that no post has."""

FAR = date(2099, 1, 1)


YOUNGEST = "person.children.0.birth_date"
"""The field that a youngest child of 12 is named by, where she is the only one."""


class Refusals:
    """Makes bad commands with numbered refs."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def row(self, path: str, body: Body, code: str, field: str) -> Command:
        """A bad row of an upload."""
        return Command(f"bad:{next(self._numbers)}", path, body, refusal=Refusal(code, field))

    def single(self, path: str, body: Body, status: int, code: str, field: str) -> Command:
        """A bad command of its own."""
        return Command(f"bad:{next(self._numbers)}", path, body, refusal=Refusal(code, field, status))


def first(items: Iterable[T]) -> list[T]:
    """The first item as a list, or nothing: at a small scale not every situation exists."""
    return [item for item, _ in zip(items, range(1), strict=False)]
