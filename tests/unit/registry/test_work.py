"""Placements and shifts: seats, hours, days, pay, corrections."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.registry import errors
from services.registry.domain.placements import Placement
from services.registry.domain.posts import Post
from services.registry.domain.shifts import Shift
from services.registry.use_cases import placements, posts, shifts
from services.registry.use_cases.commands import ChangePost, CorrectShift, EndPlacement, RecordShift
from shared.contracts.registry import PlacementEnded, PlacementMade, ShiftCompleted
from shared.kernel.ids import new_id
from shared.kernel.money import FEN_MAX
from tests.unit.registry.city import AFTERNOONS, MORNINGS, NOW, TODAY, City, Refused, shift_body

PIECE = {"per": "piece", "fen": 50, "expected_hourly_fen": 1500}


async def end(city: City, placement_id: str, ends_on: date = TODAY) -> None:
    command = EndPlacement(reason="own-wish", ends_on=ends_on)
    await placements.end_placement(placement_id, command, store=city.store, now=NOW)


async def correct(city: City, shift_id: str, revision: int, **given: Any) -> Shift:
    body = {"revision": revision, **shift_body("", **given)}
    body.pop("placement_id")
    await shifts.correct_shift(shift_id, CorrectShift.model_validate(body), store=city.store, now=NOW)
    return city.store.one(Shift, shift_id)


async def placed(city: City, **post: Any) -> str:
    return await city.place(await city.post(**post), await city.seeker())


async def test_a_placement_takes_a_seat_the_hours_and_the_terms(city: City) -> None:
    post_id, seeker_id = await city.post(station_id=city.station_id), await city.seeker()
    placement_id = await city.place(post_id, seeker_id)
    event = city.store.events[-1]
    assert isinstance(event, PlacementMade)
    assert (event.employer_id, event.community_id, len(event.hours)) == (city.employer_id, city.community_id, 5)
    assert (city.store.one(Post, post_id).seats_taken, city.store.one(Post, post_id).version) == (1, 1)
    assert city.store.one(Placement, placement_id).pay.fen == 1800


async def test_the_last_seat_is_the_last(city: City) -> None:
    post_id = await city.post(seats=1)
    placement_id = await city.place(post_id, await city.seeker())
    with Refused(errors.NoSeatLeft, "post_id"):
        await city.place(post_id, await city.seeker())
    await end(city, placement_id)
    await city.place(post_id, await city.seeker())


async def test_unknown_references_are_named(city: City) -> None:
    with Refused(errors.PostUnknown, "post_id"):
        await city.place(new_id("post"), await city.seeker())
    with Refused(errors.SeekerUnknown, "seeker_id"):
        await city.place(await city.post(), new_id("seeker"))


async def test_eligibility_ends_on_the_birthday_not_at_the_end_of_its_month(city: City) -> None:
    post_id = await city.post()
    seeker_id = await city.seeker(person={"children": [{"birth_date": "2014-04-10"}]})
    with Refused(errors.NotEligible, "starts_on"):
        await city.place(post_id, seeker_id, starts_on=date(2026, 4, 10))
    await city.place(post_id, seeker_id, starts_on=date(2026, 4, 9))


@pytest.mark.parametrize(("days", "good"), [(-92, True), (-93, False), (92, True), (93, False)])
async def test_a_placement_starts_within_a_quarter(city: City, days: int, good: bool) -> None:
    post_id, seeker_id, starts_on = await city.post(), await city.seeker(), TODAY + timedelta(days=days)
    if good:
        await city.place(post_id, seeker_id, starts_on=starts_on)
        return
    with Refused(errors.DateOutOfRange, "starts_on"):
        await city.place(post_id, seeker_id, starts_on=starts_on)


@pytest.mark.parametrize(
    ("hours", "error", "field"),
    [
        ([], errors.HoursOutsidePost, "hours"),
        ([{"day": 1, "from": "08:00", "to": "09:00"}], errors.HoursOutsidePost, "hours"),
        ([{"day": 1, "from": "09:00", "to": "09:00"}], errors.HoursInvalid, "hours.0.to"),
    ],
)
async def test_hours_lie_within_the_posts(
    city: City, hours: list[Any], error: type[errors.RegistryError], field: str
) -> None:
    with Refused(error, field):
        await city.place(await city.post(kind="team"), await city.seeker(), hours=hours)


async def test_a_seeker_of_another_city_is_not_placed(city: City) -> None:
    with Refused(errors.ElsewhereThanPost, "seeker_id"):
        await city.place(await city.post(), await city.seeker(city="370200", area="370202"))


async def test_two_placements_share_no_half_hour(city: City) -> None:
    seeker_id = await city.seeker()
    first = await city.place(await city.post(), seeker_id)
    another = await city.post()
    with Refused(errors.HoursOverlap, "hours"):
        await city.place(another, seeker_id)
    await city.place(await city.post(hours=AFTERNOONS), seeker_id)
    await end(city, first, ends_on=TODAY)
    with Refused(errors.HoursOverlap, "hours"):
        await city.place(another, seeker_id, starts_on=TODAY - timedelta(days=1))
    await city.place(another, seeker_id, starts_on=TODAY)


async def test_one_seat_per_seeker_and_post(city: City) -> None:
    post_id, seeker_id = await city.post(kind="mobile", hours=[], min_minutes=0, location=None), await city.seeker()
    first = await city.place(post_id, seeker_id)
    with Refused(errors.AlreadyPlaced, "post_id"):
        await city.place(post_id, seeker_id)
    await end(city, first)
    await city.place(post_id, seeker_id, starts_on=TODAY)


async def test_an_end_frees_the_seat_once(city: City) -> None:
    placement_id = await placed(city)
    await end(city, placement_id)
    event = city.store.events[-1]
    assert isinstance(event, PlacementEnded)
    assert (event.version, event.ends_on) == (2, TODAY)
    with Refused(errors.PlacementOver, "placement_id"):
        await end(city, placement_id)
    with Refused(errors.PlacementUnknown, "placement_id"):
        await end(city, new_id("placement"))


@pytest.mark.parametrize("ends_on", [TODAY - timedelta(days=32), TODAY + timedelta(days=93)])
async def test_an_end_is_neither_before_the_start_nor_far_ahead(city: City, ends_on: date) -> None:
    with Refused(errors.DateOutOfRange, "ends_on"):
        await end(city, await placed(city), ends_on)


async def test_an_end_leaves_no_shift_behind_it(city: City) -> None:
    placement_id = await placed(city)
    await city.shift(placement_id)
    with Refused(errors.ShiftsAfterEnd, "ends_on"):
        await end(city, placement_id, TODAY - timedelta(days=2))
    await end(city, placement_id, TODAY - timedelta(days=1))


async def test_hourly_and_piece_pay(city: City) -> None:
    await city.shift(await placed(city, station_id=city.station_id))
    event = city.store.events[-1]
    assert isinstance(event, ShiftCompleted)
    assert (event.minutes, event.wage_fen, event.base_fen, event.community_id) == (180, 5400, 5400, city.community_id)
    await city.shift(await placed(city, pay=PIECE), pieces={"accepted": 70, "rejected": 3}, output_fen=9000)
    event = city.store.events[-1]
    assert isinstance(event, ShiftCompleted)
    assert (event.wage_fen, event.base_fen) == (3500, 9000)
    assert event.pieces is not None
    assert event.pieces.rejected == 3


async def test_a_shift_is_paid_by_the_terms_of_its_placement(city: City) -> None:
    post_id = await city.post()
    placement_id = await city.place(post_id, await city.seeker())
    lower = ChangePost.model_validate({"pay": {"per": "hour", "fen": 900}})
    await posts.change_post(post_id, lower, store=city.store, now=NOW)
    assert city.store.one(Shift, await city.shift(placement_id)).wage_fen == 5400


async def test_a_no_show_pays_nothing(city: City) -> None:
    placement_id = await placed(city, pay=PIECE)
    shift = city.store.one(Shift, await city.shift(placement_id, verdict="no-show"))
    assert (shift.minutes, shift.pieces, shift.wage_fen, shift.base_fen) == (0, None, 0, 0)


@pytest.mark.parametrize(
    ("pay", "given", "error", "field"),
    [
        (PIECE, {}, errors.PiecesInvalid, "pieces"),
        (None, {"pieces": {"accepted": 1}}, errors.PiecesInvalid, "pieces"),
        (PIECE, {"verdict": "no-show", "pieces": {"accepted": 1}}, errors.PiecesInvalid, "pieces"),
        (None, {"verdict": "no-show", "output_fen": 1}, errors.NoShowWithOutput, "output_fen"),
        (None, {"ended_at": "2026-03-08T08:30:00+08:00"}, errors.ShiftTimesInvalid, "ended_at"),
        (None, {"ended_at": "2026-03-09T08:30:01+08:00"}, errors.ShiftTimesInvalid, "ended_at"),
        (None, {"day": TODAY}, errors.ShiftTimesInvalid, "ended_at"),
        (None, {"day": TODAY - timedelta(days=31)}, errors.ShiftBeforePlacement, "started_at"),
        ({"per": "hour", "fen": FEN_MAX}, {}, errors.AmountTooLarge, "ended_at"),
    ],
)
async def test_what_is_no_shift(
    city: City, pay: dict[str, Any] | None, given: dict[str, Any], error: type[errors.RegistryError], field: str
) -> None:
    placement_id = await placed(city, **({"pay": pay} if pay else {}))
    with Refused(error, field):
        await city.shift(placement_id, **given)


async def test_a_shift_belongs_to_the_civil_day_of_its_start(city: City) -> None:
    # 00:30 in China on the first day of the placement is the day before in UTC.
    first_day = TODAY - timedelta(days=30)
    placement_id = await placed(city)
    shift_id = await city.shift(
        placement_id, started_at=f"{first_day}T00:30:00+08:00", ended_at=f"{first_day}T01:30:00+08:00"
    )
    assert city.store.one(Shift, shift_id).month == "2026-02"


async def test_no_shift_after_the_end(city: City) -> None:
    placement_id = await placed(city)
    await end(city, placement_id, TODAY - timedelta(days=3))
    with Refused(errors.ShiftAfterPlacement, "started_at"):
        await city.shift(placement_id)
    await city.shift(placement_id, day=TODAY - timedelta(days=3))


async def test_shifts_of_a_placement_do_not_overlap(city: City) -> None:
    placement_id = await placed(city)
    await city.shift(placement_id)
    with Refused(errors.ShiftOverlap, "started_at"):
        await city.shift(placement_id)
    with Refused(errors.PlacementUnknown, "placement_id"):
        await city.shift(new_id("placement"))


async def test_of_rows_that_overlap_the_first_is_taken(city: City) -> None:
    placement_id = await placed(city)
    rows = [
        RecordShift.model_validate(shift_body(placement_id, **given))
        for given in (
            {},
            {},
            {"day": TODAY - timedelta(days=2)},
            {"started_at": "2026-03-08T11:00:00+08:00", "ended_at": "2026-03-08T12:00:00+08:00"},
            {"started_at": "2026-03-08T11:30:00+08:00", "ended_at": "2026-03-08T12:00:00+08:00"},
        )
    ]
    outcomes = await shifts.record_shifts(rows, store=city.store, now=NOW, new_id=new_id)
    assert [getattr(outcome, "code", "good") for outcome in outcomes] == [
        "good",
        "shift-overlap",
        "good",
        "shift-overlap",
        "good",
    ]


async def test_a_correction_is_the_next_revision_computed_anew(city: City) -> None:
    shift_id = await city.shift(await placed(city))
    shift = await correct(city, shift_id, 1, ended_at="2026-03-08T10:30:00+08:00", verdict="left-early")
    assert (shift.revision, shift.minutes, shift.wage_fen, shift.verdict) == (2, 120, 3600, "left-early")
    event = city.store.events[-1]
    assert isinstance(event, ShiftCompleted)
    assert (event.revision, event.shift_id) == (2, shift_id)
    with Refused(errors.StaleRevision, "revision"):
        await correct(city, shift_id, 1)
    with Refused(errors.ShiftUnknown, "shift_id"):
        await correct(city, new_id("shift"), 1)
    assert (await correct(city, shift_id, 2, verdict="no-show")).wage_fen == 0


async def test_a_correction_may_overlap_only_with_what_it_corrects(city: City) -> None:
    placement_id = await placed(city)
    shift_id = await city.shift(placement_id)
    await city.shift(placement_id, started_at="2026-03-08T13:00:00+08:00", ended_at="2026-03-08T14:00:00+08:00")
    with Refused(errors.ShiftOverlap, "started_at"):
        await correct(city, shift_id, 1, ended_at="2026-03-08T13:30:00+08:00")
    await correct(city, shift_id, 1, ended_at="2026-03-08T12:30:00+08:00")


async def test_the_morning_post_keeps_its_hours(city: City) -> None:
    placement = city.store.one(Placement, await placed(city, hours=MORNINGS))
    assert placement.hours == city.store.one(Post, placement.post_id).hours
