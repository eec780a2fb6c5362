"""The golden stream catches every mistake that it was made for, and the checker says which."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mamapost.cli import app
from mamapost.kit.stream import Line, disorder, load, save
from mamapost.kit.table import COLUMNS, Finding, Post, TableUnreadable, compare, read_table, right_table
from shared.contracts.envelope import Undecodable, decode

STREAM = load()
RIGHT = right_table(STREAM)


def naive(
    stream: list[Line], *, versions: bool = True, closes: bool = True, types: bool = True, bad: bool = True
) -> dict[str, Post]:
    """A consumer that forgets one of its duties where an argument is false."""
    posts: dict[str, tuple[int, bool]] = {}
    rankings: dict[str, tuple[int, tuple[str, ...]]] = {}
    for line in stream:
        if types and dict(line.headers).get("ce_type") != f"mamapost.{line.topic}.v1".encode():
            continue
        try:
            event = json.loads(line.value or b"")
            post_id = event["post_id"]
        except (ValueError, TypeError, KeyError):
            if bad:
                continue
            break
        if line.topic == "ranking-changed":
            if not versions or event["sequence"] > rankings.get(post_id, (0,))[0]:
                rankings[post_id] = event["sequence"], tuple(ranked["seeker_id"] for ranked in event["top"])
        elif not versions or event["version"] > posts.get(post_id, (0, False))[0]:
            posts[post_id] = event["version"], line.topic == "post-opened" or not closes
    return {
        post_id: Post(version, *rankings.get(post_id, (0, ()))) for post_id, (version, open_) in posts.items() if open_
    }


def test_a_careful_consumer_passes() -> None:
    assert compare(RIGHT, naive(STREAM)) == []
    assert len(RIGHT.posts) > 30


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"versions": False}, "comes again"),
        ({"closes": False}, "closed by version"),
        ({"types": False}, "no valid event has version"),
        ({"bad": False}, "missing"),
    ],
)
def test_every_mistake_is_found_and_named(mistake: dict[str, bool], said: str) -> None:
    findings = compare(RIGHT, naive(STREAM, **mistake))
    assert any(said in finding.wrong or said in finding.where for finding in findings), findings[:5]
    assert all("line " in finding.where for finding in findings)


def test_a_wrong_order_of_seekers_is_found() -> None:
    theirs = naive(STREAM)
    post_id = next(post_id for post_id, post in theirs.items() if len(post.top) > 1)
    theirs[post_id] = theirs[post_id]._replace(top=theirs[post_id].top[::-1])
    assert [finding.wrong for finding in compare(RIGHT, theirs)] == ["top: the right seekers in another order"]


def test_the_stream_holds_what_it_promises_and_nothing_personal() -> None:
    kinds = {line.note.partition(":")[0] for line in STREAM}
    assert kinds == {"", "duplicate", "comes again", "poison"}
    for line in STREAM:
        if not line.note.startswith("poison"):
            assert decode(line.topic, line.key, line.headers, line.value).id
        else:
            with pytest.raises(Undecodable):
                decode(line.topic, line.key, line.headers, line.value)
    whole = b"".join((line.value or b"") for line in STREAM).decode(errors="replace")
    assert not [marker for marker in ("测试", "+000-", "示例路") if marker in whole]


def test_any_disorder_of_the_same_events_makes_the_same_table(tmp_path: Path) -> None:
    events = [line for line in STREAM if not line.note]
    for seed in range(5):
        stream = disorder(events, random.Random(seed))
        assert right_table(stream).posts == RIGHT.posts
        assert compare(RIGHT, naive(stream)) == []
        save(stream, tmp_path / "stream.gz")
        assert load(tmp_path / "stream.gz") == stream


def as_csv(posts: dict[str, Post], file: Path) -> None:
    with file.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(COLUMNS)
        rows.writerows([post_id, post.version, post.sequence, " ".join(post.top)] for post_id, post in posts.items())


def as_json(posts: dict[str, Post], file: Path) -> None:
    file.write_text(json.dumps([{"post_id": key, **post._asdict()} for key, post in posts.items()]))


def as_sqlite(posts: dict[str, Post], file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE open_posts (post_id, version, sequence, top, more)")
        rows = [(key, post.version, post.sequence, json.dumps(post.top), 1) for key, post in posts.items()]
        db.executemany("INSERT INTO open_posts VALUES (?, ?, ?, ?, ?)", rows)
    db.close()


@pytest.mark.parametrize("write", [as_csv, as_json, as_sqlite])
def test_a_table_is_read_in_every_form_and_checked_by_the_command(
    write: Callable[[dict[str, Post], Path], None], tmp_path: Path
) -> None:
    posts = dict(RIGHT.posts)
    write(posts, tmp_path / "right")
    assert read_table(tmp_path / "right", "open_posts") == posts
    passed = CliRunner().invoke(app, ["kit", "check", "--table", str(tmp_path / "right"), "--wait-s", "0"])
    assert passed.exit_code == 0, passed.output
    assert f"pass: {len(posts)} open posts" in passed.output
    gone = next(iter(posts))
    del posts[gone]
    write(posts, tmp_path / "wrong")
    failed = CliRunner().invoke(app, ["kit", "check", "--table", str(tmp_path / "wrong"), "--wait-s", "0"])
    assert failed.exit_code == 1
    assert gone in failed.output
    assert "fail: 1 differences" in failed.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("post_id,version\npst-1,2\n", "expected the columns post_id, version, sequence, top"),
        ("post_id,version,sequence,top\np,1,0,\np,1,0,\n", "p stands there twice"),
        ("post_id,version,sequence,top\np,first,0,\n", "expected whole numbers"),
        ("[1, 2]", "expected objects"),
        ("{", "row|Expecting|double quotes"),
    ],
)
def test_a_table_that_cannot_be_compared_is_told_why(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(content)
    with pytest.raises(TableUnreadable, match=said):
        read_table(tmp_path / "table", "open_posts")
    refused = CliRunner().invoke(app, ["kit", "check", "--table", str(tmp_path / "table"), "--wait-s", "0"])
    assert refused.exit_code == 2


def test_a_post_that_only_poison_names_is_told_so() -> None:
    findings = compare(RIGHT, {**RIGHT.posts, "pst-x": Post(1)})
    assert findings == [
        Finding("pst-x", "listed, but never opened", "only in messages that are no events of version 1")
    ]


WRITER = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")  # so that some of what is not committed stands in the file already
db.execute("CREATE TABLE open_posts (post_id, version, sequence, top)")
db.execute("INSERT INTO open_posts VALUES (?, 1, 1, '[]')", (sys.argv[2],))
db.execute("BEGIN")
db.executemany("INSERT INTO open_posts VALUES (?, 2, 2, '[]')", [(f"{n:0500}",) for n in range(1_000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_table_whose_writer_was_killed_is_read_as_it_was_committed(tmp_path: Path) -> None:
    """What is left to be undone is undone in what is read, not in the file."""
    file, post_id = tmp_path / "posts.db", f"pst-{1:032x}"
    subprocess.run([sys.executable, "-c", WRITER, file, post_id], check=False, timeout=60)
    journal = file.with_name("posts.db-journal")
    left = file.read_bytes(), journal.read_bytes()
    assert left[1], "the writer was in the middle of a transaction"
    assert list(read_table(file, "open_posts")) == [post_id]
    assert (file.read_bytes(), journal.read_bytes()) == left


def test_a_writer_whose_locks_are_not_seen_is_not_disturbed(tmp_path: Path) -> None:
    """As SQLite for WebAssembly, which locks by a folder: its unfinished transaction looks like that of a dead one."""
    file, post_ids = tmp_path / "posts.db", [f"pst-{number:032x}" for number in range(1_000)]
    db = sqlite3.connect(f"{file.as_uri()}?vfs=unix-dotfile", uri=True, isolation_level=None)
    db.execute("CREATE TABLE open_posts (post_id, version, sequence, top)")
    db.execute("INSERT INTO open_posts VALUES (?, 1, 1, '[]')", post_ids[:1])
    db.execute("PRAGMA cache_size = 1")  # so that some of what is not committed stands in the file already
    db.execute("BEGIN")
    db.executemany("INSERT INTO open_posts VALUES (?, 2, 2, '[]')", [(post_id,) for post_id in post_ids[1:]])
    assert list(read_table(file, "open_posts")) == post_ids[:1]
    db.execute("COMMIT")
    db.close()
    assert list(read_table(file, "open_posts")) == post_ids
