"""Posts: open (one or many), change, close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.registry import errors
from services.registry.domain import posts as rules
from services.registry.domain.hours import week_mask
from services.registry.domain.places import Employer, Station, area_faults
from services.registry.domain.posts import Post
from services.registry.ports import Changes, RegistryStore
from services.registry.use_cases import events
from services.registry.use_cases.commands import ChangePost, ClosePost, OpenPost, PayInput, given
from services.registry.use_cases.fields import spans_of
from services.registry.use_cases.rows import Outcome, save_rows
from shared.contracts import registry as contracts
from shared.contracts.envelope import Envelope
from shared.kernel.errors import Fault
from shared.kernel.geo import Place
from shared.kernel.ids import NewId


async def open_posts(rows: Sequence[OpenPost], *, store: RegistryStore, now: datetime, new_id: NewId) -> list[Outcome]:
    """Employers open posts; the city is the employer's, the community the station's."""
    employers = await store.employers({row.employer_id for row in rows})
    stations = await store.stations({row.station_id for row in rows if row.station_id})
    changes = Changes()
    verdicts: list[errors.RegistryError | None] = []
    for row in rows:
        try:
            post = _opened(row, employers, stations, now, new_id)
        except errors.RegistryError as error:
            verdicts.append(error)
            continue
        changes.added.append(post)
        changes.events.append(events.post_opened(post))
        verdicts.append(None)
    return await save_rows(store, changes, verdicts, now)


def _opened(
    command: OpenPost, employers: Mapping[str, Employer], stations: Mapping[str, Station], now: datetime, new_id: NewId
) -> Post:
    employer = employers.get(command.employer_id)
    if employer is None:
        raise errors.EmployerUnknown(Fault("employer_id", "the id of a registered employer"))
    if employer.suspended is not None:
        raise errors.EmployerIsSuspended(Fault("employer_id", "an employer that is not suspended"))
    station = _station(command.station_id, stations, employer.city)
    hours, hours_faults = week_mask(spans_of(command.hours), "hours")
    pay, pay_faults = _pay(command.pay)
    post = Post(
        id=new_id("post"),
        version=1,
        lock=1,
        employer_id=employer.id,
        city=employer.city,
        area=command.area,
        station_id=None if station is None else station.id,
        community_id=None if station is None else station.community_id,
        kind=command.kind,
        trade=command.trade,
        location=None if command.location is None else Place(command.location.lat, command.location.lon),
        hours=hours,
        min_minutes=command.min_minutes,
        skills_required=command.skills_required,
        skills_desired=command.skills_desired,
        pay=pay,
        seats=command.seats,
        seats_taken=0,
        facilities=command.facilities,
        urgent=command.urgent,
        opened_at=now,
        closes_at=command.closes_at,
    )
    return _judged(_located(post, station), hours_faults, pay_faults, now)


def _pay(pay: PayInput) -> tuple[rules.Pay, list[Fault]]:
    return rules.pay_of(pay.per, pay.fen, pay.expected_hourly_fen)


def _station(station_id: str | None, stations: Mapping[str, Station], city: str) -> Station | None:
    """The station that a post is to be at; without an accepted production zone it hosts none (FACTS.md, Y, L)."""
    if station_id is None:
        return None
    station = stations.get(station_id)
    if station is None:
        raise errors.StationUnknown(Fault("station_id", "the id of a registered station"))
    if station.city != city:
        raise errors.StationElsewhere(Fault("station_id", "a station in the city of the employer"))
    if not station.production_accepted:
        raise errors.StationNotAccepted(Fault("station_id", "a station whose production zone is accepted"))
    return station


def _located(post: Post, station: Station | None) -> Post:
    """Work at a station without a location of its own is worked at the station; what is taken home is not."""
    if post.location is None and station is not None and post.kind in rules.ON_SITE:
        return replace(post, location=station.location)
    return post


def _judged(post: Post, hours_faults: list[Fault], pay_faults: list[Fault], now: datetime) -> Post:
    """The post, if no rule is against it. Where the hours cannot be read, nothing is said of what depends on them."""
    errors.refuse_if(
        (errors.AreaOutsideCity, area_faults(post.city, post.area)),
        (errors.HoursInvalid, hours_faults),
        (
            errors.PostIncomplete,
            []
            if hours_faults
            else [
                *rules.kind_faults(post.kind, placed=post.location is not None, hours=post.hours),
                *rules.min_minutes_faults(post.min_minutes, post.hours),
            ],
        ),
        (errors.PayInvalid, pay_faults),
        (errors.DateOutOfRange, rules.closing_faults(post.closes_at, now)),
    )
    return post


async def change_post(post_id: str, command: ChangePost, *, store: RegistryStore, now: datetime) -> Envelope:
    """The post changes and is published whole; placements keep the hours and the pay they were made with.

    Raises:
        PostUnknown, PostIsClosed, ChangeEmpty, SeatsTaken, and what an opening is refused for.
    """
    post = await _post(store, post_id)
    if post.closed is not None:
        raise errors.PostIsClosed(Fault("post_id", "a post that is open"))
    fields = {
        name: value
        for name, value in given(command).items()
        if value is not None or name in ("station_id", "location", "closes_at")
    }
    if not fields:
        raise errors.ChangeEmpty(Fault("body", "at least one field to change"))
    hours_faults, pay_faults = list[Fault](), list[Fault]()
    if command.hours is not None:
        fields["hours"], hours_faults = week_mask(spans_of(command.hours), "hours")
    if command.pay is not None:
        fields["pay"], pay_faults = _pay(command.pay)
    if command.location is not None:
        fields["location"] = Place(command.location.lat, command.location.lon)
    station = await _move(post, command, fields, store)
    if command.seats is not None and command.seats < post.seats_taken:
        raise errors.SeatsTaken(Fault("seats", f"at least {post.seats_taken}, the seats that are taken"))
    changed = replace(post, version=post.version + 1, lock=post.lock + 1, **fields)
    changed = _judged(_located(changed, station), hours_faults, pay_faults, now)
    [envelope] = await store.save(Changes(replaced=[(post, changed)], events=[events.post_opened(changed)]), now)
    return envelope


async def _move(post: Post, command: ChangePost, fields: dict[str, Any], store: RegistryStore) -> Station | None:
    """The station after the change. Who moves to another one leaves the old location, unless a new one is named."""
    if "station_id" not in fields or command.station_id == post.station_id:
        stations = await store.stations([post.station_id] if post.station_id else [])
        return stations.get(post.station_id or "")
    station = _station(
        command.station_id, await store.stations([command.station_id] if command.station_id else []), post.city
    )
    fields["community_id"] = None if station is None else station.community_id
    fields.setdefault("location", None)
    return station


async def close_post(post_id: str, command: ClosePost, *, store: RegistryStore, now: datetime) -> Envelope:
    """The post takes no one any more; its placements go on.

    Raises:
        PostUnknown, PostIsClosed
    """
    post = await _post(store, post_id)
    if post.closed is not None:
        raise errors.PostIsClosed(Fault("post_id", "a post that is open"))
    closed = replace(post, version=post.version + 1, lock=post.lock + 1, closed=command.reason, closed_at=now)
    event = contracts.PostClosed(
        post_id=closed.id, version=closed.version, city=closed.city, reason=command.reason, closed_at=now
    )
    [envelope] = await store.save(Changes(replaced=[(post, closed)], events=[event]), now)
    return envelope


async def _post(store: RegistryStore, post_id: str) -> Post:
    post = (await store.posts([post_id])).get(post_id)
    if post is None:
        raise errors.PostUnknown(Fault("post_id", "the id of a registered post"))
    return post
