"""The ports of matching's rankings in memory, with clocks that a test moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.matching.ports import Noted, Owner, Published
from shared.contracts.topics import PARTITIONS, partition_of
from shared.runtime.mongo import StoreUnavailable


class Outbox:
    """A `RankingOutbox` and `RankingLog` in memory."""

    def __init__(self) -> None:
        self.log: dict[tuple[str, int], Published] = {}
        self.last: dict[str, Published] = {}
        self.digests: dict[str, Noted] = {}
        self.transactions: list[list[Published]] = []
        self.failure: Exception | None = None

    async def prepare(self) -> None: ...

    async def last_published(self, partition: int) -> Mapping[str, Noted]:
        notes = {
            c.post_id: Noted(c.sequence, c.digest) for c in self.last.values() if partition_of(c.city) == partition
        }
        return notes | self.digests

    async def published(self, post_id: str, sequence: int | None = None) -> Published | None:
        return self.last.get(post_id) if sequence is None else self.log.get((post_id, sequence))

    async def publish(self, changes: Sequence[Published], at: datetime) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.transactions.append(list(changes))
        for change in changes:
            known = self.digests.get(change.post_id) or self.last.get(change.post_id)
            assert change.sequence == (known.sequence if known is not None else 0) + 1
            self.last[change.post_id] = change
            self.log[change.post_id, change.sequence] = change
            self.digests.pop(change.post_id, None)


@dataclass
class Seconds:
    """A clock that a test moves on."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class _Lease:
    instance: str = ""
    url: str = ""
    epoch: int = 0
    until: float = 0.0
    position: str | None = None
    wanted_by: str | None = None
    wanted_until: float = 0.0


@dataclass
class LeaseTable:
    """What all instances see: a lease each partition, by the store's clock."""

    clock: Seconds
    leases: list[_Lease] = field(default_factory=lambda: [_Lease() for _ in range(PARTITIONS)])
    away: bool = False

    async def prepare(self) -> str:
        self._reach()
        return "the database"

    async def take(self, partition: int, instance: str, url: str, lease_s: float, *, again: bool) -> Owner | None:
        self._reach()
        lease = self.leases[partition]
        if lease.until >= self.clock() and not (again and lease.instance == instance):
            lease.wanted_by, lease.wanted_until = instance, self.clock() + 5
            return None
        lease.instance, lease.url, lease.epoch = instance, url, lease.epoch + 1
        lease.until, lease.wanted_by = self.clock() + lease_s, None
        return self._owner(partition)

    async def renew(self, owned: Owner, lease_s: float) -> Owner | None:
        self._reach()
        lease = self.leases[owned.partition]
        if (lease.instance, lease.epoch) != (owned.instance, owned.epoch):
            return None
        lease.until, lease.position = self.clock() + lease_s, owned.position
        return self._owner(owned.partition)

    async def release(self, owned: Owner) -> None:
        self._reach()
        lease = self.leases[owned.partition]
        if (lease.instance, lease.epoch) == (owned.instance, owned.epoch):
            lease.until, lease.position = 0.0, owned.position

    async def of(self, instance: str) -> Sequence[Owner]:
        self._reach()
        return [self._owner(number) for number, lease in enumerate(self.leases) if lease.instance == instance]

    async def all(self) -> Sequence[Owner]:
        self._reach()
        return [self._owner(number) for number, lease in enumerate(self.leases) if lease.until > self.clock()]

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    def _owner(self, partition: int) -> Owner:
        lease = self.leases[partition]
        is_wanted = lease.wanted_by not in (None, lease.instance) and lease.wanted_until > self.clock()
        return Owner(partition, lease.instance, lease.url, lease.epoch, is_wanted, lease.position)
