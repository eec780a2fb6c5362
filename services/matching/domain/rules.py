"""One pair, one verdict: the hard filters and the parts of the score (DESIGN.md §5).

`explain` says everything about a pair; `score` says the same number or nothing and stops at the first failed filter.
All arithmetic is on integers and rounds down, so that every machine gives the same ranking (promise 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

from services.matching.domain.policy import PART_MAX, Policy
from services.matching.domain.profiles import Candidate, Opening
from services.matching.domain.state import Seeker
from shared.kernel.geo import distance_m
from shared.kernel.week import SLOT_MINUTES, SLOTS_PER_DAY, overlap_minutes

Reason = Literal[
    "withdrawn",
    "post-closed",
    "other-city",
    "employer-suspended",
    "station-not-accepted",
    "no-seat-left",
    "not-eligible",
    "kind-not-wanted",
    "pay-below-floor",
    "skill-missing",
    "hours-do-not-fit",
    "already-placed",
    "too-far",
]
"""Why a seeker is not in a post's ranking; stable codes, in the order in which a verdict lists them."""

Unit = Literal["days", "fen-an-hour", "minutes-a-week", "metres", "skills", "placements"]

FULL_DAY = (1 << SLOTS_PER_DAY) - 1

RELIABILITY_PRIOR = (8, 10)
"""As if five shifts had been worked with 80 % reliability: a newcomer starts high, and one bad day weighs little."""


class DayFit(NamedTuple):
    """How much of a post's hours on one weekday a woman has free.

    Attributes:
        day: ISO weekday, 1 = Monday.
        asked_minutes: minutes of the post's hours on it.
        shared_minutes: those of them in which she is free.
    """

    day: int
    asked_minutes: int
    shared_minutes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A filter that a pair failed, and by how much. It holds nothing of a person: skills, kinds and amounts.

    Attributes:
        by: how much is missing or too much, in `unit`; absent where there is no amount.
        names: the skills that are missing, or the kind that she does not want.
        days: every weekday of the post's hours, where these do not fit.
        limit: the bound that was crossed, in `unit`, where a reader could not know it.
        limit_of: who set that bound.
    """

    reason: Reason
    by: int | None = None
    unit: Unit | None = None
    names: tuple[str, ...] = ()
    days: tuple[DayFit, ...] = ()
    limit: int | None = None
    limit_of: Literal["seeker", "city"] | None = None


class Parts(NamedTuple):
    """Parts of a score, each already times its weight."""

    time_fit: int
    distance: int
    skills: int
    pay: int
    facilities: int
    reliability: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either a score with its parts, or every filter that failed."""

    parts: Parts | None
    failures: tuple[Failure, ...]

    @property
    def score(self) -> int | None:
        return None if self.parts is None else sum(self.parts)


def score(policy: Policy, candidate: Candidate, opening: Opening) -> Parts | None:
    """The parts of a pair's score, or `None` as soon as one filter fails. Cheap filters first, the distance last."""
    post, seeker = opening.post, candidate.seeker
    if (
        not opening.available
        or post.kind not in seeker.kinds
        or post.expected_hourly_fen < seeker.pay_floor_fen
        or not post.skills_required <= candidate.skills
        or not candidate.eligible
        or candidate.city != opening.city
        or opening.id in candidate.posts
    ):
        return None
    overlap = 0
    if post.hours:
        if candidate.busy & post.hours:
            return None
        overlap = (seeker.free & post.hours).bit_count() * SLOT_MINUTES
        if overlap < post.min_minutes:
            return None
    metres = 0
    if post.location is not None:
        metres = distance_m(seeker.home, post.location)
        if metres > commute_limit_m(policy, seeker):
            return None
    return _parts(policy, candidate, opening, overlap, metres)


def explain(policy: Policy, candidate: Candidate | None, opening: Opening | None, day: date) -> Verdict:
    """Everything about a pair.

    Args:
        candidate: `None` for a seeker who withdrew.
        opening: `None` for a post that is closed.
        day: the civil day of both profiles.
    """
    failures = []
    if candidate is None:
        failures.append(Failure("withdrawn"))
    if opening is None or opening.expired:
        failures.append(Failure("post-closed"))
    if candidate is not None and opening is not None and candidate.city != opening.city:
        failures.append(Failure("other-city"))
    if opening is not None:
        failures += _post_failures(opening)
    if candidate is not None and not candidate.eligible:
        over = (day - candidate.seeker.eligible_until).days
        failures.append(Failure("not-eligible", by=over, unit="days"))
    if candidate is None or opening is None:
        return Verdict(None, tuple(failures))
    failures += _pair_failures(policy, candidate, opening)
    if failures:
        return Verdict(None, tuple(failures))
    post, seeker = opening.post, candidate.seeker
    metres = distance_m(seeker.home, post.location) if post.location is not None else 0
    return Verdict(_parts(policy, candidate, opening, overlap_minutes(seeker.free, post.hours), metres), ())


