"""References that keep no lists: each change is answered by a scan over whole columns, in NumPy."""

from __future__ import annotations

import time

from bench.matching.mix import Change, Stream
from bench.matching.pairs import Columns, top
from bench.matching.play import policy
from bench.matching.tables import City
from services.matching.domain import BEST_POSTS, TOP_SEEKERS


def numpy_scan(before: City, stream: Stream, seconds: float) -> float:
    """Events a second of a scan over NumPy columns.

    A change of a seeker writes her row and finds her best 20 posts anew; a change of a post writes its row and finds
    its best 50 seekers anew. The rankings of the other side are not brought up to date: that would be many scans.
    """
    city = before.copy(*stream.rows(before))
    columns = Columns(city, policy())
    seekers = city.seekers
    started = time.perf_counter()
    events = 0
    for change, row, place in zip(stream.change.tolist(), stream.row.tolist(), stream.place.tolist(), strict=True):
        match change:
            case Change.SHIFT:
                who = int(stream.who[place])
                mine = seekers[who : who + 1]
                mine["attended"], mine["left_early"], mine["shifts"] = stream.counts[place]
                columns.put_steady(slice(who, who + 1), mine)
                top(*columns.posts_for(who), columns.opened, columns.post_key, BEST_POSTS)
            case Change.SEEKER | Change.WITHDRAWN:
                columns.put_seekers(slice(row, row + 1), stream.seekers[place : place + 1])
                top(*columns.posts_for(row), columns.opened, columns.post_key, BEST_POSTS)
            case _:
                columns.put_posts(slice(row, row + 1), stream.posts[place : place + 1], city.stations)
                top(*columns.seekers_for(row), columns.registered, columns.seeker_key, TOP_SEEKERS)
        events += 1
        if time.perf_counter() - started > seconds:
            break
    return events / (time.perf_counter() - started)
