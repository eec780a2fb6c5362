"""The small service, open and guarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.runtime.auth import hash_of
from shared.runtime.settings import Settings
from tests.unit.shared.served import TOKENS, Served, serve


@pytest.fixture
async def open_app() -> AsyncIterator[Served]:
    """On loopback, without tokens."""
    async with serve(Settings()) as served:
        yield served


@pytest.fixture
async def guarded_app(tmp_path: Path) -> AsyncIterator[Served]:
    """With a tokens file."""
    file = tmp_path / "tokens"
    file.write_text("".join(f"{hash_of(token)} holder-{token} {scopes}\n" for token, scopes in TOKENS.items()))
    async with serve(Settings(tokens_file=file)) as served:
        yield served
