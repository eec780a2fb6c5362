"""Bearer tokens with scopes.

The tokens file holds one token a line: `<sha-256 of the token, hex> <name of the holder> <scope>[,<scope>...]`, and
after it, where the token is not for ever, the moment it ends: `2027-01-01T00:00:00+08:00`, and where it is not for all
cities, those it is for: `cities=370600,370700`. Only the hash is kept, so a leaked file opens nothing. Without a tokens
file a service refuses to start, unless it listens on loopback only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal, get_args

from shared.kernel.errors import Kind, ServiceError

Scope = Literal["read", "write", "personal", "restricted"]
"""`read` pseudonymous data, `write` commands, `personal` the person behind a pseudonym, `restricted` the feeds of
restricted topics, which name a pseudonym together with earnings or hours."""

_HASH = re.compile(r"[0-9a-f]{64}")

_LINE = "expected `<sha-256> <name> <scope>[,<scope>] [<end, RFC 3339 with an offset>] [cities=<code>[,<code>]]`"

_CITIES = re.compile(r"cities=([1-9][0-9]{5}(?:,[1-9][0-9]{5})*)")

TOKENS_MAX = 10_000
"""Lines of a tokens file: one a holder; a city has some hundred."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a token was given to, and for what; no cities: for all."""

    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    cities: frozenset[str] | None = None


class Unauthorized(ServiceError):
    """No token, or one that is not known."""

    code: ClassVar[str] = "unauthorized"
    kind: ClassVar[Kind] = "forbidden"


class TokenExpired(Unauthorized):
    """The token was good until the moment that the tokens file sets; ask for a new one."""

    code: ClassVar[str] = "token-expired"


class Forbidden(ServiceError):
    """The token does not carry the scope that is needed."""

    code: ClassVar[str] = "forbidden"
    kind: ClassVar[Kind] = "forbidden"


LOOPBACK = Holder("loopback", frozenset(get_args(Scope)))
"""Stands for every caller of a service that listens on loopback and has no tokens file."""


class Tokens:
    """The tokens that a service accepts.

    Raises:
        ValueError: a line of the file is malformed; the message names the line, not its content.
    """

    def __init__(self, file: Path | None, *, host: str) -> None:
        if file is None and host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"MAMAPOST_TOKENS_FILE: expected a tokens file, as the service listens on {host}")
        self._holders: dict[str, Holder] | None = None if file is None else _read(file)

    def holder(self, authorization: str | None) -> Holder:
        """The holder of an `Authorization: Bearer …` header.

        Raises:
            Unauthorized: no such token.
            TokenExpired: its time is over.
        """
        if self._holders is None:
            return LOOPBACK
        scheme, _, token = (authorization or "").partition(" ")
        found = self._holders.get(hash_of(token.strip())) if scheme.lower() == "bearer" else None
        if found is None:
            raise Unauthorized("expected `Authorization: Bearer <token>` with a known token")
        if found.expires_at is not None and found.expires_at <= datetime.now(UTC):
            raise TokenExpired(f"the token expired at {found.expires_at.isoformat()}")
        return found


def hash_of(token: str) -> str:
    """SHA-256 of a token, hex; tokens are long and random, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _read(file: Path) -> dict[str, Holder]:
    holders: dict[str, Holder] = {}
    known: frozenset[Scope] = frozenset(get_args(Scope))
    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) > TOKENS_MAX:
        raise ValueError(f"{file}: expected at most {TOKENS_MAX} lines")
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        cities = _CITIES.fullmatch(parts[-1])
        if cities is not None:
            parts.pop()
        if len(parts) not in (3, 4) or not _HASH.fullmatch(parts[0]):
            raise ValueError(f"{file}:{number}: {_LINE}")
        scopes = frozenset(scope for scope in known if scope in parts[2].split(","))
        if len(scopes) != len(set(parts[2].split(","))):
            raise ValueError(f"{file}:{number}: {_LINE}")
        holders[parts[0]] = Holder(
            parts[1],
            scopes,
            _end(parts[3], f"{file}:{number}") if len(parts) == 4 else None,
            None if cities is None else frozenset(cities[1].split(",")),
        )
    return holders


def _end(text: str, where: str) -> datetime:
    """A moment with its offset.

    Raises:
        ValueError: it is none.
    """
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{where}: {_LINE}") from None
    if end.tzinfo is None:
        raise ValueError(f"{where}: {_LINE}")
    return end
