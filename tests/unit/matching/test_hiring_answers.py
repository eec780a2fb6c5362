"""Instant hiring, step by step: her answer, and what a failure on its way to the registry and back leaves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.matching.domain.offers import ANSWER_WITHIN, Offer, Terms
from services.matching.errors import (
    HoursOutsideOffer,
    OfferBeingAccepted,
    OfferExpired,
    OfferSettledAlready,
    OfferUnknown,
    PlacementRefused,
    RegistryUnavailable,
    SeatTaken,
    TermsRefused,
)
from services.matching.hiring import answering, offering
from shared.kernel.week import mask_of
from tests.unit.matching.cities import NOW, YANTAI
from tests.unit.matching.hiring_world import Town, declined
from tests.unit.matching.wire import id_of

MORNINGS = mask_of([(day, "08:30", "11:30") for day in range(1, 6)])


@pytest.fixture
def town() -> Town:
    return Town()


def seekers(offers: list[Offer]) -> list[int]:
    return [int(offer.seeker_id.removeprefix("skr-"), 16) for offer in offers]


# --- her yes ----------------------------------------------------------------------------------------------------------


async def test_her_yes_takes_a_seat(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    after = await town.yes(town.live()[0], starts_on=date(2026, 3, 16))
    assert (after.outcome, after.placement_id) == ("accepted", id_of("plc", 1))
    [event] = town.offers.settled()
    assert (event.outcome, event.placement_id, event.reason) == ("accepted", id_of("plc", 1), None)
    await town.hirings.tick()  # the rankings do not know of the placement yet
    assert town.live() == []
    await town.tick()
    await town.tick()
    assert town.live() == []
    [hiring] = town.offers.held.hirings.values()
    assert (hiring.progress, hiring.unseen) == ("filled", ())


async def test_her_hours_stay_taken_until_the_rankings_show_the_placement(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    await town.yes(town.live()[0])
    town.open(2)
    await town.hirings.tick()
    assert town.live() == []
    town.catch_up()
    town.registry.end(id_of("plc", 1))
    await town.tick(minutes=1)
    assert [offer.post_id for offer in town.live()] == [id_of("pst", 2)], "and not that of the first: she was asked"


async def test_of_two_who_say_yes_one_has_the_seat(town: Town) -> None:
    town = Town(per_seat=2)
    town.join(1, 2)
    town.open(1)
    await town.tick()
    first, second = town.live()
    await town.yes(second)
    with pytest.raises(SeatTaken):
        await town.yes(first)
    assert {event.outcome for event in town.offers.settled()} == {"accepted", "seat-taken"}
    with pytest.raises(OfferSettledAlready, match="seat-taken"):
        await town.yes(first, command="another")


async def test_a_repeated_yes_is_the_first_one(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    assert await town.yes(offer, "key") == await town.yes(offer, "key")
    with pytest.raises(OfferSettledAlready, match="accepted"):
        await town.yes(offer, "another key")
    assert town.registry.asked == 1


async def test_an_offer_that_has_run_out_can_be_neither_accepted_nor_refused(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.now = offer.expires_at
    with pytest.raises(OfferExpired):
        await town.yes(offer)
    with pytest.raises(OfferExpired):
        await town.no(offer)
    town.now -= timedelta(milliseconds=1)
    assert (await town.yes(offer)).outcome == "accepted"


async def test_hours_are_a_part_of_those_offered(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    for hours in (0, mask_of([(6, "08:30", "11:30")]), MORNINGS | mask_of([(1, "11:30", "12:00")])):
        with pytest.raises(HoursOutsideOffer):
            await town.yes(offer, hours=hours)
    part = mask_of([(2, "08:30", "11:30")])
    after = await town.yes(offer, hours=part)
    assert after.terms is not None
    assert after.terms.hours == part


async def test_terms_that_the_registry_refuses_leave_the_offer_standing(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.refusal = declined("child-care-full")
    with pytest.raises(TermsRefused, match="child-care-full"):
        await town.yes(offer, child_care=True)
    assert town.offers.settled() == []
    town.registry.refusal = None
    assert (await town.yes(offer)).outcome == "accepted"


async def test_terms_refused_after_the_hiring_was_cancelled_end_the_offer(town: Town) -> None:
    town.join(1)
    post_id = town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.after = [RegistryUnavailable("lost")]
    town.registry.refusal = declined("date-out-of-range")
    with pytest.raises(RegistryUnavailable):
        await town.yes(offer)
    await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))
    town.now += ANSWER_WITHIN
    await town.tick()
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "date-out-of-range")]


async def test_a_refusal_of_her_by_the_registry_ends_the_offer(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    town.registry.refusal = declined("seeker-withdrawn")
    with pytest.raises(PlacementRefused, match="seeker-withdrawn"):
        await town.yes(town.live()[0])
    town.registry.refusal = None
    await town.tick()
    assert seekers(town.live()) == [2]
    assert [(e.outcome, e.reason) for e in town.offers.settled()] == [("withdrawn", "seeker-withdrawn")]


async def test_an_unknown_offer(town: Town) -> None:
    with pytest.raises(OfferUnknown):
        await town.offers.transaction(lambda book: answering.say_no(book, id_of("ofr", 9), town.now))


# --- failures in between ----------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_again_and_counts_once(town: Town) -> None:
    """As after a kill between the registry's answer and our commit."""
    town.join(1, 2)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.after = [RegistryUnavailable("lost")]
    with pytest.raises(RegistryUnavailable):
        await town.yes(offer)
    assert [o.state for o in town.offers.offers] == ["accepting"]
    with pytest.raises(OfferBeingAccepted):
        await town.no(offer)
    with pytest.raises(OfferBeingAccepted):
        await town.yes(offer, "another key")
    with pytest.raises(OfferBeingAccepted):
        await town.yes(offer)  # somebody may still be waiting for the registry
    town.hirings = town.instance()
    await town.tick()
    assert [o.state for o in town.offers.offers] == ["accepting"]
    town.now = offer.expires_at + ANSWER_WITHIN
    await town.tick()
    assert [(e.outcome, e.placement_id) for e in town.offers.settled()] == [("accepted", id_of("plc", 1))]
    assert list(town.registry.active) == [id_of("plc", 1)]
    assert (await town.yes(offer)).outcome == "accepted", "her own retry finds it done"


