"""What is right: the table of open posts that a stream makes, and what an integrator's table has instead."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from deploy.local.errors import LocalRunError
from mamapost.kit.stream import Line
from shared.contracts.envelope import Undecodable, decode
from shared.contracts.matching import RankingChanged
from shared.contracts.registry import PostClosed, PostOpened

COLUMNS = ("post_id", "version", "sequence", "top")
"""What is compared; an integrator's table may have more."""

FILE_MAX_BYTES = 100 * 1024 * 1024
"""A table of 3,000 posts has about 1 MB."""

PRIMARY_CODE = 0xFF
"""Bits of an SQLite result code that name the kind of error (https://www.sqlite.org/rescode.html)."""


class TableUnreadable(LocalRunError):
    """The integrator's table cannot be compared; the message says what is missing."""

    code = "table-unreadable"


class Post(NamedTuple):
    """An open post.

    Attributes:
        version: of the newest `post-opened`.
        sequence: of the newest `ranking-changed`, 0 where none came.
        top: ids of the seekers it ranks, best first.
    """

    version: int
    sequence: int = 0
    top: tuple[str, ...] = ()


class Finding(NamedTuple):
    """One difference: which post, what is wrong, and the line of the stream that explains it."""

    post_id: str
    wrong: str
    where: str


class Right(NamedTuple):
    """What a stream makes: the open posts, and where in the stream each version and sequence stands."""

    posts: dict[str, Post]
    lines: dict[tuple[str, str, int], list[str]]


def right_table(stream: Sequence[Line]) -> Right:
    """The table that this stream makes by the contracts: what is not newer, and what is no event, changes nothing."""
    opened: dict[str, int] = {}
    closed: dict[str, int] = {}
    rankings: dict[str, tuple[int, tuple[str, ...]]] = {}
    lines: dict[tuple[str, str, int], list[str]] = {}
    for number, line in enumerate(stream, 1):
        try:
            event = decode(line.topic, line.key, line.headers, line.value).event
        except Undecodable:
            continue
        told = f"line {number}" + (f" ({line.note})" if line.note else "")
        lines.setdefault((line.topic, event.entity_id, event.entity_version), []).append(told)
        if isinstance(event, PostOpened):
            opened[event.post_id] = max(event.version, opened.get(event.post_id, 0))
        elif isinstance(event, PostClosed):
            closed[event.post_id] = max(event.version, closed.get(event.post_id, 0))
        elif isinstance(event, RankingChanged) and event.sequence > rankings.get(event.post_id, (0, ()))[0]:
            rankings[event.post_id] = event.sequence, tuple(ranked.seeker_id for ranked in event.top)
    posts = {
        post_id: Post(version, *rankings.get(post_id, (0, ())))
        for post_id, version in opened.items()
        if version > closed.get(post_id, 0)
    }
    return Right(posts, lines)


def compare(right: Right, theirs: Mapping[str, Post]) -> list[Finding]:
    """Every difference, by post; empty: the table is right."""
    findings: list[Finding] = []
    for post_id in sorted(right.posts.keys() | theirs.keys()):
        want, have = right.posts.get(post_id), theirs.get(post_id)
        if have is None and want is not None:
            findings.append(Finding(post_id, "missing", _seen(right, PostOpened.topic, post_id, want.version)))
        elif want is None and have is not None:
            findings.append(Finding(post_id, *_too_much(right, post_id)))
        elif want is not None and have is not None and want != have:
            findings.append(Finding(post_id, *_different(right, post_id, want, have)))
    return findings


def _too_much(right: Right, post_id: str) -> tuple[str, str]:
    closed = [key for key in right.lines if key[:2] == (PostClosed.topic, post_id)]
    if closed:
        _, _, version = max(closed)
        where = _seen(right, PostClosed.topic, post_id, version)
        return (
            f"listed, but closed by version {version}",
            f"{where}; an older `post-opened` after it is old news",
        )
    return "listed, but never opened", "only in messages that are no events of version 1"


