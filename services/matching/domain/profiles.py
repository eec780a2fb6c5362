"""Profiles: everything that the rules look at, gathered per seeker and per post for one instant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.matching.domain.policy import POLICIES, Policy, Schedule, policy_on
from services.matching.domain.state import (
    Certificate,
    Employer,
    Facility,
    Placement,
    Post,
    Programme,
    Seeker,
    Shift,
    Station,
)
from shared.kernel.clock import civil_day
from shared.kernel.week import minutes_of

RELIABILITY_DAYS = 365
"""A shift counts for a year, from its civil day on: a bad day is forgotten, and what has to be kept is bounded."""

WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A seeker at one instant.

    Attributes:
        skills: declared skills and those of certificates valid on the day.
        busy: week mask of her active placements.
        posts: posts that she is placed on.
        attended, left_early, shifts: how her shifts of the last `RELIABILITY_DAYS` went; `shifts` counts missed ones
            too.
        waited_weeks: whole weeks since she registered, not below 0. Weeks of her own, not civil ones: every woman
            moves up at the instant at which she registered, so that no midnight changes all rankings at once.
    """

    id: str
    city: str
    seeker: Seeker
    eligible: bool
    skills: frozenset[str]
    busy: int
    posts: frozenset[str]
    attended: int
    left_early: int
    shifts: int
    waited_weeks: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A post at one instant.

    Attributes:
        expired: `closes_at` has passed.
        taken: seats taken by active placements.
        facilities: the post's own and its station's.
        minutes: minutes a week that the post's hours cover.
        available: the post takes someone at all, whoever she is.
    """

    id: str
    city: str
    post: Post
    expired: bool
    taken: int
    employer_active: bool
    station_accepted: bool
    facilities: frozenset[Facility]
    minutes: int
    available: bool


def candidate_of(
    seeker_id: str,
    city: str,
    seeker: Seeker,
    placements: Iterable[Placement],
    certificates: Iterable[Certificate],
    shifts: Iterable[Shift],
    at: datetime,
) -> Candidate:
    """A seeker's profile at an instant from her own facts (active placements, certificates not revoked, all shifts)."""
    day = civil_day(at)
    busy, posts = 0, []
    for placement in placements:
        busy |= placement.hours
        posts.append(placement.post_id)
    proven = [c.skill for c in certificates if c.valid_until is None or c.valid_until >= day]
    went = [shift.verdict for shift in shifts if counts_on(shift.day, day)]
    return Candidate(
        id=seeker_id,
        city=city,
        seeker=seeker,
        eligible=seeker.eligible_until >= day,
        skills=seeker.skills.union(proven) if proven else seeker.skills,
        busy=busy,
        posts=frozenset(posts),
        attended=went.count("attended"),
        left_early=went.count("left-early"),
        shifts=len(went),
        waited_weeks=waited_weeks_of(seeker.registered_at, at),
    )


def waited_weeks_of(registered_at: datetime, at: datetime) -> int:
    """Whole weeks from one instant to another, not below 0."""
    return max((at - registered_at) // WEEK, 0)


def counts_on(shift_day: date, day: date) -> bool:
    """Whether a shift still counts for reliability on a day."""
    return (day - shift_day).days < RELIABILITY_DAYS


def opening_of(
    post_id: str,
    city: str,
    post: Post,
    employer: Employer | None,
    station: Station | None,
    taken: int,
    at: datetime,
) -> Opening:
    """A post's profile at an instant.

    Topics arrive in any order, so a post may be known before its employer and station. An employer counts as active
    until a suspension is known; a station hosts no work until its acceptance is known, because that is about safety.
    """
    expired = post.closes_at is not None and post.closes_at <= at
    active = employer is None or employer.active
    accepted = post.station_id is None or (station is not None and station.accepted)
    return Opening(
        id=post_id,
        city=city,
        post=post,
        expired=expired,
        taken=taken,
        employer_active=active,
        station_accepted=accepted,
        facilities=post.facilities | station.facilities if station is not None else post.facilities,
        minutes=minutes_of(post.hours),
        available=not expired and active and accepted and taken < post.seats,
    )


@dataclass(frozen=True, slots=True)
class View:
    """All profiles at one instant. A withdrawn seeker and a closed post stand in it as `None`.

    Attributes:
        policies: the common ones and those that cities have adopted.
    """

    at: datetime
    day: date
    candidates: Mapping[str, Candidate | None]
    openings: Mapping[str, Opening | None]
    policies: tuple[Policy, ...]

    def policy_of(self, city: str) -> Policy:
        """The policy that a city ranks by at this instant."""
        return policy_on(city, self.day, self.policies)


def policies_of(programme: Programme) -> tuple[Policy, ...]:
    """All policies that are known: the common ones and those that cities have adopted."""
    schedules = (fact.state for fact in programme.of_kind("policy").values())
    return POLICIES + tuple(policy for one in schedules if isinstance(one, Schedule) for policy in one.policies)


def view_of(programme: Programme, at: datetime) -> View:
    """Profiles of all seekers and posts of a programme at an instant."""
    day = civil_day(at)
    placements: defaultdict[str, list[Placement]] = defaultdict(list)
    taken: defaultdict[str, int] = defaultdict(int)
    for fact in programme.of_kind("placement").values():
        if isinstance(fact.state, Placement):
            placements[fact.state.seeker_id].append(fact.state)
            taken[fact.state.post_id] += 1
    certificates: defaultdict[str, list[Certificate]] = defaultdict(list)
    for fact in programme.of_kind("certificate").values():
        if isinstance(fact.state, Certificate):
            certificates[fact.state.seeker_id].append(fact.state)
    shifts: defaultdict[str, list[Shift]] = defaultdict(list)
    for fact in programme.of_kind("shift").values():
        if isinstance(fact.state, Shift):
            shifts[fact.state.seeker_id].append(fact.state)
    employers = {i: f.state for i, f in programme.of_kind("employer").items() if isinstance(f.state, Employer)}
    stations = {i: f.state for i, f in programme.of_kind("station").items() if isinstance(f.state, Station)}

    candidates: dict[str, Candidate | None] = {}
    for id_, fact in programme.of_kind("seeker").items():
        candidates[id_] = (
            candidate_of(id_, fact.city, fact.state, placements[id_], certificates[id_], shifts[id_], at)
            if isinstance(fact.state, Seeker)
            else None
        )
    openings: dict[str, Opening | None] = {}
    for id_, fact in programme.of_kind("post").items():
        post = fact.state
        if not isinstance(post, Post):
            openings[id_] = None
            continue
        station = stations.get(post.station_id) if post.station_id is not None else None
        openings[id_] = opening_of(id_, fact.city, post, employers.get(post.employer_id), station, taken[id_], at)
    return View(at, day, candidates, openings, policies_of(programme))
