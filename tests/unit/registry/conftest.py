from __future__ import annotations

import pytest

from tests.unit.registry.city import City


@pytest.fixture
async def city() -> City:
    return await City.founded()
