"""Bringing lists up to date: one seeker against all posts near her, one post against all seekers near it.

Each block of an index is first bounded in 32-bit floats, a few nanoseconds a row: who cannot come before the edge of
any list in question is left out. Only the others are looked at exactly (`pair.base_of`).
"""

from __future__ import annotations

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, woven
from services.matching.engine.bounds import (
    F0,
    F1,
    MARGIN,
    NOBODY,
    SLACK,
    bound_posts,
    bound_seekers,
    chord_of,
    floor_inverse,
    is_near,
    least_of,
    per_desire_of,
)
from services.matching.engine.layout import (
    BLOCK,
    EDGE,
    LEAST,
    NO_EDGE,
    POST_EDGE,
    SHORT_POSTS,
    SHORT_SEEKERS,
    SLOT,
    STEADY,
    WEEK,
    City,
    Float,
    Int,
)
from services.matching.engine.pair import (
    DISTANCE,
    FACILITIES,
    FACILITY_SHARE,
    FACILITY_SHIFT,
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
    TIME,
    base_of,
    limit_of,
)
from services.matching.engine.tops import clear, end_at_last, place_of, put, remove, stands

TAKE_OUT, MOVE, PUT_IN, OWN = 1, 2, 4, 8
"""What a sweep does: out of the others' lists, to a new score in them, into them; bring the own list up to date."""

LOW_WORD, LOW_HALF, HALF = np.uint64(0xFFFF_FFFF), np.uint32(0xFFFF), np.uint32(16)


