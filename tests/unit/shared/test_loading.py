"""Loading a program."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from shared.runtime.loading import collect_seldom, loading


@pytest.fixture
def frozen() -> Iterator[None]:
    """What a test freezes is looked at again by the tests after it, and as often as before."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("frozen")
def test_nothing_is_collected_while_a_program_is_loaded_and_its_parts_never() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


@pytest.mark.usefixtures("frozen")
def test_a_program_that_fails_to_load_leaves_the_collector_on() -> None:
    with pytest.raises(ValueError, match="no program"), loading():
        raise ValueError("no program")
    assert gc.isenabled()


@pytest.mark.usefixtures("frozen")
def test_what_is_there_is_not_searched_again_and_what_comes_only_when_it_is_much() -> None:
    held = [[number] for number in range(1_000)]
    collect_seldom(5_000)
    searches: list[str] = []
    gc.callbacks.append(lambda phase, _: searches.append(phase))
    try:
        more = [[number] for number in range(4_000)]
        assert not searches
        assert gc.get_freeze_count() > len(held)
        more += [[number] for number in range(2_000)]
        assert searches[0] == "start"
    finally:
        gc.callbacks.pop()
