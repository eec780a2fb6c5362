"""Placements as a service window would make them: every rule of registry and matching holds for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import (
    Placing,
    Post,
    Woman,
    counted,
    longest_spans,
    mask_of_slots,
    spans,
)
from mamapost.scenario.yantai.facts import PLACEMENTS
from shared.kernel.geo import distance_m, vector_of
from shared.kernel.week import minutes_of, overlap_minutes

STARTED_DAYS_MAX = 20
"""Placements began up to so many days before the month. With the month played and the one after it, that stays within
the quarter that the registry takes as a start."""

SHIFT_MINUTES_LEAST = 150
SHIFT_MINUTES_MOST = 330
WEEK_MINUTES_LEAST = 960
"""16 hours: less would not make the 1,800 to 2,500 yuan a month that the programme reports."""

TRIES = 60
"""Posts looked at for one woman, before the next has her turn."""

SECOND_PERCENT = 3
"""Of a hundred placements, how many are the second one of a woman, at other hours."""

MID_MONTH_PERCENT = 6


def placings(dice: Dice, scale: float, month: date, women: Sequence[Woman], posts: Sequence[Post]) -> list[Placing]:
    """About a thousand women on posts that fit them.

    Args:
        women: in the order in which they come to the window.
    """
    windows = _Windows(posts)
    wanted = counted(PLACEMENTS, scale, 6)
    made: list[Placing] = []
    for woman in women:
        if len(made) >= wanted - wanted * SECOND_PERCENT // 100:
            break
        made += _place(dice, len(made) + 1, woman, windows.for_woman(dice, woman), month)
    for woman in [placing.woman for placing in made]:
        if len(made) >= wanted:
            break
        made += _place(dice, len(made) + 1, woman, windows.for_woman(dice, woman), month)
    return made


class _Windows:
    """Posts by where they are worked: those of a woman's district and those without a place."""

    def __init__(self, posts: Sequence[Post]) -> None:
        self._near: defaultdict[str, list[Post]] = defaultdict(list)
        self._anywhere: list[Post] = []
        for post in posts:
            (self._anywhere if post.place is None else self._near[post.district.code]).append(post)

    def for_woman(self, dice: Dice, woman: Woman) -> Callable[[], Post | None]:
        """Draws a post to look at: three times out of four one of her district."""
        near = self._near[woman.district.code]

        def draw() -> Post | None:
            pool = near if near and dice.chance(75) else self._anywhere
            return dice.pick(pool) if pool else None

        return draw


def fits(woman: Woman, post: Post) -> bool:
    """Whether matching would let the pair through; the same filters as DESIGN.md §5."""
    if post.taken >= post.seats or post.kind not in woman.kinds or post.ref in woman.posts:
        return False
    if post.expected_hourly_fen < woman.pay_floor_fen or not post.required <= woman.skills:
        return False
    if post.hours and (woman.busy & post.hours or overlap_minutes(woman.free, post.hours) < post.min_minutes):
        return False
    if post.place is None:
        return True
    return distance_m(vector_of(woman.home), vector_of(post.place)) <= woman.commute_km * 1000


def _place(dice: Dice, number: int, woman: Woman, draw: Callable[[], Post | None], month: date) -> list[Placing]:
    """Her placement on the first drawn post that fits; none if no such post is drawn."""
    for _ in range(TRIES):
        post = draw()
        if post is None or not fits(woman, post):
            continue
        slots = _slots(dice, woman, post)
        hours = mask_of_slots(slots)
        if minutes_of(hours) < max(WEEK_MINUTES_LEAST, post.min_minutes):
            continue
        body: Body = {"post_id": f"@{post.ref}", "seeker_id": f"@{woman.ref}"}
        if not post.hours and dice.chance(20):
            hours = 0  # she works when it suits her, and nobody writes down when
        elif hours != post.hours:
            body["hours"] = spans(hours)
        starts_on = month - timedelta(days=dice.below(STARTED_DAYS_MAX + 1))
        body["starts_on"] = starts_on.isoformat()
        post.taken += 1
        woman.busy |= mask_of_slots(slots)
        woman.posts.add(post.ref)
        return [Placing(f"placement:{number}", woman, post, hours, slots, starts_on, body)]
    return []


def _slots(dice: Dice, woman: Woman, post: Post) -> dict[int, tuple[int, int]]:
    """One stretch a day within her free hours, and within the post's where it has some."""
    # Half an hour on either side of another placement stays free: a last piece may take some minutes longer.
    busy = woman.busy | woman.busy << 1 | woman.busy >> 1
    mask = (woman.free & post.hours if post.hours else woman.free) & ~busy
    cap = dice.between(SHIFT_MINUTES_LEAST // 30 + 3, SHIFT_MINUTES_MOST // 30) * 30
    slots = longest_spans(mask, cap)
    return {day: (first, last) for day, (first, last) in slots.items() if last - first >= SHIFT_MINUTES_LEAST}


def end_some(dice: Dice, month: date, made: Sequence[Placing]) -> list[Placing]:
    """Some placements end in the middle of the month."""
    ended = [placing for placing in made if dice.chance(MID_MONTH_PERCENT)]
    for placing in ended:
        placing.ends_on = month + timedelta(days=dice.between(11, 18))
    return ended
