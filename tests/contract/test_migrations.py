"""Steps of the databases: additive, and what was recorded of them never changes.

`python -m tests.contract.test_migrations --write` records the steps that are new.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import IndexModel

from shared.runtime.migrations import Step, faults
from tests.architecture.source import ROOT, SERVICES

RECORD = ROOT / "tests/contract/migrations.json"


def steps_of(service: str) -> tuple[Step, ...]:
    steps: tuple[Step, ...] = importlib.import_module(f"services.{service}.store").STEPS
    return steps


def described(step: Step) -> dict[str, Any]:
    """A step as data: what it makes, and whether it fills something in."""
    indexes = {
        collection: [{**index.document, "key": list(index.document["key"].items())} for index in made]
        for collection, made in sorted(step.indexes.items())
    }
    told: dict[str, Any] = json.loads(json.dumps(indexes))
    return {"what": step.what, "indexes": told, "backfill": step.backfill is not None}


@pytest.mark.parametrize("service", SERVICES)
def test_steps_that_were_recorded_stand_as_they_were(service: str) -> None:
    today = [described(step) for step in steps_of(service)]
    assert faults(steps_of(service)) == []
    assert today == json.loads(RECORD.read_text())[service], (
        "a step that databases have taken never changes; add one at the end, then "
        "`python -m tests.contract.test_migrations --write` records it"
    )


def test_what_breaks_an_instance_of_before_is_a_fault() -> None:
    first = Step("first", {"a": [IndexModel("x", name="x"), IndexModel("y", name="y", unique=True)]})
    assert faults([first, Step("more", {"a": [IndexModel("z", name="z")], "b": [IndexModel("z", unique=True)]})]) == []
    assert len(faults([first, Step("unique", {"a": [IndexModel("z", name="z", unique=True)]})])) == 1
    assert len(faults([first, Step("expiring", {"a": [IndexModel("z", name="z", expireAfterSeconds=9)]})])) == 1
    assert len(faults([first, Step("again", {"a": [IndexModel("z", name="x")]})])) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), max_size=8))
def test_every_step_that_meets_another_index_or_a_late_unique_one_is_a_fault(made: list[tuple[str, str, bool]]) -> None:
    indexes = [{where: [IndexModel(key, name=key, unique=unique)]} for where, key, unique in made]
    steps = [Step(str(number), index) for number, index in enumerate(indexes)]
    seen: set[str] = set()
    names: set[tuple[str, str]] = set()
    for number, (where, key, unique) in enumerate(made):
        good = (where, key) not in names and not (unique and where in seen)
        is_told = any(fault.startswith(f"{number}: ") for fault in faults(steps))
        assert is_told == (not good)
        seen.add(where)
        names.add((where, key))


def main(arguments: Sequence[str]) -> int:
    """Record steps that are new; refuse to record a changed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="record the steps that are new")
    parser.parse_args(arguments)
    today = {service: [described(step) for step in steps_of(service)] for service in SERVICES}
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    changed = [name for name, steps in recorded.items() if today[name][: len(steps)] != steps]
    if changed:
        sys.stderr.write(f"{', '.join(changed)}: a recorded step was changed; undo that and add a step\n")
        return 1
    RECORD.write_text(json.dumps(today, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
