"""One month of shifts, and the corrections that follow when the lists are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import Placing, civil
from shared.kernel.clock import end_of_month
from shared.kernel.money import hourly_wage_fen

Pair = tuple[str, str]
"""Refs of employer and community."""

Verdict = Literal["attended", "left-early", "no-show"]

LEAVE_PERCENT = 5
"""Days off on request: no shift is recorded at all."""

NO_SHOW_PERCENT = 2
LEFT_EARLY_PERCENT = 6

CORRECTED_PER_THOUSAND = 15
CORRECTED_TWICE_PERCENT = 20


@dataclass(frozen=True, slots=True)
class Shift:
    """What is reported of a shift.

    Attributes:
        first, last: minutes since midnight of the day; `last` is when it was to end for a no-show.
        pieces: accepted and rejected, for piece pay, unless she did not come.
        output_fen: worth to the employer, where it reports that.
    """

    ref: str
    placing: Placing
    day: date
    first: int
    last: int
    verdict: Verdict
    pieces: tuple[int, int] | None
    output_fen: int | None

    @property
    def pair(self) -> Pair | None:
        """Refs of the employer and of the community that lends the room, if one does."""
        post = self.placing.post
        return None if post.community is None else (post.employer.ref, post.community.ref)

    @property
    def wage_fen(self) -> int:
        """Her pay, by the terms of the post (the rule of the registry)."""
        if self.verdict == "no-show":
            return 0
        post = self.placing.post
        if self.pieces is not None:
            return self.pieces[0] * post.fen
        return hourly_wage_fen(self.last - self.first, post.fen)

    def body(self) -> Body:
        body: Body = {
            "started_at": civil(self.day, self.first),
            "ended_at": civil(self.day, self.last),
            "verdict": self.verdict,
        }
        if self.pieces is not None:
            body["pieces"] = {"accepted": self.pieces[0], "rejected": self.pieces[1]}
        if self.output_fen is not None:
            body["output_fen"] = self.output_fen
        return body


def shifts(dice: Dice, month: date, made: Sequence[Placing]) -> list[Shift]:
    """About twenty a placement: her slots of each week, in China's civil time."""
    found: list[Shift] = []
    days = [month + timedelta(days=n) for n in range((end_of_month(month) - month).days + 1)]
    for placing in made:
        for day in days:
            slot = placing.slots.get(day.isoweekday())
            if slot is None or (placing.ends_on is not None and day > placing.ends_on) or dice.chance(LEAVE_PERCENT):
                continue
            found.append(_worked(dice, f"shift:{len(found) + 1}", placing, day, slot))
    return found


def _worked(dice: Dice, ref: str, placing: Placing, day: date, slot: tuple[int, int]) -> Shift:
    verdict: Verdict = dice.weighted(
        (
            ("no-show", NO_SHOW_PERCENT),
            ("left-early", LEFT_EARLY_PERCENT),
            ("attended", 100 - NO_SHOW_PERCENT - LEFT_EARLY_PERCENT),
        )
    )
    first, last = slot
    return _reported(dice, Shift(ref, placing, day, first, last, verdict, None, None), slot)


def _reported(dice: Dice, shift: Shift, slot: tuple[int, int]) -> Shift:
    """The shift with times, pieces and output as its verdict has them."""
    first, last = slot
    if shift.verdict == "no-show":
        return replace(shift, first=first, last=last, pieces=None, output_fen=None)
    if shift.verdict == "left-early":
        last = first + (last - first) * dice.between(40, 85) // 100
    else:
        last += dice.below(8)  # the last piece is finished first
    shift = replace(shift, first=first, last=last)
    post = shift.placing.post
    if post.per == "piece":
        accepted = (last - first) * post.pieces_an_hour * dice.between(88, 114) // 6_000
        rejected = dice.between(1, 4) if dice.chance(15) else 0
        shift = replace(shift, pieces=(max(accepted, 1), rejected))
    if post.employer.reports_output:
        shift = replace(shift, output_fen=shift.wage_fen * dice.between(140, 220) // 100)
    return shift


@dataclass(frozen=True, slots=True)
class Correction:
    """The next revision of a shift; `revision` is the one that it corrects."""

    revision: int
    shift: Shift


def pairs(recorded: Sequence[Shift]) -> list[Pair]:
    """Employers and communities with shifts that were worked."""
    worked = dict.fromkeys(shift.pair for shift in recorded if shift.verdict != "no-show")
    return [pair for pair in worked if pair is not None]


def corrections(dice: Dice, recorded: Sequence[Shift]) -> tuple[list[Correction], list[Correction]]:
    """First and second corrections; the second are of shifts among the first."""
    chosen = [shift for shift in recorded if dice.below(1_000) < CORRECTED_PER_THOUSAND] or list(recorded[:2])
    first = [Correction(1, _corrected(dice, shift)) for shift in chosen]
    again = [one for one in first if dice.chance(CORRECTED_TWICE_PERCENT)] or first[:1]
    return first, [Correction(2, _corrected(dice, one.shift)) for one in again]


def late_corrections(dice: Dice, recorded: Sequence[Shift], pairs: Sequence[Pair], each: int) -> list[Correction]:
    """First corrections of some shifts of each pair, told after its month was settled."""
    worked = [shift for shift in recorded if shift.verdict != "no-show"]
    found: list[Correction] = []
    for pair in pairs:
        of_pair = [shift for shift in worked if shift.pair == pair]
        found += [Correction(1, _corrected(dice, shift)) for shift in dice.sample(of_pair, each)]
    return found


def _corrected(dice: Dice, shift: Shift) -> Shift:
    slot = shift.placing.slots[shift.day.isoweekday()]
    if shift.verdict == "no-show" or dice.chance(60):
        # She was there after all, or the pieces and minutes were counted again.
        return _reported(dice, replace(shift, verdict="attended"), slot)
    verdict: Verdict = "no-show" if dice.chance(15) else "left-early"
    return _reported(dice, replace(shift, verdict=verdict), slot)


def latest(recorded: Sequence[Shift], *rounds: Sequence[Correction]) -> list[Shift]:
    """Each shift as it stands after the corrections."""
    stands = {shift.ref: shift for shift in recorded}
    for corrected in rounds:
        for correction in corrected:
            stands[correction.shift.ref] = correction.shift
    return list(stands.values())
