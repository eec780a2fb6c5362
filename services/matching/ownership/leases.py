"""Leases: nobody answers for a partition without one, and there is one a partition.

The consumer group gives partitions out; the lease says from when the new owner answers, and until when the old one
does. It is taken once everything is applied that stood on the partition, so that a hand-over leaves no gap: the old
owner goes on to answer from its last state, at the position that it names, until the new one wants the lease.

An instance believes in its lease until `lease_s` after it *asked* for it, on its own clock, which is earlier than the
end that the store counts: a process that was stopped for a while finds its lease run out when it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable

from services.matching import metrics
from services.matching.ports import Owner, Owners
from services.matching.position import StreamPosition
from services.matching.use_cases import Live, Part
from shared.kernel.errors import ServiceError
from shared.runtime.logs import logger

RENEW_S = 1.0
"""Pause between renewals: several may fail before a lease of five seconds runs out."""

WANT_S = 0.2
"""Pause between attempts to take a lease that somebody else holds: as long a gap at most is nobody's."""

_log = logger(__name__)


class Leases:
    """Takes, renews and gives up the leases of this instance's partitions.

    Args:
        instance: this process's name, the same after a restart, so that it need not wait for its own old lease.
        url: where its HTTP is reached by the others.
        lease_s: how long a lease lasts without renewal.
        on_taken: called with each partition that was taken anew, before it counts as owned for publishing.
    """

    def __init__(
        self,
        live: Live,
        owners: Owners,
        *,
        instance: str,
        url: str,
        lease_s: float,
        on_taken: Callable[[Part], Awaitable[None]],
    ) -> None:
        self._live = live
        self._owners = owners
        self._instance = instance
        self._url = url
        self._lease_s = lease_s
        self._on_taken = on_taken
        self._held: dict[int, Owner] = {}
        self._ever_held: set[int] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    def look(self) -> None:
        """Something changed: a partition was caught up, assigned or revoked."""
        self._wake.set()

    async def run(self) -> None:
        """Hold leases until `stop`."""
        while not self._stopping:
            self._wake.clear()
            waits = await self._round()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), WANT_S if waits else RENEW_S)

    async def take_up(self, part: Part) -> None:
        """Go on where this instance stopped, before the group has given out partitions. Raises `ServiceError`."""
        await self._take(part)

    async def give_up_all(self) -> None:
        """Give up every lease; this instance takes none any more."""
        self._stopping = True
        self._wake.set()
        for number in list(self._held):
            await self._give_up(number)

    async def _round(self) -> bool:
        """One look at every partition. Returns whether something is to be tried again soon."""
        parts = list(self._live.parts.values())
        outcomes = await asyncio.gather(*(self._look_at(part) for part in parts), return_exceptions=True)
        metrics.PARTITIONS_OWNED.set(sum(self._live.owns(part.number) for part in self._live.parts.values()))
        again = False
        for outcome in outcomes:
            if isinstance(outcome, ServiceError) and outcome.retryable:
                _log.warning("leases are not renewed", error=outcome.code)
                again = True
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                again = again or outcome
        return again

    async def _look_at(self, part: Part) -> bool:
        """Take, renew or give up the lease of one partition. Returns whether it is still to be had."""
        if self._stopping:
            return False
        held = self._held.get(part.number)
        if held is not None:
            await self._renew(part, held)
            held = self._held.get(part.number)
        if part.is_assigned:
            if held is None and part.is_caught_up:
                await self._take(part)
            if self._live.owns(part.number) and part.published is None:
                await self._on_taken(part)
            return not self._live.owns(part.number)
        if held is not None and held.is_wanted:
            await self._give_up(part.number)
            held = None
        if held is None and self._live.is_assigned:
            self._forget(part)
        return False

    async def _take(self, part: Part) -> None:
        asked_s = self._live.clock_s()
        # What this process held and lost is another's, even if that one goes by the same name.
        again = part.number not in self._ever_held
        owned = await self._owners.take(part.number, self._instance, self._url, self._lease_s, again=again)
        if owned is None:
            return
        part.published = None  # another instance may have published meanwhile
        self._hold(part, owned, asked_s)
        _log.info("answers for a partition", partition=part.number, epoch=owned.epoch)

    async def _renew(self, part: Part, held: Owner) -> None:
        asked_s = self._live.clock_s()
        position = str(StreamPosition.of(part.cluster_id, part.number, part.offsets))
        owned = await self._owners.renew(held._replace(position=position), self._lease_s)
        if owned is not None:
            self._hold(part, owned, asked_s)
            return
        part.owned_until_s = -math.inf
        del self._held[part.number]
        _log.warning("lost a partition to another instance", partition=part.number)

    def _hold(self, part: Part, owned: Owner, asked_s: float) -> None:
        if self._stopping or self._live.parts.get(part.number) is not part:
            return  # given up or forgotten while the store was asked; the lease runs out by itself
        self._held[part.number] = owned
        self._ever_held.add(part.number)
        is_new = not self._live.owns(part.number)
        part.owned_until_s = asked_s + self._lease_s
        if is_new:
            self._live.hands_changed()

    async def _give_up(self, number: int) -> None:
        """First stop answering, then let others begin."""
        held = self._held.pop(number)
        part = self._live.parts.get(number)
        if part is not None:
            part.owned_until_s = -math.inf
            held = held._replace(position=str(StreamPosition.of(part.cluster_id, number, part.offsets)))
        try:
            await self._owners.release(held)
        except ServiceError as error:
            _log.warning("a lease was left to run out", partition=number, error=error.code)
        _log.info("answers no longer for a partition", partition=number)

    def _forget(self, part: Part) -> None:
        """Free the memory of a partition that is somebody else's now."""
        if self._live.parts.get(part.number) is part and not part.is_assigned:
            self._live.drop(part.number)
