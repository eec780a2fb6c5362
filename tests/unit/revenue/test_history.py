"""Random histories against a small model that knows nothing of entries, chains or months' books.

The model keeps the latest revision of each shift and what it was worth when it came, and rounds with `Fraction`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Coroutine
from datetime import date
from fractions import Fraction
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.revenue.domain.accrual import Shift
from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import Receipt
from services.revenue.domain.ledger import fund as fund_account
from services.revenue.domain.ledger import payable
from services.revenue.errors import AgreementOverlaps, FundTooSmall, RevenueError
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth, settle_month
from services.revenue.use_cases.sign import SignAgreement, sign_agreement
from services.revenue.use_cases.spend import ApproveSpending, RequestSpending, approve_spending, request_spending
from services.revenue.use_cases.verify import verify_city
from shared.contracts.revenue import FundSpent, RebateAccrued, RebateSettled
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW, SIGNATORIES, ids, ledger

T = TypeVar("T")

# Small worlds, so that the parts of a history meet: what is worked is agreed on, and settled more than once.
PAIRS = [Pair(EMPLOYERS[0], COMMUNITIES[0]), Pair(EMPLOYERS[0], COMMUNITIES[1]), Pair(EMPLOYERS[1], COMMUNITIES[1])]
DESKS = ["a-desk", "another-desk"]
MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]
DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 31))
STARTS = st.one_of(st.just(date(2026, 1, 1)), DAYS)
# 10 fen at 5 % or 15 % are half a fen: the sums must meet the rule for halves often.
FEN = st.one_of(st.integers(0, 40).map(lambda n: n * 10), st.integers(0, 400))
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


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing (the store is in memory)."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("the store in memory never waits")


class History(RuleBasedStateMachine):
    """Shifts, corrections, duplicates, late agreements, settlements and spendings, in any order."""

    @initialize()
    def begin(self) -> None:
        self.store = done(ledger())
        self.new_id = ids()
        self.told: dict[tuple[str, int], Shift] = {}
        self.latest: dict[str, Shift] = {}
        self.worth: dict[str, tuple[Pair, str, int]] = {}
        self.terms: list[SignAgreement] = []
        self.unsettled: Counter[tuple[Pair, str]] = Counter()
        self.touched: set[tuple[Pair, str]] = set()
        self.closed: dict[Pair, str] = {}
        self.settled: Counter[Pair] = Counter()
        self.carry: Counter[Pair] = Counter()
        self.spent: Counter[str] = Counter()
        self.requests: dict[str, RequestSpending] = {}
        self.paid: set[str] = set()

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
        open_ended=st.booleans(),
        base=st.sampled_from(["wages", "output"]),
        rate_bp=RATES,
    )
    def parties_sign(self, pair: Pair, span: list[date], open_ended: bool, base: Any, rate_bp: int) -> None:
        until = None if open_ended else span[1]
        command = SignAgreement(pair.employer_id, pair.community_id, base, rate_bp, span[0], until, SIGNATORIES)
        clash = any(
            self._pair(old) == pair
            and not ((old.valid_until or date.max) < span[0] or (until or date.max) < old.valid_from)
            for old in self.terms
        )
        try:
            done(sign_agreement(command, store=self.store, now=NOW, new_id=self.new_id))
        except AgreementOverlaps:
            assert clash
            return
        assert not clash
        self.terms.append(command)
        for shift in self.latest.values():
            if shift.shift_id not in self.worth and shift.pair == pair:
                self._revalue(shift)

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
            envelope = done(settle_month(SettleMonth(pair, month), store=self.store, now=NOW, new_id=self.new_id))
        except RevenueError:
            assert not allowed
            return
        assert allowed
        event = envelope.event
        assert isinstance(event, RebateSettled)
        exact = self.unsettled.pop((pair, month), 0) + self.carry[pair]
        assert event.amount_fen == round(Fraction(exact, 10_000))
        self.carry[pair] = exact - event.amount_fen * 10_000
        assert event.carry_fen_e4 == self.carry[pair]
        self.settled[pair] += event.amount_fen
        self.closed[pair] = month

    @rule(community_id=st.sampled_from(COMMUNITIES), amount_fen=st.integers(1, 40), by=st.sampled_from(DESKS))
    def spending_is_requested(self, community_id: str, amount_fen: int, by: str) -> None:
        receipt = Receipt(f"%PDF- {len(self.requests)}".encode())
        command = RequestSpending(community_id, "activity", amount_fen, "an activity", receipt, by)
        enough = self._fund(community_id) >= amount_fen
        try:
            envelope = done(request_spending(command, store=self.store, now=NOW, new_id=self.new_id))
        except FundTooSmall:
            assert not enough
            return
        assert enough
        self.requests[envelope.event.entity_id] = command

    @precondition(lambda self: self.requests)
    @rule(pick=st.randoms(use_true_random=False), by=st.sampled_from(DESKS))
    def spending_is_approved(self, pick: random.Random, by: str) -> None:
        """Any request, also one that was paid, by anybody, also who asked."""
        spending_id = pick.choice(sorted(self.requests))
        asked = self.requests[spending_id]
        allowed = (
            asked.requested_by != by
            and spending_id not in self.paid
            and self._fund(asked.community_id) >= asked.amount_fen
        )
        try:
            done(approve_spending(ApproveSpending(spending_id, by), store=self.store, now=NOW))
        except RevenueError:
            assert not allowed
            return
        assert allowed
        self.paid.add(spending_id)
        self.spent[asked.community_id] += asked.amount_fen

    @invariant()
    def every_fen_is_accounted_for(self) -> None:
        audit = done(verify_city(CITY, snapshot=self.store))
        assert audit.findings == []
        assert audit.imbalance_fen_e4 == 0
        for pair in PAIRS:
            now_worth = sum(amount for at, _, amount in self.worth.values() if at == pair)
            open_sum = sum(amount for (at, _), amount in self.unsettled.items() if at == pair)
            assert audit.balances.get(payable(pair), 0) == now_worth
            assert now_worth == self.settled[pair] * 10_000 + self.carry[pair] + open_sum
        for community_id in COMMUNITIES:
            assert -audit.balances.get(fund_account(community_id), 0) == self._fund(community_id) * 10_000

    @invariant()
    def nothing_is_dropped_and_nothing_stands_twice(self) -> None:
        standing = {shift_id: known.accrual for shift_id, known in self.store.shifts.items()}
        assert {shift_id for shift_id, accrual in standing.items() if accrual} == set(self.worth)
        waiting = {
            shift_id
            for shift_id, shift in self.latest.items()
            if shift.pair and (shift.wage_fen or shift.output_fen) and self._terms_of(shift) is None
        }
        assert set(self.store.suspense) == waiting

    @invariant()
    def events_say_what_the_ledger_says(self) -> None:
        told = [event for event in self.store.events if isinstance(event, RebateAccrued)]
        posted = [link.entry for link in self.store.links if link.entry.rebate]
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
                    "employer-payable", "community-accrued", "community-fund", "community-spent",
                )  # fmt: skip
                assert "skr-" not in posting.account

    def _revalue(self, shift: Shift) -> None:
        """What the shift was worth leaves its month (or the open one), and what it is worth now comes in."""
        was = self.worth.pop(shift.shift_id, None)
        if was is not None:
            self._post(was[0], was[1], -was[2])
        terms = self._terms_of(shift)
        if terms is None or shift.pair is None:
            return
        base = shift.wage_fen if terms.base == "wages" else shift.output_fen
        if base:
            self.worth[shift.shift_id] = (shift.pair, f"{shift.day:%Y-%m}", base * terms.rate_bp)
            self._post(*self.worth[shift.shift_id])

    def _post(self, pair: Pair, month: str, amount: int) -> None:
        closed = self.closed.get(pair, "")
        if month <= closed:
            month = f"2026-{int(closed[5:]) + 1:02d}"
        self.unsettled[(pair, month)] += amount
        self.touched.add((pair, month))

    def _terms_of(self, shift: Shift) -> SignAgreement | None:
        return next(
            (
                terms
                for terms in self.terms
                if self._pair(terms) == shift.pair and terms.valid_from <= shift.day <= (terms.valid_until or date.max)
            ),
            None,
        )

    def _fund(self, community_id: str) -> int:
        income = sum(amount for pair, amount in self.settled.items() if pair.community_id == community_id)
        return income - self.spent[community_id]

    @staticmethod
    def _pair(terms: SignAgreement) -> Pair:
        return Pair(terms.employer_id, terms.community_id)


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
