"""Seekers: who may register, what is published, what ends with a withdrawal, what an erasure leaves."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.registry import errors
from services.registry.domain.people import Seeker
from services.registry.domain.placements import Placement
from services.registry.domain.posts import Post
from services.registry.use_cases import seekers
from services.registry.use_cases.commands import ChangeSeeker, RegisterSeeker, WithdrawSeeker
from shared.contracts.registry import PlacementEnded, SeekerRegistered, SeekerWithdrawn
from shared.kernel.ids import new_id
from tests.unit.registry.city import AFTERNOONS, MORNINGS, NOW, TODAY, City, Refused, seeker_body


async def change(city: City, seeker_id: str, **given: Any) -> None:
    await seekers.change_seeker(seeker_id, ChangeSeeker.model_validate(given), store=city.store, now=NOW)


async def test_a_registration_publishes_a_coarse_profile_and_keeps_the_exact_person(city: City) -> None:
    seeker_id = await city.seeker()
    event = city.store.events[-1]
    assert isinstance(event, SeekerRegistered)
    assert (event.seeker_id, event.version) == (seeker_id, 1)
    assert (event.home.lat, event.home.lon) == (37.535, 121.39)
    assert event.eligible_until == date(2032, 9, 30)
    assert (city.store.persons[seeker_id].home.lat, city.store.persons[seeker_id].children) == (
        37.53271,
        (date(2020, 9, 10),),
    )


async def test_a_paper_record_counts_from_its_civil_day(city: City) -> None:
    await city.seeker(registered_on="2026-02-01")
    event = city.store.events[-1]
    assert isinstance(event, SeekerRegistered)
    assert event.registered_at.isoformat() == "2026-01-31T16:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        (
            {"person": {"children": [{"birth_date": "2014-03-09"}]}},
            errors.ChildTooOld,
            ["person.children.0.birth_date"],
        ),
        (
            {"person": {"children": [{"birth_date": "2010-01-01"}, {"birth_date": "2013-01-01"}]}},
            errors.ChildTooOld,
            ["person.children.1.birth_date"],
        ),
        (
            {"person": {"children": [{"birth_date": "2026-03-10"}]}},
            errors.BirthDateInvalid,
            ["person.children.0.birth_date"],
        ),
        ({"person": {"birth_date": "1971-03-09"}}, errors.NotOfWorkingAge, ["person.birth_date"]),
        ({"person": {"birth_date": "2010-03-10"}}, errors.NotOfWorkingAge, ["person.birth_date"]),
        ({"area": "370702"}, errors.AreaOutsideCity, ["area"]),
        ({"free": []}, errors.HoursInvalid, ["free"]),
        ({"free": [{"day": 1, "from": "10:00", "to": "09:00"}]}, errors.HoursInvalid, ["free.0.to"]),
        ({"registered_on": "2026-03-10"}, errors.RegisteredOnInvalid, ["registered_on"]),
        ({"registered_on": "2019-01-01"}, errors.RegisteredOnInvalid, ["registered_on"]),
    ],
)
async def test_who_may_not_register(
    city: City, given: dict[str, Any], error: type[errors.RegistryError], fields: list[str]
) -> None:
    before = dict(city.store.entities)
    with Refused(error, *fields):
        await city.seeker(**given)
    assert (city.store.entities, city.store.persons) == (before, {})


async def test_the_day_before_the_birthday_is_early_enough(city: City) -> None:
    await city.seeker(person={"birth_date": "1971-03-10", "children": [{"birth_date": "2014-03-10"}]})


async def test_all_faults_are_named_at_once(city: City) -> None:
    with Refused(errors.AreaOutsideCity, "area", "free", "person.children.0.birth_date"):
        await city.seeker(area="110101", free=[], person={"children": [{"birth_date": "2000-01-01"}]})


async def test_a_bulk_takes_the_good_rows_in_order(city: City) -> None:
    differences: list[dict[str, Any]] = [{}, {"area": "110101"}, {"commute_km": 3}, {"free": []}]
    rows = [RegisterSeeker.model_validate(seeker_body(**given)) for given in differences]
    before = len(city.store.events)
    outcomes = await seekers.register_seekers(rows, store=city.store, now=NOW, new_id=new_id)
    assert [getattr(outcome, "code", "good") for outcome in outcomes] == [
        "good",
        "area-outside-city",
        "good",
        "hours-invalid",
    ]
    assert len(city.store.events) == before + 2
    third = outcomes[2]
    assert not isinstance(third, errors.RegistryError)
    assert city.store.one(Seeker, third.event.entity_id).commute_km == 3


async def test_a_change_publishes_the_whole_profile_with_the_next_version(city: City) -> None:
    seeker_id = await city.seeker()
    await change(city, seeker_id, free=AFTERNOONS, home={"lat": 37.6, "lon": 121.5}, person={"phone": "139 1111 1111"})
    event = city.store.events[-1]
    assert isinstance(event, SeekerRegistered)
    assert (event.version, event.home.lat, event.free[0].start, event.skills) == (2, 37.6, "13:00", ("knitting",))
    assert city.store.persons[seeker_id].phone == "139 1111 1111"
    assert city.store.persons[seeker_id].name == "王芳"


async def test_a_new_child_moves_the_end_of_eligibility(city: City) -> None:
    seeker_id = await city.seeker()
    await change(city, seeker_id, person={"children": [{"birth_date": "2020-09-10"}, {"birth_date": "2026-02-28"}]})
    assert city.store.one(Seeker, seeker_id).eligible_until == date(2038, 2, 28)


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        ({}, errors.ChangeEmpty, ["body"]),
        ({"person": {}}, errors.ChangeEmpty, ["body"]),
        ({"free": []}, errors.HoursInvalid, ["free"]),
        ({"area": "110101"}, errors.AreaOutsideCity, ["area"]),
        (
            {"person": {"children": [{"birth_date": "2012-01-01"}]}},
            errors.ChildTooOld,
            ["person.children.0.birth_date"],
        ),
    ],
)
async def test_what_a_change_is_refused_for(
    city: City, given: dict[str, Any], error: type[errors.RegistryError], fields: list[str]
) -> None:
    seeker_id = await city.seeker()
    before = city.store.one(Seeker, seeker_id)
    with Refused(error, *fields):
        await change(city, seeker_id, **given)
    assert city.store.one(Seeker, seeker_id) == before


async def test_an_unknown_or_withdrawn_seeker_is_not_changed(city: City) -> None:
    with Refused(errors.SeekerUnknown, "seeker_id"):
        await change(city, new_id("seeker"), commute_km=2)
    seeker_id = await city.seeker()
    await seekers.withdraw_seeker(seeker_id, WithdrawSeeker(reason="own-wish"), store=city.store, now=NOW)
    with Refused(errors.SeekerGone, "seeker_id"):
        await change(city, seeker_id, commute_km=2)
    with Refused(errors.SeekerGone, "seeker_id"):
        await seekers.withdraw_seeker(seeker_id, WithdrawSeeker(reason="own-wish"), store=city.store, now=NOW)


async def test_a_withdrawal_ends_her_placements_and_frees_the_seats(city: City) -> None:
    seeker_id = await city.seeker()
    running, coming = await city.post(hours=MORNINGS), await city.post(hours=AFTERNOONS)
    first = await city.place(running, seeker_id)
    second = await city.place(coming, seeker_id, starts_on=TODAY + timedelta(days=5))
    await seekers.withdraw_seeker(seeker_id, WithdrawSeeker(reason="moved-away"), store=city.store, now=NOW)
    gone, *ended = city.store.events[-3:]
    assert isinstance(gone, SeekerWithdrawn)
    assert (gone.version, gone.reason) == (2, "moved-away")
    assert {(event.entity_id, event.entity_version) for event in ended} == {(first, 2), (second, 2)}
    assert all(isinstance(event, PlacementEnded) and event.reason == "seeker-withdrawn" for event in ended)
    assert city.store.one(Placement, first).ends_on == TODAY
    assert city.store.one(Placement, second).ends_on == TODAY + timedelta(days=4)
    assert [city.store.one(Post, post_id).seats_taken for post_id in (running, coming)] == [0, 0]


async def test_an_erasure_withdraws_her_and_destroys_her_data(city: City) -> None:
    seeker_id = await city.seeker()
    await seekers.erase_seeker(seeker_id, store=city.store, now=NOW)
    event = city.store.events[-1]
    assert isinstance(event, SeekerWithdrawn)
    assert event.reason == "erased"
    assert seeker_id not in city.store.persons
    with Refused(errors.PersonErased, "seeker_id"):
        await seekers.erase_seeker(seeker_id, store=city.store, now=NOW)


async def test_who_has_withdrawn_can_still_be_erased(city: City) -> None:
    seeker_id = await city.seeker()
    await seekers.withdraw_seeker(seeker_id, WithdrawSeeker(reason="found-work"), store=city.store, now=NOW)
    await seekers.erase_seeker(seeker_id, store=city.store, now=NOW)
    assert (city.store.events[-1].entity_version, city.store.persons) == (3, {})


def test_no_repr_of_a_command_shows_the_person() -> None:
    shown = repr(RegisterSeeker.model_validate(seeker_body()))
    for personal in ("王芳", "138 0000", "芝罘", "1990", "2020", "37.53271"):
        assert personal not in shown
