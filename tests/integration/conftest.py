"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.runtime.settings import Settings
from tests.integration.registry_desk import NOWHERE, Registry, serving


@pytest.fixture
async def registry(settings: Settings) -> AsyncIterator[Registry]:
    async with serving(settings.model_copy(update={"kafka": NOWHERE})) as running:
        yield running
