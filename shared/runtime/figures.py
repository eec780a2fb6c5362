"""Figures of the programme for its dashboards: counted now and then from the store, small counts hidden.

A figure is read by a query with a time limit, not kept up event by event: it is as old as its interval, and an upload
of a thousand rows costs it nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Gauge

from shared.kernel.clock import Clock
from shared.runtime import metrics
from shared.runtime.logs import logger
from shared.runtime.mongo import is_too_slow, is_unavailable

SMALL_COUNT = 10
"""Fewer persons or participations than this are not told of: the figure is left out, here, before anything leaves the
service. In a small community a count of three, with a sum beside it, points at three women."""

QUERY_MAX_MS = 5_000
"""Longest time that the store may spend on one figure; past it the figures stay as old as they are, and say so."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: which gauge shows it.
        labels: values of the gauge's labels, in their order.
        behind: persons or participations that it is made of; `None` where it tells of nobody.
    """

    name: str
    labels: tuple[str, ...]
    value: int
    behind: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether so few are behind it that it is hidden."""
        return self.behind is not None and self.behind < SMALL_COUNT


class Figures:
    """Reads the figures of one service again and again, and shows them.

    Args:
        read: all figures of now.
        gauges: by the name of a figure; what is not among the figures read is not shown any more.
        interval_s: pause between two reads.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[Figure]]],
        gauges: Mapping[str, Gauge],
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._read = read
        self._gauges = gauges
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Until cancelled. A store that is away or too slow leaves the figures as they are; their age tells of it."""
        while True:
            try:
                self.show(await self._read())
            except Exception as error:
                if not (is_unavailable(error) or is_too_slow(error)):
                    raise
                _log.warning("figures not read; they stay as they are", cause=type(error).__name__)
            await asyncio.sleep(self._interval_s)

    def show(self, figures: Sequence[Figure]) -> None:
        """Replace what the gauges show, small counts left out; in one step of the event loop: no scrape sees half."""
        for gauge in self._gauges.values():
            gauge.clear()
        for figure in figures:
            if not figure.is_small:
                self._gauges[figure.name].labels(*figure.labels).set(figure.value)
        metrics.FIGURES_READ.set(self._clock().timestamp())
