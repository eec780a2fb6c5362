"""The scenario in the sizes that the tests look at; made once, as it is never changed."""

from __future__ import annotations

from datetime import date

import pytest

from mamapost.scenario.model import Scenario
from mamapost.scenario.yantai import generate
from tests.unit.mamapost.plain import Programme

MONTH = date(2026, 10, 1)
SEED = 20251


@pytest.fixture(scope="session")
def full() -> Scenario:
    """Yantai as it was reported."""
    return generate(SEED, 1.0, MONTH)


@pytest.fixture(scope="session")
def programme(full: Scenario) -> Programme:
    return Programme(full)


@pytest.fixture(scope="session")
def tiny() -> Scenario:
    return generate(1, 0.01, MONTH)
