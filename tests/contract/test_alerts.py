"""Alerts ask for what the services export; each has a case and a runbook, whose commands name what there is."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from typer.testing import CliRunner

from deploy.kubernetes.manifests import files
from mamapost.cli import app as cli
from shared.runtime.settings import Settings
from tests.architecture.source import ROOT, SERVICES
from tests.promql import faults

ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
RUNBOOKS = ROOT / "docs/runbooks"
FENCE = re.compile(r"^( *)```sh([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
PROGRAMS = {"curl", "mamapost", "docker", "kubectl", "grep", "sort", "tail", "echo", "export"}
KUBECTL = {"logs", "rollout", "scale", "get", "describe"}
COMPOSE = {"logs", "restart", "ps", "start", "stop"}
SECTIONS = ["Look", "Do", "Over when"]

alerts = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
runbooks = pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)


def commands(path: Path) -> Iterator[list[str]]:
    """Every simple command of a runbook: pipes and loops taken apart."""
    for _, _, text in FENCE.findall(path.read_text()):
        for line in text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for token in [*lexer, ";"]:
                if re.fullmatch(r"[;|&()]+", token):
                    if words:
                        yield words
                    words = []
                elif token not in ("do", "done", "then", "fi"):
                    words.append(token)


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Paths that each service answers to a GET."""
    key = tmp_path_factory.mktemp("key") / "master.key"
    key.write_text("00" * 32)
    found = {}
    for service in SERVICES:
        app: FastAPI = importlib.import_module(f"services.{service}.app").create(Settings(master_key_file=key))
        found[service] = {path for path, methods in app.openapi()["paths"].items() if "get" in methods}
    return found


@alerts
def test_an_alert_asks_for_what_is_exported(alert: dict[str, Any]) -> None:
    assert faults(alert["expr"]) == []


@alerts
def test_an_alert_is_complete(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    path = ROOT / alert["annotations"]["runbook"]
    assert path == RUNBOOKS / f"{kebab(alert['alert'])}.md"
    text = path.read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent() -> None:
    written = (ROOT / "deploy/prometheus").glob("alerts*.test.yml")
    cases = [case for file in written for case in yaml.safe_load(file.read_text())["tests"]]
    outcomes = {(case["alertname"], bool(case.get("exp_alerts"))) for test in cases for case in test["alert_rule_test"]}
    assert outcomes == {(alert["alert"], fires) for alert in ALERTS for fires in (True, False)}


def test_every_runbook_is_an_alerts_and_in_the_list() -> None:
    names = {kebab(alert["alert"]) for alert in ALERTS}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == names | {"README"}
    listed = re.findall(r"\(([a-z-]+)\.md\) \| (page|ticket)", (RUNBOOKS / "README.md").read_text())
    assert dict(listed) == {kebab(alert["alert"]): alert["labels"]["severity"] for alert in ALERTS}


@runbooks
def test_links_of_a_runbook_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@runbooks
def test_commands_of_a_runbook_name_what_there_is(path: Path, routes: dict[str, set[str]]) -> None:
    known = set(yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"])
    workloads = {
        f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
        for text in files().values()
        for manifest in yaml.safe_load_all(text)
        if "metadata" in manifest
    }
    found = list(commands(path))
    assert found
    for words in found:
        program, *rest = words
        if program == "for":
            continue
        assert program in PROGRAMS, words
        if program == "curl":
            assert [fault for url in rest if url.startswith("$") for fault in _url_faults(url, routes)] == [], words
        elif program == "mamapost":
            _parse(rest)
        elif program == "docker":
            assert rest[0] == "compose", words
            assert rest[1] in COMPOSE, words
            assert rest[-1] in known, words
        elif program == "kubectl":
            assert rest[0] in KUBECTL, words
            (target,) = (word for word in rest if "/" in word)
            assert target in workloads, words


def test_the_programs_of_runbooks_are_checked(routes: dict[str, set[str]]) -> None:
    assert _url_faults("$REGISTRY/no/such", routes)
    assert not _url_faults("$REVENUE/ledger/verify?city=370600", routes)
    for wrong in (["no-such-command"], ["topics", "--no-such-option"]):
        with pytest.raises(AssertionError, match=r"[Nn]o such"):
            _parse(wrong)


def _url_faults(url: str, routes: dict[str, set[str]]) -> list[str]:
    variable, _, path = url.removeprefix("$").partition("/")
    path = "/" + path.partition("?")[0]
    services = SERVICES if variable == "url" else [variable.lower()]
    return [f"{service} has no {path}" for service in services if path not in routes[service]]


def _parse(arguments: list[str]) -> None:
    """Have the real command line parse its arguments, without running anything."""
    done = CliRunner().invoke(cli, [*arguments, "--help"])
    assert done.exit_code == 0, done.output


def test_cases_and_rules_are_read_by_other_readers_too() -> None:
    """Both files hold plain data only: nothing that one YAML reader knows and another does not."""
    for name in ("alerts.yml", "alerts.test.yml", "alerts.days.test.yml", "prometheus.yml"):
        json.dumps(yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text()))
