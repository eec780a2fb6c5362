"""deploy/compose.yaml is a Compose file: by the specification's own schema, and by Docker's client where it is there.

`compose-spec.json` is the schema of github.com/compose-spec/compose-go v2.16.2 (Apache License 2.0) without its
descriptions: what `docker compose` itself reads files by.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.architecture.source import ROOT, SERVICES

FILE = ROOT / "deploy/compose.yaml"
SCHEMA = Draft202012Validator(json.loads(Path(__file__).with_name("compose-spec.json").read_text()))
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}")
EXAMPLE = re.findall(r"^(\w+)=", (ROOT / "deploy/compose.env.example").read_text(), re.MULTILINE)
"""What has to be given; nothing else has."""


def resolved(given: dict[str, str]) -> dict[str, Any]:
    """The file as Compose sees it once variables stand for their values.

    Raises:
        KeyError: one that must be given is not.
    """

    def value(found: re.Match[str]) -> str:
        return given.get(found["name"], found["rest"]) if found["kind"] == ":-" else given[found["name"]]

    file: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, FILE.read_text()))
    return file


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    values = {"PYTHON_DIGEST": f"sha256:{64 * '0'}", "ORDINARY_HOURLY_FEN": "3000", "SECRETS_DIR": str(tmp_path)}
    assert sorted(values) == sorted(EXAMPLE)
    return values


def test_the_file_fits_the_specification(given: dict[str, str]) -> None:
    file = resolved(given)
    assert [error.message for error in SCHEMA.iter_errors(file)] == []
    assert "$" not in json.dumps(file).replace("$$", "")


@pytest.mark.parametrize("missing", EXAMPLE)
def test_the_example_names_all_that_must_be_given(given: dict[str, str], missing: str) -> None:
    del given[missing]
    with pytest.raises(KeyError, match=missing):
        resolved(given)


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("kafka", "enviroment", {"KAFKA_NODE_ID": 1}),
        ("registry", "cap_drop", "ALL"),
        ("registry", "depends_on", {"kafka": {"condition": "service_awake"}}),
        ("mongo", "healthcheck", {"test": ["CMD", "true"], "tries": 3}),
    ],
)
def test_a_wrong_file_is_found(given: dict[str, str], service: str, key: str, value: Any) -> None:
    wrong = copy.deepcopy(resolved(given))
    wrong["services"][service][key] = value
    assert list(SCHEMA.iter_errors(wrong))


def test_what_the_file_refers_to_is_there(given: dict[str, str]) -> None:
    file = resolved(given)
    for one in file["services"].values():
        assert set(one.get("depends_on", {})) <= set(file["services"])
        for needed, how in one.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in file["services"][needed]
        assert set(one.get("secrets", [])) <= set(file["secrets"])


def test_docker_compose_reads_the_file(given: dict[str, str]) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no Docker Compose 2 here; the file was held against the specification's schema")
    command = [docker, "compose", "--file", str(FILE), "config", "--format", "json"]
    done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert {*SERVICES, "kafka", "mongo"} <= json.loads(done.stdout)["services"].keys()
