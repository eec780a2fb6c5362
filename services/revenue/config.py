"""Settings of revenue: the shared ones are all it needs."""

from __future__ import annotations

from shared.runtime.settings import Settings


class RevenueSettings(Settings):
    """No setting of its own."""
