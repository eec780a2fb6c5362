"""Random histories against a small model that knows nothing of entries, chains or months' books.

The model keeps the latest revision of each shift and what it was worth when it came, and rounds with `Fraction`.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Pair, Tier
from services.revenue.domain.ledger import fund as fund_account
from services.revenue.domain.ledger import payable
from services.revenue.errors import (
    AgreementGap,
    AgreementOverlaps,
    AlreadyReversed,
    LaterMonthClosed,
    RevenueError,
)
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth, reverse_settlement
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from services.revenue.use_cases.tell import tell_entries
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import FundSpent, RebateAccrued
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, SIGNATORIES, ids, ledger, settled
from tests.unit.revenue.payment_rules import PAIRS, PaymentRules, done

# Small worlds, so that the parts of a history meet: what is worked is agreed on, and settled more than once.
MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]
DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 31))
STARTS = st.one_of(st.just(date(2026, 1, 1)), DAYS)
# 10 fen at 5 % or 15 % are half a fen: the sums must meet the rule for halves often.
FEN = st.one_of(st.integers(0, 40).map(lambda n: n * 10), st.integers(0, 400))
TIERS = st.lists(st.builds(Tier, st.integers(1, 600), st.integers(500, 1500)), max_size=2).map(
    lambda tiers: tuple(sorted({tier.from_fen: tier for tier in tiers}.values()))
)
RATES = st.one_of(st.sampled_from([500, 1500]), st.integers(500, 1500))
SHIFTS = st.builds(
    Shift,
    shift_id=st.integers(0, 5).map(lambda n: f"sft-{n:032x}"),
    revision=st.integers(1, 4),
    city=st.just(CITY),
    employer_id=st.just(EMPLOYERS[0]),
    community_id=st.sampled_from([*COMMUNITIES, *COMMUNITIES, None]),
    day=DAYS,
    wage_fen=FEN,
    output_fen=FEN,
    event_id=st.just("evt-" + "0" * 32),
)


STORY = [date(2026, 1, 1) + timedelta(days=n) for n in range(150)]
"""Every day that a version may begin or end on, and some after it."""


class Worth(NamedTuple):
    """A shift that owes something: month worked, first day of the version, base."""

    pair: Pair
    month: str
    first: date
    base: int


def rebate_of(terms: SignAgreement, base: int) -> int:
    """Rebate of a whole month's base in fen × 10 000: the first rate of all, and from each tier on what that adds."""
    rates = [terms.rate_bp, *(tier.rate_bp for tier in terms.tiers)]
    steps = [rate - before for before, rate in itertools.pairwise(rates)]
    above = [max(base - tier.from_fen, 0) for tier in terms.tiers]
    return base * terms.rate_bp + sum(step * over for step, over in zip(steps, above, strict=True))


