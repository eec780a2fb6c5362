"""Bringing lists up to date: one seeker against all posts near her, one post against all seekers near it.

Each block of an index is first bounded in 32-bit floats, a few nanoseconds a row: who cannot come before the edge of
any list in question is left out. Only the others are looked at exactly (`pair.base_of`).
"""

from __future__ import annotations

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, ones, woven
from services.matching.engine.bounds import (
    F0,
    F1,
    NOBODY,
    SLACK,
    bound_posts,
    bound_seekers,
    chord_of,
    floor_inverse,
    is_near,
    loss_of,
)
from services.matching.engine.layout import (
    BLOCK,
    EDGE,
    NO_EDGE,
    POST_EDGE,
    STEADY,
    UNBUILT,
    City,
    Int,
)
from services.matching.engine.pair import (
    COMMUTE_LIMIT,
    DISTANCE,
    FACILITIES,
    FACILITY_SHARE,
    FACILITY_SHIFT,
    HIGH_SHIFT,
    KEPT_BESTS,
    KEPT_TOPS,
    KIND_SHIFT,
    NIBBLE,
    NINE_BITS,
    NONE,
    ONE,
    PAY,
    PLACED_SHIFT,
    SHOWN_BESTS,
    SHOWN_TOPS,
    SKILLS,
    TIME,
    base_of,
)
from services.matching.engine.tops import clear, place_of, put, remove, stands

TAKE_OUT, MOVE, PUT_IN, OWN = 1, 2, 4, 8
"""What a sweep does: out of the others' lists, to a new steady score in them, into them; make the own list."""


@compiled
def _lost_top(city: City, p: Int) -> None:
    """A post's list lost an entry: note it where it may have become too short."""
    work = city.work
    city.posts.changed[p] = 1
    if (
        city.tops.count[p] < city.rules[SHOWN_TOPS]
        and city.tops.edge[p] != NO_EDGE
        and city.tops.edge[p] != UNBUILT
        and not work.is_short[p]
    ):
        work.is_short[p] = 1
        work.short_posts[work.counts[0]] = p
        work.counts[0] += 1


@compiled
def _lost_best(city: City, s: Int) -> None:
    """A seeker's list lost an entry: note it where it may have become too short."""
    work = city.work
    mark = s + city.posts.shape[0]
    if (
        city.bests.count[s] < city.rules[SHOWN_BESTS]
        and city.bests.edge[s] != NO_EDGE
        and city.bests.edge[s] != UNBUILT
        and not work.is_short[mark]
    ):
        work.is_short[mark] = 1
        work.short_seekers[work.counts[1]] = s
        work.counts[1] += 1


