"""What news does to a city: profiles written, indexes and lists brought up to date, one entity after another."""

from __future__ import annotations

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.domain.rules import RELIABILITY_PRIOR
from services.matching.engine.bits import EVERY, compiled, row_of, woven
from services.matching.engine.blocks import REACH_M, WIDE_CELL, drop_row, put_row, sort_of
from services.matching.engine.bounds import LOW_WORD, chord_of, floor_inverse, is_loose, least_of, per_desire_of
from services.matching.engine.layout import (
    BLOCK,
    BUSY,
    DESIRED,
    EDGE,
    F64,
    FLOOR,
    GONE,
    HERE,
    I32,
    LEAST,
    LIMIT,
    LOOSE,
    OPEN,
    PAY,
    PER_DESIRE,
    POST_EDGE,
    POSTS,
    PRESENT,
    SEEKERS,
    SKILLS,
    STEADY,
    U64,
    UNKNOWN,
    WEEK,
    City,
    Float,
    Int,
)
from services.matching.engine.pair import (
    FACILITY_SHIFT,
    KIND_SHIFT,
    NIBBLE,
    NONE,
    ONE,
    PLACED_SHIFT,
    RELIABILITY,
    WAITING,
    WAITING_FULL,
    limit_of,
)
from services.matching.engine.staging import PostNews, SeekerNews
from services.matching.engine.sweep import sweep_post, sweep_post_as_it_is, sweep_seeker
from services.matching.engine.tops import clear
from services.matching.engine.upkeep import AFTER, BEFORE, MOVE, OWN, again_best, again_top

MINUTE_MS = 60_000
WEEK_MINUTES = 10_080
WEEK_MS = WEEK_MINUTES * MINUTE_MS

PRIOR_PLUS, PRIOR_BASE = RELIABILITY_PRIOR
BESIDES = np.uint64(2**48 - 1) & ~(NIBBLE << FACILITY_SHIFT)
"""Bits of word 5 of a post that are neither facilities nor the overlap asked."""

ATTENDED, LEFT_EARLY = 0, 1
"""Numbers of the verdicts of a shift; 2 is a shift that was missed."""


