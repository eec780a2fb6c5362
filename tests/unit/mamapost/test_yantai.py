"""The generator: the same on every machine, and as large as the programme was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Scenario
from mamapost.scenario.references import references
from mamapost.scenario.yantai import generate
from tests.unit.mamapost.plain import Programme, good, stage

FINGERPRINT = "3e2cca0a490752fd2bd3ac3728ece934347a0215231ca50286b8ecb272eabe5a"
"""Of seed 1, scale 0.01, October 2026. It changes when the scenario is changed on purpose; never otherwise."""


def test_same_seed_gives_the_pinned_scenario(tiny: Scenario) -> None:
    assert tiny.fingerprint == FINGERPRINT


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_gives_the_same(tiny: Scenario, hash_seed: str) -> None:
    program = (
        "from datetime import date; from mamapost.scenario.yantai import generate; "
        "print(generate(1, 0.01, date(2026, 10, 1)).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == tiny.fingerprint


def test_seed_scale_and_month_matter(tiny: Scenario) -> None:
    others = [
        generate(2, 0.01, date(2026, 10, 1)),
        generate(1, 0.02, date(2026, 10, 1)),
        generate(1, 0.01, date(2026, 9, 1)),
    ]
    assert len({tiny.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_any_day_names_the_month(tiny: Scenario) -> None:
    assert generate(1, 0.01, date(2026, 10, 17)) == tiny


def test_dice_are_pinned() -> None:
    dice = Dice(1, "part")
    assert [dice.below(100) for _ in range(6)] == [44, 4, 51, 14, 23, 21]
    assert sorted(dice.shuffled(range(10))) == list(range(10))
    assert {dice.between(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {dice.weighted((("a", 1), ("b", 0))) for _ in range(50)} == {"a"}


def test_counts_are_those_of_the_programme(full: Scenario) -> None:
    counts = full.counts
    exact = {"communities": 20, "stations": 20, "employers": 126, "seekers": 5000, "posts": 3200}
    assert {name: counts[name] for name in exact} == exact
    between = {
        "placements": (950, 1050),
        "shifts": (19_000, 22_000),
        "corrections": (200, 400),
        "corrections-again": (20, 100),
        "ended-placements": (30, 100),
        "withdrawals": (50, 50),
        "closed-posts": (100, 100),
        "changed-seekers": (100, 100),
        "changed-posts": (50, 50),
        "suspensions": (1, 1),
        "agreements": (40, 150),
        "settlements": (30, 120),
        "spending-requests": (20, 44),
        "late-agreements": (2, 10),
        "reversed-settlements": (2, 10),
        "late-corrections": (2, 20),
        "settlements-again": (2, 10),
        "funding-sources": (3, 3),
        "grants": (5, 9),
        "spendings": (18, 40),
        "declined-spendings": (2, 8),
        "payout-batches": (1, 1),
        "certificates": (80, 176),
        "refused": (40, 100),
    }
    outside = {name: counts[name] for name, (least, most) in between.items() if not least <= counts[name] <= most}
    assert not outside


def test_all_kinds_and_trades_occur(full: Scenario, programme: Programme) -> None:
    kinds = Counter(post["kind"] for post in programme.posts.values())
    assert min(kinds[kind] for kind in ("elastic", "team", "mobile", "new-form")) > 200
    assert len({post["trade"] for post in programme.posts.values()}) == 7
    assert {post["pay"]["per"] for post in programme.posts.values()} == {"hour", "piece"}
    assert len({body["kind"] for body in good(full, "employers").values()}) == 4
    placed = Counter(programme.post_of(placement)["kind"] for placement in programme.placements)
    assert min(placed.values()) > 50
    assert sum(post["urgent"] for post in programme.posts.values()) > 100
    assert max(post["seats"] for post in programme.posts.values()) == 40


def test_eleven_pilot_communities_sign_within_five_to_fifteen_percent(programme: Programme) -> None:
    assert len({agreement["community_id"] for agreement in programme.agreements.values()}) == 11
    rates = [agreement["rate_bp"] for agreement in programme.agreements.values()]
    assert min(rates) >= 500
    assert max(rates) <= 1500
    assert {agreement["base"] for agreement in programme.agreements.values()} == {"wages", "output"}


def test_stations_without_acceptance_host_no_post(programme: Programme) -> None:
    closed = {f"@{ref}" for ref, body in programme.stations.items() if not body["production_accepted"]}
    assert len(closed) == 2
    assert not closed & {post.get("station_id") for post in programme.posts.values()}


def test_nobody_resembles_a_real_person(full: Scenario, programme: Programme) -> None:
    for body in programme.seekers.values():
        person = body["person"]
        assert person["name"].startswith("测试")
        assert person["phone"].startswith("+000-")
        assert person["address"].startswith("示例路")
    assert len({body["person"]["phone"] for body in programme.seekers.values()}) == 5000


def test_women_are_20_to_45_with_a_child_under_12(full: Scenario, programme: Programme) -> None:
    soon = 0
    for body in programme.seekers.values():
        born = date.fromisoformat(body["person"]["birth_date"])
        children = [date.fromisoformat(child["birth_date"]) for child in body["person"]["children"]]
        assert (full.month - born).days > 20 * 365
        assert (full.usable_until - born).days < 46 * 365
        assert min(children) >= born.replace(year=born.year + 18, day=min(born.day, 28))
        twelfth = max(children).replace(year=max(children).year + 12, day=min(max(children).day, 28))
        assert twelfth >= full.usable_until
        soon += (twelfth - full.usable_until).days < 62
        assert date.fromisoformat(body.get("registered_on", "2026-09-30")) < full.month
    assert soon > 50


def test_references_lead_to_what_an_earlier_stage_made(full: Scenario, tiny: Scenario) -> None:
    for scenario in (full, tiny):
        made: set[str] = set()
        refs: set[str] = set()
        for one in scenario.stages:
            for command in one.commands:
                assert command.ref not in refs
                refs.add(command.ref)
                assert made.issuperset(references(command)), command.ref
            made |= {command.ref for command in one.commands if command.makes_entity}


def test_uploads_keep_the_limit_and_one_is_csv(full: Scenario, tiny: Scenario) -> None:
    for scenario in (full, tiny):
        uploads = [commands for one in scenario.stages for commands in one.requests() if commands[0].upload]
        names = [commands[0].upload for commands in uploads]
        assert len(set(names)) == len(names)
        assert max(len(commands) for commands in uploads) <= 1000
        assert [name for name in names if name and name.endswith(".csv")] == [names[len(stage_uploads(scenario)) - 1]]


def stage_uploads(scenario: Scenario) -> set[str | None]:
    return {command.upload for command in stage(scenario, "seekers")}


def test_bad_commands_are_many_and_of_all_services(full: Scenario, tiny: Scenario) -> None:
    for scenario in (full, tiny):
        bad = [(one.service, command) for one in scenario.stages for command in one.commands if command.refusal]
        assert len(bad) >= 40
        assert {service for service, _ in bad} == {"registry", "training", "revenue"}
        assert all(
            (command.refusal.status is None) == (command.upload is not None) for _, command in bad if command.refusal
        )


@pytest.mark.parametrize("month", [date(2024, 2, 1), date(2026, 12, 1), date(2027, 1, 1), date(2028, 2, 1)])
def test_every_month_can_be_played(month: date) -> None:
    scenario = generate(3, 0.02, month)
    shifts = good(scenario, "shifts").values()
    assert {body["started_at"][:7] for body in shifts} == {month.isoformat()[:7]}
    assert scenario.usable_from > month
    closes = [body["closes_at"] for body in good(scenario, "posts").values() if "closes_at" in body]
    assert min(closes) > scenario.usable_until.isoformat()
    starts = [date.fromisoformat(body["starts_on"]) for body in good(scenario, "placements").values()]
    assert max((scenario.usable_until - start).days for start in starts) <= 92


@pytest.mark.parametrize("scale", [0.0, 0.009, 5.1, float("nan")])
def test_scale_is_bounded(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        generate(1, scale, date(2026, 10, 1))