class History(PaymentRules):
    """Shifts, corrections, duplicates, late agreements, settlements and spendings, in any order."""

    @initialize()
    def begin(self) -> None:
        self.store = done(ledger())
        self.new_id = ids()
        self.told: dict[tuple[str, int], Shift] = {}
        self.latest: dict[str, Shift] = {}
        self.worth: dict[str, Worth] = {}
        self.bases: Counter[tuple[Pair, date, str]] = Counter()
        self.ever_accrued: set[tuple[Pair, date]] = set()
        self.history: defaultdict[Pair, list[tuple[str, str | None, int, int]]] = defaultdict(list)
        self.terms: list[SignAgreement] = []
        self.unsettled: Counter[tuple[Pair, str]] = Counter()
        self.touched: set[tuple[Pair, str]] = set()
        self.closed: dict[Pair, str] = {}
        self.settled: Counter[Pair] = Counter()
        self.carry: Counter[Pair] = Counter()
        self.begin_payments()

    @rule(batch=st.lists(SHIFTS, min_size=1, max_size=6))
    def shifts_come(self, batch: list[Shift]) -> None:
        """Each revision always says what it said first; so the same one again is a duplicate."""
        batch = [self.told.setdefault((shift.shift_id, shift.revision), shift) for shift in batch]
        refused, _ = done(accrue_shifts(batch, store=self.store, now=NOW))
        assert refused == []
        for shift in batch:
            known = self.latest.get(shift.shift_id)
            if known is None or known.revision < shift.revision:
                self.latest[shift.shift_id] = shift
                self._revalue(shift)

    @rule(
        pair=st.sampled_from(PAIRS),
        span=st.tuples(STARTS, DAYS).map(sorted),
        adjacent=st.booleans(),
        open_ended=st.booleans(),
        base=st.sampled_from(["wages", "output"]),
        rate_bp=RATES,
        tiers=TIERS,
    )
    def parties_sign(
        self,
        pair: Pair,
        span: list[date],
        adjacent: bool,
        open_ended: bool,
        base: Any,
        rate_bp: int,
        tiers: tuple[Tier, ...],
    ) -> None:
        """Any days; or, so that a pair gets several versions, days that follow the last ones."""
        days = self._days(pair)
        if adjacent and days and max(days) < STORY[-20]:
            span = [max(days) + timedelta(days=1), max(days) + timedelta(days=10)]
        until = None if open_ended else span[1]
        command = SignAgreement(pair.employer_id, pair.community_id, base, rate_bp, span[0], until, SIGNATORIES, tiers)
        try:
            done(sign_agreement(command, store=self.store, now=NOW, new_id=self.new_id))
        except (AgreementOverlaps, AgreementGap):
            assert not self._may_sign(pair, span[0], until)
            return
        assert self._may_sign(pair, span[0], until)
        self._cut_open_version(pair, span[0])
        self.terms.append(command)
        for shift in self.latest.values():
            if shift.shift_id not in self.worth and shift.pair == pair:
                self._revalue(shift)

    def _days(self, pair: Pair) -> set[date]:
        """Every day of the story that a version covers, and the day after the story if one goes on."""
        return {
            day
            for terms in self.terms
            if self._pair(terms) == pair
            for day in STORY
            if terms.valid_from <= day <= (terms.valid_until or date.max)
        }

    def _may_sign(self, pair: Pair, first: date, until: date | None) -> bool:
        days = self._days(pair)
        if not days:
            return True
        new = {day for day in STORY if first <= day <= (until or date.max)}
        last = next(terms for terms in self.terms if self._pair(terms) == pair and max(days) in self._covered(terms))
        if last.valid_until is None and first > last.valid_from:
            return not any(at == pair and last.valid_from <= day and first <= day for at, day in self.ever_accrued)
        joined = sorted(days | new)
        return not days & new and len(joined) == (joined[-1] - joined[0]).days + 1

    def _covered(self, terms: SignAgreement) -> set[date]:
        return {day for day in STORY if terms.valid_from <= day <= (terms.valid_until or date.max)}

    def _cut_open_version(self, pair: Pair, first: date) -> None:
        """Shown by replacing the terms in the model: the ledger itself edits no version."""
        for index, terms in enumerate(self.terms):
            if self._pair(terms) == pair and terms.valid_until is None and terms.valid_from < first:
                self.terms[index] = replace(terms, valid_until=first - timedelta(days=1))

    @rule(pair=st.sampled_from(PAIRS))
    def next_month_is_settled(self, pair: Pair) -> None:
        closed = self.closed.get(pair, "")
        due = min((month for at, month in self.touched if at == pair and month > closed), default=None)
        if due is not None and due <= MONTHS[-1]:
            self.month_is_settled(pair, due)

    @rule(pair=st.sampled_from(PAIRS), month=st.sampled_from(MONTHS))
    def any_month_is_settled(self, pair: Pair, month: str) -> None:
        self.month_is_settled(pair, month)

    def month_is_settled(self, pair: Pair, month: str) -> None:
        allowed = (
            any(self._pair(old) == pair for old in self.terms)
            and month > self.closed.get(pair, "")
            and not any(at == pair and self.closed.get(pair, "") < touched < month for at, touched in self.touched)
        )
        try:
            event = done(settled(SettleMonth(pair, month), self.store, self.new_id))
        except RevenueError:
            assert not allowed
            return
        assert allowed
        self.history[pair].append((event.settlement_id, self.closed.get(pair), self.carry[pair], event.amount_fen))
        exact = self.unsettled[pair, month] + self.carry[pair]
        assert event.amount_fen == round(Fraction(exact, 10_000))
        self.carry[pair] = exact - event.amount_fen * 10_000
        assert event.carry_fen_e4 == self.carry[pair]
        self.settled[pair] += event.amount_fen
        self.closed[pair] = month

    @rule(pair=st.sampled_from(PAIRS), first=st.booleans())
    def settlement_is_reversed(self, pair: Pair, first: bool) -> None:
        """The last one of a pair can be; one before it cannot, and none twice."""
        if not self.history[pair]:
            return
        which = self.history[pair][0 if first else -1]
        undo = reverse_settlement(which[0], "entered by mistake", store=self.store, now=NOW)
        if which != self.history[pair][-1]:
            with pytest.raises(LaterMonthClosed):
                done(undo)
            return
        done(undo)
        with pytest.raises(AlreadyReversed):
            done(reverse_settlement(which[0], "again", store=self.store, now=NOW))
        self.history[pair].pop()
        _, closed, self.carry[pair], amount_fen = which
        self.settled[pair] -= amount_fen
        if closed is None:
            del self.closed[pair]
        else:
            self.closed[pair] = closed

    @invariant()
    def every_fen_is_accounted_for(self) -> None:
        audit = done(verify_city(CITY, snapshot=self.store))
        assert audit.findings == []
        assert audit.imbalance_fen_e4 == 0
        for pair in PAIRS:
            now_worth = self._owed(pair)
            closed = self.closed.get(pair, "")
            open_sum = sum(amount for (at, month), amount in self.unsettled.items() if at == pair and month > closed)
            assert audit.balances.get(payable(pair), 0) == now_worth - self.paid_out[pair] * 10_000
            assert now_worth == self.settled[pair] * 10_000 + self.carry[pair] + open_sum
        for community_id in COMMUNITIES:
            assert -audit.balances.get(fund_account(community_id), 0) == self.fund_of(community_id) * 10_000

    @invariant()
    def nothing_is_dropped_and_nothing_stands_twice(self) -> None:
        standing = done(self.store.standing(self.latest))
        accrued = {shift_id for shift_id, known in standing.items() if known.accrued and not known.suspended}
        assert accrued == set(self.worth)
        assert {shift_id: known.revision for shift_id, known in standing.items()} == {
            shift_id: shift.revision for shift_id, shift in self.latest.items()
        }
        waiting = {
            shift_id
            for shift_id, shift in self.latest.items()
            if shift.pair and (shift.wage_fen or shift.output_fen) and self._terms_of(shift) is None
        }
        assert set(self.store.suspense) == waiting
        held = Counter[str]()
        for link in self.store.links:
            for account, amount_fen_e4 in link.entry.postings:
                held[account.split(":")[0]] += amount_fen_e4
        least = sum(self.latest[shift_id].wage_fen for shift_id in waiting) * 500
        assert (held["employer-suspense"], held["community-suspense"]) == (least, -least)

    @invariant()
    def events_say_what_the_ledger_says(self) -> None:
        while done(tell_entries(CITY, store=self.store)):
            pass
        told = [event for event in self.store.events if isinstance(event, RebateAccrued)]
        posted = [link.entry for link in self.store.links if link.entry.kind in ("accrual", "reversal")]
        assert [(event.entry_id, event.amount_fen_e4) for event in told] == [
            (entry.entry_id, entry.amount_fen_e4) for entry in posted
        ]
        assert sum(e.amount_fen for e in self.store.events if isinstance(e, FundSpent)) == self.spent.total()

    @invariant()
    def no_pay_is_touched(self) -> None:
        """Accounts are those of employers and communities; none is a woman's."""
        for link in self.store.links:
            for posting in link.entry.postings:
                assert posting.account.split(":")[0] in (
                    "employer-payable", "community-accrued", "community-fund", "community-spent", "community-bank",
                    "employer-suspense", "community-suspense",
                )  # fmt: skip
                assert "skr-" not in posting.account

    def _revalue(self, shift: Shift) -> None:
        """What the shift was worth leaves its month (or the open one), and what it is worth now comes in.

        Under tiers it is worth what it makes a difference to the whole of its month.
        """
        was = self.worth.pop(shift.shift_id, None)
        if was is not None:
            self._post(was, -1)
        terms = self._terms_of(shift)
        if terms is None or shift.pair is None:
            return
        base = shift.wage_fen if terms.base == "wages" else shift.output_fen
        if shift.wage_fen or shift.output_fen:
            first = terms.valid_from
            self.worth[shift.shift_id] = Worth(shift.pair, f"{shift.day:%Y-%m}", first, base)
            self.ever_accrued.add((shift.pair, shift.day))
            self._post(self.worth[shift.shift_id], 1)

    def _post(self, worth: Worth, sign: int) -> None:
        pair, month = worth.pair, worth.month
        terms = next(one for one in self.terms if (self._pair(one), one.valid_from) == (pair, worth.first))
        before = self.bases[pair, worth.first, month]
        after = before + sign * worth.base
        self.bases[pair, worth.first, month] = after
        closed = self.closed.get(pair, "")
        if month <= closed:
            month = f"2026-{int(closed[5:]) + 1:02d}"
        self.unsettled[(pair, month)] += rebate_of(terms, after) - rebate_of(terms, before)
        self.touched.add((pair, month))

    def _owed(self, pair: Pair) -> int:
        """Of all that stands, month by month and version by version, whatever the order was."""
        return sum(
            rebate_of(terms, base)
            for (at, first, _), base in self.bases.items()
            if at == pair
            for terms in self.terms
            if (self._pair(terms), terms.valid_from) == (pair, first)
        )

    def _terms_of(self, shift: Shift) -> SignAgreement | None:
        return next(
            (
                terms
                for terms in self.terms
                if self._pair(terms) == shift.pair and terms.valid_from <= shift.day <= (terms.valid_until or date.max)
            ),
            None,
        )

    @staticmethod
    def _pair(terms: SignAgreement) -> Pair:
        return Pair(terms.employer_id, terms.community_id)


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow],
)