@compiled
def show_top_edge(city: City, p: Int) -> None:
    """Tell the index the edge of a post's list."""
    where = city.posts.where[p]
    if where >= 0:
        city.post_index.hot[where // BLOCK, POST_EDGE, where % BLOCK] = city.tops.edge[p]


@compiled
def show_best_edge(city: City, s: Int) -> None:
    """Tell the index the edge of a seeker's list."""
    where = city.seekers.where[s]
    if where >= 0:
        city.seeker_index.hot[where // BLOCK, EDGE, where % BLOCK] = city.bests.edge[s]


@compiled
def _lost_top(city: City, p: Int) -> None:
    """A post's list lost an entry: note it where it may have become too short."""
    work = city.work
    city.posts.changed[p] = 1
    if city.tops.count[p] < city.rules[SHOWN_TOPS] and city.tops.edge[p] != NO_EDGE and not work.is_short[p]:
        work.is_short[p] = 1
        work.short_posts[work.counts[SHORT_POSTS]] = p
        work.counts[SHORT_POSTS] += 1


@compiled
def _lost_best(city: City, s: Int) -> None:
    """A seeker's list lost an entry: note it where it may have become too short."""
    work = city.work
    mark = s + city.posts.shape[0]
    if city.bests.count[s] < city.rules[SHOWN_BESTS] and city.bests.edge[s] != NO_EDGE and not work.is_short[mark]:
        work.is_short[mark] = 1
        work.short_seekers[work.counts[SHORT_SEEKERS]] = s
        work.counts[SHORT_SEEKERS] += 1


@compiled
def _put_top(city: City, p: Int, s: Int, score: Int) -> None:
    seekers = city.seekers
    put(city.tops, p, s, score, seekers.at, seekers.key, city.rules[KEPT_TOPS])
    city.posts.changed[p] = 1
    show_top_edge(city, p)


@compiled
def _put_best(city: City, s: Int, p: Int, base: Int) -> None:
    posts = city.posts
    put(city.bests, s, p, base, posts.at, posts.key, city.rules[KEPT_BESTS])
    show_best_edge(city, s)


@compiled
def _move_in_top(city: City, p: Int, s: Int, old: Int, new: Int) -> None:
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
def _move_in_best(city: City, s: Int, p: Int, old: Int, new: Int) -> None:
    """A post's score with a seeker went from `old` to `new`, -1: it does not match.

    `old` is looked up by a copy of the post, which does not know who is placed at the post; she is not in its lists.
    """
    bests, at, key_0, key_1 = city.bests, city.posts.at[p], city.posts.key[p, 0], city.posts.key[p, 1]
    place = place_of(bests, s, p) if old >= 0 and stands(bests, s, old, at, key_0, key_1) else -1
    stays = new >= 0 and stands(bests, s, new, at, key_0, key_1)
    if place >= 0 and stays:
        bests.score[s, place] = new
    elif place >= 0:
        remove(bests, s, p)
        _lost_best(city, s)
    elif stays:
        _put_best(city, s, p, new)


@compiled
def again_top(city: City, p: Int) -> None:
    """Begin a post's list with those who are in it and still match.

    So many that they are most of a full list give an edge from the start, so that a sweep need not look at others who
    come after them.
    """
    tops, seekers, kept = city.tops, city.seekers, 0
    for n in range(tops.count[p]):
        s = tops.slot[p, n]
        base = base_of(city, s, p) if seekers.where[s] >= 0 else -1
        if base >= 0:
            tops.slot[p, kept] = s
            tops.score[p, kept] = base + seekers.reliability[s] + seekers.waiting[s]
            kept += 1
    tops.count[p] = kept
    tops.edge[p] = NO_EDGE
    if 2 * kept > city.rules[SHOWN_TOPS] + city.rules[KEPT_TOPS]:
        end_at_last(tops, p, seekers.at, seekers.key)
    city.posts.changed[p] = 1
    show_top_edge(city, p)


@compiled
def again_best(city: City, s: Int) -> None:
    """Begin a seeker's list with the posts that are in it and still match; see `again_top`."""
    bests, posts, kept = city.bests, city.posts, 0
    for n in range(bests.count[s]):
        p = bests.slot[s, n]
        base = base_of(city, s, p) if posts.where[p] >= 0 else -1
        if base >= 0:
            bests.slot[s, kept] = p
            bests.score[s, kept] = base
            kept += 1
    bests.count[s] = kept
    bests.edge[s] = NO_EDGE
    if 2 * kept > city.rules[SHOWN_BESTS] + city.rules[KEPT_BESTS]:
        end_at_last(bests, s, posts.at, posts.key)
    show_best_edge(city, s)


@compiled
def _rest_of(city: City) -> Float:
    """Time, skills and facilities in full, and one point for the rounding of floats."""
    rules = city.rules
    return np.float32((rules[TIME] + rules[SKILLS] + rules[FACILITIES]) * PART_MAX + 1)


@compiled
def sweep_seeker(city: City, s: Int, do: Int, old: Int, new: Int) -> None:
    """Bring one seeker's places up to date.

    Args:
        do: one of `TAKE_OUT` (needs `old`), `MOVE` (both), `PUT_IN` (`new`), and `OWN` added or alone.
        old, new: her steady score.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.post_index
    at, key_0, key_1 = seekers.at[s], seekers.key[s, 0], seekers.key[s, 1]
    a5 = seekers.row[s, 5]
    kinds = np.int64((a5 >> KIND_SHIFT) & NIBBLE)
    wanted = np.int64((a5 >> FACILITY_SHIFT) & NIBBLE)
    limit = chord_of(limit_of(city, s))
    x, y, z = np.float32(seekers.home[s, 0]), np.float32(seekers.home[s, 1]), np.float32(seekers.home[s, 2])
    per_limit = np.float32(1.0 / limit)
    per_floor = np.float32(floor_inverse(np.int64(seekers.row[s, 7])))
    reach = np.float32(limit) + SLACK
    skills = np.uint32(seekers.row[s, 6] & LOW_WORD)
    rest, time, skilled = _rest_of(city), np.float32(rules[TIME] * PART_MAX), np.float32(rules[SKILLS] * PART_MAX)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    peak = np.float32(max(old, new) if do != OWN else -NOBODY)
    out, lacks, covers = city.work.bound, city.work.lacks, city.covers[seekers.pattern[s]]
    for offered in range(16):
        lacks[offered] = rules[FACILITIES] * (PART_MAX - FACILITY_SHARE[wanted, offered])
    for block in range(ix.meta[0]):
        used = ix.blocks.used[block]
        if not used or not ix.blocks.kinds[block] & kinds or not is_near(ix, block, x, y, z, reach):
            continue
        own = np.float32(city.bests.edge[s] if do & OWN else NOBODY)
        bound_posts(
            ix.hot[block],
            ix.codes[block],
            ix.blocks.reach[block] < F0,
            x,
            y,
            z,
            per_limit,
            per_floor,
            skills,
            rest,
            distance,
            pay,
            skilled,
            peak,
            own,
            out,
        )
        for i in range(used):
            if out[i] < F0:
                continue
            week = ix.codes[block, WEEK, i]
            fit = covers[week & LOW_HALF]
            bound = out[i] - (F1 - fit) * time - lacks[week >> HALF]
            if fit < ix.hot[block, LEAST, i] or bound < min(ix.hot[block, POST_EDGE, i] - peak, own):
                continue
            p = np.int64(ix.codes[block, SLOT, i])
            base = base_of(city, s, p)
            if base < 0:
                continue
            if do & TAKE_OUT:
                if stands(city.tops, p, base + old, at, key_0, key_1):
                    remove(city.tops, p, s)
                    _lost_top(city, p)
            elif do & MOVE:
                _move_in_top(city, p, s, base + old, base + new)
            elif do & PUT_IN and stands(city.tops, p, base + new, at, key_0, key_1):
                _put_top(city, p, s, base + new)
            if (
                do & OWN
                and stands(city.bests, s, base, posts.at[p], posts.key[p, 0], posts.key[p, 1])
                and place_of(city.bests, s, p) < 0
            ):
                _put_best(city, s, p, base)


@compiled
def sweep_post(city: City, p: Int, q: Int, do: Int) -> None:
    """Bring one post's places up to date.

    Args:
        q: of `MOVE`, a row with the post as it was: of the same kind, place, hours and skills; else `p`.
        do: one of `TAKE_OUT`, `MOVE` and `PUT_IN`, and `OWN` added or alone.
    """
    seekers, posts, rules, ix = city.seekers, city.posts, city.rules, city.seeker_index
    b5 = posts.row[p, 5]
    kind = np.int64((b5 >> KIND_SHIFT) & NIBBLE)
    remote = (b5 >> PLACED_SHIFT) & ONE == NONE
    x, y, z = np.float32(posts.place[p, 0]), np.float32(posts.place[p, 1]), np.float32(posts.place[p, 2])
    wage = max(np.float32(max(posts.pay[p], posts.pay[q])), F1)
    required, desired = np.uint32(posts.row[p, 6] & LOW_WORD), np.uint32(posts.row[p, 7] & LOW_WORD)
    rest, time = _rest_of(city), np.float32(rules[TIME] * PART_MAX)
    skilled = np.float32(rules[SKILLS] * PART_MAX) * per_desire_of(city, p)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    least, most = min(least_of(city, p), least_of(city, q)), max(least_of(city, p), least_of(city, q))
    same_pay = posts.pay[p] == posts.pay[q]
    others = do & (TAKE_OUT | MOVE | PUT_IN) != 0
    far = F0 if others else np.float32(NOBODY)
    at, key_0, key_1 = posts.at[p], posts.key[p, 0], posts.key[p, 1]
    out, lacks, covered = city.work.bound, city.work.lacks, city.covered[posts.pattern[p]]
    now = np.int64((b5 >> FACILITY_SHIFT) & NIBBLE)
    then = np.int64((posts.row[q, 5] >> FACILITY_SHIFT) & NIBBLE)
    for wanted in range(16):
        share = max(FACILITY_SHARE[wanted, now], FACILITY_SHARE[wanted, then])
        lacks[wanted] = rules[FACILITIES] * (PART_MAX - share)
        lacks[16 + wanted] = FACILITY_SHARE[wanted, now] - FACILITY_SHARE[wanted, then]
    for block in range(ix.meta[0]):
        used = ix.blocks.used[block]
        if not used or not ix.blocks.kinds[block] & kind or not (remote or is_near(ix, block, x, y, z, F0)):
            continue
        own = np.float32(city.tops.edge[p] if do & OWN else NOBODY)
        bound_seekers(
            ix.hot[block],
            ix.codes[block],
            remote,
            x,
            y,
            z,
            wage,
            required,
            desired,
            rest,
            distance,
            pay,
            skilled,
            own,
            far,
            out,
        )
        for i in range(used):
            if out[i] < F0:
                continue
            week = ix.codes[block, WEEK, i]
            fit = covered[week & LOW_HALF]
            bound = out[i] - (F1 - fit) * time - lacks[week >> HALF]
            if fit < least or bound < min(ix.hot[block, EDGE, i] + far, own - ix.hot[block, STEADY, i]):
                continue
            # A change of pay, facilities or overlap that is none to her moves nothing in her list.
            moves = do & MOVE and not (same_pay and lacks[16 + (week >> HALF)] == F0 and fit >= most + MARGIN)
            if do & MOVE and not moves and bound < own - ix.hot[block, STEADY, i]:
                continue
            s = np.int64(ix.codes[block, SLOT, i])
            base = base_of(city, s, p)
            if moves:
                _move_in_best(city, s, p, base_of(city, s, q), base)
            elif others and not do & MOVE and base >= 0 and stands(city.bests, s, base, at, key_0, key_1):
                if do & TAKE_OUT:
                    remove(city.bests, s, p)
                    _lost_best(city, s)
                else:
                    _put_best(city, s, p, base)
            if do & OWN and base >= 0:
                total = base + seekers.reliability[s] + seekers.waiting[s]
                if (
                    stands(city.tops, p, total, seekers.at[s], seekers.key[s, 0], seekers.key[s, 1])
                    and place_of(city.tops, p, s) < 0
                ):
                    _put_top(city, p, s, total)


@woven
def build_top(city: City, p: Int) -> None:
    """Make a post's list anew; an empty one for a post that takes nobody."""
    clear(city.tops, p)
    city.posts.changed[p] = 1
    show_top_edge(city, p)
    if city.posts.where[p] >= 0:
        sweep_post(city, p, p, OWN)


@woven
def build_best(city: City, s: Int) -> None:
    """Make a seeker's list anew; an empty one for a seeker whom nobody can rank."""
    clear(city.bests, s)
    show_best_edge(city, s)
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
