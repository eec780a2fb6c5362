"""Settings of training: the shared ones are all it needs."""

from __future__ import annotations

from shared.runtime.settings import Settings


class TrainingSettings(Settings):
    """No setting of its own."""
