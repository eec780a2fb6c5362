"""Bringing lists up to date: one seeker against all posts near her, one post against all seekers near it.

Each block of an index is first bounded in 32-bit floats: who cannot come before the edge of any list in question is
left out. Of the others most are surely in a list as they were before, or surely out; only where the bounds leave a
doubt, and for the list of whom the sweep is for, a pair is looked at exactly (`pair.base_of`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, lowest, not_negative, prefetch, woven
from services.matching.engine.bounds import (
    F0,
    F1,
    LOW_WORD,
    NEARLY,
    NOBODY,
    SLACK,
    blur_of,
    bound_posts,
    bound_seekers,
    chord_of,
    floor_inverse,
    is_loose,
    is_near,
    is_sure,
    least_of,
    loss_of,
    per_desire_of,
    rest_of,
)
from services.matching.engine.layout import (
    BUSY,
    EDGE,
    FLOOR,
    LEAST,
    LIMIT,
    LOOSE,
    POST_EDGE,
    SHORT_POSTS,
    SHORT_SEEKERS,
    SLOT,
    STEADY,
    UNNUMBERED,
    WEEK,
    City,
    Float,
    Int,
)
from services.matching.engine.layout import PAY as WAGE
from services.matching.engine.pair import (
    DISTANCE,
    FACILITIES,
    FACILITY_SHARE,
    FACILITY_SHIFT,
    FILL_BESTS,
    FILL_TOPS,
    KEPT_BESTS,
    KEPT_TOPS,
    KIND_SHIFT,
    NIBBLE,
    NONE,
    ONE,
    PAY,
    PLACED_SHIFT,
    SHOWN_BESTS,
    SHOWN_TOPS,
    SKILLS,
    TAIL,
    TIME,
    base_of,
    is_free,
    limit_of,
)
from services.matching.engine.tops import clear, fill, gather, stands
from services.matching.engine.upkeep import (
    AFTER,
    BEFORE,
    MOVE,
    OWN,
    move_in_best,
    move_in_top,
    show_best_edge,
    show_top_edge,
)

PATTERN, HALF = np.uint32(0xFFFF), np.uint32(16)
FOUR_BITS, BUSY_MARK, LOOSE_MARK = np.uint32(15), np.uint32(BUSY), np.uint32(LOOSE)
ABSENT = -NOBODY
"""Bound of the score of who does not match."""


@compiled
def _fit_of_busy(city: City, s: Int) -> None:
    """Write into `Work.fit` what a seeker with placements has free of each pattern of hours."""
    covers, taken = city.covers[city.seekers.pattern[s]], city.busy_hours[city.seekers.busy[s]]
    fit, hours = city.work.fit, city.hours
    for n in range(hours.shape[0]):
        shared = taken[0] & hours[n, 0] | taken[1] & hours[n, 1] | taken[2] & hours[n, 2]
        shared |= taken[3] & hours[n, 3] | taken[4] & hours[n, 4] | taken[5] & hours[n, 5] & TAIL
        fit[n] = covers[n] if shared == NONE else -F1


@compiled
def sweep_seeker(city: City, s: Int, do: Int, old: Int, new: Int) -> None:
    """Bring one seeker's places up to date.

    Args:
        do: `BEFORE` where she stands in lists, with her profile as it is and the steady score `old`; `AFTER` where she
            shall stand, with `new`; `OWN` to make her own list, which is empty with an edge below which nobody counts.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.post_index
    a5 = seekers.row[s, 5]
    kinds = np.int64((a5 >> KIND_SHIFT) & NIBBLE)
    wanted = np.int64((a5 >> FACILITY_SHIFT) & NIBBLE)
    limit = chord_of(limit_of(city, s))
    x, y, z = np.float32(seekers.home[s, 0]), np.float32(seekers.home[s, 1]), np.float32(seekers.home[s, 2])
    per_limit = np.float32(1.0 / limit)
    per_floor = np.float32(floor_inverse(np.int64(seekers.row[s, 7])))
    reach = np.float32(limit) + SLACK
    skills = np.uint32(seekers.row[s, 6] & LOW_WORD)
    rest, time, skilled = rest_of(city), np.float32(rules[TIME] * PART_MAX), np.float32(rules[SKILLS] * PART_MAX)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    peak = np.float32(max(old if do & BEFORE else new, new if do & AFTER else old) if do & MOVE else ABSENT)
    lower = np.float32(min(old, new))
    out, away, lacks, fit = city.work.bound, city.work.away, city.work.lacks, city.covers[seekers.pattern[s]]
    is_busy, numbered = seekers.busy[s] >= 0, seekers.pattern[s] != UNNUMBERED
    if is_busy:
        _fit_of_busy(city, s)
        fit = city.work.fit
    for offered in range(16):
        lacks[offered] = rules[FACILITIES] * (PART_MAX - FACILITY_SHARE[wanted, offered])
    own = np.float32(city.bests.edge[s] if do & OWN else NOBODY)
    for block in range(ix.meta[0]):
        used = ix.blocks.used[block]
        if not used or not ix.blocks.kinds[block] & kinds or not is_near(ix, block, x, y, z, reach):
            continue
        hot, codes = ix.hot[block], ix.codes[block]
        near = F0 if ix.blocks.reach[block] < F0 else per_limit
        bound_posts(hot, codes, x, y, z, near, per_floor, skills, rest, distance, pay, skilled, peak, own, out, away)
        left = not_negative(out, used)
        loss = loss_of(city) + blur_of(city) * near
        kept = NONE
        while left:
            i = lowest(left)
            left &= left - ONE
            week, edge = codes[WEEK, i], hot[POST_EDGE, i]
            share = fit[week & PATTERN]
            high = out[i] - (F1 - share) * time - lacks[(week >> HALF) & FOUR_BITS]
            if share < hot[LEAST, i] or high < min(edge - peak, own):
                continue
            p = np.int64(codes[SLOT, i])
            if high >= edge - peak:
                prefetch(city.tops, p)
            if is_busy or high >= own:
                prefetch(posts, p)
            out[i] = high
            kept |= ONE << np.uint64(i)
        while kept:
            i = lowest(kept)
            kept &= kept - ONE
            week, high = codes[WEEK, i], out[i]
            share, least = fit[week & PATTERN], hot[LEAST, i]
            p = np.int64(codes[SLOT, i])
            if is_busy and not is_free(city, s, p):
                continue
            if do & MOVE:
                sure = (
                    numbered
                    and week & LOOSE_MARK == 0
                    and is_sure(share, least, max(hot[WAGE, i], F1) * per_floor, away[i], near)
                )
                low = high - loss if sure else np.float32(ABSENT)
                if do & MOVE == MOVE and low + lower > hot[POST_EDGE, i]:
                    posts.changed[p] = 1
                else:
                    move_in_top(
                        city,
                        p,
                        s,
                        high + old if do & BEFORE else ABSENT,
                        low + old if do & BEFORE else ABSENT,
                        high + new if do & AFTER else ABSENT,
                        low + new if do & AFTER else ABSENT,
                    )
            if high >= own:
                base = base_of(city, s, p)
                if base >= 0 and stands(city.bests, s, p, base, posts.at, posts.key):
                    gather(city.bests, s, city.work.own, p, base, posts.at, posts.key, rules[FILL_BESTS])
                    own = np.float32(city.bests.edge[s])
    if do & OWN:
        fill(city.bests, s, city.work.own, posts.at, posts.key, rules[FILL_BESTS], rules[KEPT_BESTS])
        show_best_edge(city, s)


