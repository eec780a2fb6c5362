"""A real Prometheus on running services that have played the scenario. Needs Debian's package: `make parts`."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.local.fleet import SERVICES
from deploy.local.process import LOOPBACK, Child, pick_port
from mamapost.local import Running, running
from mamapost.scenario.drive.run import drive
from mamapost.scenario.yantai import generate
from tests.architecture.source import ROOT

SCALE = 0.05
"""Small, but every community has ten entries in the ledger and every figure ten women."""

SOONER = {
    "FiguresStale": ("> 7200", "> 10"),
    "CheckpointOld": ("> 600", "> 5"),
    "LedgerNotVerified": ("> 172800", "> 15"),
    "ShiftsNotReconciled": ("> 172800", "> 15"),
}
"""What alerts ask for that wait for minutes, hours or days by themselves, and what they ask for here."""

VARIABLES = {
    "MAMAPOST_FIGURES_INTERVAL_S": "1",
    "MAMAPOST_REVENUE_VERIFY_INTERVAL_S": "5",
    "MAMAPOST_REVENUE_RECONCILE_INTERVAL_S": "5",
    "MAMAPOST_MATCHING_CHECKPOINT_INTERVAL_S": "1",
    "MAMAPOST_REGISTRY_ORDINARY_HOURLY_FEN": "3000",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """Services, and the Prometheus that watches them.

    Attributes:
        folder: of the services' files.
        rules: Prometheus' file of alerts; as committed, until `hurry`.
        proved: names of the alerts that a fault was seen to raise.
    """

    local: Running
    http: httpx.Client
    folder: Path
    rules: Path
    proved: set[str] = field(default_factory=set)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression, now.

        Raises:
            AssertionError: Prometheus refuses it.
        """
        answer = self.http.get("/api/v1/query", params={"query": expr}).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def seen(self) -> set[str]:
        """Names of the services that answered it."""
        return {series["metric"]["service"] for series in self.query("up == 1")}

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._alerts() if alert["state"] == "firing"}

    def pending(self) -> set[str]:
        """Names of the alerts that would fire if it stayed as it is."""
        return {alert["labels"]["alertname"] for alert in self._alerts() if alert["state"] == "pending"}

    def _alerts(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = self.http.get("/api/v1/alerts").json()["data"]["alerts"]
        return alerts

    def hurry(self) -> None:
        """Have alerts fire after a second of what they wait minutes or days for."""
        alerts = yaml.safe_load(self.rules.read_text())
        for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
            if "for" in rule:
                rule["for"] = "1s"
            if rule["alert"] in SOONER:
                asked, here = SOONER[rule["alert"]]
                assert asked in rule["expr"], rule
                rule["expr"] = rule["expr"].replace(asked, here)
        self.rules.write_text(yaml.safe_dump(alerts))
        assert self.http.post("/-/reload").status_code == 200

    def raises(self, *alerts: str, timeout_s: float = 60.0) -> None:
        """Until these fire, among others perhaps: one fault has several effects."""
        self.wait(lambda: self.firing() >= set(alerts), f"{', '.join(alerts)} fire", timeout_s)
        self.proved.update(alerts)

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {timeout_s:g} s: {what}; firing: {self.firing()}; pending: {self.pending()}"
            )
            time.sleep(0.2)


def program(name: str) -> str:
    """Where Prometheus or promtool is; the test is skipped where it is not."""
    unpacked = ROOT / "var/parts/prometheus/usr/bin" / name
    found = str(unpacked) if unpacked.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: `make parts` fetches Debian's package")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Engines, services and Prometheus, after a small programme."""
    prometheus = program("prometheus")
    root = tmp_path_factory.mktemp("monitoring")
    rules = root / "alerts.yml"
    rules.write_text((ROOT / "deploy/prometheus/alerts.yml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        with running(root / "var", with_token=True) as local:
            port = pick_port()
            config = _config(root, {service: local.urls[service] for service in SERVICES})
            command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={root / 'tsdb'}"]
            command += [f"--web.listen-address={LOOPBACK}:{port}", "--web.enable-lifecycle"]
            child = Child("prometheus", command, root / "prometheus.log")
            try:
                with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=20, trust_env=False) as http:
                    one = Watched(local, http, root / "var", rules)
                    one.wait(lambda: _ready(http), f"Prometheus is ready:\n{child.log_tail()}")
                    # It looks for its targets seconds after it is ready. What was counted before it first looked at
                    # a service has no rate.
                    one.wait(lambda: one.seen() == set(SERVICES), "Prometheus has looked at every service")
                    _play(local)
                    yield one
            finally:
                child.stop(10)


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _play(local: Running) -> None:
    last_month = (date.today().replace(day=1) - date.resolution).replace(day=1)
    scenario = generate(20251, SCALE, last_month)
    # Whether every answer is right is the demo's matter (tests/chaos/test_demo.py); here it must have been played.
    journal = asyncio.run(drive(scenario, local.urls, local.token, approver_token=local.approver_token))
    assert len(journal.accepted) > 100


def _config(root: Path, urls: dict[str, str]) -> Path:
    """The committed configuration with these addresses, looked at every second."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scrape,) = config["scrape_configs"]
    for target in scrape["static_configs"]:
        target["targets"] = [urls[target["labels"]["service"]].removeprefix("http://")]
    (root / "prometheus.yml").write_text(yaml.safe_dump(config))
    return root / "prometheus.yml"


@pytest.fixture(scope="session")
def hurried(watched: Watched) -> Watched:
    """The same, with alerts that do not wait. From here on what is tried may break things."""
    watched.hurry()
    return watched
