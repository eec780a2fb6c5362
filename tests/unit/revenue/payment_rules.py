"""The part of a random history in which money leaves: requests, approvals, the bank; with the model's own sums."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from services.revenue.domain.agreements import Pair
from services.revenue.domain.funds import Receipt
from services.revenue.domain.payouts import CONFIRMATION_HEADER
from services.revenue.errors import FundTooSmall, NothingDue, RevenueError
from services.revenue.use_cases.pay import confirm_payouts, order_payouts
from services.revenue.use_cases.spend import ApproveSpending, RequestSpending, approve_spending, request_spending
from shared.kernel.ids import NewId
from tests.unit.revenue.given import CITY, COMMUNITIES, EMPLOYERS, NOW
from tests.unit.revenue.memory import MemoryLedger

T = TypeVar("T")

PAIRS = [Pair(EMPLOYERS[0], COMMUNITIES[0]), Pair(EMPLOYERS[0], COMMUNITIES[1]), Pair(EMPLOYERS[1], COMMUNITIES[1])]
DESKS = ["a-desk", "another-desk"]


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing (the store is in memory)."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("the store in memory never waits")


class PaymentRules(RuleBasedStateMachine):
    """Spendings by two, and payouts.

    Attributes:
        settled: what each pair was settled, reversals taken off, fen; kept by the rules of settlement.
        paid_out: what the bank has paid of it.
        requests: by id; `paid` are those that were approved.
        spent: by community, fen.
    """

    store: MemoryLedger
    new_id: NewId
    settled: Counter[Pair]

    def begin_payments(self) -> None:
        self.spent: Counter[str] = Counter()
        self.paid_out: Counter[Pair] = Counter()
        self.requests: dict[str, RequestSpending] = {}
        self.paid: set[str] = set()

    def fund_of(self, community_id: str) -> int:
        income = sum(amount for pair, amount in self.settled.items() if pair.community_id == community_id)
        return income - self.spent[community_id]

    @rule(community_id=st.sampled_from(COMMUNITIES), amount_fen=st.integers(1, 40), by=st.sampled_from(DESKS))
    def spending_is_requested(self, community_id: str, amount_fen: int, by: str) -> None:
        receipt = Receipt(f"%PDF- {len(self.requests)}".encode())
        command = RequestSpending(community_id, "activity", amount_fen, "an activity", receipt, by)
        enough = self.fund_of(community_id) >= amount_fen
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
            and self.fund_of(asked.community_id) >= asked.amount_fen
        )
        try:
            done(approve_spending(ApproveSpending(spending_id, by), store=self.store, now=NOW))
        except RevenueError:
            assert not allowed
            return
        assert allowed
        self.paid.add(spending_id)
        self.spent[asked.community_id] += asked.amount_fen

    @rule(state=st.sampled_from(["paid", "failed"]), times=st.integers(1, 2))
    def bank_is_asked_and_answers(self, state: str, times: int) -> None:
        """What is settled and not paid is ordered; the bank's file may come twice."""
        owed = {pair: amount for pair in PAIRS if (amount := self.settled[pair] - self.paid_out[pair]) > 0}
        try:
            batch = done(order_payouts(CITY, store=self.store, now=NOW, new_id=self.new_id)).event.entity_id
        except NothingDue:
            assert owed == {}
            return
        payouts = [payout for payout in self.store.kept_payouts.values() if payout.batch_id == batch]
        assert {payout.pair: payout.amount_fen for payout in payouts} == owed
        lines = [f"payout,{one.payout_id},{one.amount_fen},{state},REF,2026-08-31," for one in payouts]
        totals = [f"count,,,,,,{len(lines)}", f"amount_fen,,,,,,{sum(owed.values())}"]
        text = "\n".join([CONFIRMATION_HEADER, *lines, *totals])
        for turn in range(times):
            result = done(confirm_payouts(CITY, text, store=self.store, now=NOW))
            assert (result.paid + result.failed, result.repeated) == ((0, len(lines)) if turn else (len(lines), 0))
        if state == "paid":
            self.paid_out.update(owed)
