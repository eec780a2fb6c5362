"""Plays the newcomer: the commands of docs/integrators.md, run as they stand, end with a correct table."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.recipes import KAFKA_VARIABLE, MONGO_VARIABLE
from mamapost.kit.stream import load
from mamapost.kit.table import Post, read_table, right_table
from mamapost.local import Running, running

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "integrators.md"
TIMEOUT_S = 240


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Running]]:
    """A folder as that of the repository is after `make up`: `.venv`, `var` and the examples stand in it."""
    # The document finds the broker where `make up` notes its port: so these engines are its own, whatever is given.
    for variable in (KAFKA_VARIABLE, MONGO_VARIABLE, "MAMAPOST_REPLICATION_FACTOR"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with running(tmp_path / "var", with_token=False) as local:
        yield tmp_path, local


def commands() -> str:
    """Every command of the document, in its order; `make up` is another terminal's."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE))


def served(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 (our own, on loopback)
        body: dict[str, object] = json.load(answer)
    return body


def test_the_commands_of_the_document_end_with_a_correct_table(folder: tuple[Path, Running]) -> None:
    where, local = folder
    with (where / "out.log").open("w+b") as out:
        shell = subprocess.Popen(
            ["/bin/bash", "-euo", "pipefail", "-c", commands()],
            cwd=where,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(TIMEOUT_S)
        finally:
            # Consumers in the background too, whatever became of the shell.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        out.seek(0)
        printed = out.read().decode()
    assert code == 0, printed
    table = read_table(where / "posts.db", "open_posts")
    assert len(table) == 1, printed
    assert read_table(where / "posts-http.db", "open_posts") == table
    ((post_id, post),) = table.items()
    ranking = served(f"{local.urls['matching']}/posts/{post_id}/ranking")
    top = ranking["top"]
    assert isinstance(top, list)
    assert post == Post(1, post.sequence, tuple(place["seeker_id"] for place in top))
    assert len(post.top) == 1
    # The recorded stream was played to the same consumer, and it passed.
    assert read_table(where / "kit.db", "open_posts") == right_table(load()).posts
    assert "pass: " in printed
