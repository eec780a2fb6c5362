"""What was released holds: today's schemas against every released form, and the command that says so."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mamapost.cli import app
from mamapost.contracts import released
from mamapost.contracts.compatibility import written_by
from mamapost.contracts.released import Release, releases, verdicts
from mamapost.contracts.validation import validator_for
from shared.contracts.golden import schema_of
from shared.contracts.topics import TOPICS
from tests.contract.schemas import example_of

BROKEN = (
    "a released contract would be broken: `make contracts-check` shows an event that one side writes and the other "
    "rejects. Make the change optional, or publish a new version beside the old one (docs/events.md, New versions)"
)


@pytest.mark.parametrize("release", releases(), ids=lambda release: release.name)
def test_no_released_form_is_broken(release: Release) -> None:
    found = [verdict.breaches for each, verdict in verdicts(list(TOPICS)) if each.name == release.name]
    assert found, "a version that was released stays in the catalogue: its topic holds events"
    assert found == [()], BROKEN


@pytest.mark.parametrize("release", releases(), ids=lambda release: release.name)
def test_todays_example_is_taken_by_who_reads_with_a_released_form(release: Release) -> None:
    validator_for(release.schema).validate(example_of(release.topic)["value"])


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A world in which everything was released as it is now."""
        monkeypatch.setattr(released, "RELEASED", tmp_path)
        released.release()
        return tmp_path

    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["contracts", *arguments])
        return result.exit_code, result.output

    def edit(self, folder: Path, name: str, change: Any) -> dict[str, Any]:
        path = folder / name
        schema: dict[str, Any] = json.loads(path.read_text())
        change(schema)
        path.write_text(json.dumps(schema))
        return schema

    def test_all_is_well(self, folder: Path) -> None:
        code, told = self.run("check")
        assert code == 0
        assert f"{len(TOPICS)} released schemas: {len(TOPICS)} compatible both ways, 0 broken" in told

    def test_a_break_is_shown_by_an_event(self, folder: Path) -> None:
        def wider(schema: Any) -> None:
            schema["properties"]["kind"]["enum"].append("seasonal")

        old = self.edit(folder, "post-opened.v1.1.json", wider)
        code, told = self.run("check", "post-opened")
        assert code == 1
        assert "post-opened.v1.1: BROKEN" in told
        event = json.loads(next(line for line in told.splitlines() if line.strip().startswith("{")))
        assert event["kind"] == "seasonal"
        validator_for(written_by(old)).validate(event)
        assert not validator_for(schema_of(TOPICS["post-opened"])).is_valid(event)
        assert self.run("release")[0] == 1
        assert not (folder / "post-opened.v1.2.json").exists()

    def test_a_harmless_change_is_explained_and_released(self, folder: Path) -> None:
        self.edit(folder, "post-opened.v1.1.json", lambda schema: schema["properties"].pop("closes_at"))
        code, told = self.run("check", "post-opened")
        assert code == 0
        assert "closes_at  optional field added: older events lack it, older readers ignore it" in told
        code, told = self.run("release")
        assert code == 0
        assert "released  post-opened.v1.2" in told
        assert self.run("release")[1].startswith("0 schemas released")
        code, told = self.run("check", "post-opened", "--json")
        assert [row["released"] for row in json.loads(told)] == ["post-opened.v1.1", "post-opened.v1.2"]

    def test_a_field_that_went_and_came_back_otherwise_is_held_against_every_release(self, folder: Path) -> None:
        """Against the latest release alone it would look like an added field."""
        self.edit(folder, "post-opened.v1.1.json", lambda s: s["properties"].update(closes_at={"type": "integer"}))
        second = copy.deepcopy(schema_of(TOPICS["post-opened"]))
        del second["properties"]["closes_at"]
        (folder / "post-opened.v1.2.json").write_text(json.dumps(second))
        code, told = self.run("check")
        assert code == 1
        assert "post-opened.v1.1: BROKEN" in told
        assert "post-opened.v1.2: compatible" in told

    def test_two_files(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old.json", tmp_path / "new.json"
        old.write_text('{"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}}}')
        new.write_text('{"type": "object", "properties": {"a": {"type": "integer", "maximum": 4}}}')
        code, told = self.run("diff", str(old), str(new))
        assert code == 1
        assert '{"a": 5}' in told
        assert self.run("diff", str(old), str(old))[0] == 0
        new.write_text("{")
        assert self.run("diff", str(old), str(new)) == (2, f"{new}: expected JSON in UTF-8\n")

    def test_bad_calls(self, folder: Path) -> None:
        assert self.run("check", "post-moved") == (2, "no topic post-moved\n")
        assert self.run("diff", "nowhere.json", "nowhere.json")[0] == 2
        (folder / "notes.txt").write_text("x")
        with pytest.raises(ValueError, match=r"notes\.txt: expected a name like"):
            releases()
