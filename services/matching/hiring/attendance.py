"""Whether a woman who was hired instantly comes to her first shift; if not, her seat is given back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from services.matching.ports import Offers, ShiftSeen
from shared.contracts.fields import Event
from shared.contracts.registry import ShiftCompleted
from shared.kernel.clock import civil_day


class Attendance:
    """Picks the shifts that matter to instant hiring out of the stream, and notes them before they count as read.

    Of a million shifts some hundred matter: those of a post and a seeker between whom an offer is open, or was accepted
    and no shift was worked yet. These pairs are held in memory; everything else costs one look into a set.
    """

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._awaited: set[tuple[str, str]] = set()
        self._is_loaded = False

    def forget(self) -> None:
        """Cities may have come over from another instance: read anew which pairs matter, before the next shift."""
        self._is_loaded = False

    def expect(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Posts and seekers between whom offers were made."""
        self._awaited.update(pairs)

    async def notice(self, events: Iterable[Event]) -> int:
        """Note the first shifts among these events. Returns for how many offers; a repetition changes nothing.

        Raises:
            StoreUnavailable: nothing was noted; the events must come again.
        """
        # By topic: events decoded fast are of another class than the model, with the same fields.
        shifts = [cast(ShiftCompleted, event) for event in events if event.topic == ShiftCompleted.topic]
        if not shifts:
            return 0
        if not self._is_loaded:
            self._awaited |= set(await self._offers.awaited())
            self._is_loaded = True
        seen = [
            ShiftSeen(
                post_id=event.post_id,
                seeker_id=event.seeker_id,
                placement_id=event.placement_id,
                came=event.verdict != "no-show",
                day=civil_day(event.started_at),
            )
            for event in shifts
            if (event.post_id, event.seeker_id) in self._awaited
        ]
        return await self._offers.note_shifts(seen) if seen else 0
