"""Settings of revenue."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Settings


class RevenueSettings(Settings):
    """What only revenue needs, beside what all services share."""

    revenue_verify_interval_s: Annotated[
        float,
        Field(ge=1, le=604_800, description="Pause between verifications of the whole ledger; each reads all of it."),
    ] = 86_400
    revenue_reconcile_interval_s: Annotated[
        float,
        Field(ge=1, le=604_800, description="Pause between reconciliations of all shifts; each reads all of them."),
    ] = 86_400