def _post_failures(opening: Opening) -> list[Failure]:
    failures = []
    if not opening.employer_active:
        failures.append(Failure("employer-suspended"))
    if not opening.station_accepted:
        failures.append(Failure("station-not-accepted"))
    if opening.taken >= opening.post.seats:
        failures.append(Failure("no-seat-left", by=opening.taken - opening.post.seats + 1, unit="placements"))
    return failures


def _pair_failures(policy: Policy, candidate: Candidate, opening: Opening) -> list[Failure]:
    post, seeker = opening.post, candidate.seeker
    failures = []
    if post.kind not in seeker.kinds:
        failures.append(Failure("kind-not-wanted", names=(post.kind,)))
    if post.expected_hourly_fen < seeker.pay_floor_fen:
        short = seeker.pay_floor_fen - post.expected_hourly_fen
        failures.append(Failure("pay-below-floor", by=short, unit="fen-an-hour"))
    missing = post.skills_required - candidate.skills
    if missing:
        failures.append(Failure("skill-missing", by=len(missing), unit="skills", names=tuple(sorted(missing))))
    if post.hours:
        short = post.min_minutes - overlap_minutes(seeker.free, post.hours)
        if short > 0:
            failures.append(
                Failure("hours-do-not-fit", by=short, unit="minutes-a-week", days=day_fits(seeker.free, post.hours))
            )
    shared = overlap_minutes(candidate.busy, post.hours)
    if shared or opening.id in candidate.posts:
        failures.append(Failure("already-placed", by=shared, unit="minutes-a-week"))
    if post.location is not None:
        limit = commute_limit_m(policy, seeker)
        beyond = distance_m(seeker.home, post.location) - limit
        if beyond > 0:
            whose: Literal["seeker", "city"] = "seeker" if seeker.limit_m == limit else "city"
            failures.append(Failure("too-far", by=beyond, unit="metres", limit=limit, limit_of=whose))
    return failures


def day_fits(free: int, hours: int) -> tuple[DayFit, ...]:
    """Weekdays that some hours cover, and how much of each is free."""
    days = []
    for day in range(1, 8):
        asked = hours >> (day - 1) * SLOTS_PER_DAY & FULL_DAY
        if asked:
            shared = asked & free >> (day - 1) * SLOTS_PER_DAY
            days.append(DayFit(day, asked.bit_count() * SLOT_MINUTES, shared.bit_count() * SLOT_MINUTES))
    return tuple(days)


def reliability_of(candidate: Candidate) -> int:
    """0..1000: a shift attended counts full, one left early half, one missed nothing."""
    plus, base = RELIABILITY_PRIOR
    return PART_MAX * (2 * candidate.attended + candidate.left_early + plus) // (2 * candidate.shifts + base)


def waiting_of(policy: Policy, candidate: Candidate) -> int:
    """0..1000: fairness, who waited longer moves up, week by week until the policy's full number of weeks."""
    full = policy.limits.waiting_full_weeks
    return PART_MAX * min(candidate.waited_weeks, full) // full


def commute_limit_m(policy: Policy, seeker: Seeker) -> int:
    """The farthest distance that counts for her, metres: her own limit or the city's, whichever is shorter."""
    return min(seeker.limit_m, policy.limits.commute_max_m)


def _parts(policy: Policy, candidate: Candidate, opening: Opening, overlap: int, metres: int) -> Parts:
    """Parts of a pair that passed every filter; `overlap` in minutes a week."""
    post, seeker = opening.post, candidate.seeker
    weights, limit = policy.weights, commute_limit_m(policy, seeker)
    floor, desired, wanted = seeker.pay_floor_fen, post.skills_desired, seeker.facilities
    return Parts(
        weights.time_fit * (PART_MAX * overlap // opening.minutes if post.hours else PART_MAX),
        weights.distance * (PART_MAX * (limit - metres) // limit if post.location is not None else PART_MAX),
        weights.skills * (PART_MAX * len(desired & candidate.skills) // len(desired) if desired else PART_MAX),
        weights.pay * (min(PART_MAX, PART_MAX * (post.expected_hourly_fen - floor) // floor) if floor else PART_MAX),
        weights.facilities * (PART_MAX * len(wanted & opening.facilities) // len(wanted) if wanted else PART_MAX),
        weights.reliability * reliability_of(candidate),
        weights.waiting * waiting_of(policy, candidate),
    )
