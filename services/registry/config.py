"""Settings of the registry: the shared ones, and the master key file is not optional."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Settings


class RegistrySettings(Settings):
    """The registry holds persons, so it does not start without the key that seals them."""

    master_key_file: Annotated[Path, Field(description="64 hexadecimal digits; wraps the keys of persons.")]
    registry_ordinary_hourly_fen: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="What an hour of ordinary work pays in the city, by its own statistics; the pay gap of mama "
            "posts is measured against it, and not shown without it.",
        ),
    ] = None
