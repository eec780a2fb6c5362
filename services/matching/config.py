"""Settings of matching."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Settings


class MatchingSettings(Settings):
    """What only matching needs, beside what all services share."""

    matching_publish_interval_ms: Annotated[
        int,
        Field(ge=10, le=60_000, description="Pause between looks for changed rankings; coalesces what falls in it."),
    ] = 250
    matching_checkpoint_dir: Annotated[
        Path,
        Field(
            description="Where the state is kept for the next start; instances may share it. A directory a database "
            "prefix is made in it."
        ),
    ] = Path("var/checkpoints")
    matching_checkpoint_interval_s: Annotated[
        float,
        Field(ge=1, le=3600, description="Pause between checkpoints: what a restart has to read again."),
    ] = 30
    matching_advertised_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/\s?#]+$",
            description="Where the other instances reach this one; default http://127.0.0.1:<port>.",
        ),
    ] = None
    matching_lease_s: Annotated[
        float,
        Field(
            ge=3,
            le=300,
            description="How long an instance that falls silent, or is cut off from the database, keeps its cities.",
        ),
    ] = 10

    matching_hiring_interval_ms: Annotated[
        int,
        Field(ge=10, le=60_000, description="Pause between looks at instant hiring: how late an offer passes on."),
    ] = 500
    offers_per_seat: Annotated[
        int, Field(ge=1, le=5, description="Offers of an urgent post at a time for each free seat; one wins it.")
    ] = 1
    offer_expiry_minutes: Annotated[
        int, Field(ge=1, le=1440, description="How long an offer of an urgent post stands.")
    ] = 15
    registry_url: Annotated[
        str,
        Field(pattern=r"^https?://[^/\s?#]+$", description="Where the registry takes commands: it alone gives seats."),
    ] = "http://127.0.0.1:8001"
    registry_token_file: Annotated[
        Path | None, Field(description="Token for the registry, with the scope `write`; none where it trusts loopback.")
    ] = None
    registry_timeout_ms: Annotated[
        int, Field(ge=100, le=10_000, description="Longest wait for the registry; a yes is carried to it later then.")
    ] = 5_000

    @property
    def url(self) -> str:
        """Where the other instances reach this one."""
        return self.matching_advertised_url or f"http://127.0.0.1:{self.port}"
