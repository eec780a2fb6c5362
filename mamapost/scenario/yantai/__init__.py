"""The programme of Yantai (烟台), as FACTS.md tells it: canvass, posts, placements, a month of shifts, rebates.

Pure and deterministic: the same seed, scale and month give the same bytes on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import ROWS_MAX, Command, Scenario, Stage
from mamapost.scenario.yantai import changes, gifts, money, refusals, training, work
from mamapost.scenario.yantai.cast import Placing
from mamapost.scenario.yantai.facts import CITY
from mamapost.scenario.yantai.places import communities, employers
from mamapost.scenario.yantai.placing import end_some, placings
from mamapost.scenario.yantai.posts import posts
from mamapost.scenario.yantai.women import women
from mamapost.scenario.yantai.work import Correction, Shift

NAME = "yantai"

SCALE_MIN, SCALE_MAX = 0.01, 5.0
"""Below it hardly anybody finds a post; above it an upload of one employer would not fit the time of a demo."""

CERTIFIED_FIRST = 60
"""Exam passed, straight to a post (培训即就业): so many certified women come to the window first, at scale 1."""


def generate(seed: int, scale: float, month: date) -> Scenario:
    """The scenario of a month.

    Args:
        seed: any integer.
        scale: 1 is the programme as reported: 5,000 women, 126 employers, 3,200 posts, 1,000 placements.
        month: any day of the month of the shifts. To be played in the month after it (`Scenario.usable_until`).

    Raises:
        ValueError: the scale is outside 0.01..5.
    """
    if not SCALE_MIN <= scale <= SCALE_MAX:
        raise ValueError(f"scale: expected {SCALE_MIN} to {SCALE_MAX}")
    return _Yantai(seed, scale, month.replace(day=1)).scenario()


class _Yantai:
    """One generation: the cast is set up first, in the order of the programme; then it is told as stages."""

    def __init__(self, seed: int, scale: float, month: date) -> None:
        def dice(part: str) -> Dice:
            return Dice(seed, part)

        empty = Scenario(NAME, seed, scale, month, ())
        until = empty.usable_until
        self.seed, self.scale, self.month = seed, scale, month
        self.communities, self.stations = communities(dice("places"))
        self.employers = employers(dice("employers"), scale, self.stations)
        self.women = women(dice("women"), scale, month, until)
        self.posts = posts(dice("posts"), scale, self.employers, until)
        self.courses = training.courses(dice("courses"), scale, month, until, self.stations)
        self.enrolments = training.enrolments(dice("enrolments"), scale, month, self.courses, self.women)
        self.placings = self._place(dice("placements"))
        self.ended = end_some(dice("ends"), month, self.placings)
        self.shifts = work.shifts(dice("shifts"), month, self.placings)
        self.corrected, self.corrected_again = work.corrections(dice("corrections"), self.shifts)
        self._after_the_month(dice("changes"), until)
        self._settle_up(dice)
        self.bad = refusals.Refusals()

    def _settle_up(self, dice: Callable[[str], Dice]) -> None:
        self.agreements = money.agreements(dice("agreements"), self.month, self.posts, work.pairs(self.shifts))
        self.rebates = money.Rebates(self.agreements)
        first = work.latest(self.shifts, self.corrected, self.corrected_again)
        self.pairs = list(self.rebates.by_pair(first))
        self.reversed = money.reversed_pairs(dice("reversals"), self.pairs)
        corrected = {one.shift.ref for one in self.corrected}
        untouched = [shift for shift in self.shifts if shift.ref not in corrected]
        self.corrected_late = work.late_corrections(
            dice("late-corrections"), untouched, self.reversed, money.LATE_CORRECTIONS
        )
        self.sums = self.rebates.by_pair(work.latest(first, self.corrected_late))
        self.gifts = gifts.sources(dice("gifts"), self.month, self.pairs)
        self.funds = money.funds(self.sums)
        for community, amount in gifts.granted(self.gifts).items():
            self.funds[community] += amount
        self.spendings = money.spendings(dice("spendings"), self.funds)
        self.declined = money.declined(
            dice("declined"), [f"spending:{number}" for number in range(1, len(self.spendings) + 1)]
        )

    def _place(self, dice: Dice) -> list[Placing]:
        certified = {enrolment.woman.ref for enrolment in self.enrolments if enrolment.certificate}
        queue = dice.shuffled(self.women)
        front = [woman for woman in queue if woman.ref in certified][: round(CERTIFIED_FIRST * self.scale)]
        ahead = {woman.ref for woman in front}
        queue = front + [woman for woman in queue if woman.ref not in ahead]
        return placings(dice, self.scale, self.month, queue, self.posts)

    def _after_the_month(self, dice: Dice, until: date) -> None:
        self.withdrawals = changes.withdrawals(dice, self.scale, self.women, self.placings)
        self.withdrawn = {_entity(command) for command in self.withdrawals}
        remaining = [woman for woman in self.women if woman.ref not in self.withdrawn]
        self.seeker_changes = changes.seeker_changes(dice, self.scale, remaining)
        self.suspended, self.suspensions = changes.suspended(dice, self.employers, self.placings)
        open_ = [post for post in self.posts if post.employer is not self.suspended]
        self.post_changes = changes.post_changes(dice, open_, self.scale, until)
        changed = {_entity(command) for command in self.post_changes}
        self.closings = changes.closings(dice, self.scale, [post for post in open_ if post.ref not in changed])
        self.closed = {_entity(command) for command in self.closings}

    def scenario(self) -> Scenario:
        stages = [*self._set_up(), *self._hire(), *self._work(), *self._change(), *self._settle()]
        return Scenario(NAME, self.seed, self.scale, self.month, tuple(stages))

    def _set_up(self) -> Iterator[Stage]:
        yield _stage("communities", [Command(one.ref, "/communities", one.body) for one in self.communities])
        yield _stage("stations", [Command(one.ref, "/stations", one.body) for one in self.stations])
        yield _stage("employers", [Command(one.ref, "/employers", one.body) for one in self.employers])
        bad_json, bad_csv = refusals.seeker_rows(self.bad, self.women[0].body, self.month)
        rows = [Command(woman.ref, "/seekers/bulk", woman.body) for woman in self.women]
        yield _stage("seekers", _uploads("seekers", _mixed(rows, bad_json) + bad_csv, last_form="csv"))
        not_accepted = next(station for station in self.stations if not station.accepted)
        rows = [Command(post.ref, "/posts/bulk", post.body) for post in self.posts]
        bad = refusals.post_rows(self.bad, self.posts, not_accepted, self.month)
        yield _stage("posts", _uploads("posts", _mixed(rows, bad), last_form="ndjson"))

    def _hire(self) -> Iterator[Stage]:
        yield Stage("agreements", "revenue", self._signed(late=False))
        yield Stage("courses", "training", tuple(Command(one.ref, "/courses", one.body) for one in self.courses))
        taken = self.enrolments
        yield Stage(
            "enrolments",
            "training",
            tuple(
                Command(one.ref, f"/courses/@{one.course.ref}/enrolments", {"seeker_id": f"@{one.woman.ref}"})
                for one in taken
            ),
        )
        yield Stage(
            "assessments",
            "training",
            tuple(
                Command(f"{one.ref}/assess", f"/enrolments/@{one.ref}/assess", {"result": one.result})
                for one in taken
                if one.result is not None
            ),
        )
        yield Stage("certificates", "training", tuple(_certificates(taken)))
        yield Stage("bad-training", "training", tuple(refusals.training_singles(self.bad, self.courses, taken)))
        yield _stage("placements", [Command(one.ref, "/placements", one.body) for one in self.placings])

    def _signed(self, *, late: bool) -> tuple[Command, ...]:
        return tuple(Command(one.ref, "/agreements", one.body) for one in self.agreements if one.late is late)

    def _work(self) -> Iterator[Stage]:
        yield _stage("shifts", self._shift_uploads())
        yield _stage("corrections", [self._correction(one) for one in self.corrected])
        yield _stage("corrections-again", [self._correction(one) for one in self.corrected_again])
        yield _stage(
            "ended-placements",
            [
                Command(
                    f"{one.ref}/end",
                    f"/placements/@{one.ref}/end",
                    {"reason": "own-wish" if index % 3 else "employer", "ends_on": str(one.ends_on)},
                )
                for index, one in enumerate(self.ended)
            ],
        )

    def _shift_uploads(self) -> list[Command]:
        """Each employer hands in the list of its month."""
        rows: defaultdict[str, list[Command]] = defaultdict(list)
        for shift in self.shifts:
            body = {"placement_id": f"@{shift.placing.ref}", **shift.body()}
            accrues, suspended = self._awaited(shift)
            command = Command(shift.ref, "/shifts/bulk", body, accrues=accrues, suspended=suspended)
            rows[shift.placing.post.employer.ref].append(command)
        for shift, command in refusals.shift_rows(self.bad, self.shifts):
            rows[shift.placing.post.employer.ref].append(command)
        return [
            command
            for employer in self.employers
            for command in _uploads(f"shifts-{employer.ref.replace(':', '-')}", rows[employer.ref])
        ]

    def _awaited(self, shift: Shift) -> tuple[bool, bool]:
        """Whether a shift accrues, and whether it waits in suspense for that."""
        agreement = self.rebates.agreement_of(shift)
        return self.rebates.base_fen(shift) > 0, agreement is not None and agreement.late

    def _correction(self, correction: Correction, *, after_signing: bool = False) -> Command:
        shift: Shift = correction.shift
        accrues, suspended = self._awaited(shift)
        return Command(
            f"{shift.ref}/correct-{correction.revision}",
            f"/shifts/@{shift.ref}/correct",
            {"revision": correction.revision, **shift.body()},
            accrues=accrues,
            suspended=suspended and not after_signing,
        )

    def _change(self) -> Iterator[Stage]:
        yield _stage("changed-seekers", self.seeker_changes)
        yield _stage("changed-posts", self.post_changes)
        yield _stage("withdrawals", self.withdrawals)
        yield _stage("closed-posts", self.closings)
        accepted_late = self.stations[-1]
        accept = Command(
            f"{accepted_late.ref}/accept", f"/stations/@{accepted_late.ref}/accept", {"production_accepted": True}
        )
        yield _stage("accepted-stations", [accept])
        yield _stage("suspensions", self.suspensions)
        revoked = [one.certificate for one in self.enrolments[1:] if one.certificate][: training.REVOKED]
        yield Stage(
            "revocations",
            "training",
            tuple(
                Command(f"{ref}/revoke", f"/certificates/@{ref}/revoke", {"reason": "issued-in-error"})
                for ref in revoked
            ),
        )
        after = refusals.After(
            month=self.month,
            women=self.women,
            posts=self.posts,
            made=self.placings,
            recorded=self.shifts,
            corrected=self.corrected,
            withdrawn=self.withdrawn,
            closed=self.closed,
            enlarged={change.ref.partition("/")[0] for change in self.post_changes if "seats" in change.body},
            suspended=self.suspended,
        )
        yield _stage("bad-registry", refusals.registry_singles(self.bad, after))

    def _settle(self) -> Iterator[Stage]:
        yield Stage("late-agreements", "revenue", self._signed(late=True), awaits="suspense")
        yield Stage("bad-agreements", "revenue", tuple(refusals.agreement_singles(self.bad, self.agreements)))
        first = {pair: f"settlement:{number}" for number, pair in enumerate(self.pairs, 1)}
        yield Stage("settlements", "revenue", self._settlements(first), awaits="rebates")
        reason = {"reason": "the list of shifts was wrong"}
        undone = [
            Command(f"{first[pair]}/reverse", f"/settlements/@{first[pair]}/reverse", reason) for pair in self.reversed
        ]
        yield Stage("reversed-settlements", "revenue", tuple(undone), awaits="settlements")
        yield _stage("late-corrections", [self._correction(one, after_signing=True) for one in self.corrected_late])
        again = {pair: f"settlement:{len(first) + number}" for number, pair in enumerate(self.reversed, 1)}
        yield Stage("settlements-again", "revenue", self._settlements(again), awaits="rebates")
        yield from self._give()
        yield from self._spend()
        batch = [Command("batch:1", "/payout-batches", {"city": CITY})] if self.pairs else []
        yield Stage("payout-batches", "revenue", tuple(batch))
        outsider = next((one for one in self.communities if not one.pilot), None)
        bad = [
            *refusals.settlement_singles(self.bad, self.pairs, outsider, self.funds, self.month),
            *refusals.undone_singles(self.bad, [first[pair] for pair in self.reversed], sorted(self.declined)),
            *refusals.gift_singles(self.bad, self.gifts),
            *refusals.payout_singles(self.bad, batch),
        ]
        yield Stage("bad-settlements", "revenue", tuple(bad))

    def _settlements(self, refs: Mapping[work.Pair, str]) -> tuple[Command, ...]:
        return tuple(Command(ref, "/settlements", money.settlement(pair, self.month)) for pair, ref in refs.items())

    def _give(self) -> Iterator[Stage]:
        """Money beside the rebates."""
        opened = [Command(one.ref, "/funding-sources", one.body) for one in self.gifts]
        yield Stage("funding-sources", "revenue", tuple(opened))
        given = [
            Command(gift.ref, f"/funding-sources/@{one.ref}/grants", gift.body)
            for one in self.gifts
            for gift in one.gifts
        ]
        yield Stage("grants", "revenue", tuple(given))

    def _spend(self) -> Iterator[Stage]:
        asked = [
            Command(f"spending:{number}", f"/communities/@{community}/spending-requests", body)
            for number, (community, body) in enumerate(self.spendings, 1)
        ]
        yield Stage("spending-requests", "revenue", tuple(asked), awaits="settlements")
        approved = [
            Command(f"{ref}/approve", f"/spending-requests/@{ref}/approve", {})
            for ref in (command.ref for command in asked)
            if ref not in self.declined
        ]
        yield Stage("spendings", "revenue", tuple(approved), holder="approver")
        refused = [
            Command(f"{ref}/decline", f"/spending-requests/@{ref}/decline", {"reason": "another fund pays for it"})
            for ref in sorted(self.declined)
        ]
        yield Stage("declined-spendings", "revenue", tuple(refused), holder="approver")


def _certificates(taken: Sequence[training.Enrolment]) -> Iterator[Command]:
    for enrolment in taken:
        if enrolment.certificate is not None:
            body = {"enrolment_id": f"@{enrolment.ref}"}
            if enrolment.valid_until is not None:
                body["valid_until"] = enrolment.valid_until.isoformat()
            yield Command(enrolment.certificate, "/certificates", body)


def _entity(command: Command) -> str:
    """Ref of the entity that a command changes."""
    return command.ref.partition("/")[0]


def _stage(name: str, commands: Sequence[Command]) -> Stage:
    return Stage(name, "registry", tuple(commands))


def _mixed(good: Sequence[Command], bad: Sequence[Command]) -> list[Command]:
    """Bad rows spread evenly among the first half of the good ones, which no CSV holds."""
    step = len(good) // 2 // (len(bad) + 1)
    rows = list(good)
    for index in range(len(bad) - 1, -1, -1):
        rows.insert((index + 1) * step, bad[index])
    return rows


def _uploads(name: str, rows: Sequence[Command], last_form: str | None = None) -> list[Command]:
    """Rows in as few uploads as can be, of about the same size.

    Args:
        last_form: at least two uploads, the last one in this form.
    """
    if not rows:
        return []
    number = max(-(-len(rows) // ROWS_MAX), 2 if last_form else 1)
    size = -(-len(rows) // number)
    return [
        replace(
            row,
            upload=f"{name}-{index // size + 1}.{last_form if last_form and index // size + 1 == number else 'ndjson'}",
        )
        for index, row in enumerate(rows)
    ]
