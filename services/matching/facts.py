"""What each event says, in the terms of the domain. Pure; the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.matching.domain import (
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Limits,
    Placement,
    Policy,
    Post,
    Schedule,
    Seeker,
    Shift,
    State,
    Station,
    Weights,
    policy_id_of,
)
from shared.contracts import matching, registry, training
from shared.contracts.fields import Event, Point, WeekSpan
from shared.kernel.clock import civil_day
from shared.kernel.geo import Place, Vector, vector_of
from shared.kernel.week import span_mask

M_PER_KM = 1000


class Unusable(Exception):
    """A valid event says something that no rule can work with; the message names the field, never its value."""


def _mask(field: str, spans: Sequence[WeekSpan]) -> int:
    mask = 0
    try:
        for span in spans:
            mask |= span_mask(span.day, span.start, span.to)
        return mask
    except ValueError as error:
        raise Unusable(f"{field}: {error}") from None


def _vector(point: Point) -> Vector:
    return vector_of(Place(point.lat, point.lon))


def _milliseconds(instant: datetime) -> datetime:
    """Instants as they travel and are stored, so that a tie is the same before and after a restart."""
    beyond = instant.microsecond % 1000
    return instant - timedelta(microseconds=beyond) if beyond else instant


def _seeker(event: registry.SeekerRegistered) -> Seeker:
    return Seeker(
        home=_vector(event.home),
        limit_m=event.commute_km * M_PER_KM,
        free=_mask("free", event.free),
        skills=frozenset(event.skills),
        kinds=frozenset(event.kinds),
        facilities=frozenset(event.facilities),
        pay_floor_fen=event.pay_floor_fen,
        eligible_until=event.eligible_until,
        registered_at=_milliseconds(event.registered_at),
    )


def _post(event: registry.PostOpened) -> Post:
    return Post(
        employer_id=event.employer_id,
        station_id=event.station_id,
        kind=event.kind,
        location=None if event.location is None else _vector(event.location),
        hours=_mask("hours", event.hours),
        min_minutes=event.min_minutes,
        skills_required=frozenset(event.skills_required),
        skills_desired=frozenset(event.skills_desired),
        expected_hourly_fen=event.pay.expected_hourly_fen,
        seats=event.seats,
        facilities=frozenset(event.facilities),
        urgent=event.urgent,
        opened_at=_milliseconds(event.opened_at),
        closes_at=None if event.closes_at is None else _milliseconds(event.closes_at),
    )


def _station(event: registry.StationRegistered) -> Station:
    return Station(accepted=event.production_accepted, facilities=frozenset(event.facilities))


def _placement(event: registry.PlacementMade) -> Placement:
    return Placement(post_id=event.post_id, seeker_id=event.seeker_id, hours=_mask("hours", event.hours))


def _certificate(event: training.SkillCertified) -> Certificate:
    return Certificate(seeker_id=event.seeker_id, skill=event.skill, valid_until=event.valid_until)


def _shift(event: registry.ShiftCompleted) -> Shift:
    return Shift(seeker_id=event.seeker_id, verdict=event.verdict, day=civil_day(event.started_at))


def _policy(event: matching.PolicyAdopted) -> Schedule:
    if event.policy_id != policy_id_of(event.city):
        raise Unusable("policy_id: expected the id of the city's policy")
    dated: tuple[matching.DatedPolicy | matching.PolicyAdopted, ...] = (*event.earlier, event)
    if [policy.version for policy in dated] != list(range(1, event.version + 1)):
        raise Unusable("earlier: expected all versions before this one, in order")
    try:
        return Schedule(
            tuple(
                Policy(
                    city=event.city,
                    version=policy.version,
                    valid_from=policy.valid_from,
                    weights=Weights(*(getattr(policy.weights, part) for part in Weights._fields)),
                    limits=Limits(policy.limits.commute_max_m, policy.limits.waiting_full_weeks),
                )
                for policy in dated
            )
        )
    except ValueError as error:
        raise Unusable(str(error)) from None


def _over(_: Event) -> None:
    return None


_SAYS: dict[type[Event], tuple[EntityKind, Callable[[Any], State | None]]] = {
    registry.SeekerRegistered: ("seeker", _seeker),
    registry.SeekerWithdrawn: ("seeker", _over),
    registry.PostOpened: ("post", _post),
    registry.PostClosed: ("post", _over),
    registry.EmployerRegistered: ("employer", lambda _: Employer(active=True)),
    registry.EmployerSuspended: ("employer", lambda _: Employer(active=False)),
    registry.EmployerReinstated: ("employer", lambda _: Employer(active=True)),
    registry.StationRegistered: ("station", _station),
    registry.PlacementMade: ("placement", _placement),
    registry.PlacementEnded: ("placement", _over),
    training.SkillCertified: ("certificate", _certificate),
    training.SkillRevoked: ("certificate", _over),
    matching.PolicyAdopted: ("policy", _policy),
    registry.ShiftCompleted: ("shift", _shift),
}

CONSUMED: tuple[type[Event], ...] = tuple(_SAYS)
"""Events that matching listens to, in their turns: what people do comes before shifts, of which there are most, and
each of which moves a woman by a few points."""

_SAYS_OF_TOPIC = {event.topic: says for event, says in _SAYS.items()}
"""By topic, since an event that came over the bus may be a plain structure with the model's fields (contracts.fast)."""

KIND_OF_TOPIC: dict[str, EntityKind] = {event.topic: kind for event, (kind, _) in _SAYS.items()}
"""Entity kind that a topic's events are about; topics with one version count lead to the same kind."""


def fact_of(event: Event) -> Fact:
    """What an event says.

    Raises:
        Unusable: its hours are no week.
        KeyError: matching does not consume this kind of event.
    """
    kind, says = _SAYS_OF_TOPIC[event.topic]
    return Fact(kind, event.entity_id, event.entity_version, event.city, says(event))
