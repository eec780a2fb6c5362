"""Shifts, time, and the one door through which everything that moves places in lists is run."""

from __future__ import annotations

from services.matching.domain.profiles import RELIABILITY_DAYS
from services.matching.engine.bits import compiled, row_of, woven
from services.matching.engine.changes import (
    ATTENDED,
    LEFT_EARLY,
    MINUTE_MS,
    WEEK_MINUTES,
    enter_post,
    enter_seeker,
    pull_seeker,
    reliability_of,
    revise_post,
    revise_seeker,
    take_posts,
    take_seekers,
    waiting_of,
)
from services.matching.engine.layout import (
    BLOCK,
    DROPPED,
    HERE,
    I32,
    I64,
    POSTS,
    SEEKERS,
    SHIFTS,
    STEADY,
    U64,
    City,
    Int,
    Shifts,
    Tables,
)
from services.matching.engine.staging import PostNews, SeekerNews, ShiftNews
from services.matching.engine.sweep import build_best, build_top, lengthen, sweep_seeker
from services.matching.engine.tops import clear
from services.matching.engine.upkeep import MOVE


@compiled
def _count(city: City, s: Int, verdict: Int, by: Int) -> None:
    if verdict == DROPPED:
        return
    seekers = city.seekers
    seekers.shifts[s] += by
    if verdict == ATTENDED:
        seekers.attended[s] += by
    elif verdict == LEFT_EARLY:
        seekers.left_early[s] += by


@compiled
def _take_shifts(city: City, tables: Tables, shifts: Shifts, news: ShiftNews, today: Int, touched: I64) -> Int:
    """Take in how shifts went, each if it is newer than what is held. Answers how many rows of `touched` it wrote."""
    count, counts = 0, city.work.counts
    for i in range(news.shape[0]):
        known = counts[SHIFTS]
        f = row_of(tables.shifts, shifts.key, news.key[i, 0], news.key[i, 1], counts, SHIFTS)
        if f < known and news.revision[i] <= shifts.revision[f]:
            continue
        if f < known:
            _count(city, shifts.seeker[f], shifts.verdict[f], -1)
            touched[count] = shifts.seeker[f]
            count += 1
        s = row_of(tables.seekers, city.seekers.key, news.seeker[i, 0], news.seeker[i, 1], counts, SEEKERS)
        verdict = news.verdict[i] if today - news.day[i] < RELIABILITY_DAYS else DROPPED
        shifts.revision[f] = news.revision[i]
        shifts.day[f] = news.day[i]
        shifts.seeker[f] = s
        shifts.verdict[f] = verdict
        _count(city, s, verdict, 1)
        touched[count] = s
        count += 1
    return count


@woven
def settle(city: City, touched: I64, count: Int, now_ms: Int, bulk: bool) -> None:
    """Bring reliability and waiting of these seekers up to date, and their places by it."""
    seekers = city.seekers
    for n in range(count):
        s = touched[n]
        reliability, waiting = reliability_of(city, s), waiting_of(city, s, now_ms)
        if reliability == seekers.reliability[s] and waiting == seekers.waiting[s]:
            continue
        old = seekers.reliability[s] + seekers.waiting[s]
        seekers.reliability[s] = reliability
        seekers.waiting[s] = waiting
        where = seekers.where[s]
        if where >= 0:
            city.seeker_index.hot[where // BLOCK, STEADY, where % BLOCK] = reliability + waiting
            if not bulk:
                sweep_seeker(city, s, MOVE, old, reliability + waiting)


@compiled
def due(city: City, minutes: I32, from_ms: Int, to_ms: Int, touched: I64) -> Int:
    """Collect the seekers whose waiting grew between two instants."""
    seekers = city.seekers
    first, last = from_ms // MINUTE_MS, to_ms // MINUTE_MS
    if last - first >= WEEK_MINUTES:
        first = last - WEEK_MINUTES + 1
    count = 0
    for minute in range(first, last + 1):
        row = minutes[minute % WEEK_MINUTES]
        while row:
            s = row - 1
            if seekers.status[s] == HERE and waiting_of(city, s, to_ms) != seekers.waiting[s]:
                touched[count] = s
                count += 1
            row = seekers.later[s]
    return count


@woven
def new_day(city: City, shifts: Shifts, today: Int, touched: I64) -> Int:
    """Let those leave who are not eligible any more, and shifts that are too old; collects who lost a shift."""
    seekers = city.seekers
    for s in range(city.work.counts[SEEKERS]):
        if seekers.where[s] >= 0 and seekers.until[s] < today:
            pull_seeker(city, s)
            clear(city.bests, s)
    count = 0
    for f in range(city.work.counts[SHIFTS]):
        if shifts.verdict[f] != DROPPED and today - shifts.day[f] >= RELIABILITY_DAYS:
            _count(city, shifts.seeker[f], shifts.verdict[f], -1)
            shifts.verdict[f] = DROPPED
            touched[count] = shifts.seeker[f]
            count += 1
    return count


@compiled
def reindex(city: City) -> None:
    """Fill the new, empty indexes with all who stood in the old ones."""
    for s in range(city.work.counts[SEEKERS]):
        if city.seekers.where[s] >= 0:
            enter_seeker(city, s)
    for p in range(city.work.counts[POSTS]):
        if city.posts.where[p] >= 0:
            enter_post(city, p)


@woven
def build(city: City) -> None:
    """Make every list anew."""
    for p in range(city.work.counts[POSTS]):
        build_top(city, p)
    for s in range(city.work.counts[SEEKERS]):
        build_best(city, s)


TAKE, SETTLE, REVISE_SEEKER, REVISE_POST, NEW_DAY, BUILD = range(6)
"""What `run` can do."""


@compiled
def run(
    op: Int,
    city: City,
    tables: Tables,
    shifts: Shifts,
    seeker_news: SeekerNews,
    seeker_more: U64,
    post_news: PostNews,
    post_more: U64,
    shift_news: ShiftNews,
    rows: I64,
    skills: U64,
    now_ms: Int,
    today: Int,
    bulk: bool,
    first: Int,
    second: Int,
) -> Int:
    """All that sweeps, in one compiled function, because each such function takes half a minute to compile.

    Args:
        op: `TAKE` takes in news, `rows` having room for two of each shift; `SETTLE` the `first` of `rows`;
            `REVISE_SEEKER` row `first` with `skills` and placements `second`; `REVISE_POST` row `first` with
            facilities `second` and whether it takes someone in `now_ms`; `NEW_DAY` begins `today` and writes who lost
            a shift into `rows`; `BUILD` makes every list anew.

    Returns:
        How many rows `NEW_DAY` wrote.
    """
    touched = first
    if op == TAKE:
        touched = _take_shifts(city, tables, shifts, shift_news, today, rows)
        take_seekers(city, tables.seekers, tables.minutes, seeker_news, seeker_more, now_ms, today, bulk)
        take_posts(city, tables.posts, post_news, post_more, bulk)
    if op in (TAKE, SETTLE):
        settle(city, rows, touched, now_ms, bulk)
    elif op == REVISE_SEEKER:
        revise_seeker(city, first, skills, second, bulk)
    elif op == REVISE_POST:
        revise_post(city, first, second, now_ms != 0, bulk)
    elif op == NEW_DAY:
        return new_day(city, shifts, today, rows)
    elif op == BUILD:
        build(city)
    if not bulk:
        lengthen(city)
    return 0
