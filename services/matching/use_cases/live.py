"""The rankings of this process: what they stand for, partition by partition, and who waits for them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.matching import metrics
from services.matching.domain import EntityKind, Fact
from services.matching.engine import Engine
from services.matching.errors import CatchingUp, PositionInvalid, StartingError
from services.matching.ports import Basis, News, Noted
from services.matching.position import StreamPosition, short
from services.matching.use_cases.watching import Watchers
from shared.contracts.topics import PARTITIONS, partition_of


def boot_clock() -> float:
    """Seconds on a clock that never goes back and goes on while the machine sleeps: a lease runs out meanwhile."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


@dataclass(slots=True)
class Part:
    """One partition: where its state stands, and whether it may be answered for.

    Attributes:
        cluster_id: the broker that `offsets` are of.
        offsets: next offset by topic.
        is_assigned: its events come to this instance.
        is_caught_up: everything that stood on it when it was assigned is applied.
        is_changed: something was applied since the last checkpoint.
        is_ahead: something was applied whose end is not in `offsets` yet, so that no position names what is known.
        lost: where it stood at brokers that were lost, as text; what was known there is known still.
        owned_until_s: end of this instance's lease, on `Live.clock_s`.
        published: what was published last, by post; `None` until it was read, or after another instance published.
    """

    number: int
    cluster_id: str
    offsets: dict[str, int]
    is_assigned: bool = False
    is_caught_up: bool = False
    is_changed: bool = False
    is_ahead: bool = False
    lost: tuple[str, ...] = ()
    owned_until_s: float = -math.inf
    published: dict[str, Noted] | None = None


