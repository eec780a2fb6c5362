"""Engines and services of one machine together, with the secrets they need."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.engines import Engines
from deploy.local.fleet import SERVICES, Fleet
from shared.runtime.auth import hash_of


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, and how to reach it.

    Attributes:
        token: bearer token with all scopes, or `None` where the services trust loopback.
        approver_token: of a second holder, who approves what the first one requests.
    """

    engines: Engines
    fleet: Fleet
    token: str | None
    approver_token: str | None

    @property
    def urls(self) -> dict[str, str]:
        return {service: self.fleet.url(service) for service in SERVICES}


@contextmanager
def running(data_dir: Path, *, with_token: bool) -> Iterator[Running]:
    """Start engines and services, and stop them in the opposite order.

    Args:
        data_dir: holds data, keys, ports and logs; a second run on it goes on with the same data.
        with_token: whether requests need a bearer token.

    Raises:
        LocalRunError: something does not start; the message says what and why.
    """
    log_dir = data_dir / "log"
    log_dir.mkdir(parents=True, exist_ok=True)
    secret = credentials(data_dir) if with_token else None
    env = own_files(data_dir) | ({} if secret is None else secret.env)
    with (
        Engines.start(data_dir / "engines", log_dir) as engines,
        Fleet.start(engines.urls, log_dir=log_dir, env=env, port_dir=data_dir / "ports") as fleet,
    ):
        yield Running(
            engines,
            fleet,
            None if secret is None else secret.token,
            None if secret is None else secret.approver_token,
        )


def own_files(data_dir: Path) -> dict[str, str]:
    """Variables that name the files which services keep in a folder: the master key and the checkpoints."""
    return {
        "MAMAPOST_MASTER_KEY_FILE": str(_master_key_file(data_dir).absolute()),
        "MAMAPOST_MATCHING_CHECKPOINT_DIR": str((data_dir / "checkpoints").absolute()),
    }


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may speak to services of one run.

    Attributes:
        token: with all scopes.
        approver_token: of a second holder, who approves what the first one requests.
        env: variables that tell the services.
    """

    token: str
    approver_token: str
    env: dict[str, str]


def credentials(data_dir: Path) -> Credentials:
    """New tokens, in files of a folder that only their owner can read."""
    token, approver_token, own_token = (secrets.token_urlsafe(32) for _ in range(3))
    holders = (
        (token, "local read,write,personal,restricted"),
        (approver_token, "approver read,write"),
        (own_token, "matching write"),
    )
    tokens_file, registry_token_file = data_dir / "tokens", data_dir / "registry.token"
    _write_secret(tokens_file, "".join(f"{hash_of(held)} {holder}\n" for held, holder in holders))
    _write_secret(registry_token_file, own_token + "\n")
    env = {
        "MAMAPOST_TOKENS_FILE": str(tokens_file.absolute()),
        "MAMAPOST_REGISTRY_TOKEN_FILE": str(registry_token_file.absolute()),
    }
    return Credentials(token, approver_token, env)


def _master_key_file(data_dir: Path) -> Path:
    """The key that wraps the keys of persons: made once, since what it sealed is lost without it."""
    file = data_dir / "master.key"
    if not file.exists():
        _write_secret(file, secrets.token_hex(32) + "\n")
    return file


def _write_secret(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
