"""Bad rows of uploads: good ones follow and precede them, and enter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from mamapost.scenario.model import Body, Command
from mamapost.scenario.yantai.cast import (
    Post,
    Station,
    civil,
    years_before,
)
from mamapost.scenario.yantai.refusals.making import FAR, NOBODY, YOUNGEST, Refusals
from mamapost.scenario.yantai.work import Shift


def seeker_rows(bad: Refusals, good: Body, month: date) -> tuple[list[Command], list[Command]]:
    """Rows for NDJSON, and rows for CSV."""
    path = "/seekers/bulk"
    person: Body = good["person"]

    def row(changes: Body, code: str, field: str) -> Command:
        return bad.row(path, {**good, **changes}, code, field)

    twelve = [{"birth_date": years_before(month, 12).isoformat()}]
    sixty = years_before(month, 60).isoformat()
    without_person = {name: value for name, value in good.items() if name != "person"}
    return [
        row({"person": {**person, "children": twelve, "birth_date": "1990-05-05"}}, "child-too-old", YOUNGEST),
        row({"person": {**person, "birth_date": sixty}}, "not-of-working-age", "person.birth_date"),
        row({"area": "110101"}, "area-outside-city", "area"),
        row({"kinds": ["night-watch"]}, "invalid", "kinds.0"),
        row({"free": []}, "hours-invalid", "free"),
        row({"registered_on": FAR.isoformat()}, "registered-on-invalid", "registered_on"),
        bad.row(path, without_person, "invalid", "person"),
    ], [
        row({"commute_km": 0}, "invalid", "commute_km"),
        row({"home": {"lat": 91.5, "lon": 121.4}}, "invalid", "home.lat"),
    ]


def post_rows(bad: Refusals, posts: Sequence[Post], closed_station: Station, month: date) -> list[Command]:
    path = "/posts/bulk"
    good = posts[0].body
    hourly = {"per": "hour", "fen": 2_200}
    on_site: Body = {
        **{name: value for name, value in good.items() if name not in ("station_id", "location")},
        "kind": "elastic",
        "hours": [{"day": 1, "from": "09:00", "to": "12:00"}],
        "min_minutes": 60,
        "pay": hourly,
        "location": {"lat": 37.54, "lon": 121.39},
    }
    nowhere = {name: value for name, value in on_site.items() if name != "location"}

    def row(changes: Body, code: str, field: str) -> Command:
        return bad.row(path, {**on_site, **changes}, code, field)

    return [
        row({"employer_id": f"emp-{NOBODY}"}, "employer-unknown", "employer_id"),
        row({"station_id": f"stn-{NOBODY}"}, "station-unknown", "station_id"),
        row({"station_id": f"@{closed_station.ref}"}, "station-not-accepted", "station_id"),
        bad.row(path, nowhere, "post-incomplete", "location"),
        row({"min_minutes": 240}, "post-incomplete", "min_minutes"),
        row({"pay": {"per": "piece", "fen": 120}}, "pay-invalid", "pay.expected_hourly_fen"),
        row({"closes_at": civil(month, 0)}, "date-out-of-range", "closes_at"),
        row({"seats": 0}, "invalid", "seats"),
        row({"hours": [{"day": 1, "from": "09:10", "to": "12:00"}]}, "invalid", "hours.0.from"),
        row({"hours": [{"day": 1, "from": "12:00", "to": "09:00"}]}, "hours-invalid", "hours.0.to"),
    ]


def shift_rows(bad: Refusals, recorded: Sequence[Shift]) -> list[tuple[Shift, Command]]:
    """Rows that go to the end of the upload that the shift is in."""
    path = "/shifts/bulk"
    shift = next(shift for shift in recorded if shift.verdict == "attended")
    good: Body = {"placement_id": f"@{shift.placing.ref}", **shift.body()}
    day_before = shift.placing.starts_on - timedelta(days=1)
    early = {"started_at": civil(day_before, shift.first), "ended_at": civil(day_before, shift.last)}
    future = {"started_at": civil(FAR, shift.first), "ended_at": civil(FAR, shift.last)}
    turned = {"started_at": good["ended_at"], "ended_at": good["started_at"]}
    without = {name: value for name, value in good.items() if name != "pieces"}
    wrong_pieces = without if "pieces" in good else {**good, "pieces": {"accepted": 5, "rejected": 0}}
    rows = [
        ({**good, **early}, "shift-before-placement", "started_at"),
        (good, "shift-overlap", "started_at"),
        (wrong_pieces, "pieces-invalid", "pieces"),
        ({**good, "placement_id": f"plc-{NOBODY}"}, "placement-unknown", "placement_id"),
        ({**good, **turned}, "shift-times-invalid", "ended_at"),
        ({**good, **future}, "shift-times-invalid", "ended_at"),
        ({**good, "verdict": "asleep"}, "invalid", "verdict"),
        ({**without, "verdict": "no-show", "output_fen": 100}, "no-show-with-output", "output_fen"),
    ]
    return [(shift, bad.row(path, body, code, field)) for body, code, field in rows]
