"""Events of matching: rankings, the policies that they are made with, and offers of instant hiring."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.fields import (
    OPEN,
    PSEUDONYMOUS,
    City,
    Day,
    Event,
    Instant,
    OpenId,
    Payload,
    PseudonymId,
    Slug,
    Version,
    WeekHours,
)

Score = Annotated[int, Field(ge=0, le=10**9), OPEN]


class Parts(Payload):
    """A score by its parts, each already times its weight; the score is their sum (DESIGN.md §5)."""

    time_fit: Score
    distance: Score
    skills: Score
    pay: Score
    facilities: Score
    reliability: Score
    waiting: Score


class Ranked(Payload):
    """One place in a ranking."""

    seeker_id: PseudonymId
    score: Score
    parts: Parts


class PolicyOf(Payload):
    """Which dated policy a ranking is made with."""

    city: Annotated[
        str,
        Field(pattern=r"^(\*|[1-9][0-9]{5})$", description="Whose: the city's own, or `*`, common to all without one."),
        OPEN,
    ]
    version: Version


class RankingChanged(Event):
    """The ten best seekers of a post changed; coalesced, so that only the latest matters."""

    source: ClassVar[str] = "matching"
    topic: ClassVar[str] = "ranking-changed"
    entity: ClassVar[str] = "post_id"
    order: ClassVar[str] = "sequence"

    post_id: OpenId
    sequence: Version
    city: City
    as_of: Annotated[Instant, Field(description="Instant that it is of: what has closed or run out by then is out.")]
    top: Annotated[tuple[Ranked, ...], Field(max_length=10)]
    position: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{4}\.[0-9a-f]{8}\.[0-9]{1,4}\.[A-Za-z0-9_-]+$",
            max_length=200,
            description="It is made of all events before this place in the stream; opaque.",
        ),
        OPEN,
    ] = None
    policy: Annotated[PolicyOf | None, Field(description="The policy that it is made with.")] = None


Percent = Annotated[int, Field(ge=0, le=100), OPEN]


class PolicyWeights(Payload):
    """Weight of each part of a score, in percent; they sum to 100."""

    time_fit: Percent
    distance: Percent
    skills: Percent
    pay: Percent
    facilities: Percent
    reliability: Percent
    waiting: Percent


class PolicyLimits(Payload):
    """Bounds that hold for every pair of the city."""

    commute_max_m: Annotated[
        int,
        Field(ge=1_000, le=100_000, description="Farthest commute that counts, whatever a woman accepts; metres."),
        OPEN,
    ]
    waiting_full_weeks: Annotated[
        int, Field(ge=1, le=520, description="Weeks after which waiting gains nothing more."), OPEN
    ]


class DatedPolicy(Payload):
    """One version of a city's policy."""

    version: Version
    valid_from: Annotated[Day, Field(description="First civil day, in China, on which it holds.")]
    weights: PolicyWeights
    limits: PolicyLimits
    adopted_at: Instant


class PolicyAdopted(Event):
    """A city adopted weights and limits for its rankings, from a day on; the event holds all versions so far."""

    source: ClassVar[str] = "matching"
    topic: ClassVar[str] = "policy-adopted"
    entity: ClassVar[str] = "policy_id"

    policy_id: Annotated[OpenId, Field(description="One a city: `pol-` and the start of the SHA-256 of its code.")]
    version: Version
    city: City
    valid_from: Annotated[Day, Field(description="First civil day, in China, on which it holds.")]
    weights: PolicyWeights
    limits: PolicyLimits
    adopted_at: Instant
    earlier: Annotated[
        tuple[DatedPolicy, ...],
        Field(max_length=119, description="The versions before it, oldest first; none is ever changed."),
    ]


OfferOutcome = Literal["accepted", "refused", "expired", "seat-taken", "withdrawn"]


class Offered(Event):
    """What both events of an offer say: whose it is."""

    source: ClassVar[str] = "matching"
    entity: ClassVar[str] = "offer_id"

    offer_id: PseudonymId
    version: Version
    post_id: OpenId
    seeker_id: PseudonymId
    city: City


class OfferMade(Offered):
    """A seat of a post is offered to one of the best candidates, until a moment (instant hiring)."""

    topic: ClassVar[str] = "offer-made"

    rank: Annotated[int, Field(ge=1, le=100_000, description="Her place in the ranking when it was made."), OPEN]
    hours: Annotated[
        WeekHours, PSEUDONYMOUS, Field(description="The post's hours in which she is free; none where it has none.")
    ]
    made_at: Instant
    expires_at: Annotated[Instant, Field(description="From then on it cannot be accepted.")]


class OfferSettled(Offered):
    """An offer came to its one end; shares the version count of `offer-made`."""

    topic: ClassVar[str] = "offer-settled"

    outcome: Annotated[
        OfferOutcome,
        Field(description="`seat-taken`: somebody else has the seat; `withdrawn`: taken back, `reason` says why."),
        OPEN,
    ]
    reason: Annotated[Slug | None, Field(description="Why it was taken back, or the registry's code.")] = None
    placement_id: Annotated[PseudonymId | None, Field(description="Her placement, if she accepted.")] = None
    settled_at: Instant
