"""Seeded choices that fall the same on every machine and every Python version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_BITS = 64


class Dice:
    """Choices from one seed. Only `getrandbits` of the Mersenne Twister is used, whose stream is fixed; what the
    standard library builds on it may change from version to version.

    Args:
        seed: any values; other values give an independent stream, so that one part of a scenario can be changed without
            changing the rest.
    """

    def __init__(self, *seed: int | str) -> None:
        self._random = random.Random("/".join(map(str, seed)))

    def below(self, n: int) -> int:
        """0 to n - 1, each as likely (the bias is below n / 2**64)."""
        return self._random.getrandbits(_BITS) * n >> _BITS

    def between(self, first: int, last: int) -> int:
        """`first` to `last`, both included."""
        return first + self.below(last - first + 1)

    def chance(self, percent: int) -> bool:
        """True in so many of a hundred cases."""
        return self.below(100) < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]

    def weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        """One of the choices, each as often as its weight says."""
        at = self.below(sum(weight for _, weight in choices))
        for value, weight in choices:
            at -= weight
            if at < 0:
                return value
        raise ValueError("expected at least one choice with a positive weight")

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def sample(self, items: Sequence[T], size: int) -> list[T]:
        """At most `size` distinct items."""
        return self.shuffled(items)[:size]
