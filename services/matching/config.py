"""Settings of matching."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Settings


class MatchingSettings(Settings):
    """What only matching needs, beside what all services share."""

    matching_publish_interval_ms: Annotated[
        int,
        Field(ge=10, le=60_000, description="Pause between looks for changed rankings; coalesces what falls in it."),
    ] = 250
