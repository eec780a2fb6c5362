"""What the events say: the latest known state of every entity that matching looks at.

Structs, as the events are that they are made of (decision 0014): a frozen dataclass takes many times as long to make.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from services.matching.domain.policy import Schedule
from shared.kernel.geo import Vector

EntityKind = Literal["seeker", "post", "employer", "station", "placement", "certificate", "shift", "policy"]
"""Entities that matching keeps. Topics that share an entity's version count feed the same kind."""

PostKind = Literal["elastic", "team", "mobile", "new-form"]
Facility = Literal["child-care-room", "nursing-room", "shuttle-bus", "parental-leave"]
ShiftVerdict = Literal["attended", "left-early", "no-show"]


class Seeker(Struct, frozen=True, gc=False):
    """What a woman looks for.

    Attributes:
        home: published home (already rounded to 0.005°) as a unit vector.
        limit_m: farthest great-circle distance she travels, metres.
        free: week mask of her free half hours.
        pay_floor_fen: least pay she accepts, fen an hour.
        eligible_until: last day on which a mama post is open to her (FACTS.md, N).
        registered_at: instant from which waiting time counts, and which decides a tie.
    """

    home: Vector
    limit_m: int
    free: int
    skills: frozenset[str]
    kinds: frozenset[PostKind]
    facilities: frozenset[Facility]
    pay_floor_fen: int
    eligible_until: date
    registered_at: datetime


class Post(Struct, frozen=True, gc=False):
    """What an employer offers.

    Attributes:
        location: unit vector of the place of work; `None` at home or online.
        hours: week mask; 0 where the post has no set hours.
        min_minutes: weekly overlap with her free hours that the employer asks.
        expected_hourly_fen: pay in fen an hour, for piece work the usual one.
        urgent: its seats are offered to the best candidates at once (FACTS.md, N: instant hiring); no part of a score.
    """

    employer_id: str
    station_id: str | None
    kind: PostKind
    location: Vector | None
    hours: int
    min_minutes: int
    skills_required: frozenset[str]
    skills_desired: frozenset[str]
    expected_hourly_fen: int
    seats: int
    facilities: frozenset[Facility]
    urgent: bool
    opened_at: datetime
    closes_at: datetime | None


class Employer(Struct, frozen=True, gc=False):
    """Whether supervision lets an employer's posts take women."""

    active: bool


class Station(Struct, frozen=True, gc=False):
    """A room of a community: whether its production zone is accepted, and what it offers."""

    accepted: bool
    facilities: frozenset[Facility]


class Placement(Struct, frozen=True, gc=False):
    """A seat that is taken, with the week mask of the hours it takes."""

    post_id: str
    seeker_id: str
    hours: int


class Certificate(Struct, frozen=True, gc=False):
    """A skill proven until a last valid day (`None`: for life)."""

    seeker_id: str
    skill: str
    valid_until: date | None


class Shift(Struct, frozen=True, gc=False):
    """How a shift went, and the civil day on which it began."""

    seeker_id: str
    verdict: ShiftVerdict
    day: date


State = Seeker | Post | Employer | Station | Placement | Certificate | Shift | Schedule


class Fact(Struct, frozen=True, gc=False):
    """One version of one entity.

    Attributes:
        state: `None` once the entity is over: withdrawn, closed, ended, revoked. Its version is kept, so that an
            older event that comes late does not bring it back.
    """

    kind: EntityKind
    id: str
    version: int
    city: str
    state: State | None


@dataclass(slots=True)
class Programme:
    """All facts, newest version of each entity: order of arrival and repetition leave no trace."""

    facts: dict[EntityKind, dict[str, Fact]] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> Programme:
        """The state after facts in any order."""
        programme = cls()
        for fact in facts:
            programme.learn(fact)
        return programme

    def learn(self, fact: Fact) -> bool:
        """Keep a fact if it is newer than what is held; answers whether it was."""
        held = self.facts.setdefault(fact.kind, {})
        known = held.get(fact.id)
        if known is not None and fact.version <= known.version:
            return False
        held[fact.id] = fact
        return True

    def of_kind(self, kind: EntityKind) -> dict[str, Fact]:
        """Facts of one kind by entity id."""
        return self.facts.get(kind, {})
