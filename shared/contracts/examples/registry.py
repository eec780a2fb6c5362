"""Examples of the events of registry: who and where."""

from __future__ import annotations

from datetime import date

from shared.contracts import registry
from shared.contracts.examples.story import (
    AREA,
    CITY,
    COMMUNITY,
    EMPLOYER,
    PLACEMENT,
    POST,
    SEEKER,
    SHIFT,
    SHUTTLE,
    STATION,
    Told,
    at,
    weekdays,
)
from shared.contracts.fields import Point

TOLD: Told = (
    (
        registry.CommunityRegistered(
            community_id=COMMUNITY, version=1, city=CITY, area="370602001003", registered_at=at(2, "09:00")
        ),
        at(2, "09:00"),
    ),
    (
        registry.StationRegistered(
            station_id=STATION,
            version=2,
            city=CITY,
            area=AREA,
            community_id=COMMUNITY,
            location=Point(lat=37.5391, lon=121.3914),
            production_accepted=True,
            facilities=("child-care-room", "nursing-room"),
            child_care_places=12,
            registered_at=at(2, "09:10"),
        ),
        at(3, "15:00"),
    ),
    (
        registry.ShuttleRegistered(
            shuttle_id=SHUTTLE, version=1, city=CITY, station_id=STATION, seats=20, registered_at=at(3, "15:30")
        ),
        at(3, "15:30"),
    ),
    (
        registry.EmployerRegistered(
            employer_id=EMPLOYER, version=1, city=CITY, kind="enterprise", registered_at=at(2, "09:20")
        ),
        at(2, "09:20"),
    ),
    (
        registry.EmployerSuspended(
            employer_id=EMPLOYER, version=2, city=CITY, reason="insurance-missing", suspended_at=at(24, "10:00")
        ),
        at(24, "10:00"),
    ),
    (
        registry.EmployerReinstated(employer_id=EMPLOYER, version=3, city=CITY, reinstated_at=at(26, "16:30")),
        at(26, "16:30"),
    ),
    (
        registry.SeekerRegistered(
            seeker_id=SEEKER,
            version=1,
            city=CITY,
            area=AREA,
            home=Point(lat=37.535, lon=121.39),
            commute_km=5,
            free=weekdays("08:30", "11:30"),
            skills=("sewing",),
            kinds=("elastic", "team", "mobile"),
            facilities=("child-care-room",),
            pay_floor_fen=1_500,
            eligible_until=date(2031, 9, 30),
            registered_at=at(3, "10:05"),
        ),
        at(3, "10:05"),
    ),
    (
        registry.PostOpened(
            post_id=POST,
            version=1,
            employer_id=EMPLOYER,
            city=CITY,
            area=AREA,
            station_id=STATION,
            community_id=COMMUNITY,
            kind="team",
            trade="garment",
            location=Point(lat=37.5391, lon=121.3914),
            hours=weekdays("08:30", "11:30"),
            min_minutes=600,
            skills_required=("sewing",),
            skills_desired=("garment-finishing",),
            pay=registry.Pay(per="piece", fen=120, expected_hourly_fen=1_800),
            seats=4,
            facilities=("child-care-room", "nursing-room"),
            urgent=False,
            opened_at=at(7, "09:00"),
            closes_at=at(31, "18:00"),
        ),
        at(7, "09:00"),
    ),
    (
        registry.PostClosed(post_id=POST, version=2, city=CITY, reason="filled", closed_at=at(20, "17:00")),
        at(20, "17:00"),
    ),
    (
        registry.PlacementMade(
            placement_id=PLACEMENT,
            version=1,
            post_id=POST,
            seeker_id=SEEKER,
            employer_id=EMPLOYER,
            community_id=COMMUNITY,
            city=CITY,
            hours=weekdays("08:30", "11:30"),
            starts_on=date(2026, 3, 9),
            made_at=at(7, "15:00"),
        ),
        at(7, "15:00"),
    ),
    (
        registry.ShiftCompleted(
            shift_id=SHIFT,
            revision=1,
            placement_id=PLACEMENT,
            post_id=POST,
            seeker_id=SEEKER,
            employer_id=EMPLOYER,
            community_id=COMMUNITY,
            city=CITY,
            started_at=at(9, "08:30"),
            ended_at=at(9, "11:30"),
            minutes=180,
            pieces=registry.Pieces(accepted=46, rejected=1),
            wage_fen=5_520,
            base_fen=11_500,
            verdict="attended",
        ),
        at(9, "11:35"),
    ),
    (
        registry.PlacementEnded(
            placement_id=PLACEMENT,
            version=2,
            post_id=POST,
            seeker_id=SEEKER,
            city=CITY,
            reason="own-wish",
            ends_on=date(2026, 3, 27),
            ended_at=at(27, "12:00"),
        ),
        at(27, "12:00"),
    ),
    (
        registry.SeekerWithdrawn(
            seeker_id=SEEKER, version=2, city=CITY, reason="moved-away", withdrawn_at=at(30, "10:00")
        ),
        at(30, "10:00"),
    ),
)
