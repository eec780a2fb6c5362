"""Shifts: record (one or many) and correct."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.registry import errors
from services.registry.domain import shifts as rules
from services.registry.domain.placements import Placement
from services.registry.domain.shifts import Pieces, Shift, Timeline, Worked
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import events
from services.registry.use_cases.commands import CorrectShift, RecordShift, WorkedInput
from services.registry.use_cases.rows import Outcome, save_rows
from shared.contracts.envelope import Envelope
from shared.kernel.clock import civil_day, month_of
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


async def record_shifts(
    rows: Sequence[RecordShift], *, store: RegistryStore, now: datetime, new_id: NewId
) -> list[Outcome]:
    """Shifts were worked, cut short or missed; each pays by the terms of its placement.

    Of rows that overlap, the first is taken. The placements are held, so that two uploads at once cannot both be right
    about the same hours.
    """
    placements = await store.hold_placements({row.placement_id for row in rows})
    timelines = await _timelines(rows, placements, store)
    changes = Changes()
    verdicts: list[errors.RegistryError | None] = []
    for row in rows:
        try:
            shift = _recorded(row, placements, timelines, now, new_id)
        except errors.RegistryError as error:
            verdicts.append(error)
            continue
        timelines[row.placement_id].add(row.started_at, row.ended_at)
        changes.added.append(shift)
        changes.events.append(events.shift_completed(shift))
        verdicts.append(None)
    return await save_rows(store, changes, verdicts, now)


async def _timelines(
    rows: Sequence[RecordShift], placements: Mapping[str, Placement], store: RegistryStore
) -> Mapping[str, Timeline]:
    stretches = defaultdict(list)
    if placements:
        first, last = min(row.started_at for row in rows), max(row.ended_at for row in rows)
        for stretch in await store.stretches(placements.keys(), first, last):
            stretches[stretch.placement_id].append(stretch)
    return {placement_id: Timeline(stretches[placement_id]) for placement_id in placements}


def _recorded(
    command: RecordShift,
    placements: Mapping[str, Placement],
    timelines: Mapping[str, Timeline],
    now: datetime,
    new_id: NewId,
) -> Shift:
    placement = placements.get(command.placement_id)
    if placement is None:
        raise errors.PlacementUnknown(Fault("placement_id", "the id of a placement"))
    return _judged(new_id("shift"), 1, placement, timelines[placement.id], command, now)


def _judged(
    shift_id: str, revision: int, placement: Placement, timeline: Timeline, command: WorkedInput, now: datetime
) -> Shift:
    """The shift, if no rule is against it."""
    worked = _worked(command)
    pieces_faults = rules.pieces_faults(worked, placement.pay)
    time_faults = rules.time_faults(worked, now)
    errors.refuse_if(
        (errors.ShiftTimesInvalid, time_faults),
        (errors.ShiftBeforePlacement, rules.before_faults(worked.started_at, placement.starts_on)),
        (errors.ShiftAfterPlacement, rules.after_faults(worked.started_at, placement.ends_on)),
        (errors.PiecesInvalid, pieces_faults),
        (errors.NoShowWithOutput, rules.output_faults(worked)),
        (errors.AmountTooLarge, [] if pieces_faults or time_faults else rules.wage_faults(worked, placement.pay)),
    )
    if not timeline.is_free(worked.started_at, worked.ended_at):
        raise errors.ShiftOverlap(Fault("started_at", "a time in which the placement has no other shift"))
    return rules.revise(shift_id, revision, placement, worked, month_of(civil_day(worked.started_at)))


def _worked(command: WorkedInput) -> Worked:
    pieces = command.pieces
    return Worked(
        started_at=command.started_at,
        ended_at=command.ended_at,
        verdict=command.verdict,
        pieces=None if pieces is None else Pieces(pieces.accepted, pieces.rejected),
        output_fen=command.output_fen,
    )


async def correct_shift(shift_id: str, command: CorrectShift, *, store: RegistryStore, now: datetime) -> Envelope:
    """The next revision of a shift replaces all that was reported; the ledger reverses the old and posts the new.

    Raises:
        ShiftUnknown, StaleRevision, and what a record is refused for.
    """
    shift = (await store.shifts([shift_id])).get(shift_id)
    if shift is None:
        raise errors.ShiftUnknown(Fault("shift_id", "the id of a recorded shift"))
    if command.revision != shift.revision:
        raise errors.StaleRevision(Fault("revision", f"{shift.revision}, the latest"))
    placement = (await store.hold_placements([shift.placement_id]))[shift.placement_id]
    others = await store.stretches([placement.id], command.started_at, command.ended_at)
    timeline = Timeline(other for other in others if other.shift_id != shift_id)
    corrected = _judged(shift_id, shift.revision + 1, placement, timeline, command, now)
    changes = Changes(
        replaced=[(shift, corrected)],
        events=[events.shift_completed(corrected)],
    )
    [envelope] = await store.save(changes, now)
    return envelope