class Terms(NamedTuple):
    """What bounds ask of a post and of the city's rules, but for its pay; see `bounds.bound_seekers`."""

    kind: Int
    placed: Float
    x: Float
    y: Float
    z: Float
    required: Int
    desired: Int
    rest: Float
    distance: Float
    pay: Float
    skilled: Float


@woven
def terms_of(city: City, p: Int) -> Terms:
    """The terms of a post, for `matching_in`."""
    posts, rules = city.posts, city.rules
    b5 = posts.row[p, 5]
    return Terms(
        np.int64((b5 >> KIND_SHIFT) & NIBBLE),
        F0 if (b5 >> PLACED_SHIFT) & ONE == NONE else F1,
        np.float32(posts.place[p, 0]),
        np.float32(posts.place[p, 1]),
        np.float32(posts.place[p, 2]),
        np.uint32(posts.row[p, 6] & LOW_WORD),
        np.uint32(posts.row[p, 7] & LOW_WORD),
        rest_of(city),
        np.float32(rules[DISTANCE] * PART_MAX),
        np.float32(rules[PAY] * PART_MAX),
        np.float32(rules[SKILLS] * PART_MAX) * per_desire_of(city, p),
    )


@woven
def matching_in(city: City, block: Int, terms: Terms, wage: Float, own: Float, far: Float) -> Int:
    """Who of a block of seekers bounds do not rule out, a bit each; their bounds are in `Work.bound` and `Work.away`.

    Args:
        wage, own, far: as `bounds.bound_seekers` takes them.
    """
    ix, out = city.seeker_index, city.work.bound
    used = ix.blocks.used[block]
    if not used or not ix.blocks.kinds[block] & terms.kind:
        return NONE
    if terms.placed != F0 and not is_near(ix, block, terms.x, terms.y, terms.z, F0):
        return NONE
    bound_seekers(
        ix.hot[block],
        ix.codes[block],
        terms.placed,
        terms.x,
        terms.y,
        terms.z,
        wage,
        terms.required,
        terms.desired,
        terms.rest,
        terms.distance,
        terms.pay,
        terms.skilled,
        own,
        far,
        out,
        city.work.away,
    )
    return not_negative(out, used)