@compiled
def _put_top(city: City, p: Int, s: Int, score: Int) -> None:
    seekers = city.seekers
    put(city.tops, p, s, score, seekers.at, seekers.key, city.rules[KEPT_TOPS])
    city.posts.changed[p] = 1
    where = city.posts.where[p]
    if where >= 0:
        city.post_index.hot[where // BLOCK, POST_EDGE, where % BLOCK] = city.tops.edge[p]


@compiled
def _put_best(city: City, s: Int, p: Int, base: Int) -> None:
    posts = city.posts
    put(city.bests, s, p, base, posts.at, posts.key, city.rules[KEPT_BESTS])
    where = city.seekers.where[s]
    if where >= 0:
        city.seeker_index.hot[where // BLOCK, EDGE, where % BLOCK] = city.bests.edge[s]


@compiled
def _move(city: City, p: Int, s: Int, old: Int, new: Int) -> None:
    """A seeker's total with a post went from `old` to `new`."""
    tops, at, key = city.tops, city.seekers.at, city.seekers.key
    stays = stands(tops, p, new, at[s], key[s, 0], key[s, 1])
    if stands(tops, p, old, at[s], key[s, 0], key[s, 1]):
        if stays:
            tops.score[p, place_of(tops, p, s)] = new
            city.posts.changed[p] = 1
        else:
            remove(tops, p, s)
            _lost_top(city, p)
    elif stays:
        _put_top(city, p, s, new)


@compiled
def sweep_seeker(city: City, s: Int, do: Int, old: Int, new: Int) -> None:
    """Bring one seeker's places up to date.

    Args:
        do: one of `TAKE_OUT` (needs `old`), `MOVE` (both), `PUT_IN` (`new`), and `OWN` added or alone.
        old, new: her steady score.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.post_index
    at, key_0, key_1 = seekers.at[s], seekers.key[s, 0], seekers.key[s, 1]
    a5, skills = seekers.row[s, 5], seekers.row[s, 6]
    kinds = np.int64((a5 >> KIND_SHIFT) & NIBBLE)
    wanted = np.int64((a5 >> FACILITY_SHIFT) & NIBBLE)
    limit = chord_of(min(np.int64(a5 >> HIGH_SHIFT), rules[COMMUTE_LIMIT]))
    x, y, z = np.float32(seekers.home[s, 0]), np.float32(seekers.home[s, 1]), np.float32(seekers.home[s, 2])
    per_limit = np.float32(1.0 / limit)
    per_floor = np.float32(floor_inverse(np.int64(seekers.row[s, 7])))
    reach = np.float32(limit) + SLACK
    weight, skilled = np.float32(rules[FACILITIES]), np.float32(rules[SKILLS] * PART_MAX)
    single = city.seeker_more.shape[1] == 0
    city.work.counts[5] += 1
    rest = np.float32((rules[TIME] + rules[SKILLS] + rules[FACILITIES]) * PART_MAX + 1)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    peak = np.float32(max(old, new) if do != OWN else -NOBODY)
    out = city.work.bound
    for block in range(ix.meta[0]):
        if not ix.blocks.used[block] or not ix.blocks.kinds[block] & kinds or not is_near(ix, block, x, y, z, reach):
            continue
        own = np.float32(city.bests.edge[s] if do & OWN else NOBODY)
        bound_posts(
            ix.hot[block],
            ix.blocks.reach[block] < F0,
            x,
            y,
            z,
            per_limit,
            per_floor,
            rest,
            distance,
            pay,
            peak,
            own,
            out,
        )
        for i in range(ix.blocks.used[block]):
            if out[i] < F0:
                continue
            position = block * BLOCK + i
            if ix.rows.skills[position] & ~skills != NONE:
                continue
            least = min(ix.hot[block, POST_EDGE, i] - peak, own)
            bound = out[i] - loss_of(city, ix.rows.pattern[position], seekers.row, s, 0)
            if bound < least:
                continue
            bound -= weight * np.float32(PART_MAX - FACILITY_SHARE[wanted, ix.rows.facilities[position]])
            desires = ix.rows.desires[position]
            if desires and single:
                bound -= skilled * np.float32(desires - ones(ix.rows.desired[position] & skills)) / np.float32(desires)
            if bound < least:
                continue
            p = ix.rows.slot[position]
            base = base_of(city, s, p)
            if base < 0:
                continue
            if do & TAKE_OUT:
                if stands(city.tops, p, base + old, at, key_0, key_1):
                    remove(city.tops, p, s)
                    _lost_top(city, p)
            elif do & MOVE:
                _move(city, p, s, base + old, base + new)
            elif do & PUT_IN and stands(city.tops, p, base + new, at, key_0, key_1):
                _put_top(city, p, s, base + new)
            if do & OWN and stands(city.bests, s, base, posts.at[p], posts.key[p, 0], posts.key[p, 1]):
                _put_best(city, s, p, base)


@compiled
def sweep_post(city: City, p: Int, do: Int) -> None:
    """Bring one post's places up to date.

    Args:
        do: one of `TAKE_OUT` and `PUT_IN`, and `OWN` added or alone.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.seeker_index
    b5, required, desired = posts.row[p, 5], posts.row[p, 6], posts.row[p, 7]
    half_hours, desires = np.int64((b5 >> HIGH_SHIFT) & NINE_BITS), posts.desired[p]
    kind = np.int64((b5 >> KIND_SHIFT) & NIBBLE)
    offered = np.int64((b5 >> FACILITY_SHIFT) & NIBBLE)
    remote = (b5 >> PLACED_SHIFT) & ONE == NONE
    x, y, z = np.float32(posts.place[p, 0]), np.float32(posts.place[p, 1]), np.float32(posts.place[p, 2])
    wage = max(np.float32(posts.pay[p]), F1)
    weight, skilled = np.float32(rules[FACILITIES]), np.float32(rules[SKILLS] * PART_MAX)
    single = city.seeker_more.shape[1] == 0
    city.work.counts[5] += 1
    rest = np.float32((rules[TIME] + rules[SKILLS] + rules[FACILITIES]) * PART_MAX + 1)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    others = do & (TAKE_OUT | PUT_IN) != 0
    far = F0 if others else np.float32(NOBODY)
    at, key_0, key_1 = posts.at[p], posts.key[p, 0], posts.key[p, 1]
    out = city.work.bound
    for block in range(ix.meta[0]):
        if not ix.blocks.used[block] or not ix.blocks.kinds[block] & kind:
            continue
        if not remote and not is_near(ix, block, x, y, z, F0):
            continue
        own = np.float32(city.tops.edge[p] if do & OWN else NOBODY)
        bound_seekers(ix.hot[block], remote, x, y, z, wage, rest, distance, pay, own, far, out)
        for i in range(ix.blocks.used[block]):
            if out[i] < F0:
                continue
            position = block * BLOCK + i
            if required & ~ix.rows.skills[position] != NONE:
                continue
            least = min(ix.hot[block, EDGE, i] + far, own - ix.hot[block, STEADY, i])
            bound = out[i]
            if half_hours:
                bound -= loss_of(city, ix.rows.pattern[position], posts.row, p, half_hours)
                if bound < least:
                    continue
            bound -= weight * np.float32(PART_MAX - FACILITY_SHARE[ix.rows.facilities[position], offered])
            if desires and single:
                bound -= skilled * np.float32(desires - ones(ix.rows.skills[position] & desired)) / np.float32(desires)
            if bound < least:
                continue
            s = ix.rows.slot[position]
            base = base_of(city, s, p)
            if base < 0:
                continue
            if others and stands(city.bests, s, base, at, key_0, key_1):
                if do & TAKE_OUT:
                    remove(city.bests, s, p)
                    _lost_best(city, s)
                else:
                    _put_best(city, s, p, base)
            if do & OWN:
                total = base + seekers.reliability[s] + seekers.waiting[s]
                if stands(city.tops, p, total, seekers.at[s], seekers.key[s, 0], seekers.key[s, 1]):
                    _put_top(city, p, s, total)


@woven
def build_top(city: City, p: Int) -> None:
    """Make a post's list anew; an empty one for a post that takes nobody."""
    clear(city.tops, p, NO_EDGE)
    city.posts.changed[p] = 1
    where = city.posts.where[p]
    if where >= 0:
        city.post_index.hot[where // BLOCK, POST_EDGE, where % BLOCK] = NO_EDGE
        sweep_post(city, p, OWN)


@woven
def build_best(city: City, s: Int) -> None:
    """Make a seeker's list anew; an empty one for a seeker whom nobody can rank."""
    clear(city.bests, s, NO_EDGE)
    where = city.seekers.where[s]
    if where >= 0:
        city.seeker_index.hot[where // BLOCK, EDGE, where % BLOCK] = NO_EDGE
        sweep_seeker(city, s, OWN, 0, 0)


@woven
def lengthen(city: City) -> None:
    """Make the lists anew that became too short."""
    work = city.work
    marks = city.posts.shape[0]
    while work.counts[0] > 0:
        work.counts[0] -= 1
        p = work.short_posts[work.counts[0]]
        work.is_short[p] = 0
        if city.tops.count[p] < city.rules[SHOWN_TOPS]:
            build_top(city, p)
    while work.counts[1] > 0:
        work.counts[1] -= 1
        s = work.short_seekers[work.counts[1]]
        work.is_short[s + marks] = 0
        if city.bests.count[s] < city.rules[SHOWN_BESTS]:
            build_best(city, s)