async def test_a_registry_that_was_not_reached_can_be_asked_again_at_once(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.before = [RegistryUnavailable("refused", is_reached=False)]
    with pytest.raises(RegistryUnavailable):
        await town.yes(offer)
    assert (await town.yes(offer)).outcome == "accepted"


async def test_a_registry_that_is_away_holds_up_nothing_else(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    town.registry.before = [RegistryUnavailable("away") for _ in range(3)]
    with pytest.raises(RegistryUnavailable):
        await town.yes(offer)
    town.open(2)
    await town.tick(minutes=1)
    assert [o.post_id for o in town.live()] == [id_of("pst", 2)]
    town.registry.before.clear()
    await town.tick(minutes=1)
    assert [o.outcome for o in town.offers.offers if o.id == offer.id] == ["accepted"]


async def test_a_placement_that_came_too_late_is_given_back(town: Town) -> None:
    asked = await _told(town, "no-seat-left", 1, 2)
    late = await town.registry.place(asked)
    await town.offers.transaction(lambda book: answering.conclude(book, asked, late, town.now))
    await town.tick()
    await town.tick()
    assert town.registry.released == [(id_of("plc", 1), town.now.date() - timedelta(days=1))]
    assert [e.outcome for e in town.offers.settled()] == ["seat-taken"]
    assert seekers(town.live()) == [2]


async def _told(town: Town, code: str, *numbers: int) -> Offer:
    """The first seeker's offer as the registry was asked, whose answer was given up; who asked again was declined."""
    town.join(*numbers)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    asked = await town.offers.transaction(
        lambda book: answering.say_yes(book, offer.id, _terms(offer), "key", town.now)
    )
    await town.offers.transaction(lambda book: answering.conclude(book, asked, declined(code), town.now))
    return asked


async def _handed_back(town: Town) -> Offer:
    """As `_told`, for a reason that hands the offer back: her terms do not suit."""
    asked = await _told(town, "child-care-full", 1)
    assert [o.id for o in town.live()] == [asked.id]
    return asked


async def test_a_seat_that_is_given_after_her_terms_were_handed_back_is_hers(town: Town) -> None:
    asked = await _handed_back(town)
    late = await town.registry.place(asked)
    after, _, _ = await town.offers.transaction(lambda book: answering.conclude(book, asked, late, town.now))
    assert (after.outcome, after.placement_id, after.attendance) == ("accepted", id_of("plc", 1), "awaited")
    assert after.terms == asked.terms
    await town.tick()
    assert town.registry.released == []
    [end] = town.offers.settled()
    assert (end.outcome, end.placement_id) == ("accepted", id_of("plc", 1))


async def test_a_seat_that_is_given_after_her_terms_were_handed_back_and_her_offer_ended_is_given_back(
    town: Town,
) -> None:
    asked = await _handed_back(town)
    await town.tick(minutes=16)
    late = await town.registry.place(asked)
    await town.offers.transaction(lambda book: answering.conclude(book, asked, late, town.now))
    await town.tick()
    assert town.registry.released == [(id_of("plc", 1), NOW.date() - timedelta(days=1))]
    assert next(end.outcome for end in town.offers.settled()) == "expired"


def _terms(offer: Offer) -> Terms:
    return Terms(offer.hours, NOW.date())


async def test_a_seat_that_is_being_taken_is_offered_to_nobody_else(town: Town) -> None:
    town.join(1, 2)
    town.open(1)
    await town.tick()
    town.registry.before = [RegistryUnavailable("away")]
    with pytest.raises(RegistryUnavailable):
        await town.yes(town.live()[0])
    await town.tick()
    assert town.live() == []


async def test_who_holds_an_offer_of_an_earlier_round_is_not_asked_again(town: Town) -> None:
    town.join(1)
    post_id = town.open(1, seats=2, hours=0, kind="mobile", location=None, min_minutes=0)
    await town.tick()
    town.registry.after = [RegistryUnavailable("lost")]
    town.registry.refusal = declined("date-out-of-range")
    with pytest.raises(RegistryUnavailable):
        await town.yes(town.live()[0])
    await town.offers.transaction(lambda book: offering.cancel(book, post_id, town.now))
    await town.offers.transaction(
        lambda book: offering.start(book, post_id, YANTAI, per_seat=1, expiry_minutes=5, is_asked=True, now=town.now)
    )
    town.now += ANSWER_WITHIN
    await town.tick()
    await town.tick()
    assert [(offer.round, offer.state) for offer in town.offers.offers] == [(1, "live")]


async def test_an_answer_that_was_noted_is_not_noted_again(town: Town) -> None:
    town.join(1)
    town.open(1)
    await town.tick()
    offer = town.live()[0]
    asked = await town.offers.transaction(
        lambda book: answering.say_yes(book, offer.id, _terms(offer), "key", town.now)
    )
    for _ in range(2):
        after, _, _ = await town.offers.transaction(
            lambda book: answering.conclude(book, asked, declined("child-care-full"), town.now)
        )
        assert after.state == "live"
