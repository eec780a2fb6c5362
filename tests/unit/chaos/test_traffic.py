"""Programmes in other cities, and requests that are spread over instances."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

from mamapost.chaos.traffic import city_of_wave, is_known, relocated
from mamapost.scenario.model import Scenario
from mamapost.scenario.yantai import generate
from shared.contracts.topics import PARTITIONS, partition_of

CODES = re.compile(r'"(?:city|area)": ?"(\d+)"')


def codes(scenario: Scenario) -> set[str]:
    bodies: list[Any] = [command.body for stage in scenario.stages for command in stage.commands]
    return set(CODES.findall(json.dumps(bodies)))


def receipts(scenario: Scenario) -> set[str]:
    bodies = [command.body for stage in scenario.stages for command in stage.commands]
    return {body["receipt"] for body in bodies if "receipt" in body}


def test_a_programme_moves_whole() -> None:
    home = generate(3, 0.02, date(2026, 10, 1))
    away = relocated(home, "512300")
    moved = {code for code in codes(home) if code.startswith("3706")}
    assert moved
    assert codes(away) == (codes(home) - moved) | {"5123" + code[4:] for code in moved}
    assert [(stage.name, len(stage.commands)) for stage in home.stages] == [
        (stage.name, len(stage.commands)) for stage in away.stages
    ]
    assert receipts(home)
    assert receipts(home).isdisjoint(receipts(away))
    assert relocated(home, "370600").counts == home.counts


def test_each_programme_has_a_city_of_its_own_and_all_partitions_have_some() -> None:
    cities = [city_of_wave(number) for number in range(1, 900)]
    assert len(set(cities)) == len(cities)
    assert all(re.fullmatch(r"[1-9][0-9]{5}", city) for city in cities)
    assert {partition_of(city) for city in cities[:20]} == set(range(PARTITIONS))


def test_a_refusal_is_known_and_a_failure_that_may_pass_is_not() -> None:
    assert is_known(201, {})
    assert is_known(422, {"code": "party-unknown", "retryable": True})
    assert not is_known(503, {"code": "store-unavailable", "retryable": True})