@compiled
def reliability_of(city: City, s: Int) -> Int:
    """`domain.rules.reliability_of`, weighted."""
    seekers = city.seekers
    plus = 2 * seekers.attended[s] + seekers.left_early[s] + PRIOR_PLUS
    return city.rules[RELIABILITY] * (PART_MAX * plus // (2 * seekers.shifts[s] + PRIOR_BASE))


@compiled
def waiting_of(city: City, s: Int, now_ms: Int) -> Int:
    """`domain.rules.waiting_of`, weighted."""
    full = city.rules[WAITING_FULL]
    weeks = max((now_ms - city.seekers.at[s]) // WEEK_MS, 0)
    return city.rules[WAITING] * (PART_MAX * min(weeks, full) // full)


@compiled
def _copy(to: U64 | F64, i: Int, of: U64 | F64, j: Int) -> None:
    for w in range(to.shape[1]):
        to[i, w] = of[j, w]


@woven
def week_of(pattern: Int, word: Int, mark: Int) -> Int:
    """A pattern of hours, the facilities that stand in a word of `row`, and a mark, as `Index.codes` holds them."""
    return np.int64(pattern) | mark | (np.int64((word >> FACILITY_SHIFT) & NIBBLE) << 16)


@compiled
def enter_seeker(city: City, s: Int) -> None:
    """Put a seeker's profile into the index; her lists are the caller's care."""
    seekers, ix = city.seekers, city.seeker_index
    a5 = seekers.row[s, 5]
    limit = limit_of(city, s)
    # Where a cell is as large as the town, how far she travels tells nothing apart.
    reach = 0 if ix.cell[0] < WIDE_CELL else REACH_M.shape[0] - 1
    while limit > REACH_M[reach]:
        reach += 1
    x, y, z = seekers.home[s, 0], seekers.home[s, 1], seekers.home[s, 2]
    kinds = np.int64((a5 >> KIND_SHIFT) & NIBBLE)
    position = put_row(ix, sort_of(ix.cell[0], x, y, z, kinds, reach, False), s, seekers.where)
    block, at = position // BLOCK, position % BLOCK
    for axis in range(3):
        ix.hot[block, axis, at] = seekers.home[s, axis]
    ix.hot[block, LIMIT, at] = 1.0 / chord_of(limit)
    ix.hot[block, FLOOR, at] = floor_inverse(np.int64(seekers.row[s, 7]))
    ix.hot[block, EDGE, at] = city.bests.edge[s]
    ix.hot[block, STEADY, at] = seekers.reliability[s] + seekers.waiting[s]
    ix.codes[block, WEEK, at] = week_of(seekers.pattern[s], a5, BUSY if seekers.busy[s] >= 0 else 0)
    ix.codes[block, SKILLS, at] = seekers.row[s, 6] & LOW_WORD


@compiled
def show_post(city: City, p: Int) -> None:
    """Write a post's profile to its place in the index."""
    posts, ix = city.posts, city.post_index
    block, at = posts.where[p] // BLOCK, posts.where[p] % BLOCK
    for axis in range(3):
        ix.hot[block, axis, at] = posts.place[p, axis]
    ix.hot[block, PAY, at] = posts.pay[p]
    ix.hot[block, POST_EDGE, at] = city.tops.edge[p]
    ix.hot[block, LEAST, at] = least_of(city, p)
    ix.hot[block, PER_DESIRE, at] = per_desire_of(city, p)
    ix.codes[block, WEEK, at] = week_of(posts.pattern[p], posts.row[p, 5], LOOSE if is_loose(city, p) else 0)
    ix.codes[block, SKILLS, at] = posts.row[p, 6] & LOW_WORD
    ix.codes[block, DESIRED, at] = posts.row[p, 7] & LOW_WORD


@compiled
def enter_post(city: City, p: Int) -> None:
    """Put a post's profile into the index; its lists are the caller's care."""
    posts, ix = city.posts, city.post_index
    b5 = posts.row[p, 5]
    remote = (b5 >> PLACED_SHIFT) & ONE == NONE
    kind = np.int64((b5 >> KIND_SHIFT) & NIBBLE)
    x, y, z = posts.place[p, 0], posts.place[p, 1], posts.place[p, 2]
    put_row(ix, sort_of(ix.cell[0], x, y, z, kind, 0, remote), p, posts.where)
    show_post(city, p)


@woven
def pull_seeker(city: City, s: Int) -> None:
    """Take a seeker out of the posts' lists and the index, with the profile that she stands there by."""
    if city.seekers.where[s] >= 0:
        sweep_seeker(city, s, BEFORE, city.seekers.reliability[s] + city.seekers.waiting[s], 0)
        drop_row(city.seeker_index, s, city.seekers.where)


@woven
def push_seeker(city: City, s: Int) -> None:
    """Put a seeker into the index and all lists."""
    enter_seeker(city, s)
    again_best(city, s)
    sweep_seeker(city, s, AFTER | OWN, 0, city.seekers.reliability[s] + city.seekers.waiting[s])


@woven
def pull_post(city: City, p: Int) -> None:
    """Take a post out of the seekers' lists and the index, with the profile that it stands there by."""
    if city.posts.where[p] >= 0:
        sweep_post_as_it_is(city, p, BEFORE)
        drop_row(city.post_index, p, city.posts.where)
        city.posts.changed[p] = 1


@woven
def push_post(city: City, p: Int) -> None:
    """Put a post into the index and all lists."""
    enter_post(city, p)
    again_top(city, p)
    sweep_post_as_it_is(city, p, AFTER | OWN)


@woven
def move_post(city: City, p: Int, old_pay: Int, old_word: Int, old_least: Float) -> None:
    """Bring all lists from the terms that a post had, see `sweep_post`, to those it has."""
    show_post(city, p)
    again_top(city, p)
    sweep_post(city, p, MOVE | OWN, old_pay, old_word, old_least)


@compiled
def link(city: City, minutes: I32, s: Int) -> None:
    """Note in which minute of the week her waiting grows."""
    minute = (city.seekers.at[s] // MINUTE_MS) % WEEK_MINUTES
    city.seekers.later[s] = minutes[minute]
    minutes[minute] = s + 1


@compiled
def _unlink(city: City, minutes: I32, s: Int) -> None:
    later = city.seekers.later
    minute = (city.seekers.at[s] // MINUTE_MS) % WEEK_MINUTES
    if minutes[minute] == s + 1:
        minutes[minute] = later[s]
        return
    n = minutes[minute] - 1
    while later[n] != s + 1:
        n = later[n] - 1
    later[n] = later[s]


@compiled
def _same(a: U64, i: Int, b: U64, j: Int) -> bool:
    for w in range(a.shape[1]):  # noqa: SIM110  # compiled: no generators
        if a[i, w] != b[j, w]:
            return False
    return True


@woven
def take_seekers(
    city: City, table: I32, minutes: I32, news: SeekerNews, more: U64, now_ms: Int, today: Int, bulk: bool
) -> None:
    """Take in profiles, each if it is newer than what is held.

    Args:
        bulk: write profiles only; the caller makes all lists anew.
    """
    seekers = city.seekers
    for i in range(news.shape[0]):
        s = row_of(table, seekers.key, news.key[i, 0], news.key[i, 1], city.work.counts, SEEKERS)
        if seekers.status[s] != UNKNOWN and news.version[i] <= seekers.version[s]:
            continue
        here = news.marks[i] & PRESENT != 0
        ranked = here and news.until[i] >= today
        was = seekers.where[s] >= 0
        seekers.version[s] = news.version[i]
        if (
            was
            and ranked
            and seekers.at[s] == news.at[i]
            and _same(seekers.row, s, news.row, i)
            and _same(city.seeker_more, s, more, i)
            and seekers.home[s, 0] == news.home[i, 0]
            and seekers.home[s, 1] == news.home[i, 1]
            and seekers.home[s, 2] == news.home[i, 2]
        ):
            seekers.until[s] = news.until[i]
            continue
        if was and not bulk:
            pull_seeker(city, s)
        elif was:
            drop_row(city.seeker_index, s, seekers.where)
        if seekers.status[s] == HERE:
            _unlink(city, minutes, s)
        if here:
            _copy(seekers.row, s, news.row, i)
            _copy(city.seeker_more, s, more, i)
            _copy(seekers.home, s, news.home, i)
            seekers.at[s] = news.at[i]
            seekers.until[s] = news.until[i]
            seekers.pattern[s] = news.pattern[i]
            link(city, minutes, s)
        seekers.status[s] = HERE if here else GONE
        seekers.reliability[s] = reliability_of(city, s)
        seekers.waiting[s] = waiting_of(city, s, now_ms)
        if not ranked:
            clear(city.bests, s)
        elif bulk:
            enter_seeker(city, s)
        else:
            push_seeker(city, s)


@compiled
def _is_alike(city: City, p: Int, news: PostNews, more: U64, i: Int) -> bool:
    """Whether news of a post change at most its pay, its facilities and the overlap that it asks for."""
    posts = city.posts
    for w in range(8):
        if (posts.row[p, w] ^ news.row[i, w]) & (BESIDES if w == 5 else EVERY) != NONE:
            return False
    for w in range(3):
        if posts.place[p, w] != news.place[i, w]:
            return False
    return posts.at[p] == news.at[i] and _same(city.post_more, p, more, i)


@woven
def take_posts(city: City, table: I32, news: PostNews, more: U64, bulk: bool) -> None:
    """Take in posts, each if it is newer than what is held; see `take_seekers`."""
    posts = city.posts
    for i in range(news.shape[0]):
        p = row_of(table, posts.key, news.key[i, 0], news.key[i, 1], city.work.counts, POSTS)
        if posts.status[p] != UNKNOWN and news.version[i] <= posts.version[p]:
            continue
        here = news.marks[i] & PRESENT != 0
        takes = here and news.marks[i] & OPEN != 0 and posts.taken[p] < news.seats[i]
        was = posts.where[p] >= 0
        alike = was and takes and _is_alike(city, p, news, more, i)
        same = alike and posts.pay[p] == news.pay[i] and posts.row[p, 5] == news.row[i, 5]
        moves = alike and not bulk
        old_pay, old_word, old_least = posts.pay[p], posts.row[p, 5], least_of(city, p)
        if was and bulk and not same:
            drop_row(city.post_index, p, posts.where)
        elif was and not alike:
            pull_post(city, p)
        posts.version[p] = news.version[i]
        posts.status[p] = HERE if here else GONE
        posts.changed[p] = 1
        if here:
            _copy(posts.row, p, news.row, i)
            _copy(city.post_more, p, more, i)
            _copy(posts.place, p, news.place, i)
            posts.at[p] = news.at[i]
            posts.closes[p] = news.closes[i]
            posts.pay[p] = news.pay[i]
            posts.employer[p] = news.employer[i]
            posts.station[p] = news.station[i]
            posts.seats[p] = news.seats[i]
            posts.desired[p] = news.desired[i]
            posts.pattern[p] = news.pattern[i]
            posts.own[p] = news.own[i]
        if not takes:
            clear(city.tops, p)
        elif same:
            continue
        elif bulk:
            enter_post(city, p)
        elif moves:
            move_post(city, p, old_pay, old_word, old_least)
        else:
            push_post(city, p)


@woven
def revise_seeker(city: City, s: Int, skills: U64, busy: Int, bulk: bool) -> None:
    """A certificate or a placement of hers came or went.

    Args:
        skills: all words of her skill mask.
        busy: row of her placements, -1: none.
    """
    seekers = city.seekers
    where = seekers.where[s]
    if where >= 0 and bulk:
        drop_row(city.seeker_index, s, seekers.where)
    elif where >= 0:
        pull_seeker(city, s)
    seekers.row[s, 6] = skills[0]
    for w in range(city.seeker_more.shape[1]):
        city.seeker_more[s, w] = skills[w + 1]
    seekers.busy[s] = busy
    if where >= 0 and bulk:
        enter_seeker(city, s)
    elif where >= 0:
        push_seeker(city, s)


@woven
def revise_post(city: City, p: Int, facilities: Int, takes: bool, bulk: bool) -> None:
    """Something that decides whether a post takes someone was learnt of its employer, station, seats or closing."""
    posts = city.posts
    word = (posts.row[p, 5] & ~(NIBBLE << FACILITY_SHIFT)) | (np.uint64(facilities) << FACILITY_SHIFT)
    was = posts.where[p] >= 0
    if was == takes and posts.row[p, 5] == word:
        return
    moves = was and takes and not bulk
    old_word = posts.row[p, 5]
    if was and bulk:
        drop_row(city.post_index, p, posts.where)
        posts.changed[p] = 1
    elif was and not moves:
        pull_post(city, p)
    posts.row[p, 5] = word
    if not takes:
        clear(city.tops, p)
    elif bulk:
        enter_post(city, p)
    elif moves:
        move_post(city, p, posts.pay[p], old_word, least_of(city, p))
    else:
        push_post(city, p)