@compiled
def sweep_post(city: City, p: Int, do: Int, old_pay: Int, old_word: Int, old_least: Float) -> None:
    """Bring one post's places up to date.

    Args:
        do: `BEFORE` where it stands in lists, with the old terms; `AFTER` where it shall stand, as it is now; `OWN` to
            make its own list, see `sweep_seeker`.
        old_pay, old_word, old_least: its pay, word 5 and `least_of` before. The rest of it is as before.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.seeker_index
    b5, terms, time = posts.row[p, 5], terms_of(city, p), np.float32(rules[TIME] * PART_MAX)
    placed, pay = terms.placed, terms.pay
    now_wage, old_wage = max(np.float32(posts.pay[p]), F1), max(np.float32(old_pay), F1)
    wage = max(now_wage, old_wage)
    now_least = least_of(city, p)
    least = min(now_least, old_least)
    far = F0 if do & MOVE else np.float32(NOBODY)
    at, key = seekers.at, seekers.key
    out, away, lacks, covered = city.work.bound, city.work.away, city.work.lacks, city.covered[posts.pattern[p]]
    tight = not is_loose(city, p)
    now_offered, old_offered = (b5 >> FACILITY_SHIFT) & NIBBLE, (old_word >> FACILITY_SHIFT) & NIBBLE
    for wanted in range(16):
        lacks[wanted] = rules[FACILITIES] * (PART_MAX - FACILITY_SHARE[wanted, np.int64(now_offered)])
        lacks[16 + wanted] = rules[FACILITIES] * (PART_MAX - FACILITY_SHARE[wanted, np.int64(old_offered)])
    own = np.float32(city.tops.edge[p] if do & OWN else NOBODY)
    for block in range(ix.meta[0]):
        left = matching_in(city, block, terms, wage, own, far)
        hot, codes = ix.hot[block], ix.codes[block]
        kept = NONE
        while left:
            i = lowest(left)
            left &= left - ONE
            week, edge, steady = codes[WEEK, i], hot[EDGE, i], hot[STEADY, i]
            fit, asks = covered[week & PATTERN], (week >> HALF) & FOUR_BITS
            shared = out[i] - (F1 - fit) * time
            bound = shared - min(lacks[asks], lacks[16 + asks])
            if fit < least or bound < min(edge + far, own - steady):
                continue
            # Their records lie anywhere in memory, and would be waited for one by one.
            s = np.int64(codes[SLOT, i])
            if bound >= edge + far:
                prefetch(city.bests, s)
            if week & BUSY_MARK != 0 or bound >= own - steady:
                prefetch(seekers, s)
            out[i] = shared
            kept |= ONE << np.uint64(i)
        while kept:
            i = lowest(kept)
            kept &= kept - ONE
            week, edge, steady, shared = codes[WEEK, i], hot[EDGE, i], hot[STEADY, i], out[i]
            fit, asks = covered[week & PATTERN], (week >> HALF) & FOUR_BITS
            s = np.int64(codes[SLOT, i])
            if week & BUSY_MARK != 0 and not is_free(city, s, p):
                continue
            per_floor, per_limit = hot[FLOOR, i], hot[LIMIT, i] * placed
            best_pay = min(wage * per_floor - F1, F1)
            loss = loss_of(city) + blur_of(city) * per_limit
            numbered = tight and week & PATTERN != UNNUMBERED
            now_high = now_low = old_high = old_low = np.float32(ABSENT)
            ratio = now_wage * per_floor
            if fit >= now_least and ratio >= NEARLY:
                now_high = shared - (best_pay - min(ratio - F1, F1)) * pay - lacks[asks]
                if numbered and is_sure(fit, now_least, ratio, away[i], per_limit):
                    now_low = now_high - loss
            ratio = old_wage * per_floor
            if do & BEFORE and fit >= old_least and ratio >= NEARLY:
                old_high = shared - (best_pay - min(ratio - F1, F1)) * pay - lacks[16 + asks]
                if numbered and is_sure(fit, old_least, ratio, away[i], per_limit):
                    old_low = old_high - loss
            if do & MOVE and max(old_high, now_high) >= edge:
                if not do & AFTER:
                    move_in_best(city, s, p, old_high, old_low, ABSENT, ABSENT)
                elif min(old_low, now_low) <= edge:
                    move_in_best(city, s, p, old_high, old_low, now_high, now_low)
            if now_high + steady >= own:
                base = base_of(city, s, p)
                total = base + seekers.reliability[s] + seekers.waiting[s]
                if base >= 0 and stands(city.tops, p, s, total, at, key):
                    gather(city.tops, p, city.work.own, s, total, at, key, rules[FILL_TOPS])
                    own = np.float32(city.tops.edge[p])
    if do & OWN:
        posts.changed[p] = 1
        fill(city.tops, p, city.work.own, at, key, rules[FILL_TOPS], rules[KEPT_TOPS])
        show_top_edge(city, p)


@woven
def sweep_post_as_it_is(city: City, p: Int, do: Int) -> None:
    """As `sweep_post`, of a post whose terms do not change."""
    sweep_post(city, p, do, city.posts.pay[p], city.posts.row[p, 5], least_of(city, p))


@woven
def build_top(city: City, p: Int) -> None:
    """Make a post's list anew; an empty one for a post that takes nobody."""
    clear(city.tops, p)
    if city.posts.where[p] >= 0:
        sweep_post_as_it_is(city, p, OWN)


@woven
def build_best(city: City, s: Int) -> None:
    """Make a seeker's list anew; an empty one for a seeker whom nobody can rank."""
    clear(city.bests, s)
    if city.seekers.where[s] >= 0:
        sweep_seeker(city, s, OWN, 0, 0)


@woven
def lengthen(city: City) -> None:
    """Make the lists anew that became too short."""
    work = city.work
    marks = city.posts.shape[0]
    while work.counts[SHORT_POSTS] > 0:
        work.counts[SHORT_POSTS] -= 1
        p = work.short_posts[work.counts[SHORT_POSTS]]
        work.is_short[p] = 0
        if city.tops.count[p] < city.rules[SHOWN_TOPS]:
            build_top(city, p)
    while work.counts[SHORT_SEEKERS] > 0:
        work.counts[SHORT_SEEKERS] -= 1
        s = work.short_seekers[work.counts[SHORT_SEEKERS]]
        work.is_short[s + marks] = 0
        if city.bests.count[s] < city.rules[SHOWN_BESTS]:
            build_best(city, s)
