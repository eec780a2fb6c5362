"""Every topic as data: who owns it, what it means, who may read it, how long it is kept. Topics are created from here.

Message key = entity id. Partition = Kafka's own murmur2 hash of the city code, the same for all topics, so that one
consumer sees a whole city (promise 3); an integrator in any language can compute it with the stock hash.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from aiokafka.partitioner import murmur2

from shared.contracts import matching, registry, revenue, training
from shared.contracts.fields import Event, named_for_personal_data

PARTITIONS = 6
"""The same for every topic; co-partitioning needs it, and changing it later moves cities (docs/decisions/0004)."""

CITIES_KEPT = 4_096
"""Cities whose partition is remembered; China has some 3,000 counties and cities."""

DAY_MS = 86_400_000
YEAR_MS = 366 * DAY_MS
COMPACTION_LAG_MS = 7 * DAY_MS
"""Every version of an entity stays on its topic for a week at least, so that a subscriber who was away sees each."""

PARTITION_RULE = (
    "murmur2 of the city code as in Kafka's default partitioner, made positive, modulo the number of partitions"
)
"""`partition_of` in words, for who writes it in another language."""

ORDERING = (
    "The versions of one entity stand in one partition, in order. A city is in the same partition of every topic, but "
    "between topics there is no order."
)
DELIVERY = (
    "At least once: an event may come again, all come again after a broker was lost, and an old version may follow a "
    "newer one. Ignore what is not newer (`ce_sequence` per key), or remember `ce_id`."
)

MESSAGE_MAX_BYTES = 262_144
"""Largest message; the largest legal event is about 40 kB, so four times more is a fault, not data."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        event: model of its messages.
        access: `open`, or `restricted` where a pseudonym stands together with something of the woman herself: earnings,
            hours, home, free time (promise 4).
        retention_ms: how long messages are kept; `-1` for ever.
        compacted: only the latest message per key is kept after a while (state-carrying events).

    Raises:
        TypeError: the event has a field that is named for personal data (`NEVER`).
    """

    event: type[Event]
    access: Literal["open", "restricted"]
    retention_ms: int
    compacted: bool

    def __post_init__(self) -> None:
        if personal := named_for_personal_data(self.event):
            raise TypeError(f"{self.event.__name__} has a field named for personal data: {personal[0]}")

    @property
    def name(self) -> str:
        return self.event.topic

    @property
    def owner(self) -> str:
        return self.event.source

    @property
    def key(self) -> str:
        """Field that is the message key: the id of the entity."""
        return self.event.entity

    @property
    def versioned(self) -> str:
        """Name and version of the event, e.g. `post-opened.v1`: name of its files and schemas."""
        return f"{self.event.event_name()}.v{self.event.major}"

    @property
    def ends_on(self) -> date | None:
        """Last day on which this version is published; `None` while no other replaces it."""
        return next((each.ends_on for each in SUCCESSIONS if each.old is self.event), None)

    @property
    def replaced_by(self) -> str | None:
        """Topic of the version that replaces this one."""
        return next((each.new.topic for each in SUCCESSIONS if each.old is self.event), None)

    @property
    def meaning(self) -> str:
        return (self.event.__doc__ or "").strip().splitlines()[0]

    @property
    def dead_letters(self) -> str:
        """Where messages go that a consumer of this topic cannot use."""
        return f"{self.name}.dlq"


def _state(event: type[Event], access: Literal["open", "restricted"] = "open") -> Topic:
    return Topic(event, access, retention_ms=-1, compacted=True)


def _record(event: type[Event], access: Literal["open", "restricted"] = "open") -> Topic:
    return Topic(event, access, retention_ms=2 * YEAR_MS, compacted=False)


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        _state(registry.EmployerRegistered),
        _state(registry.EmployerSuspended),
        _state(registry.EmployerReinstated),
        _state(registry.CommunityRegistered),
        _state(registry.StationRegistered),
        _state(registry.ShuttleRegistered),
        _state(registry.SeekerRegistered, "restricted"),
        _state(registry.SeekerWithdrawn),
        _state(registry.PostOpened),
        _state(registry.PostClosed),
        _state(registry.PlacementMade, "restricted"),
        _state(registry.PlacementEnded, "restricted"),
        _record(registry.ShiftCompleted, "restricted"),
        _state(training.CourseScheduled),
        _state(training.EnrolmentMade),
        _state(training.EnrolmentAssessed),
        _state(training.SkillCertified),
        _state(training.SkillRevoked),
        _state(matching.RankingChanged),
        _state(matching.PolicyAdopted),
        _record(matching.OfferMade, "restricted"),
        _record(matching.OfferSettled, "restricted"),
        _state(revenue.AgreementSigned),
        _record(revenue.RebateAccrued, "restricted"),
        _record(revenue.MonthClosed),
        _record(revenue.RebateSettled),
        _record(revenue.SettlementReversed),
        _record(revenue.SpendingRequested),
        _record(revenue.FundSpent),
        _record(revenue.SpendingDeclined),
        _record(revenue.PayoutsOrdered),
        _record(revenue.PayoutConfirmed),
        _state(revenue.FundingSourceOpened),
        _record(revenue.GrantMade),
    )
}
"""All topics by name."""


@dataclass(frozen=True, slots=True)
class Succession:
    """A version of an event and the one that replaces it; until a day both are published, side by side.

    The service makes the new one only. The old one is derived from it and stored in the same transaction, so that who
    still reads the old topic misses nothing.

    Attributes:
        ends_on: last day, by UTC, on which the old version is published. Its topic and what it holds stay.
        as_old: the old event that says what the new one says, as well as it can.
    """

    old: type[Event]
    new: type[Event]
    ends_on: date
    as_old: Callable[[Any], Event]


SUCCESSIONS: list[Succession] = []
"""Versions that are being replaced now (docs/events.md, New versions)."""


def with_old_versions(event: Event, day: date) -> list[Event]:
    """The event, and the older versions of it that are still published on this day, newest first."""
    found = [event]
    for succession in SUCCESSIONS:
        if succession.new is type(event) and day <= succession.ends_on:
            found += with_old_versions(succession.as_old(event), day)
    return found


DEAD_LETTER_RETENTION_MS = 30 * DAY_MS
"""A dead letter names its origin, not its content; a month is enough to find and mend the cause."""


@functools.lru_cache(CITIES_KEPT)
def partition_of(city: str, partitions: int = PARTITIONS) -> int:
    """Partition of a city: murmur2 as in Kafka's default partitioner, made positive, modulo the count."""
    return int(murmur2(city.encode()) & 0x7FFFFFFF) % partitions
