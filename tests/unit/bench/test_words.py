"""What a drawn city says: the bytes of the contract, the facts of the domain, the lists of the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.matching.check import ListsDiffer, Oracle, check_oracle
from bench.matching.city import count_shifts
from bench.matching.kernel import PAIRS_MAX, c_kernel
from bench.matching.pairs import Columns, top
from bench.matching.play import policy
from bench.matching.scan import numpy_scan
from bench.matching.speak import city_facts, stream_facts
from bench.matching.tables import AT, Table
from bench.matching.wire import Speaker
from services.matching.domain import Programme, best_posts, rank_post, view_of
from services.matching.facts import fact_of
from shared.contracts.envelope import decode, encode
from tests.unit.bench.small import drawn


def test_every_message_is_what_the_contract_encodes_and_says_the_fact() -> None:
    one = drawn()
    speaker = Speaker(1)
    messages = [message for chunk in speaker.city(one.before) for message in chunk]
    facts = [fact for chunk in city_facts(one.before) for fact in chunk]
    messages += speaker.stream(one.stream, one.after)
    facts += stream_facts(one.stream, one.after)
    assert len({message.topic for message in messages}) == 8
    for message, fact in zip(messages, facts, strict=True):
        envelope = decode(message.topic, message.key, message.headers, message.value)
        wanted = encode(envelope)
        assert message.value == wanted.value
        assert message.headers == wanted.headers  # in this order, on which fast decoding relies
        assert (message.topic, message.key, message.partition) == (wanted.topic, wanted.key, wanted.partition)
        assert fact_of(envelope.event) == fact


def test_a_citys_chunks_are_the_same_city() -> None:
    one = drawn().before
    whole, small = ([f for chunk in city_facts(one, size) for f in chunk] for size in (10_000, 77))
    assert whole == small


def test_numpys_lists_are_the_pure_functions() -> None:
    one = drawn()
    facts = [f for chunk in city_facts(one.before) for f in chunk] + stream_facts(one.stream, one.after)
    view = view_of(Programme.of(facts), AT)
    oracle = Oracle(one.after)
    matched = 0
    for row in np.flatnonzero(one.after.posts["version"]).tolist():
        pure = rank_post(policy(), view.openings[oracle.posts[row]], view.candidates.values())
        assert oracle.ranking(row) == [(place.seeker_id, place.score) for place in pure]
        matched += len(pure)
    for row in np.flatnonzero(one.after.seekers["version"])[::10].tolist():
        found = best_posts(policy(), view.candidates[oracle.seekers[row]], view.openings.values())
        assert oracle.best(row) == [(place.post_id, place.score) for place in found]
    assert matched > 1_000


def test_the_pure_function_by_chunks_agrees_and_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    one = drawn()
    assert check_oracle(one.after, 1, 3, 5) == 8
    steady = Columns.put_steady

    def wrong(self: Columns, at: Any, rows: Table) -> None:
        steady(self, at, rows)
        self.steady[at] += 1

    monkeypatch.setattr(Columns, "put_steady", wrong)
    with pytest.raises(ListsDiffer, match="place 1"):
        check_oracle(one.after, 1, 3, 5)


def test_counts_of_shifts_are_those_of_the_shifts() -> None:
    one = drawn().after.copy()
    counted = one.seekers.copy()
    count_shifts(one)
    assert counted.tobytes() == one.seekers.tobytes()


def test_ties_go_to_who_came_earlier_then_to_the_lower_id() -> None:
    scores, since = np.array([5, 9, 9, 9]), np.array([1, 7, 3, 3])
    key = np.array([[0, 0, 2, 1], [0, 0, 0, 0]], np.uint64)
    rows = np.arange(4)
    assert top(rows, scores, since, key, 3) == [(3, 9), (2, 9), (1, 9)]
    assert top(rows, scores, since, key, 9)[-1] == (0, 5)
    assert top(rows[:0], scores[:0], since, key, 9) == []


def test_the_references_run_and_the_kernel_in_c_is_judged() -> None:
    one = drawn()
    assert numpy_scan(one.before, one.stream, 0.2) > 0
    rate = c_kernel(one.before, one.stream, 5.0, PAIRS_MAX)  # judges its own lists, after all events
    assert rate == "C kernel: no gcc or cc here" if isinstance(rate, str) else rate > 0
    assert "no grid" in str(c_kernel(one.before, one.stream, 1.0, 1_000))
