"""One event of each topic, out of one story: a woman of Yantai sews in a station's room, and its community is thanked.

Every optional field is given where the story allows it, so that an example shows the whole form of its event. Ids and
times are fixed; `shared.contracts.golden` writes the messages to `examples/`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

from shared.contracts import matching, registry, revenue, training
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event, Point, WeekSpan
from shared.kernel.ids import PREFIXES

CITY = "370600"
AREA = "370602001"


def _id(entity: str, number: int = 1) -> str:
    """The id of the n-th entity of a kind in the story; real ids are random."""
    return f"{PREFIXES[entity]}-{hashlib.sha256(f'{entity} {number}'.encode()).hexdigest()[:32]}"


SEEKER = _id("seeker")
EMPLOYER = _id("employer")
COMMUNITY = _id("community")
STATION = _id("station")
SHUTTLE = _id("shuttle")
POST = _id("post")
PLACEMENT = _id("placement")
SHIFT = _id("shift")
COURSE = _id("course")
ENROLMENT = _id("enrolment")
CERTIFICATE = _id("certificate")
AGREEMENT = _id("agreement")
OFFER = _id("offer")


def _at(day: int, time: str) -> datetime:
    """An instant of March 2026, by the clock of Yantai (UTC+8)."""
    hour, minute = map(int, time.split(":"))
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


def _weekdays(start: str, to: str) -> tuple[WeekSpan, ...]:
    return tuple(WeekSpan(day=day, start=start, to=to) for day in range(1, 6))


def _policy(version: int, valid_from: date, weights: tuple[int, ...], km: int, at: datetime) -> matching.DatedPolicy:
    named = matching.PolicyWeights(**dict(zip(matching.PolicyWeights.model_fields, weights, strict=True)))
    limits = matching.PolicyLimits(commute_max_m=km * 1000, waiting_full_weeks=26)
    return matching.DatedPolicy(version=version, valid_from=valid_from, weights=named, limits=limits, adopted_at=at)


# The event, and the moment of the change, which becomes `ce_time`.
_STORY: tuple[tuple[Event, datetime], ...] = (
    (
        registry.CommunityRegistered(
            community_id=COMMUNITY, version=1, city=CITY, area="370602001003", registered_at=_at(2, "09:00")
        ),
        _at(2, "09:00"),
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
            registered_at=_at(2, "09:10"),
        ),
        _at(3, "15:00"),
    ),
    (
        registry.ShuttleRegistered(
            shuttle_id=SHUTTLE, version=1, city=CITY, station_id=STATION, seats=20, registered_at=_at(3, "15:30")
        ),
        _at(3, "15:30"),
    ),
    (
        registry.EmployerRegistered(
            employer_id=EMPLOYER, version=1, city=CITY, kind="enterprise", registered_at=_at(2, "09:20")
        ),
        _at(2, "09:20"),
    ),
    (
        registry.EmployerSuspended(
            employer_id=EMPLOYER, version=2, city=CITY, reason="insurance-missing", suspended_at=_at(24, "10:00")
        ),
        _at(24, "10:00"),
    ),
    (
        registry.EmployerReinstated(employer_id=EMPLOYER, version=3, city=CITY, reinstated_at=_at(26, "16:30")),
        _at(26, "16:30"),
    ),
    (
        revenue.AgreementSigned(
            agreement_id=AGREEMENT,
            version=1,
            city=CITY,
            employer_id=EMPLOYER,
            community_id=COMMUNITY,
            base="output",
            rate_bp=800,
            valid_from=date(2026, 3, 1),
            valid_until=date(2027, 2, 28),
            signed_at=_at(2, "14:00"),
        ),
        _at(2, "14:00"),
    ),
    (
        registry.SeekerRegistered(
            seeker_id=SEEKER,
            version=1,
            city=CITY,
            area=AREA,
            home=Point(lat=37.535, lon=121.39),
            commute_km=5,
            free=_weekdays("08:30", "11:30"),
            skills=("sewing",),
            kinds=("elastic", "team", "mobile"),
            facilities=("child-care-room",),
            pay_floor_fen=1_500,
            eligible_until=date(2031, 9, 30),
            registered_at=_at(3, "10:05"),
        ),
        _at(3, "10:05"),
    ),
    (
        training.CourseScheduled(
            course_id=COURSE,
            version=1,
            city=CITY,
            area=AREA,
            station_id=STATION,
            skill="garment-finishing",
            level=1,
            seats=20,
            starts_at=_at(4, "08:30"),
            ends_at=_at(6, "11:30"),
            child_care=True,
            scheduled_at=_at(3, "11:00"),
        ),
        _at(3, "11:00"),
    ),
    (
        training.EnrolmentMade(
            enrolment_id=ENROLMENT,
            version=1,
            course_id=COURSE,
            seeker_id=SEEKER,
            city=CITY,
            made_at=_at(3, "11:20"),
        ),
        _at(3, "11:20"),
    ),
    (
        training.EnrolmentAssessed(
            enrolment_id=ENROLMENT,
            version=2,
            course_id=COURSE,
            seeker_id=SEEKER,
            city=CITY,
            result="passed",
            assessed_at=_at(6, "11:40"),
        ),
        _at(6, "11:40"),
    ),
    (
        training.SkillCertified(
            certificate_id=CERTIFICATE,
            version=1,
            seeker_id=SEEKER,
            city=CITY,
            skill="garment-finishing",
            level=1,
            valid_until=date(2028, 3, 31),
            course_id=COURSE,
            certified_at=_at(6, "14:00"),
        ),
        _at(6, "14:00"),
    ),
    (
        training.SkillRevoked(
            certificate_id=CERTIFICATE,
            version=2,
            seeker_id=SEEKER,
            city=CITY,
            reason="superseded",
            revoked_at=_at(30, "09:00"),
        ),
        _at(30, "09:00"),
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
            hours=_weekdays("08:30", "11:30"),
            min_minutes=600,
            skills_required=("sewing",),
            skills_desired=("garment-finishing",),
            pay=registry.Pay(per="piece", fen=120, expected_hourly_fen=1_800),
            seats=4,
            facilities=("child-care-room", "nursing-room"),
            urgent=False,
            opened_at=_at(7, "09:00"),
            closes_at=_at(31, "18:00"),
        ),
        _at(7, "09:00"),
    ),
    (
        registry.PostClosed(post_id=POST, version=2, city=CITY, reason="filled", closed_at=_at(20, "17:00")),
        _at(20, "17:00"),
    ),
    (
        # Mothers of small children asked that the way counts more; from Monday on nobody is sent beyond 40 km.
        matching.PolicyAdopted(
            policy_id=f"{PREFIXES['policy']}-{hashlib.sha256(CITY.encode()).hexdigest()[:32]}",
            city=CITY,
            earlier=(_policy(1, date(2026, 1, 1), (30, 20, 15, 10, 10, 10, 5), 60, _at(1, "10:00") - timedelta(80)),),
            **dict(_policy(2, date(2026, 3, 9), (30, 25, 15, 10, 10, 5, 5), 40, _at(4, "16:00"))),
        ),
        _at(4, "16:00"),
    ),
    (
        matching.RankingChanged(
            post_id=POST,
            sequence=1,
            city=CITY,
            as_of=_at(7, "09:00"),
            top=(
                matching.Ranked(
                    seeker_id=SEEKER,
                    score=412_000,
                    parts=matching.Parts(
                        time_fit=200_000,
                        distance=90_000,
                        skills=100_000,
                        pay=10_000,
                        facilities=12_000,
                        reliability=0,
                        waiting=0,
                    ),
                ),
            ),
        ),
        _at(7, "09:00"),
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
            hours=_weekdays("08:30", "11:30"),
            starts_on=date(2026, 3, 9),
            made_at=_at(7, "15:00"),
        ),
        _at(7, "15:00"),
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
            started_at=_at(9, "08:30"),
            ended_at=_at(9, "11:30"),
            minutes=180,
            pieces=registry.Pieces(accepted=46, rejected=1),
            wage_fen=5_520,
            base_fen=11_500,
            verdict="attended",
        ),
        _at(9, "11:35"),
    ),
    (
        revenue.RebateAccrued(
            entry_id=_id("entry"),
            kind="accrual",
            shift_id=SHIFT,
            revision=1,
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            agreement_id=AGREEMENT,
            agreement_version=1,
            base_fen=11_500,
            rate_bp=800,
            amount_fen_e4=9_200_000,
            month="2026-03",
            worked_month="2026-03",
            accrued_at=_at(9, "11:35"),
        ),
        _at(9, "11:35"),
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
            ended_at=_at(27, "12:00"),
        ),
        _at(27, "12:00"),
    ),
    (
        registry.SeekerWithdrawn(
            seeker_id=SEEKER, version=2, city=CITY, reason="moved-away", withdrawn_at=_at(30, "10:00")
        ),
        _at(30, "10:00"),
    ),
    (
        # 14 shifts, 160,313 fen of output: 8 % is 12,825.04 fen; 0.04 fen goes into April.
        revenue.RebateSettled(
            settlement_id=_id("settlement"),
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            month="2026-03",
            base_fen=160_313,
            amount_fen=12_825,
            carry_fen_e4=400,
            entries=14,
            statement_hash=hashlib.sha256(b"statement").hexdigest(),
            settled_at=_at(31, "09:00") + timedelta(days=2),
        ),
        _at(31, "09:00") + timedelta(days=2),
    ),
    (
        revenue.FundSpent(
            spending_id=_id("spending"),
            community_id=COMMUNITY,
            city=CITY,
            category="lighting",
            amount_fen=9_600,
            receipt_hash=hashlib.sha256(b"receipt").hexdigest(),
            spent_at=_at(31, "15:00") + timedelta(days=9),
        ),
        _at(31, "15:00") + timedelta(days=9),
    ),
    (
        matching.OfferMade(
            offer_id=OFFER,
            version=1,
            post_id=POST,
            seeker_id=SEEKER,
            city=CITY,
            rank=1,
            hours=_weekdays("08:30", "11:30"),
            made_at=_at(7, "14:50"),
            expires_at=_at(7, "15:05"),
        ),
        _at(7, "14:50"),
    ),
    (
        matching.OfferSettled(
            offer_id=OFFER,
            version=2,
            post_id=POST,
            seeker_id=SEEKER,
            city=CITY,
            outcome="accepted",
            placement_id=PLACEMENT,
            settled_at=_at(7, "15:00"),
        ),
        _at(7, "15:00"),
    ),
)

EXAMPLES: dict[str, Envelope] = {
    event.topic: Envelope(_id("event", number), at, event) for number, (event, at) in enumerate(_STORY, 1)
}
"""The example of each topic, by topic."""
