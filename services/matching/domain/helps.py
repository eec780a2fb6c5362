"""What would help: the single change that opens most posts to a seeker, or a post to most seekers.

A change *opens* a pair if the pair has no score now and has one after exactly this change. Of two changes the better
one opens more pairs; of those that open as many, the smaller one is better: by the order of `SEEKER_CHANGES` and
`POST_CHANGES` (what asks least of a woman or an employer stands first), then by fewer steps, then earlier in the week,
then by name. So the answer is the same on every machine.

`SeekerHelps` and `PostHelps` look at each pair once and note which one change, if any, it waits for. That equals the
definition (apply each change to a copy and score all pairs again; the tests do) because every change loosens one filter
and touches no other. They take pairs in pieces, so that a caller can let others run in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from msgspec import structs

from services.matching.domain.policy import Policy
from services.matching.domain.profiles import Candidate, Opening
from services.matching.domain.rules import commute_limit_m
from services.matching.domain.state import PostKind
from services.matching.domain.words import WEEKDAYS, counted
from shared.kernel.geo import distance_m
from shared.kernel.week import SLOT_MINUTES, SLOTS_PER_DAY, time_of

STEPS_MAX = 10
"""Steps of one change: beyond them it is another life, not a small change."""

COMMUTE_STEP_M = 1_000
PAY_STEP_FEN = 50
MINUTES_STEP = SLOT_MINUTES

SeekerChange = Literal["free-time", "commute", "pay-floor", "kind", "skill"]
SEEKER_CHANGES: tuple[SeekerChange, ...] = ("free-time", "commute", "pay-floor", "kind", "skill")
"""Half an hour at one place of the week; whole kilometres farther; less pay; one more kind of post; one more skill."""

PostChange = Literal["min-minutes", "pay", "skill-not-required"]
POST_CHANGES: tuple[PostChange, ...] = ("min-minutes", "pay", "skill-not-required")
"""Fewer minutes a week asked; more pay an hour; one required skill less."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one thing.

    Attributes:
        steps: how many half hours, kilometres or 50 fen; 1 for a kind or a skill.
        slot: the half hour of the week that becomes free.
        name: the kind or skill.
    """

    type: SeekerChange | PostChange
    steps: int = 1
    slot: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Help:
    """A change and how many pairs it opens, at least one."""

    change: Change
    opens: int


Helps: TypeAlias = tuple[Help, ...]
"""The best change of each type that opens anything, best first: the first is the best of all."""


_Wanted: TypeAlias = tuple[SeekerChange | PostChange, int, str]
"""Type, steps and name of the one change that a pair waits for."""


def changed_seeker(candidate: Candidate, change: Change) -> Candidate:
    """A seeker's profile after a change.

    Raises:
        ValueError: it is no change of a seeker.
    """
    seeker = candidate.seeker
    match change:
        case Change(type="free-time", slot=int(slot)):
            return replace(candidate, seeker=structs.replace(seeker, free=seeker.free | 1 << slot))
        case Change(type="commute"):
            return replace(
                candidate, seeker=structs.replace(seeker, limit_m=seeker.limit_m + change.steps * COMMUTE_STEP_M)
            )
        case Change(type="pay-floor"):
            floor = max(seeker.pay_floor_fen - change.steps * PAY_STEP_FEN, 0)
            return replace(candidate, seeker=structs.replace(seeker, pay_floor_fen=floor))
        case Change(type="kind", name=str(kind)):
            return replace(candidate, seeker=structs.replace(seeker, kinds=seeker.kinds | {_kind(kind)}))
        case Change(type="skill", name=str(skill)):
            return replace(candidate, skills=candidate.skills | {skill})
    raise ValueError(f"no change of a seeker: {change.type}")


def changed_post(opening: Opening, change: Change) -> Opening:
    """A post's profile after a change.

    Raises:
        ValueError: it is no change of a post.
    """
    post = opening.post
    match change:
        case Change(type="min-minutes"):
            least = max(post.min_minutes - change.steps * MINUTES_STEP, 0)
            return replace(opening, post=structs.replace(post, min_minutes=least))
        case Change(type="pay"):
            pay = post.expected_hourly_fen + change.steps * PAY_STEP_FEN
            return replace(opening, post=structs.replace(post, expected_hourly_fen=pay))
        case Change(type="skill-not-required", name=str(skill)):
            return replace(opening, post=structs.replace(post, skills_required=post.skills_required - {skill}))
    raise ValueError(f"no change of a post: {change.type}")


def _kind(name: str) -> PostKind:
    kinds: dict[str, PostKind] = {"elastic": "elastic", "team": "team", "mobile": "mobile", "new-form": "new-form"}
    return kinds[name]


class SeekerHelps:
    """Counts, for one seeker, which posts wait for which single change of hers."""

    def __init__(self, policy: Policy, candidate: Candidate) -> None:
        self._policy = policy
        self._candidate = candidate
        self._waiting: Counter[_Wanted] = Counter()
        self._hours: Counter[int] = Counter()

    def look(self, openings: Iterable[Opening | None]) -> None:
        """Take some posts into account, each once."""
        candidate, seeker = self._candidate, self._candidate.seeker
        if not candidate.eligible:
            return
        city, busy, placed, skills = candidate.city, candidate.busy, candidate.posts, candidate.skills
        kinds, floor, free, home = seeker.kinds, seeker.pay_floor_fen, seeker.free, seeker.home
        own_limit, city_limit = seeker.limit_m, self._policy.limits.commute_max_m
        limit = commute_limit_m(self._policy, seeker)
        for opening in openings:
            if opening is None or not opening.available or opening.city != city or opening.id in placed:
                continue
            post = opening.post
            hours = post.hours
            if hours & busy:
                continue
            wanted: _Wanted | None = None
            lacking = 0  # the half hours of which one is enough
            if post.kind not in kinds:
                wanted = ("kind", 1, post.kind)
            if post.expected_hourly_fen < floor:
                if wanted is not None:
                    continue
                wanted = ("pay-floor", -(-(floor - post.expected_hourly_fen) // PAY_STEP_FEN), "")
            if not post.skills_required <= skills:
                missing = post.skills_required - skills
                if wanted is not None or len(missing) > 1:
                    continue
                wanted = ("skill", 1, next(iter(missing)))
            if hours:
                short = post.min_minutes - (free & hours).bit_count() * SLOT_MINUTES
                if short > 0:
                    lacking = hours & ~free
                    if wanted is not None or short > SLOT_MINUTES or not lacking:
                        continue
                    wanted = ("free-time", 1, "")
            if wanted is not None and wanted[1] > STEPS_MAX:
                continue
            if post.location is not None:
                metres = distance_m(home, post.location)
                if metres > limit:
                    steps = -(-(metres - own_limit) // COMMUTE_STEP_M)
                    if wanted is not None or metres > city_limit or steps > STEPS_MAX:
                        continue
                    wanted = ("commute", steps, "")
            if lacking:
                self._hours[lacking] += 1
            elif wanted is not None:
                self._waiting[wanted] += 1

    def helps(self) -> Helps:
        """What the posts looked at so far say."""
        found: list[Help] = []
        slots = _slots(self._hours)
        if slots:
            slot = min(slots, key=lambda slot: (-slots[slot], slot))
            found.append(Help(Change("free-time", slot=slot), slots[slot]))
        found += _by_steps(self._waiting, "commute") + _by_steps(self._waiting, "pay-floor")
        found += _by_name(self._waiting, "kind") + _by_name(self._waiting, "skill")
        return _ordered(found, SEEKER_CHANGES)


class PostHelps:
    """Counts, for one post, which seekers wait for which single change of it."""

    def __init__(self, policy: Policy, opening: Opening) -> None:
        self._policy = policy
        self._opening = opening
        self._waiting: Counter[_Wanted] = Counter()

    def look(self, candidates: Iterable[Candidate | None]) -> None:
        """Take some seekers into account, each once."""
        opening, post = self._opening, self._opening.post
        if not opening.available:
            return
        hours, kind, required = post.hours, post.kind, post.skills_required
        pay, location, policy = post.expected_hourly_fen, post.location, self._policy
        for candidate in candidates:
            if candidate is None or not candidate.eligible or candidate.city != opening.city:
                continue
            seeker = candidate.seeker
            if kind not in seeker.kinds or opening.id in candidate.posts or hours & candidate.busy:
                continue
            wanted: _Wanted | None = None
            if pay < seeker.pay_floor_fen:
                wanted = ("pay", -(-(seeker.pay_floor_fen - pay) // PAY_STEP_FEN), "")
            if not required <= candidate.skills:
                missing = required - candidate.skills
                if wanted is not None or len(missing) > 1:
                    continue
                wanted = ("skill-not-required", 1, next(iter(missing)))
            if hours:
                short = post.min_minutes - (seeker.free & hours).bit_count() * SLOT_MINUTES
                if short > 0:
                    if wanted is not None:
                        continue
                    wanted = ("min-minutes", -(-short // MINUTES_STEP), "")
            if wanted is None or wanted[1] > STEPS_MAX:
                continue
            if location is None or distance_m(seeker.home, location) <= commute_limit_m(policy, seeker):
                self._waiting[wanted] += 1

    def helps(self) -> Helps:
        """What the seekers looked at so far say."""
        found = _by_steps(self._waiting, "min-minutes") + _by_steps(self._waiting, "pay")
        return _ordered(found + _by_name(self._waiting, "skill-not-required"), POST_CHANGES)


def _slots(hours: Counter[int]) -> Counter[int]:
    """How many posts each half hour would open; posts with the same missing hours are counted together."""
    slots: Counter[int] = Counter()
    for mask, posts in hours.items():
        left = mask
        while left:
            lowest = left & -left
            slots[lowest.bit_length() - 1] += posts
            left ^= lowest
    return slots


def _by_steps(
    waiting: Counter[_Wanted],
    type_: SeekerChange | PostChange,
) -> list[Help]:
    """The fewest steps that open all that this type can open: each further step opens those of fewer steps too."""
    steps = {key[1]: count for key, count in waiting.items() if key[0] == type_}
    return [Help(Change(type_, max(steps)), sum(steps.values()))] if steps else []


def _by_name(
    waiting: Counter[_Wanted],
    type_: SeekerChange | PostChange,
) -> list[Help]:
    """The name that opens most."""
    names = {key[2]: count for key, count in waiting.items() if key[0] == type_}
    if not names:
        return []
    name = min(names, key=lambda name: (-names[name], name))
    return [Help(Change(type_, name=name), names[name])]


def _ordered(found: list[Help], types: Sequence[SeekerChange | PostChange]) -> Helps:
    return tuple(sorted(found, key=lambda help_: order(help_, types)))


def order(help_: Help, types: Sequence[SeekerChange | PostChange]) -> tuple[int, int, int, int, str]:
    """Sort key: opens more, then the smaller change."""
    change = help_.change
    return -help_.opens, types.index(change.type), change.steps, change.slot or 0, change.name or ""


def say(help_: Help) -> str:
    """A change and what it opens, in one short English sentence without a full stop."""
    change, opens = help_.change, help_.opens
    match change.type:
        case "free-time":
            day, slot = divmod(change.slot or 0, SLOTS_PER_DAY)
            what = f"free on {WEEKDAYS[day]} from {time_of(slot)} to {time_of(slot + 1)}"
        case "commute":
            what = f"willing to travel {change.steps * COMMUTE_STEP_M // 1000} km farther"
        case "pay-floor":
            what = f"content with {change.steps * PAY_STEP_FEN} fen an hour less"
        case "kind":
            what = f"open to the kind {change.name}"
        case "skill":
            what = f"with the skill {change.name}"
        case "min-minutes":
            what = f"with {change.steps * MINUTES_STEP} minutes a week less asked"
        case "pay":
            what = f"with {change.steps * PAY_STEP_FEN} fen an hour more"
        case "skill-not-required":
            what = f"without the skill {change.name} required"
    if change.type in SEEKER_CHANGES:
        return f"{what} she would match {counted(opens, 'more post')}"
    return f"{what} it would match {counted(opens, 'more seeker')}"
