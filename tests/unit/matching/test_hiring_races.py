"""Instant hiring under any interleaving: two processes, answers at once, kills, a registry that loses its answers.

Hypothesis holds the threads: each step of a transaction, and each request to the registry, runs when it says so, so
that every order of reads, writes and answers can come. The model is what must be true of the outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from itertools import combinations
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.matching.domain.offers import ANSWER_WITHIN, Offer
from services.matching.errors import MatchingError, RegistryUnavailable
from services.matching.hiring import offering
from shared.kernel.week import mask_of
from tests.unit.matching.cities import NOW, YANTAI
from tests.unit.matching.hiring_world import Town, declined
from tests.unit.matching.wire import id_of, shift_completed

POSTS, SEEKERS = 3, 5
TASKS_MAX = 6
"""Steps under way at once."""

WEEKDAYS = mask_of([(day, "08:30", "11:30") for day in range(1, 6)])
OVERLAPPING = mask_of([(day, "10:30", "12:00") for day in range(1, 4)])


class Races(RuleBasedStateMachine):
    """A town with three posts that overlap in time, and five women."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(per_seat=2)
        self.loops = [self.town.hirings, self.town.instance()]
        self.tasks: list[Coroutine[Any, None, Any]] = []
        self.shifts = 0
        self.town.join(*range(1, SEEKERS + 1))
        self.town.open(1, seats=2, hours=WEEKDAYS)
        self.town.open(2, hours=OVERLAPPING, min_minutes=30)
        self.town.open(3, hours=0, kind="mobile", location=None, min_minutes=0)
        self._run(self.loops[0].tick())

    # --- what may happen ---

    def _begin(self, task: Coroutine[Any, None, Any]) -> None:
        self.tasks.append(task)

    @precondition(lambda self: len(self.tasks) < TASKS_MAX)
    @rule(loop=st.integers(0, 1))
    def tick(self, loop: int) -> None:
        self._begin(self.loops[loop].tick())

    @precondition(lambda self: len(self.tasks) < TASKS_MAX and self._open())
    @rule(data=st.data(), loop=st.integers(0, 1), key=st.integers(1, 2))
    def yes(self, data: st.DataObject, loop: int, key: int) -> None:
        offer = data.draw(st.sampled_from(self._open()))
        self._begin(self.town.yes(offer, f"key {key} of {offer.id}", self.loops[loop]))

    @precondition(lambda self: len(self.tasks) < TASKS_MAX and self._open())
    @rule(data=st.data())
    def no(self, data: st.DataObject) -> None:
        self._begin(self.town.no(data.draw(st.sampled_from(self._open()))))

    @precondition(lambda self: len(self.tasks) < TASKS_MAX)
    @rule(number=st.integers(1, POSTS), is_started=st.booleans())
    def cancel_or_start(self, number: int, is_started: bool) -> None:
        town, post_id = self.town, id_of("pst", number)

        async def step() -> None:
            if is_started:
                await town.offers.transaction(
                    lambda book: offering.start(
                        book, post_id, YANTAI, per_seat=1, expiry_minutes=5, is_asked=True, now=town.now
                    )
                )
            else:
                await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))

        self._begin(step())

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), steps=st.integers(1, 9))
    def go_on(self, data: st.DataObject, steps: int) -> None:
        """Let one of those under way do some steps."""
        self._step(self._drawn(data), steps)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), by=st.integers(0, 2))
    def take_turns(self, data: st.DataObject, by: int) -> None:
        """Let all of those under way do a few steps in turn, again and again, until each of them is done."""
        for task in self.tasks[data.draw(st.integers(0, len(self.tasks) - 1)) :] * 60:
            if task in self.tasks:
                self._step(task, 1 + by)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Let one of those under way come to its end while the others stand still."""
        task = self._drawn(data)
        self.tasks.remove(task)
        self._run(task)

    @rule()
    def look_around(self) -> None:
        """A whole tick while all others stand still."""
        self._run(self.loops[1].tick())

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """One of those under way ends where it stands, without a word."""
        task = self._drawn(data)
        self.tasks.remove(task)
        task.close()

    @rule()
    def restart(self) -> None:
        """One process dies with all that it remembers; its tasks, and those of the other's readers, go on or not."""
        self.loops[0] = self.town.instance()

    @rule()
    def rankings_catch_up(self) -> None:
        self.town.catch_up()

    @rule(seconds=st.sampled_from((1, 31, 300, 901)))
    def time_passes(self, seconds: int) -> None:
        self.town.now += timedelta(seconds=seconds)

    @rule(is_reached=st.booleans(), has_acted=st.booleans())
    def registry_fails_once(self, is_reached: bool, has_acted: bool) -> None:
        if has_acted:
            self.town.registry.after.append(RegistryUnavailable("lost"))
        else:
            self.town.registry.before.append(RegistryUnavailable("away", is_reached=is_reached))

    @rule(code=st.sampled_from((None, None, "child-care-full", "already-placed")))
    def registry_refuses(self, code: str | None) -> None:
        self.town.registry.refusal = None if code is None else declined(code)

    @precondition(lambda self: self.town.registry.active)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.town.registry.end(data.draw(st.sampled_from(sorted(self.town.registry.active))))

    @precondition(lambda self: self.town.registry.active)
    @rule(data=st.data(), verdict=st.sampled_from(("attended", "no-show")))
    def shift(self, data: st.DataObject, verdict: str) -> None:
        placement_id = data.draw(st.sampled_from(sorted(self.town.registry.active)))
        offer = self.town.registry.active[placement_id]
        self.shifts += 1
        event = shift_completed(
            self.shifts,
            int(offer.seeker_id.removeprefix("skr-"), 16),
            post_id=offer.post_id,
            placement_id=placement_id,
            verdict=verdict,
        )
        self._begin(self.town.attendance.notice([event]))

    # --- what must be true at every moment ---

    @invariant()
    def no_seat_is_given_twice(self) -> None:
        registry = self.town.registry
        taken = Counter(offer.post_id for offer in registry.active.values())
        assert all(taken[post_id] <= seats for post_id, seats in registry.seats.items())

    @invariant()
    def who_accepted_was_placed_and_nobody_shares_a_placement(self) -> None:
        accepted = [offer for offer in self.town.offers.offers if offer.outcome == "accepted"]
        assert all(self.town.registry.placed[offer.id] == offer.placement_id for offer in accepted)
        assert len({offer.placement_id for offer in accepted}) == len(accepted)

    @invariant()
    def nobody_holds_two_offers_for_the_same_hours(self) -> None:
        open_ = [offer for offer in self.town.offers.offers if offer.state != "settled"]
        for one, other in combinations(open_, 2):
            assert one.seeker_id != other.seeker_id or not one.hours & other.hours
            assert (one.seeker_id, one.post_id) != (other.seeker_id, other.post_id)

    @invariant()
    def every_offer_is_told_of_once_and_ends_once(self) -> None:
        offers = self.town.offers
        assert [event.offer_id for event in offers.made()] == list(offers.held.offers)
        ends = {event.offer_id: event for event in offers.settled()}
        assert len(ends) == len(offers.settled())
        for offer in offers.offers:
            assert (offer.state == "settled") == (offer.id in ends)
            assert offer.version == (2 if offer.id in ends else 1)
            if offer.id in ends:
                end = ends[offer.id]
                assert end.outcome == offer.outcome
                assert (end.outcome == "accepted") == (end.placement_id is not None)
                assert end.outcome != "expired" or end.settled_at >= offer.expires_at

    @invariant()
    def hands_hold_what_is_open(self) -> None:
        held = self.town.offers.held
        in_hands = {hold.offer_id for hands in held.hands.values() for hold in hands.holds if not hold.placement_id}
        assert in_hands == {offer.id for offer in held.offers.values() if offer.state != "settled"}

    # --- and in the end ---

    def teardown(self) -> None:
        """Once everything has gone quiet, nothing is left half done, and no placement is nobody's."""
        town = self.town
        town.registry.before.clear()
        town.registry.after.clear()
        town.registry.refusal = None
        for task in self.tasks:
            self._run(task)
        for _ in range(4):
            town.now += ANSWER_WITHIN
            town.catch_up()
            self._run(self.loops[0].tick())
        assert [offer for offer in town.offers.offers if offer.state == "accepting"] == []
        by_offer = {offer.id: offer for offer in town.offers.offers}
        for placement_id, offer in town.registry.active.items():
            assert by_offer[offer.id].outcome == "accepted", placement_id
        self._check_offers_against_seats()
        town.now = NOW + timedelta(days=9)
        for _ in range(SEEKERS):
            self._run(self.loops[0].tick())
            self.nobody_holds_two_offers_for_the_same_hours()
            self.every_offer_is_told_of_once_and_ends_once()
            town.now += timedelta(minutes=15)

    def _check_offers_against_seats(self) -> None:
        """With the rankings up to date there are never more offers than the free seats allow."""
        town = self.town
        for post_id, hiring in town.offers.held.hirings.items():
            taken = sum(offer.post_id == post_id for offer in town.registry.active.values())
            live = [offer for offer in town.live() if offer.post_id == post_id]
            assert len(live) <= (town.registry.seats[post_id] - taken) * hiring.per_seat
            assert hiring.state == "open" or not live

    def _open(self) -> list[Offer]:
        """Offers that somebody may answer, and the latest that are over."""
        offers = self.town.offers.offers
        return [offer for offer in offers if offer.state != "settled"] + offers[-1:]

    def _drawn(self, data: st.DataObject) -> Coroutine[Any, None, Any]:
        return self.tasks[data.draw(st.integers(0, len(self.tasks) - 1))]

    def _step(self, task: Coroutine[Any, None, Any], steps: int) -> None:
        for _ in range(steps):
            try:
                task.send(None)
            except StopIteration:
                self.tasks.remove(task)
                return
            except MatchingError:  # an answer like any other
                self.tasks.remove(task)
                return

    def _run(self, task: Coroutine[Any, None, Any]) -> None:
        while True:
            try:
                task.send(None)
            except (StopIteration, MatchingError):
                return


Races.TestCase.settings = settings(max_examples=250, stateful_step_count=60)
TestRaces = Races.TestCase
