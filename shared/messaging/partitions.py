"""For a service that keeps its own offsets, beside the state that they stand for, instead of the broker's.

Such a service reads each partition from where its state ends: from a checkpoint, from what is still in memory, or from
the beginning. What is committed at the broker is for monitoring; it never decides where reading starts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contracts.envelope import Envelope
from shared.messaging.consume import Refusal

Offsets = Mapping[tuple[str, int], int]
"""Next offset to read, by topic and partition."""


Refuse = Callable[[Sequence[Refusal]], Awaitable[None]]
"""Dead-letters events; returns when the dead letters are acknowledged."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Records that follow each other on the partitions held here, few enough to be applied in one go.

    Attributes:
        events: the valid ones, in order; those that were dead-lettered or stand twice in the slice are left out.
        ends: where the slice ends, on each partition that it has records of, left-out ones included. An end can lie
            before the last one: then the topic was lost at the broker and begins anew.
    """

    events: Sequence[Envelope]
    ends: Offsets


class Partitions(Protocol):
    """The state of a service, by partition. All calls come from one event loop; `apply` never beside `revoked`."""

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        """These partitions, and no other, are this instance's from now on. May be cancelled by a new assignment.

        Args:
            cluster_id: the broker's identity; another one than that of the state means that all offsets are void.

        Returns:
            Where to read on; a topic that is left out is read from its beginning.

        Raises:
            ServiceError: retryable: it is called again; any other ends the connection, and is logged.
        """

    def placed(self, starts: Offsets) -> None:
        """Reading begins here: as asked for, or later where the broker keeps nothing so old."""

    async def apply(self, piece: Slice, refuse: Refuse) -> None:
        """Take in a slice.

        Its effect and its `ends` must become visible together, in one step of the event loop, after `refuse` has
        returned for the events that no rule can work with. Nothing may be visible of a slice that raised. The same
        slice can come again.

        Raises:
            ServiceError: retryable: the slice comes again. Any other exception: its events come one by one, and the
                culprit is dead-lettered.
        """

    def readers(self) -> int:
        """How many have asked for something of this state so far; while none comes, slices may be longer."""

    def caught_up(self, partition: int) -> None:
        """All that stood on the partition when it was assigned is applied."""

    async def revoked(self, partitions: frozenset[int]) -> None:
        """The assignment is over, whether or not the next one brings the same partitions; the last call before that,
        or before the end. The rebalance waits for it, for `consume.REBALANCE_TIMEOUT_MS` at most."""
