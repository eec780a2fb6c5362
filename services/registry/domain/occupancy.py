"""What is taken of places that several women can share through the week: child-care places, seats of a shuttle.

A place is held by the half hour: two women whose hours do not meet may share one. What is counted is therefore not
women, but holders of each of the 336 half hours.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.kernel.errors import Fault
from shared.kernel.week import FULL_WEEK, SLOTS_PER_WEEK, hours_of

CHILD_CARE_PLACES_MAX = 200
"""A whole kindergarten of eight groups; a station lends a room. More is a mistyped number. A byte holds the count."""

SHUTTLE_SEATS_MAX = 100
"""A double-decker has about eighty; more on one vehicle is a mistyped number. A byte holds the count."""


def held_in(hours: int) -> int:
    """The half hours in which a placement holds what it took: its own, or the whole week where it has no set hours."""
    return hours or FULL_WEEK


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many placements hold a place, half hour by half hour of the week.

    Attributes:
        counts: 336 bytes, one a half hour, in the order of a week mask.
    """

    counts: bytes = bytes(SLOTS_PER_WEEK)

    def taken(self, hours: int) -> Occupancy:
        """With one placement more, of these hours.

        Raises:
            ValueError: more than 255 in one half hour; no capacity is that large.
        """
        return self._changed(hours, 1)

    def given_back(self, hours: int) -> Occupancy:
        """With one placement less.

        Raises:
            ValueError: nobody held one of the half hours.
        """
        return self._changed(hours, -1)

    def _changed(self, hours: int, by: int) -> Occupancy:
        counts, rest = bytearray(self.counts), held_in(hours)
        while rest:
            lowest = rest & -rest
            counts[lowest.bit_length() - 1] += by
            rest ^= lowest
        return Occupancy(bytes(counts))

    @property
    def most(self) -> int:
        """Places taken in the fullest half hour."""
        return max(self.counts)

    def full_in(self, hours: int, capacity: int) -> int:
        """Mask of those half hours of a placement in which no place is left."""
        full = sum(1 << slot for slot, count in enumerate(self.counts) if count >= capacity)
        return full & held_in(hours)


NONE_HELD = Occupancy()


def left_faults(held: Occupancy, capacity: int, hours: int, field: str, wanted: str) -> list[Fault]:
    """Whether a place is left in every half hour of a placement; the fault tells the first stretch without one.

    Args:
        wanted: what is taken, as a person says it, e.g. `a seat of the shuttle`.
    """
    full = held.full_in(hours, capacity)
    if not full:
        return []
    day, start, end = hours_of(full)[0]
    return [Fault(field, f"{wanted} in every half hour of the placement; none is left on day {day}, {start}-{end}")]
