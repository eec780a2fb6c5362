"""A scenario read back from nothing but its commands, as a service would get them: the tests judge what is posted."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from mamapost.scenario.model import Command, Scenario

Slots = frozenset[tuple[int, int]]
"""Half hours of the week: ISO weekday and number of the half hour."""


def stage(scenario: Scenario, name: str) -> tuple[Command, ...]:
    """Commands of a stage; none where a small scale leaves the stage out."""
    return next((stage.commands for stage in scenario.stages if stage.name == name), ())


def good(scenario: Scenario, name: str) -> dict[str, dict[str, Any]]:
    """Bodies of a stage that must be accepted, by ref."""
    return {command.ref: command.body for command in stage(scenario, name) if command.refusal is None}


def slots(hours: list[dict[str, Any]]) -> Slots:
    found = set()
    for span in hours:
        first, last = (int(time[:2]) * 2 + int(time[3:]) // 30 for time in (span["from"], span["to"]))
        assert first < last
        assert span["from"][3:] in ("00", "30")
        found |= {(span["day"], slot) for slot in range(first, last)}
    return frozenset(found)


def metres(a: dict[str, float], b: dict[str, float]) -> float:
    """Great-circle distance by the haversine formula."""
    lat_a, lat_b = math.radians(a["lat"]), math.radians(b["lat"])
    d_lon = math.radians(b["lon"] - a["lon"])
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(d_lon / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(h))


def rounded(home: dict[str, float]) -> dict[str, float]:
    """A home as it is published."""
    return {name: round(value / 0.005) * 0.005 for name, value in home.items()}


@dataclass
class Shift:
    """A shift as it stands after its corrections."""

    placement: str
    day: date
    body: dict[str, Any]


class Programme:
    """Entities by ref."""

    def __init__(self, scenario: Scenario) -> None:
        self.seekers = good(scenario, "seekers")
        self.posts = good(scenario, "posts")
        self.stations = good(scenario, "stations")
        self.placements = good(scenario, "placements")
        self.late = good(scenario, "late-agreements")
        self.agreements = good(scenario, "agreements") | self.late
        self.community_of = {ref: body["community_id"][1:] for ref, body in self.stations.items()}
        self.skills = self._skills(scenario)
        self.ends = {
            command.ref.partition("/")[0]: date.fromisoformat(command.body["ends_on"])
            for command in stage(scenario, "ended-placements")
        }
        self.recorded = {ref: self._shift(body) for ref, body in good(scenario, "shifts").items()}
        self.shifts = dict(self.recorded)
        for name in ("corrections", "corrections-again", "late-corrections"):
            for command in stage(scenario, name):
                ref = command.ref.partition("/")[0]
                body = {**command.body, "placement_id": f"@{self.shifts[ref].placement}"}
                self.shifts[ref] = self._shift(body)

    def _skills(self, scenario: Scenario) -> dict[str, set[str]]:
        held = {ref: set(body["skills"]) for ref, body in self.seekers.items()}
        course_skill = {ref: body["skill"] for ref, body in good(scenario, "courses").items()}
        enrolments = {command.ref: command for command in stage(scenario, "enrolments")}
        for command in stage(scenario, "certificates"):
            enrolment = enrolments[command.body["enrolment_id"][1:]]
            course = enrolment.path.split("/")[2][1:]
            held[enrolment.body["seeker_id"][1:]].add(course_skill[course])
        return held

    @staticmethod
    def _shift(body: dict[str, Any]) -> Shift:
        day = datetime.fromisoformat(body["started_at"])
        assert day.isoformat().endswith("+08:00")
        return Shift(body["placement_id"][1:], day.date(), body)

    def post_of(self, placement: str) -> dict[str, Any]:
        return self.posts[self.placements[placement]["post_id"][1:]]

    def wage(self, shift: Shift) -> int:
        """Her pay in fen, by the terms of her post."""
        if shift.body["verdict"] == "no-show":
            return 0
        pay = self.post_of(shift.placement)["pay"]
        if pay["per"] == "piece":
            return int(shift.body["pieces"]["accepted"] * pay["fen"])
        start, end = (datetime.fromisoformat(shift.body[name]) for name in ("started_at", "ended_at"))
        minutes = int((end - start).total_seconds()) // 60
        return -(minutes * int(pay["fen"]) // -60)

    def agreement_of(self, shift: Shift) -> str | None:
        """Ref of the agreement that covers the shift."""
        post = self.post_of(shift.placement)
        station = post.get("station_id")
        if station is None:
            return None
        for ref, agreement in self.agreements.items():
            pair = (agreement["employer_id"], agreement["community_id"][1:])
            until = agreement.get("valid_until", "9999-12-31")
            if pair == (post["employer_id"], self.community_of[station[1:]]) and (
                agreement["valid_from"] <= shift.day.isoformat() <= until
            ):
                return ref
        return None

    def base_fen(self, shift: Shift) -> int:
        """What the rate of a shift's agreement is taken of; 0 without one."""
        agreement = self.agreement_of(shift)
        if agreement is None:
            return 0
        wage = self.wage(shift)
        return wage if self.agreements[agreement]["base"] == "wages" else int(shift.body.get("output_fen", wage))

    def rebates(self) -> dict[tuple[str, str], int]:
        """Sums by employer and community, in fen × 10 000."""
        bases: Counter[str] = Counter()
        for shift in self.shifts.values():
            agreement = self.agreement_of(shift)
            if agreement is not None:
                bases[agreement] += self.base_fen(shift)
        sums: Counter[tuple[str, str]] = Counter()
        for ref, base in bases.items():
            body = self.agreements[ref]
            sums[body["employer_id"][1:], body["community_id"][1:]] += _at_marginal_rates(base, body)
        return {pair: amount for pair, amount in sums.items() if amount}


def _at_marginal_rates(base_fen: int, agreement: dict[str, Any]) -> int:
    """Fen × 10 000: what lies above a tier's limit pays the difference to the rate below once more."""
    rate, amount = agreement["rate_bp"], base_fen * agreement["rate_bp"]
    for tier in agreement.get("tiers", ()):
        amount += max(base_fen - tier["from_fen"], 0) * (tier["rate_bp"] - rate)
        rate = tier["rate_bp"]
    return int(amount)
