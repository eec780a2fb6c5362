"""Those who watch one post's ranking: each is told of what was published since she was told last.

Nothing is queued. Whoever is slow is told of several changes as one, and who takes nothing for too long is let go, so
that memory does not grow with a reader's slowness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from typing import Literal

from services.matching import metrics
from services.matching.errors import StreamsFull
from services.matching.ports import Published

WATCHERS_MAX = 1_000
"""Open streams of one instance: each holds a connection, three tasks and two tops, about 50 kB."""

SLOW_S = 20.0
"""A watcher that leaves a change untaken for so long is let go: it has missed dozens of looks, and can resume."""

End = Literal["closed", "moved", "slow", "stopping"]
"""Why a stream ends: the post is over; another instance answers for it; nobody reads it; this instance stops."""


class Watcher:
    """One reader of one post's ranking."""

    def __init__(self, post_id: str) -> None:
        self.post_id = post_id
        self._news: Published | None = None
        self._since_s = 0.0
        self._end: End | None = None
        self._ready = asyncio.Event()

    async def next(self) -> Published | End:
        """The ranking that was published last, once that is another than before; or why there will be no more."""
        await self._ready.wait()
        news = self._news
        if news is not None and self._end != "slow":
            self._news = None
            if self._end is None:
                self._ready.clear()
            return news
        if self._end is None:
            raise RuntimeError("woken for nothing")
        return self._end

    def put(self, news: Published, now_s: float) -> None:
        """A ranking was published."""
        if self._end is None:
            if self._news is None:
                self._since_s = now_s
            self._news = news
            self._ready.set()

    def end(self, why: End) -> None:
        """There will be no more; what was published last is still given, unless it was the reader who did not come."""
        if self._end is None:
            self._end = why
            self._ready.set()

    def is_slow(self, now_s: float) -> bool:
        """Whether a change has been waiting for her for too long."""
        return self._end is None and self._news is not None and now_s - self._since_s > SLOW_S


class Watchers:
    """All who watch rankings at this instance.

    Args:
        clock_s: seconds on a clock that never goes back.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._of: dict[str, set[Watcher]] = {}
        self._is_stopping = False

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    @property
    def posts(self) -> Set[str]:
        """Posts that somebody watches."""
        return self._of.keys()

    def begin(self, post_id: str) -> Watcher:
        """A new watcher; to be given to `leave` in the end.

        Raises:
            StreamsFull: there are too many.
        """
        if len(self) >= WATCHERS_MAX:
            raise StreamsFull(WATCHERS_MAX)
        watcher = Watcher(post_id)
        self._of.setdefault(post_id, set()).add(watcher)
        if self._is_stopping:
            watcher.end("stopping")
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """A watcher's reader is gone."""
        others = self._of.get(watcher.post_id, set())
        others.discard(watcher)
        if not others:
            self._of.pop(watcher.post_id, None)

    def tell(self, changes: Iterable[Published]) -> None:
        """Rankings were published."""
        now_s = self._clock_s()
        for change in changes:
            for watcher in self._of.get(change.post_id, ()):
                watcher.put(change, now_s)

    def end(self, post_id: str, why: End) -> None:
        """Nobody is told of a post any more."""
        for watcher in self._of.get(post_id, ()):
            watcher.end(why)

    def let_slow_go(self) -> None:
        """End the streams that nobody reads."""
        now_s = self._clock_s()
        for watchers in self._of.values():
            for watcher in watchers:
                if watcher.is_slow(now_s):
                    watcher.end("slow")

    async def stop_with(self, stopping: asyncio.Event) -> None:
        """`stop` once the process is asked to."""
        await stopping.wait()
        self.stop()

    def stop(self) -> None:
        """End all streams, and those that begin from now on: a server waits for its connections before it stops."""
        self._is_stopping = True
        for post_id in self._of:
            self.end(post_id, "stopping")


def count_end(why: End | Literal["gone"]) -> None:
    """Note why a stream ended; `gone`: its reader went away."""
    metrics.STREAMS_ENDED.labels(why).inc()
