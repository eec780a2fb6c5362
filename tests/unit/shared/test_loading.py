"""Loading a program."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from shared.runtime.loading import loading


@pytest.fixture
def frozen() -> Iterator[None]:
    """What a test freezes is looked at again by the tests after it."""
    yield
    gc.unfreeze()


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
