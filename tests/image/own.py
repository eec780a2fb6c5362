"""Images made of what is here, for a machine that reaches no registry of images: a base, Apache Kafka, MongoDB.

`python -m tests.image.own` (root, debootstrap, a Docker engine, `make parts`, npm) builds all three. Kafka and MongoDB
behave as `apache/kafka` and `mongo` do in all that compose and the tests use, so they stand in for them by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.containers import docker_answers
from deploy.local.recipes import find_store
from tests.architecture.source import ROOT

BASE: Final = "mamapost-base:bookworm"
KAFKA: Final = "mamapost-kafka:own"
MONGO: Final = "mamapost-mongo:own"

BUILD_TIMEOUT_S: Final = 1200
"""All packages are fetched and unpacked once; minutes on a machine that does other things too."""

_HERE: Final = Path(__file__).parent
_PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates,openjdk-17-jre-headless,libcurl4"
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_MONGOSH: Final = "mongosh@2.3.8"


class CannotBuild(Exception):
    """Something that an image is made of is not here."""


def attempt(
    *command: str, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of the repository's folder, to its end."""
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


def build_base() -> str:
    """Debian 12 with Python and Java, by debootstrap; kept for the next run.

    Raises:
        CannotBuild: no Docker engine answers, or only root with debootstrap could make one.
    """
    if not docker_answers():
        raise CannotBuild("no Docker engine answers")
    if run("docker", "images", "--quiet", BASE):
        return BASE
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise CannotBuild("only root with debootstrap can make a base image")
    with _folder() as folder:
        root = folder / "root"
        options = ("--variant=minbase", f"--include={_PACKAGES}", "bookworm")
        run("debootstrap", *options, str(root), timeout_s=BUILD_TIMEOUT_S)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        if _CERTIFICATES.exists():  # pip in the build trusts what this machine trusts
            shutil.copy(_CERTIFICATES, root / str(_CERTIFICATES).lstrip("/"))
        run("tar", "--directory", str(root), "--create", "--file", str(folder / "base.tar"), ".", timeout_s=300)
        run("docker", "import", str(folder / "base.tar"), BASE, timeout_s=300)
    return BASE


def build_kafka() -> str:
    """Apache Kafka of `make parts`, set up from variables by the program that `apache/kafka` has for it, too.

    Raises:
        CannotBuild: see `build_base`; or `make parts` has not fetched Kafka.
    """
    base, jars = build_base(), ROOT / "var/parts/kafka"
    if not jars.is_dir():
        raise CannotBuild("there is no Apache Kafka in var/parts: `make parts`")
    with _folder() as folder:
        shutil.copytree(jars, folder / "libs")
        shutil.copy(_HERE / "kafka.sh", folder)
        return _build(KAFKA, base, "kafka.Dockerfile", folder)


def build_mongo() -> str:
    """The embedded mongod, with the shell that health checks of `mongo` use.

    Raises:
        CannotBuild: see `build_base`; or there is no Node.
    """
    base, node = build_base(), shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise CannotBuild("mongosh comes from npm, and needs Node")
    with _folder() as folder:
        program = find_store().command(0, folder, "")[0]
        shutil.copy(program, folder / "mongod")
        shutil.copy(Path(node).resolve(), folder / "node")
        options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional")
        run("npm", "install", *options, "--prefix", str(folder / "mongosh"), _MONGOSH, timeout_s=BUILD_TIMEOUT_S)
        return _build(MONGO, base, "mongo.Dockerfile", folder)


def _build(tag: str, base: str, dockerfile: str, folder: Path) -> str:
    options = ("--build-arg", f"BASE={base}", "--file", str(_HERE / dockerfile), "--tag", tag)
    run("docker", "build", *options, str(folder), timeout_s=BUILD_TIMEOUT_S)
    return tag


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mamapost-image-") as name:
        yield Path(name)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build_kafka()} {build_mongo()}\n")
    except CannotBuild as error:
        sys.exit(str(error))