@dataclass(slots=True)
class Live:
    """The rankings of this process, and who waits for them. Belongs to one event loop.

    Attributes:
        parts: the partitions whose state is in memory, by number.
        is_assigned: the group has said which partitions are this instance's, at least once.
        stands_at: instant that the rankings stand at.
        waiting: posts whose published ranking may be out of date.
        newest: latest `ce_time` taken in, by city.
        watchers: those who are told of what is published.
        readers: requests that came so far.
        clock_s: seconds on a clock that never goes back; leases are measured on it.
    """

    engine: Engine
    clock_s: Callable[[], float] = boot_clock
    parts: dict[int, Part] = field(default_factory=dict)
    is_assigned: bool = False
    stands_at: datetime | None = None
    waiting: set[str] = field(default_factory=set)
    newest: dict[str, datetime] = field(default_factory=dict)
    watchers: Watchers = field(init=False)
    readers: int = 0
    _versions_awaited: dict[tuple[EntityKind, str], list[tuple[int, asyncio.Future[None]]]] = field(
        default_factory=dict
    )
    _hands_awaited: list[asyncio.Future[None]] = field(default_factory=list)
    _positions_awaited: dict[int, list[tuple[StreamPosition, asyncio.Future[None]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watchers = Watchers(lambda: self.clock_s())

    # --- who answers ---

    def hands_changed(self) -> None:
        """Wake whoever waits: this instance may answer for more than before."""
        awaited, self._hands_awaited = self._hands_awaited, []
        for future in awaited:
            if not future.done():
                future.set_result(None)

    async def change_of_hands(self, timeout_s: float) -> None:
        """Return when `hands_changed`, or after the time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hands_awaited.append(future)
        await asyncio.wait([future], timeout=timeout_s)
        if future in self._hands_awaited:
            self._hands_awaited.remove(future)

    # --- what changes it ---

    def take_in(self, news: Sequence[News], ends: Mapping[tuple[str, int], int]) -> None:
        """Bring the rankings and the position up to date, both in this one step, and wake whoever waits for them.

        Where `ends` leaves a partition out, or the engine raises, nobody is answered for it until its next end comes:
        no position would name what is known then.
        """
        if news:
            facts: list[Fact] = []
            newest: dict[str, datetime] = {}
            for item in news:
                facts.append(item.fact)
                city = item.fact.city
                if city not in newest or item.at > newest[city]:
                    newest[city] = item.at
            # The engine takes in city by city: where it refuses one, those before it have changed.
            for number in {partition_of(city) for city in newest} & self.parts.keys():
                part = self.parts[number]
                part.is_ahead = bool(part.cluster_id)  # without a broker there are no positions
            with metrics.APPLY_SECONDS.time():
                self.waiting |= self.engine.apply(facts)
            for city, at in newest.items():
                self.newest[city] = max(at, self.newest.get(city, at))
        for (topic, partition), end in ends.items():
            part = self.parts[partition]
            part.offsets[topic] = end
            part.is_changed = True
            part.is_ahead = False
        if self._versions_awaited:
            self._wake_versions(news)
        if self._positions_awaited:
            self._wake_positions({partition for _, partition in ends})

    def moved_on(self, now: datetime) -> Engine:
        """The engine, moved on to the present."""
        self.waiting |= self.engine.advance(now)
        if self.stands_at is None or now > self.stands_at:
            self.stands_at = now
        return self.engine

    def drop(self, number: int) -> None:
        """Forget a partition."""
        del self.parts[number]
        for city in [city for city in self.engine.cities() if partition_of(city) == number]:
            self.engine.drop(city)
            self.newest.pop(city, None)
        self.waiting = {post_id for post_id in self.waiting if self.engine.city_of("post", post_id) is not None}

    # --- what may be answered ---

    def owns(self, number: int) -> bool:
        """Whether this instance, and no other, can answer for a partition at this moment."""
        part = self.parts.get(number)
        return part is not None and not part.is_ahead and self.clock_s() < part.owned_until_s

    def check(self, city: str) -> None:
        """Let a city's answer pass; to be called after the answer was made, so that it is still valid then.

        Raises:
            CatchingUp: this instance does not answer for the city, not yet or no longer.
        """
        if not self.owns(partition_of(city)):
            raise CatchingUp

    def at(self, now: datetime) -> Engine:
        """The engine, moved on to the present; what is read from it needs a `check` of its city.

        Raises:
            StartingError: it is not known yet which partitions are this instance's.
        """
        if not self.is_assigned and not self.parts:
            raise StartingError
        return self.moved_on(now)

    def cities(self) -> list[str]:
        """Cities that this instance answers for, sorted."""
        owned = {number for number in self.parts if self.owns(number)}
        return sorted(city for city in self.engine.cities() if partition_of(city) in owned)

    def position(self, city: str) -> StreamPosition | None:
        """Where a city's rankings stand."""
        part = self.parts.get(partition_of(city))
        return None if part is None else StreamPosition.of(part.cluster_id, part.number, part.offsets)

    def lost(self, city: str) -> tuple[str, ...]:
        """Positions at lost brokers whose events a city's rankings are made of too."""
        part = self.parts.get(partition_of(city))
        return () if part is None else part.lost

    def basis(self, city: str) -> Basis:
        """What a city's rankings are made of, once the engine was `moved_on`."""
        policy, position = self.engine.policy_of(city), self.position(city)
        if self.stands_at is None:
            raise RuntimeError("the engine was never moved on")
        is_exact = position is not None and not self.lost(city)
        return Basis(self.stands_at, str(position) if is_exact else None, (policy.city, policy.version))

    def as_of(self, cities: Iterable[str]) -> datetime | None:
        """Moment of the latest change that the rankings of these cities show."""
        return max((self.newest[city] for city in cities if city in self.newest), default=None)

    # --- waiting ---

    async def reached(self, kind: EntityKind, entity_id: str, version: int) -> None:
        """Return once this version of an entity, or a later one, is applied."""
        if self.engine.version_of(kind, entity_id) >= version:
            return
        await self._wait(self._versions_awaited, (kind, entity_id), version)

    async def reached_position(self, position: StreamPosition) -> None:
        """Return once everything before the position is applied.

        Raises:
            PositionInvalid: it is of another broker than the one that is read.
        """
        if self._is_reached(position):
            return
        await self._wait(self._positions_awaited, position.partition, position)

    async def _wait(self, awaited: Any, key: Any, goal: Any) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (goal, future)
        awaited.setdefault(key, []).append(entry)
        try:
            await future
        finally:
            entries = awaited.get(key)
            if entries is not None:
                if entry in entries:
                    entries.remove(entry)
                if not entries:
                    del awaited[key]

    def _is_reached(self, position: StreamPosition) -> bool:
        part = self.parts.get(position.partition)
        if part is None:
            return False
        if position.cluster != short(part.cluster_id):
            raise PositionInvalid("a position of the present broker; the one that this is of was lost")
        return StreamPosition.of(part.cluster_id, part.number, part.offsets).reaches(position)

    def _wake_versions(self, news: Iterable[News]) -> None:
        for fact in (item.fact for item in news):
            for version, future in self._versions_awaited.get((fact.kind, fact.id), ()):
                if fact.version >= version and not future.done():
                    future.set_result(None)

    def _wake_positions(self, partitions: Collection[int]) -> None:
        for number in partitions:
            for position, future in self._positions_awaited.get(number, ()):
                if future.done():
                    continue
                try:
                    if self._is_reached(position):
                        future.set_result(None)
                except PositionInvalid as error:
                    future.set_exception(error)


def held_for_good(live: Live) -> Live:
    """All partitions, owned for good: for one process without a broker, such as a bench or a replay."""
    for number in range(PARTITIONS):
        live.parts[number] = Part(number, "", {}, owned_until_s=math.inf, is_caught_up=True, published={})
    live.is_assigned = True
    return live
