"""Events become facts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.matching.domain import Certificate, Employer, Fact, Placement, Post, Seeker, Shift, Station
from services.matching.facts import CONSUMED, KIND_OF_TOPIC, Unusable, fact_of
from shared.contracts import registry, training
from shared.kernel.week import mask_of
from tests.unit.matching.wire import (
    YANTAI,
    id_of,
    placement_made,
    post_opened,
    seeker_registered,
    shift_completed,
    skill_certified,
    station_registered,
)

AT = datetime(2026, 3, 9, 17, 0, tzinfo=UTC)


def test_a_seeker() -> None:
    fact = fact_of(seeker_registered(1, registered_at=AT.replace(microsecond=1234), skills=("sewing",)))
    assert (fact.kind, fact.id, fact.version, fact.city) == ("seeker", id_of("skr", 1), 1, YANTAI)
    assert isinstance(fact.state, Seeker)
    assert fact.state.registered_at == AT.replace(microsecond=1000)
    assert fact.state.limit_m == 8000
    assert fact.state.free == mask_of([(day, "08:30", "11:30") for day in range(1, 6)])


def test_what_is_over_keeps_its_version_only() -> None:
    withdrawn = registry.SeekerWithdrawn(
        seeker_id=id_of("skr", 1), version=4, city=YANTAI, reason="own-wish", withdrawn_at=AT
    )
    assert fact_of(withdrawn) == Fact("seeker", id_of("skr", 1), 4, YANTAI, None)
    closed = registry.PostClosed(post_id=id_of("pst", 1), version=2, city=YANTAI, reason="filled", closed_at=AT)
    assert fact_of(closed) == Fact("post", id_of("pst", 1), 2, YANTAI, None)
    ended = registry.PlacementEnded(
        placement_id=id_of("plc", 1),
        version=2,
        post_id=id_of("pst", 1),
        seeker_id=id_of("skr", 1),
        city=YANTAI,
        reason="employer",
        ends_on=AT.date(),
        ended_at=AT,
    )
    assert fact_of(ended) == Fact("placement", id_of("plc", 1), 2, YANTAI, None)
    revoked = training.SkillRevoked(
        certificate_id=id_of("crt", 1),
        version=2,
        seeker_id=id_of("skr", 1),
        city=YANTAI,
        reason="misconduct",
        revoked_at=AT,
    )
    assert fact_of(revoked) == Fact("certificate", id_of("crt", 1), 2, YANTAI, None)


def test_the_other_kinds() -> None:
    assert isinstance(fact_of(post_opened(1)).state, Post)
    assert fact_of(station_registered(1)).state == Station(True, frozenset({"nursing-room"}))
    hours = mask_of([(day, "08:30", "11:30") for day in range(1, 6)])
    assert fact_of(placement_made(1, 2, 3)).state == Placement(id_of("pst", 2), id_of("skr", 3), hours)
    assert fact_of(skill_certified(1, 2, "care")).state == Certificate(id_of("skr", 2), "care", None)
    shift = fact_of(shift_completed(1, 2, revision=3, verdict="no-show", started_at=AT))
    assert (shift.version, shift.state) == (3, Shift(id_of("skr", 2), "no-show", date(2026, 3, 10))), "China's day"
    employer: dict[str, Any] = {"employer_id": id_of("emp", 1), "version": 1, "city": YANTAI}
    active = registry.EmployerRegistered(**employer, kind="enterprise", registered_at=AT)
    suspended = registry.EmployerSuspended(**employer, reason="safety", suspended_at=AT)
    reinstated = registry.EmployerReinstated(**employer, reinstated_at=AT)
    assert [fact_of(event).state for event in (active, suspended, reinstated)] == [
        Employer(True),
        Employer(False),
        Employer(True),
    ]


@pytest.mark.parametrize(
    "event",
    [
        seeker_registered(1, free=[{"day": 1, "from": "10:00", "to": "10:00"}]),
        post_opened(1, hours=[{"day": 1, "from": "10:00", "to": "09:00"}]),
    ],
)
def test_hours_that_are_no_week_are_refused_by_field(
    event: registry.SeekerRegistered | registry.PostOpened,
) -> None:
    with pytest.raises(Unusable, match=r"^(free|hours): to: expected a time after"):
        fact_of(event)


def test_every_consumed_topic_leads_to_a_kind() -> None:
    assert {event.topic for event in CONSUMED} == set(KIND_OF_TOPIC)
    assert CONSUMED[-1].topic == "shift-completed", "what people do has its turn first"
    assert KIND_OF_TOPIC["employer-suspended"] == KIND_OF_TOPIC["employer-registered"] == "employer"
