"""Settings of revenue."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Settings


class RevenueSettings(Settings):
    """What only revenue needs, beside what all services share."""

    batch_max_records: Annotated[
        int,
        Field(ge=1, le=5000, description="Messages of one batch; one MongoDB transaction holds them all."),
    ] = 2_000
    """More than other services take: a line is small, and a transaction of the ledger costs the same for many."""

    revenue_verify_interval_s: Annotated[
        float,
        Field(ge=1, le=604_800, description="Pause between verifications of a city, by one instance; each reads all."),
    ] = 86_400
    revenue_reconcile_interval_s: Annotated[
        float,
        Field(
            ge=1, le=604_800, description="Pause between reconciliations of a city, by one instance; each reads all."
        ),
    ] = 86_400
