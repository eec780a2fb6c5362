"""One entry of one list: in, out, or where it was; a list's pool when scores of its members are needed."""

from __future__ import annotations

from services.matching.engine.bits import compiled
from services.matching.engine.layout import (
    BLOCK,
    EDGE,
    NO_EDGE,
    POST_EDGE,
    SHORT_POSTS,
    SHORT_SEEKERS,
    City,
    Float,
    Int,
)
from services.matching.engine.pair import FILL_BESTS, FILL_TOPS, KEPT_BESTS, KEPT_TOPS, SHOWN_BESTS, SHOWN_TOPS, base_of
from services.matching.engine.tops import cut, end_at_last, fill, place_in_best, place_in_top, remove, stands

BEFORE, AFTER, OWN = 1, 2, 4
"""What a sweep looks at: others' lists in which an entity stood, those in which it will stand, and its own list."""

MOVE = BEFORE | AFTER


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
def total_of(city: City, s: Int, p: Int) -> Int:
    """Score of a pair, or -1 where a filter fails."""
    base = base_of(city, s, p)
    return base if base < 0 else base + city.seekers.reliability[s] + city.seekers.waiting[s]


@compiled
def _pool_top(city: City, p: Int) -> None:
    """The members of a post's list who match, with their scores."""
    pool = city.work.held
    pool.used[0] = 0
    for n in range(city.tops.count[p]):
        s = city.tops.slot[p, n]
        score = total_of(city, s, p) if city.seekers.where[s] >= 0 else -1
        if score >= 0:
            pool.slot[pool.used[0]] = s
            pool.score[pool.used[0]] = score
            pool.used[0] += 1


@compiled
def _pool_best(city: City, s: Int) -> None:
    """The members of a seeker's list that match, with their scores."""
    pool = city.work.held
    pool.used[0] = 0
    for n in range(city.bests.count[s]):
        p = city.bests.slot[s, n]
        score = base_of(city, s, p) if city.posts.where[p] >= 0 else -1
        if score >= 0:
            pool.slot[pool.used[0]] = p
            pool.score[pool.used[0]] = score
            pool.used[0] += 1


@compiled
def again_top(city: City, p: Int) -> None:
    """Empty a post's list before it is made anew, with an edge where its members are enough to give one.

    So a sweep need not look at others who come after them.
    """
    pool, at, kept = city.work.held, city.seekers.at, city.rules[FILL_TOPS]
    _pool_top(city, p)
    city.tops.count[p] = 0
    city.tops.edge[p] = NO_EDGE
    if pool.used[0] >= kept:
        cut(pool, kept, at, city.seekers.key)
        end_at_last(city.tops, p, pool, at)


@compiled
def again_best(city: City, s: Int) -> None:
    """Empty a seeker's list before it is made anew; see `again_top`."""
    pool, at, kept = city.work.held, city.posts.at, city.rules[FILL_BESTS]
    _pool_best(city, s)
    city.bests.count[s] = 0
    city.bests.edge[s] = NO_EDGE
    if pool.used[0] >= kept:
        cut(pool, kept, at, city.posts.key)
        end_at_last(city.bests, s, pool, at)


@compiled
def _put_top(city: City, p: Int, s: Int) -> None:
    """Put in someone who stands; from a full list the worst fall out, so that there is room for some time."""
    tops, rules = city.tops, city.rules
    count = tops.count[p]
    city.posts.changed[p] = 1
    tops.slot[p, count] = s
    tops.count[p] = count + 1
    if count == rules[KEPT_TOPS]:
        _pool_top(city, p)
        fill(tops, p, city.work.held, city.seekers.at, city.seekers.key, rules[FILL_TOPS], rules[KEPT_TOPS])
        show_top_edge(city, p)


@compiled
def _put_best(city: City, s: Int, p: Int) -> None:
    bests, rules = city.bests, city.rules
    count = bests.count[s]
    bests.slot[s, count] = p
    bests.count[s] = count + 1
    if count == rules[KEPT_BESTS]:
        _pool_best(city, s)
        fill(bests, s, city.work.held, city.posts.at, city.posts.key, rules[FILL_BESTS], rules[KEPT_BESTS])
        show_best_edge(city, s)


@compiled
def _lose_top(city: City, p: Int, place: Int) -> None:
    """Take an entry out of a post's list; note a list that may have become too short."""
    work = city.work
    remove(city.tops, p, place)
    city.posts.changed[p] = 1
    if city.tops.count[p] < city.rules[SHOWN_TOPS] and city.tops.edge[p] != NO_EDGE and not work.is_short[p]:
        work.is_short[p] = 1
        work.short_posts[work.counts[SHORT_POSTS]] = p
        work.counts[SHORT_POSTS] += 1


@compiled
def _lose_best(city: City, s: Int, place: Int) -> None:
    work = city.work
    mark = s + city.posts.shape[0]
    remove(city.bests, s, place)
    if city.bests.count[s] < city.rules[SHOWN_BESTS] and city.bests.edge[s] != NO_EDGE and not work.is_short[mark]:
        work.is_short[mark] = 1
        work.short_seekers[work.counts[SHORT_SEEKERS]] = s
        work.counts[SHORT_SEEKERS] += 1


@compiled
def move_in_top(city: City, p: Int, s: Int, was_high: Float, was_low: Float, now_high: Float, now_low: Float) -> None:
    """Bring a seeker's place in a post's list up to date, whose scores are bounded; exactly where bounds leave a doubt.

    Args:
        was_high, was_low: bounds of her score when the list was last right, below every edge if she did not match.
        now_high, now_low: of her score now.
    """
    tops = city.tops
    edge = tops.edge[p]
    place = place_in_top(tops, p, s) if was_high >= edge else -1
    stays = now_low > edge
    if not stays and now_high >= edge:
        score = total_of(city, s, p)
        stays = score >= 0 and stands(tops, p, s, score, city.seekers.at, city.seekers.key)
    if place >= 0 and stays:
        city.posts.changed[p] = 1
    elif place >= 0:
        _lose_top(city, p, place)
    elif stays:
        _put_top(city, p, s)


@compiled
def move_in_best(city: City, s: Int, p: Int, was_high: Float, was_low: Float, now_high: Float, now_low: Float) -> None:
    """Bring a post's place in a seeker's list up to date; see `move_in_top`."""
    bests = city.bests
    edge = bests.edge[s]
    place = place_in_best(bests, s, p) if was_high >= edge else -1
    stays = now_low > edge
    if not stays and now_high >= edge:
        score = base_of(city, s, p)
        stays = score >= 0 and stands(bests, s, p, score, city.posts.at, city.posts.key)
    if place >= 0 and not stays:
        _lose_best(city, s, place)
    elif place < 0 and stays:
        _put_best(city, s, p)
