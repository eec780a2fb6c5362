"""Figures for dashboards: small counts are hidden where they are shown, and nothing old stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure

from shared.runtime import metrics
from shared.runtime.figures import SMALL_COUNT, Figure, Figures

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)


class Board:
    """Gauges of a registry of their own, and the figures that fill them."""

    def __init__(self, *reads: Sequence[Figure] | Exception) -> None:
        self.registry = CollectorRegistry()
        gauges = {"women": Gauge("women", "Women.", ["city"], registry=self.registry)}
        self._reads = list(reads)
        self.done = asyncio.Event()
        self.figures = Figures(self._read, gauges, lambda: NOW, interval_s=0.001)

    async def _read(self) -> Sequence[Figure]:
        if not self._reads:
            self.done.set()
            await asyncio.Event().wait()
        match self._reads.pop(0):
            case Exception() as error:
                raise error
            case figures:
                return figures

    async def play(self) -> None:
        """All reads, one after the other."""
        task = asyncio.create_task(self.figures.run())
        done = asyncio.create_task(self.done.wait())
        await asyncio.wait((task, done), return_when=asyncio.FIRST_COMPLETED)
        for left in (task, done):
            left.cancel()
        (outcome, _) = await asyncio.gather(task, done, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    def shown(self) -> dict[str, float]:
        return {sample.labels["city"]: sample.value for family in self.registry.collect() for sample in family.samples}


@given(
    st.dictionaries(st.sampled_from(["370600", "370700", "370800"]), st.integers(0, 40), min_size=1),
)
def test_counts_below_the_threshold_are_not_shown(counts: dict[str, int]) -> None:
    board = Board()
    board.figures.show([Figure("women", (city,), count, behind=count) for city, count in counts.items()])
    assert board.shown() == {city: count for city, count in counts.items() if count >= SMALL_COUNT}


def test_a_sum_over_few_persons_is_hidden_however_large_it_is() -> None:
    board = Board()
    board.figures.show([Figure("women", ("370600",), 90_000, behind=3), Figure("women", ("370700",), 3)])
    assert board.shown() == {"370700": 3}


async def test_what_is_not_counted_any_more_goes() -> None:
    board = Board([Figure("women", ("370600",), 12)], [Figure("women", ("370700",), 13)])
    await board.play()
    assert board.shown() == {"370700": 13}
    assert metrics.FIGURES_READ._value.get() == NOW.timestamp()


@pytest.mark.parametrize("error", [AutoReconnect("gone"), ExecutionTimeout("too slow")])
async def test_a_store_that_is_away_or_slow_leaves_the_figures_as_they_are(error: Exception) -> None:
    board = Board([Figure("women", ("370600",), 12)], error)
    await board.play()
    assert board.shown() == {"370600": 12}


async def test_a_wrong_query_is_a_defect_and_not_waited_out() -> None:
    with pytest.raises(OperationFailure):
        await Board(OperationFailure("no such stage", 40324)).play()
