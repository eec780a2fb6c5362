"""Export and load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mamapost.scenario.files import MANIFEST, README, ScenarioFileError, export, load
from mamapost.scenario.model import Scenario


@pytest.fixture
def exported(tiny: Scenario, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    export(tiny, folder)
    return folder


def test_round_trip(tiny: Scenario, exported: Path) -> None:
    loaded = load(exported)
    assert loaded == tiny
    assert loaded.fingerprint == tiny.fingerprint


def test_same_bytes_again_and_nothing_left_of_an_earlier_export(tiny: Scenario, exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    export(tiny, other)
    assert {file.name: file.read_bytes() for file in other.iterdir()} == {
        file.name: file.read_bytes() for file in exported.iterdir()
    }
    smaller = Scenario(tiny.name, tiny.seed, tiny.scale, tiny.month, tiny.stages[:2])
    export(smaller, other)
    assert sorted(file.name for file in other.iterdir()) == [
        "01-communities.ndjson",
        "02-stations.ndjson",
        README,
        MANIFEST,
    ]
    assert load(other) == smaller


def test_manifest_tells_what_there_is(tiny: Scenario, exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_bytes())
    assert manifest["seed"] == 1
    assert manifest["scale"] == 0.01
    assert manifest["month"] == "2026-10"
    assert (manifest["usable_from"], manifest["usable_until"]) == ("2026-11-01", "2026-11-30")
    assert manifest["counts"] == tiny.counts
    assert manifest["fingerprint"] == tiny.fingerprint
    assert len(manifest["stages"]) == len(tiny.stages)
    assert "accrual" in (exported / README).read_text(encoding="utf-8")


def test_a_folder_with_other_things_is_left_alone(tiny: Scenario, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ScenarioFileError, match="an empty folder"):
        export(tiny, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_in_the_way_is_named(tiny: Scenario, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ScenarioFileError, match="out"):
        export(tiny, tmp_path / "out")


def test_missing_files_are_named(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioFileError, match=r"manifest\.json"):
        load(tmp_path / "nowhere")
    (exported / "04-seekers.ndjson").unlink()
    with pytest.raises(ScenarioFileError, match=r"04-seekers\.ndjson"):
        load(exported)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", r"02-stations\.ndjson:1: content"),
        ("[]", r"02-stations\.ndjson:1: content"),
        ('{"ref":"x"}', r"02-stations\.ndjson:1: ref"),
        ('{"ref":"x:1","method":"GET","path":"/x","body":{}}', "method"),
        ('{"ref":"x:1","method":"POST","path":"x y","body":{}}', "path"),
        ('{"ref":"x:1","method":"POST","path":"/x","body":7}', "body"),
        ('{"ref":"x:1","method":"POST","path":"/x","body":{},"upload":"x.xls"}', "upload"),
        (
            '{"ref":"x:1","method":"POST","path":"/x","body":{},"refusal":{"code":"c","field":"f","status":200}}',
            "status",
        ),
        ('{"ref":"x:1","method":"POST","path":"/x","body":{},"surprise":1}', "surprise"),
        ("\xff", r"02-stations\.ndjson:1: content"),
    ],
)
def test_malformed_lines_are_named(exported: Path, line: str, expected: str) -> None:
    file = exported / "02-stations.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(line.encode("latin-1") + b"\n" + b"".join(lines[1:]))
    with pytest.raises(ScenarioFileError, match=expected):
        load(exported)


def test_changed_and_shortened_files_are_noticed(exported: Path) -> None:
    file = exported / "03-employers.ndjson"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"0001", b"0009", 1))
    with pytest.raises(ScenarioFileError, match="SHA-256"):
        load(exported)
    file.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(ScenarioFileError, match="expected 4 lines, found 3"):
        load(exported)


def test_a_manifest_that_leads_elsewhere_is_refused(exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_bytes())
    manifest["stages"][0]["file"] = "../../etc/passwd"
    (exported / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ScenarioFileError, match=r"stages\.0\.file"):
        load(exported)


def test_a_reference_to_nothing_is_named(exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_bytes())
    manifest["stages"] = manifest["stages"][1:]
    (exported / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ScenarioFileError, match=r"02-stations\.ndjson:1: @community:1: no earlier stage makes it"):
        load(exported)
