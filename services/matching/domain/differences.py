"""What changed between two states of one post's ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.matching.domain.ranking import RankedSeeker


class Placed(NamedTuple):
    """A seeker at a place that is new, or not as it was.

    Attributes:
        place: from 1.
        was: her place before; `None` if she had none.
    """

    place: int
    was: int | None
    seeker: RankedSeeker


class Difference(NamedTuple):
    """What leads from one ranking to another. Whoever stands in neither list stands where she stood, as she was.

    Attributes:
        entered: who was not in it before, by place.
        left: ids of those who no longer are, sorted.
        moved: who is in both, but has another place, score or part of it, by place.
        size: seekers in the new one.
    """

    entered: tuple[Placed, ...]
    left: tuple[str, ...]
    moved: tuple[Placed, ...]
    size: int


def difference(before: Sequence[RankedSeeker], after: Sequence[RankedSeeker]) -> Difference:
    """What changed between two states of a ranking, each best first and everybody in it once."""
    old = {seeker.seeker_id: (place, seeker) for place, seeker in enumerate(before, 1)}
    entered: list[Placed] = []
    moved: list[Placed] = []
    for place, seeker in enumerate(after, 1):
        known = old.pop(seeker.seeker_id, None)
        if known is None:
            entered.append(Placed(place, None, seeker))
        elif known != (place, seeker):
            moved.append(Placed(place, known[0], seeker))
    return Difference(tuple(entered), tuple(sorted(old)), tuple(moved), len(after))
