"""Seekers: register (one or many), change, withdraw, erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from services.registry import errors
from services.registry.domain import people
from services.registry.domain.hours import empty_faults, week_mask
from services.registry.domain.people import Person, Seeker, WithdrawalReason
from services.registry.domain.placements import last_day_on_withdrawal, over
from services.registry.domain.places import area_faults
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import bundles, events
from services.registry.use_cases.commands import ChangeSeeker, PersonChange, RegisterSeeker, WithdrawSeeker, given
from services.registry.use_cases.fields import spans_of
from services.registry.use_cases.rows import Outcome, save_rows
from shared.contracts import registry as contracts
from shared.contracts.envelope import Envelope
from shared.kernel.clock import CITY_ZONE, civil_day
from shared.kernel.errors import Fault
from shared.kernel.geo import Place, coarse
from shared.kernel.ids import NewId


async def register_seekers(
    rows: Sequence[RegisterSeeker], *, store: RegistryStore, now: datetime, new_id: NewId
) -> list[Outcome]:
    """Women look for mama posts. Each row that is refused says why: not of working age, youngest child too old, ...

    The same woman is not recognised in two rows: her data is only kept encrypted.
    """
    changes = Changes()
    verdicts: list[errors.RegistryError | None] = []
    for row in rows:
        try:
            seeker, person = _registered(row, now, new_id)
        except errors.RegistryError as error:
            verdicts.append(error)
            continue
        changes.added.append(seeker)
        changes.persons[seeker.id] = person
        changes.events.append(events.seeker_registered(seeker))
        verdicts.append(None)
    return await save_rows(store, changes, verdicts, now)


def _registered(command: RegisterSeeker, now: datetime, new_id: NewId) -> tuple[Seeker, Person]:
    today = civil_day(now)
    day = command.registered_on or today
    children = tuple(child.birth_date for child in command.person.children)
    free, free_faults = week_mask(spans_of(command.free), "free")
    errors.refuse_if(
        (errors.AreaOutsideCity, area_faults(command.city, command.area)),
        (errors.HoursInvalid, free_faults or empty_faults(free, "free")),
        (errors.RegisteredOnInvalid, people.registered_on_faults(day, today)),
        *_birth_findings(command.person.birth_date, children, day, today),
    )
    home = Place(command.home.lat, command.home.lon)
    person = Person(
        name=command.person.name,
        phone=command.person.phone,
        birth_date=command.person.birth_date,
        address=command.person.address,
        home=home,
        children=children,
    )
    seeker = Seeker(
        id=new_id("seeker"),
        version=1,
        lock=1,
        city=command.city,
        area=command.area,
        home=coarse(home),
        commute_km=command.commute_km,
        free=free,
        skills=command.skills,
        kinds=command.kinds,
        facilities=command.facilities,
        pay_floor_fen=command.pay_floor_fen,
        eligible_until=people.eligible_until(children),
        registered_at=now if day == today else _midnight(day),
    )
    return seeker, person


def _birth_findings(
    born: date, children: Sequence[date], day: date, today: date
) -> list[tuple[type[errors.RegistryError], list[Fault]]]:
    """Impossible dates alone, or else what the possible ones mean."""
    if faults := people.birth_faults(born, children, today):
        return [(errors.BirthDateInvalid, faults)]
    return [
        (errors.NotOfWorkingAge, people.working_age_faults(born, day)),
        (errors.ChildTooOld, people.child_faults(children, today)),
    ]


def _midnight(day: date) -> datetime:
    """Start of a civil day: a paper record knows no time."""
    return datetime.combine(day, time(), CITY_ZONE).astimezone(UTC)


async def change_seeker(seeker_id: str, command: ChangeSeeker, *, store: RegistryStore, now: datetime) -> Envelope:
    """Her profile or her data changed; the whole profile is published again.

    Eligibility is judged anew when a birth date changes, by today's children and her age at registration.

    Raises:
        SeekerUnknown, SeekerGone, ChangeEmpty, and what a registration is refused for.
    """
    seeker = await _seeker(store, seeker_id)
    if seeker.withdrawn is not None:
        raise errors.SeekerGone(Fault("seeker_id", "a seeker who has not withdrawn"))
    fields = {name: value for name, value in given(command).items() if value is not None}
    if not fields or (set(fields) == {"person"} and not _given_of(command.person)):
        raise errors.ChangeEmpty(Fault("body", "at least one field to change"))
    free, free_faults = seeker.free, list[Fault]()
    if command.free is not None:
        free, free_faults = week_mask(spans_of(command.free), "free")
    errors.refuse_if(
        (errors.AreaOutsideCity, area_faults(seeker.city, command.area) if command.area else []),
        (errors.HoursInvalid, free_faults or empty_faults(free, "free")),
    )
    changed = replace(
        seeker,
        version=seeker.version + 1,
        lock=seeker.lock + 1,
        area=command.area or seeker.area,
        commute_km=command.commute_km or seeker.commute_km,
        free=free,
        skills=seeker.skills if command.skills is None else command.skills,
        kinds=command.kinds or seeker.kinds,
        facilities=seeker.facilities if command.facilities is None else command.facilities,
        pay_floor_fen=seeker.pay_floor_fen if command.pay_floor_fen is None else command.pay_floor_fen,
    )
    changes = Changes()
    if command.person is not None or command.home is not None:
        person = _person_changed(await store.person(seeker_id), command, seeker, now)
        changes.persons[seeker_id] = person
        changed = replace(changed, home=coarse(person.home), eligible_until=people.eligible_until(person.children))
    changes.replaced.append((seeker, changed))
    changes.events.append(events.seeker_registered(changed))
    [envelope] = await store.save(changes, now)
    return envelope


def _given_of(change: PersonChange | None) -> dict[str, Any]:
    return {} if change is None else {name: value for name, value in given(change).items() if value is not None}


def _person_changed(person: Person, command: ChangeSeeker, seeker: Seeker, now: datetime) -> Person:
    fields = _given_of(command.person)
    births_changed = "children" in fields or "birth_date" in fields
    if "children" in fields:
        fields["children"] = tuple(child.birth_date for child in fields["children"])
    if command.home is not None:
        fields["home"] = Place(command.home.lat, command.home.lon)
    changed = replace(person, **fields)
    if births_changed:
        registered = civil_day(seeker.registered_at)
        errors.refuse_if(*_birth_findings(changed.birth_date, changed.children, registered, civil_day(now)))
    return changed


async def withdraw_seeker(seeker_id: str, command: WithdrawSeeker, *, store: RegistryStore, now: datetime) -> Envelope:
    """She no longer looks; her running placements end with her.

    Raises:
        SeekerUnknown, SeekerGone
    """
    seeker = await _seeker(store, seeker_id)
    if seeker.withdrawn is not None:
        raise errors.SeekerGone(Fault("seeker_id", "a seeker who has not withdrawn"))
    return await _withdraw(seeker, command.reason, Changes(), store, now)


async def erase_seeker(seeker_id: str, *, store: RegistryStore, now: datetime) -> Envelope:
    """Her personal data becomes unreadable for ever, and she is withdrawn, if she was not before.

    Nothing tells any more that she used child care: running placements end, and one that has ended holds nothing.

    Raises:
        SeekerUnknown, PersonErased
    """
    seeker = await _seeker(store, seeker_id)
    if seeker.withdrawn == "erased":
        raise errors.PersonErased(Fault("seeker_id", "a seeker whose data was not erased"))
    return await _withdraw(seeker, "erased", Changes(erased=[seeker_id]), store, now)


async def _withdraw(
    seeker: Seeker, reason: WithdrawalReason, changes: Changes, store: RegistryStore, now: datetime
) -> Envelope:
    today = civil_day(now)
    gone = replace(seeker, version=seeker.version + 1, lock=seeker.lock + 1, withdrawn=reason, withdrawn_at=now)
    changes.replaced.append((seeker, gone))
    changes.events.append(
        contracts.SeekerWithdrawn(
            seeker_id=gone.id, version=gone.version, city=gone.city, reason=reason, withdrawn_at=now
        )
    )
    running = [placement for placement in await store.placements_of_seeker(seeker.id, today) if placement.ended is None]
    posts = await store.posts([placement.post_id for placement in running])
    for placement in running:
        ended = over(placement, last_day_on_withdrawal(placement, today), "seeker-withdrawn", now)
        # Her active placements are on different posts (one per seeker and post), so each post is written once.
        post = posts[placement.post_id]
        changes.replaced.append((placement, ended))
        changes.replaced.append((post, replace(post, lock=post.lock + 1, seats_taken=post.seats_taken - 1)))
        changes.events.append(events.placement_ended(ended, now))
    changes.replaced.extend(await bundles.given_back(running, store))
    return (await store.save(changes, now))[0]


async def _seeker(store: RegistryStore, seeker_id: str) -> Seeker:
    seeker = (await store.seekers([seeker_id])).get(seeker_id)
    if seeker is None:
        raise errors.SeekerUnknown(Fault("seeker_id", "the id of a registered seeker"))
    return seeker
