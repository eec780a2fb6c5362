"""Instant hiring, step by step: who is offered a seat, what ends an offer, and when a seat opens again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.matching.domain import Employer, Fact
from services.matching.domain.hiring import LIVE_MAX
from services.matching.domain.offers import ANSWER_WITHIN, HOLDS_MAX, Offer, Terms
from services.matching.errors import (
    HiringOver,
    HiringUnknown,
    RegistryUnavailable,
)
from services.matching.hiring import offering
from services.matching.hiring.board import OwnedBoard
from services.matching.hiring.loop import AGAIN_AFTER, STARTS_MAX
from shared.contracts import fast
from shared.contracts.envelope import Envelope, encode
from shared.contracts.registry import ShiftCompleted
from shared.kernel.ids import new_id
from shared.kernel.week import mask_of
from tests.unit.matching.cities import NOW, YANTAI, post
from tests.unit.matching.hiring_world import Town
from tests.unit.matching.wire import AT, id_of, shift_completed

MORNINGS = mask_of([(day, "08:30", "11:30") for day in range(1, 6)])


@pytest.fixture
def town() -> Town:
    return Town()


def seekers(offers: list[Offer]) -> list[int]:
    return [int(offer.seeker_id.removeprefix("skr-"), 16) for offer in offers]


# --- who is offered a seat --------------------------------------------------------------------------------------------


async def test_an_urgent_post_is_offered_to_the_best_as_many_as_it_has_seats(town: Town) -> None:
    town.join(1, 2, 3)
    town.open(1, seats=2)
    town.open(2, urgent=False)
    await town.tick()
    assert seekers(town.live()) == [1, 2]
    [first, second] = town.offers.made()
    assert (first.rank, second.rank, first.version) == (1, 2, 1)
    assert first.expires_at - first.made_at == timedelta(minutes=15)
    assert [(span.day, span.start, span.to) for span in first.hours][:1] == [(1, "08:30", "11:30")]
    await town.tick()
    assert len(town.offers.made()) == 2, "nothing has changed"


async def test_a_post_that_is_not_urgent_is_offered_on_request(town: Town) -> None:
    town.join(1, 2, 3)
    post_id = town.open(1, urgent=False, seats=2)
    await town.tick()
    assert town.live() == []
    await town.offers.transaction(
        lambda book: offering.start(book, post_id, YANTAI, per_seat=1, expiry_minutes=5, is_asked=True, now=town.now)
    )
    await town.tick()
    assert seekers(town.live()) == [1, 2]
    assert town.live()[0].expires_at == NOW + timedelta(minutes=5)


async def test_hours_offered_are_those_in_which_she_is_free(town: Town) -> None:
    town.join(1, free=mask_of([(day, "09:00", "18:00") for day in range(1, 6)]))
    town.open(1)
    await town.tick()
    assert town.live()[0].hours == mask_of([(day, "09:00", "11:30") for day in range(1, 6)])


async def test_nobody_holds_two_offers_for_the_same_hours(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    town.open(2)
    town.open(3, hours=mask_of([(6, "08:00", "18:00")]), min_minutes=0)
    town.open(4, hours=0, kind="mobile", location=None, min_minutes=0)
    town.join(3, free=mask_of([(6, "08:00", "12:00")]))
    await town.tick()
    held = {(offer.post_id, number) for offer, number in zip(town.live(), seekers(town.live()), strict=True)}
    assert held == {(id_of("pst", 1), 1), (id_of("pst", 2), 2), (id_of("pst", 3), 3), (id_of("pst", 4), 1)}


async def test_who_is_free_in_none_of_the_hours_gets_no_empty_offer(town: Town) -> None:
    town.join(1, free=mask_of([(7, "08:00", "10:00")]))
    town.open(1, min_minutes=0)
    await town.tick()
    assert len(town.board(town.now).ranking(id_of("pst", 1), 9)) == 1
    assert town.live() == []


async def test_an_offer_that_ran_out_passes_to_the_next(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    await town.tick(minutes=14)
    assert seekers(town.live()) == [1]
    await town.tick(minutes=1)
    assert seekers(town.live()) == [2]
    [over] = town.offers.settled()
    assert (over.outcome, over.version, over.settled_at) == ("expired", 2, town.now)
    await town.tick(minutes=15)
    assert town.live() == [], "nobody is asked twice"
    assert [h.progress for h in town.offers.held.hirings.values()] == ["waiting"]


async def test_a_refusal_passes_to_the_next_and_frees_her_hours(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    await town.no(town.live()[0])
    town.open(2)
    await town.tick()
    assert {(o.post_id, n) for o, n in zip(town.live(), seekers(town.live()), strict=True)} == {
        (id_of("pst", 1), 2),
        (id_of("pst", 2), 1),
    }


async def test_a_waiting_hiring_goes_on_when_somebody_comes(town: Town) -> None:
    town.open(1)
    await town.tick()
    assert town.live() == []
    town.join(1)
    await town.tick()
    assert seekers(town.live()) == [1]


async def test_a_waiting_hiring_goes_on_when_somebody_becomes_free(town: Town) -> None:
    town.join(1)
    town.open(1)
    town.open(2)
    await town.tick()
    [held] = town.live()
    await town.no(held)
    town.hirings._woken.clear()
    town.now += AGAIN_AFTER
    await town.tick()
    [other] = town.live()
    assert other.post_id != held.post_id


async def test_the_ranking_is_gone_down_beyond_its_kept_places(town: Town) -> None:
    town.join(*range(1, 121))
    town.open(1)
    for post_number in range(2, 113):
        town.open(post_number)
    for _ in range(4):
        await town.tick()
    assert sorted(seekers(town.live())) == list(range(1, 113))


async def test_more_offers_than_one_a_seat(town: Town) -> None:
    town = Town(per_seat=3)
    town.join(*range(1, 9))
    town.open(1, seats=2)
    await town.tick()
    assert seekers(town.live()) == [1, 2, 3, 4, 5, 6]
    await town.yes(town.live()[1])
    await town.tick()
    assert seekers(town.live()) == [1, 3, 4]
    assert {event.outcome for event in town.offers.settled()} == {"accepted", "seat-taken"}
    await town.yes(town.live()[2])
    await town.tick()
    assert town.live() == []
    assert [h.progress for h in town.offers.held.hirings.values()] == ["filled"]


async def test_a_wave_is_bounded(town: Town) -> None:
    town.join(*range(1, LIVE_MAX + 20))
    town.open(1, seats=1000)
    await town.tick()
    assert len(town.live()) == LIVE_MAX


async def test_her_hands_are_bounded(town: Town) -> None:
    town.join(1)
    for number in range(1, HOLDS_MAX + 4):
        town.open(number, hours=0, kind="mobile", location=None, min_minutes=0)
    await town.tick()
    assert len(town.live()) == HOLDS_MAX


async def test_starts_of_one_tick_are_bounded(town: Town) -> None:
    for number in range(1, STARTS_MAX + 10):
        town.open(number)
    await town.tick()
    assert len(town.offers.held.hirings) == STARTS_MAX
    await town.tick()
    assert len(town.offers.held.hirings) == STARTS_MAX + 9


async def test_cities_of_others_are_left_alone(town: Town) -> None:
    town.join(1)
    town.open(1)
    town.hirings.board = lambda now: OwnedBoard(town.board(now), lambda city: city != YANTAI)
    await town.tick()
    assert town.offers.held.hirings == {}


# --- seats that open again --------------------------------------------------------------------------------------------


async def test_leave_opens_the_seat_again(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    await town.tick()
    town.registry.end(id_of("plc", 1))
    await town.tick()
    assert seekers(town.live()) == [2]


@pytest.mark.parametrize("noted_while", ["accepted", "accepting"])
async def test_a_woman_who_never_came_gives_the_seat_back(town: Town, noted_while: str) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    if noted_while == "accepting":
        town.registry.after = [RegistryUnavailable("lost")]
        with pytest.raises(RegistryUnavailable):
            await town.yes(offer)
    else:
        await town.yes(offer)
    missed = shift_completed(1, 1, verdict="no-show", started_at=NOW + timedelta(days=1), ended_at=NOW)
    assert await town.attendance.notice([missed]) == 1
    assert await town.attendance.notice([missed]) == 0, "it comes again and changes nothing"
    town.now += ANSWER_WITHIN
    await town.tick()
    await town.tick()
    assert town.registry.released == [(id_of("plc", 1), date(2026, 3, 10))]
    assert seekers(town.live()) == [2]
    await town.tick()
    assert len(town.registry.released) == 1


@pytest.mark.parametrize("verdict", ["attended", "left-early"])
async def test_who_came_once_keeps_her_seat(town: Town, verdict: str) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    town.attendance = type(town.attendance)(town.offers)  # another process, which has to read what matters
    assert await town.attendance.notice([shift_completed(1, 1, verdict=verdict)]) == 1
    assert await town.attendance.notice([shift_completed(2, 1, verdict="no-show")]) == 0
    await town.tick()
    assert town.registry.released == []


async def test_a_shift_that_was_decoded_fast_counts_as_well(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    message = encode(Envelope(new_id("event"), AT, shift_completed(1, 1, verdict="no-show")))
    event = fast.decode(message.topic, message.key, message.headers, message.value).event
    assert not isinstance(event, ShiftCompleted)
    assert await town.attendance.notice([event]) == 1


async def test_a_no_show_that_is_corrected_in_time_is_forgotten(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    await town.attendance.notice([shift_completed(1, 1, verdict="no-show")])
    await town.attendance.notice([shift_completed(1, 1, revision=2)])
    await town.tick()
    assert town.registry.released == []


async def test_shifts_of_others_are_not_looked_up(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    assert await town.attendance.notice([shift_completed(1, 2, verdict="no-show")]) == 0
    assert await town.attendance.notice([shift_completed(1, 1, post_id=id_of("pst", 7), verdict="no-show")]) == 0
    assert await town.attendance.notice([shift_completed(1, 1, placement_id=id_of("plc", 7), verdict="no-show")]) == 0


async def test_a_no_show_on_an_earlier_placement_does_not_count(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.after = [RegistryUnavailable("lost")]
    with pytest.raises(RegistryUnavailable):
        await town.yes(offer)
    await town.attendance.notice([shift_completed(1, 1, placement_id=id_of("plc", 7), verdict="no-show")])
    town.now += ANSWER_WITHIN
    await town.tick()
    assert [(o.outcome, o.attendance) for o in town.offers.offers] == [("accepted", "awaited")]


# --- what ends a hiring -----------------------------------------------------------------------------------------------


async def test_a_closed_post_takes_its_offers_back(town: Town) -> None:
    town.join(1, 2)
    town.open(1, seats=2)
    await town.tick()
    town.learn(Fact("post", id_of("pst", 1), 2, YANTAI, None))
    await town.tick()
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "post-closed")] * 2
    assert [h.state for h in town.offers.held.hirings.values()] == ["closed"]


async def test_a_post_whose_time_is_given_more_time_is_offered_anew(town: Town) -> None:
    town.join(1)
    town.open(1, closes_at=NOW + timedelta(minutes=5))
    await town.tick()
    await town.tick(minutes=5)
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "post-closed")]
    town.open(1, version=2)
    await town.tick()
    assert seekers(town.live()) == [1], "in a new round she is asked again"
    assert [h.round for h in town.offers.held.hirings.values()] == [2]


async def test_a_suspended_employer_offers_nothing(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    town.learn(Fact("employer", post().employer_id, 1, YANTAI, Employer(active=False)))
    await town.tick()
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "post-not-available")]
    assert [h.state for h in town.offers.held.hirings.values()] == ["open"]


async def test_a_seeker_who_withdrew_loses_her_offer(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    town.learn(Fact("seeker", id_of("skr", 1), 2, YANTAI, None))
    await town.tick()
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "seeker-withdrawn")]
    assert seekers(town.live()) == [2]


async def test_a_seat_taken_at_the_window_takes_the_latest_offer_back(town: Town) -> None:
    town.join(1, 2, 3)
    post_id = town.open(1, seats=2)
    await town.tick()
    by_hand = Terms(MORNINGS, NOW.date())
    await town.registry.place(
        Offer("x", 1, 1, post_id, id_of("skr", 3), YANTAI, 1, 1, MORNINGS, NOW, NOW, terms=by_hand)
    )
    await town.tick()
    assert seekers(town.live()) == [1]
    assert [(e.outcome, e.seeker_id) for e in town.offers.settled()] == [("seat-taken", id_of("skr", 2))]


async def test_an_acceptance_under_way_costs_nobody_else_an_offer(town: Town) -> None:
    """Its placement shows in the rankings before we have noted it: it must not be counted twice."""
    town.join(1, 2)
    town.open(1, seats=2)
    await town.tick()
    town.registry.after = [RegistryUnavailable("lost")]
    with pytest.raises(RegistryUnavailable):
        await town.yes(town.live()[0])
    await town.hirings.tick()
    await town.tick()
    assert seekers(town.live()) == [2]
    assert town.offers.settled() == []


async def test_a_cancelled_hiring_stays_so_until_it_is_asked_for(town: Town) -> None:
    town.join(1, 2)
    post_id = town.open(1)
    with pytest.raises(HiringUnknown):
        await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))
    await town.tick()
    await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "hiring-cancelled")]
    with pytest.raises(HiringOver):
        await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))
    town.hirings = town.instance()
    await town.tick()
    assert town.live() == []
    await town.offers.transaction(
        lambda book: offering.start(book, post_id, YANTAI, per_seat=1, expiry_minutes=5, is_asked=True, now=town.now)
    )
    await town.tick()
    assert seekers(town.live()) == [1]
