"""Many commands of one kind in one transaction: each row is judged by itself, the good ones are saved together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.registry.errors import RegistryError
from services.registry.ports import Changes, RegistryStore
from shared.contracts.envelope import Envelope

Outcome = Envelope | RegistryError
"""What became of a row: its event, or why it was refused."""


async def save_rows(
    store: RegistryStore, changes: Changes, verdicts: Sequence[RegistryError | None], now: datetime
) -> list[Outcome]:
    """Save what the good rows changed, one event each, and answer all rows in order."""
    envelopes = iter(await store.save(changes, now))
    return [next(envelopes) if error is None else error for error in verdicts]


def only(outcomes: Sequence[Outcome]) -> Envelope:
    """The outcome of a single command.

    Raises:
        RegistryError: it was refused.
    """
    [outcome] = outcomes
    if isinstance(outcome, RegistryError):
        raise outcome
    return outcome