def _different(right: Right, post_id: str, want: Post, have: Post) -> tuple[str, str]:
    if want.version != have.version:
        return _number(right, PostOpened.topic, post_id, "version", want.version, have.version)
    if want.sequence != have.sequence:
        return _number(right, RankingChanged.topic, post_id, "sequence", want.sequence, have.sequence)
    where = _seen(right, RankingChanged.topic, post_id, want.sequence)
    if sorted(want.top) == sorted(have.top):
        return "top: the right seekers in another order", where
    return f"top: {len(have.top)} seekers, expected the {len(want.top)} of sequence {want.sequence}", where


def _number(right: Right, topic: str, post_id: str, column: str, want: int, have: int) -> tuple[str, str]:
    wrong = f"{column} {have}, expected {want}"
    seen = _seen(right, topic, post_id, want) if want else "no ranking came"
    if (topic, post_id, have) not in right.lines:
        return wrong, f"{seen}; no valid event has {column} {have}"
    return wrong, f"{seen}; {column} {have}: {_seen(right, topic, post_id, have)}"


def _seen(right: Right, topic: str, post_id: str, number: int) -> str:
    return f"{topic}, {', '.join(right.lines[topic, post_id, number])}"


def read_table(file: Path, name: str) -> dict[str, Post]:
    """The integrator's open posts.

    Args:
        file: SQLite, CSV with a header row, or JSON (an array of objects, or one object a line).
        name: of the table or view in SQLite.

    Raises:
        TableUnreadable: see there.
    """
    try:
        if file.stat().st_size > FILE_MAX_BYTES:
            raise TableUnreadable(f"{file}: expected at most {FILE_MAX_BYTES} bytes")
        with file.open("rb") as handle:
            head = handle.read(16)
        rows = list(_sqlite(file, name) if head.startswith(b"SQLite format 3") else _text(file))
    except (OSError, sqlite3.Error, ValueError) as error:
        raise TableUnreadable(f"{file}: {error}") from error
    posts: dict[str, Post] = {}
    for number, row in enumerate(rows, 1):
        missing = [column for column in COLUMNS if column not in row]
        if missing:
            raise TableUnreadable(f"{file}: row {number}: expected the columns {', '.join(COLUMNS)}")
        if row["post_id"] in posts:
            raise TableUnreadable(f"{file}: row {number}: {row['post_id']} stands there twice")
        try:
            posts[str(row["post_id"])] = Post(int(row["version"]), int(row["sequence"] or 0), _top(row["top"]))
        except (TypeError, ValueError):
            raise TableUnreadable(
                f"{file}: row {number}: expected whole numbers in version and sequence, a list of ids in top"
            ) from None
    return posts


def _sqlite(file: Path, name: str) -> Iterable[Mapping[str, Any]]:
    """Never writes to the file: an integrator's consumer may be writing at this moment.

    What a consumer was killed in the middle of must be undone before anything is read. Whether it is dead cannot be
    known (SQLite for WebAssembly locks in its own way), and undoing what a living one does would break it. So it is
    undone in a copy.
    """
    if not name.isidentifier():
        raise TableUnreadable(f"{name}: expected the name of a table or view")
    try:
        return _rows(f"{file.absolute().as_uri()}?mode=ro", name)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_READONLY:
            raise
    with TemporaryDirectory() as folder:
        copy = Path(folder, file.name)
        # The file first: what a living consumer changes in it stands in its journal before.
        shutil.copyfile(file, copy)
        for left in ("-journal", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{file}{left}", f"{copy}{left}")
        return _rows(copy.as_uri(), name)


def _rows(uri: str, name: str) -> Iterable[Mapping[str, Any]]:
    db = sqlite3.connect(uri, uri=True, timeout=10)
    try:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT {', '.join(COLUMNS)} FROM {name}")]  # noqa: S608
    finally:
        db.close()


def _text(file: Path) -> Iterable[Mapping[str, Any]]:
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        rows = json.loads(text)
    elif text.lstrip().startswith("{"):
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(text.splitlines()))
    if not all(isinstance(row, dict) for row in rows):
        raise TableUnreadable(f"{file}: expected objects with {', '.join(COLUMNS)}")
    return list(rows)


def _top(value: Any) -> tuple[str, ...]:
    """A JSON array, or ids between spaces, commas or semicolons."""
    if value is None:
        return ()
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.replace(",", " ").replace(";", " ").split()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError
    return tuple(value)
