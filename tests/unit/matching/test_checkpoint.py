"""Checkpoint files: what was written comes back, what is damaged is noticed and said, and the one before takes over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from services.matching.checkpoint import Checkpoint, ChildFailed, Damaged, Shelf, in_child, read, write
from services.matching.checkpoint.file import PAGE, PREAMBLE

NOW = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)

kinds = st.one_of(
    arrays_of.integer_dtypes(endianness="="),
    arrays_of.unsigned_integer_dtypes(endianness="="),
    arrays_of.floating_dtypes(endianness="=", sizes=(32, 64)),
    arrays_of.boolean_dtypes(),
    arrays_of.byte_string_dtypes(endianness="=", max_len=16),
    arrays_of.unicode_string_dtypes(endianness="=", max_len=8),
)
arrays = arrays_of.arrays(kinds, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9))
names = st.text(min_size=1, max_size=12)
checkpoints = st.builds(
    Checkpoint,
    store_id=st.text(max_size=10),
    cluster_id=st.text(max_size=10),
    partition=st.integers(0, 5),
    layout=st.text(max_size=5),
    offsets=st.dictionaries(names, st.integers(0, 2**63 - 1), max_size=4),
    at=st.datetimes(timezones=st.just(UTC)),
    newest=st.dictionaries(names, st.datetimes(timezones=st.just(UTC)), max_size=3),
    cities=st.dictionaries(names, st.dictionaries(names, arrays, max_size=4), max_size=3),
)


def a_checkpoint(**given: Any) -> Checkpoint:
    base: dict[str, Any] = {
        "store_id": "db",
        "cluster_id": "broker",
        "partition": 2,
        "layout": "1",
        "offsets": {"post-opened": 7},
        "at": NOW,
        "newest": {"370600": NOW},
        "cities": {
            "370600": {"mask": np.arange(3000, dtype=np.uint64), "ids": np.array([b"pst-1", b"pst-2"])},
            "370100": {"mask": np.zeros(0, np.uint64), "score": np.linspace(0, 1, 50).reshape(5, 10)},
        },
    }
    return Checkpoint(**base | given)


def same(one: Checkpoint, other: Checkpoint) -> bool:
    def plain(checkpoint: Checkpoint) -> Any:
        cities = {
            city: {
                name: (array.dtype, array.shape, array.tobytes())
                for name, array in ((name, np.ascontiguousarray(array)) for name, array in held.items())
            }
            for city, held in checkpoint.cities.items()
        }
        return replace(checkpoint, cities={}), cities

    return bool(plain(one) == plain(other))


@settings(max_examples=60)
@given(checkpoint=checkpoints)
def test_what_was_written_comes_back(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("c") / "file"
    size = write(path, checkpoint)
    assert size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    found = read(path)
    assert same(found, checkpoint)
    assert all(array.flags.writeable for held in found.cities.values() for array in held.values())


def test_arrays_that_do_not_lie_in_one_piece_come_back_too(tmp_path: Path) -> None:
    whole = np.arange(60, dtype=">i4").reshape(6, 10)
    checkpoint = a_checkpoint(cities={"c": {"transposed": whole.T, "every other": whole[::2, ::3]}})
    write(tmp_path / "file", checkpoint)
    found = read(tmp_path / "file").cities["c"]
    assert (found["transposed"] == whole.T).all()
    assert (found["every other"] == whole[::2, ::3]).all()


@pytest.mark.parametrize("array", [np.array([object()]), np.zeros(2, [("a", "i4"), ("b", "f8")])])
def test_what_no_file_can_hold_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(ValueError, match="x: expected an array of numbers"):
        write(tmp_path / "file", a_checkpoint(cities={"c": {"x": array}}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "file"
    write(path, a_checkpoint())
    return path.read_bytes()


def used(whole: bytes) -> list[int]:
    """Bytes that mean something: not the gaps before the pages."""
    _, _, _, start, _ = PREAMBLE.unpack(whole[: PREAMBLE.size])
    mask, scores = range(PAGE, PAGE + 24_000), range(start - 400, start)
    return [*range(PREAMBLE.size), *mask, *scores, *range(start, len(whole))]


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_noticed(
    whole: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    places = used(whole)
    place = places[data.draw(st.integers(0, len(places) - 1))]
    damaged = bytearray(whole)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "file"
    path.write_bytes(damaged)
    with pytest.raises(Damaged):
        read(path)


@settings(max_examples=80)
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_noticed(
    whole: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(Damaged):
        read(path)


def test_a_file_with_something_behind_its_end_is_noticed(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "file").write_bytes(whole + b"x")
    with pytest.raises(Damaged, match="length"):
        read(tmp_path / "file")


def test_another_format_is_named(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "file").write_bytes(whole[:8] + struct.pack("<I", 9) + whole[12:])
    with pytest.raises(Damaged, match="format 9"):
        read(tmp_path / "file")


# --- the shelf ---


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "checkpoints", "1")
    made.prepare()
    return made


def put(shelf: Shelf, checkpoint: Checkpoint) -> None:
    path = shelf.temporary(checkpoint.partition)
    write(path, checkpoint)
    assert shelf.keep(checkpoint.partition, path) == shelf.newest(checkpoint.partition).stat().st_size


def test_the_newest_is_loaded(shelf: Shelf) -> None:
    put(shelf, a_checkpoint(offsets={"post-opened": 1}))
    put(shelf, a_checkpoint(offsets={"post-opened": 2}))
    loaded = shelf.load(2, "db")
    assert (loaded.outcome, loaded.reasons) == ("loaded", ())
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.offsets == {"post-opened": 2}
    assert loaded.size_bytes == shelf.newest(2).stat().st_size


@pytest.mark.parametrize("damage", ["cut", "gone", "unreadable"])
def test_the_one_before_takes_over_and_the_reason_is_told(shelf: Shelf, damage: str) -> None:
    put(shelf, a_checkpoint(offsets={"post-opened": 1}))
    put(shelf, a_checkpoint(offsets={"post-opened": 2}))
    newest = shelf.newest(2)
    if damage == "cut":
        newest.write_bytes(newest.read_bytes()[:-1])
    else:
        newest.unlink()
        if damage == "unreadable":
            newest.mkdir()
    loaded = shelf.load(2, "db")
    assert loaded.outcome == "fallback"
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.offsets == {"post-opened": 1}
    assert len(loaded.reasons) == (0 if damage == "gone" else 1)


def test_none_none_whole_and_none_of_ours_are_told_apart(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.load(2, "db").outcome == "missing"
    put(shelf, a_checkpoint())
    foreign = shelf.load(2, "another database")
    assert (foreign.outcome, foreign.checkpoint) == ("foreign", None)
    assert "another database" in foreign.reasons[0]
    released = Shelf(tmp_path / "checkpoints", "2").load(2, "db")
    assert (released.outcome, released.checkpoint) == ("foreign", None)
    assert "layout 1, this one has 2" in released.reasons[0]
    shelf.newest(2).rename(shelf.newest(3))
    assert "another partition" in shelf.load(3, "db").reasons[0]
    shelf.newest(3).write_bytes(b"")
    assert shelf.load(3, "db").outcome == "damaged"


def test_leftovers_of_writers_that_died_are_removed_and_no_others(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    host = shelf.temporary(1).name.split(".")[1]
    dead, mine, parent = (
        folder / f"partition-1.{host}.{number}.tmp" for number in (2**22 + 1, os.getpid(), os.getppid())
    )
    elsewhere = folder / f"partition-1.not-{socket.gethostname()}.{2**22 + 1}.tmp"
    for path in (dead, mine, parent, elsewhere):
        path.touch()
    shelf.prepare()
    assert {path.name for path in folder.iterdir()} == {parent.name, elsewhere.name}


# --- the child ---


async def test_a_child_works_on_the_state_at_the_fork(tmp_path: Path) -> None:
    state = {"count": 1}

    def work() -> int:
        (tmp_path / "seen").write_text(str(state["count"]))
        return state["count"]

    writing = asyncio.create_task(in_child(work, 10))
    await asyncio.sleep(0)
    state["count"] = 2
    done = await writing
    assert done.result == 1
    assert done.fork_s > 0
    assert (tmp_path / "seen").read_text() == "1"


async def test_the_loop_goes_on_while_the_child_works(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def work() -> int:
        while not go.exists():
            pass
        return 3

    writing = asyncio.create_task(in_child(work, 10))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not writing.done()
    go.touch()
    assert (await writing).result == 3


async def test_an_error_of_the_child_is_told() -> None:
    def work() -> int:
        raise OSError("no space")

    with pytest.raises(ChildFailed, match="OSError: no space"):
        await in_child(work, 10)


async def test_a_child_that_dies_is_noticed() -> None:
    def work() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(ChildFailed, match="-9"):
        await in_child(work, 10)


def _has_no_child() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


async def test_a_child_that_takes_too_long_is_killed_and_leaves_nothing_behind() -> None:
    def work() -> int:
        while True:
            signal.pause()

    with pytest.raises(ChildFailed, match=r"within 0\.1 s"):
        await in_child(work, 0.1)
    assert _has_no_child()


async def test_a_cancelled_wait_kills_the_child() -> None:
    def work() -> int:
        while True:
            signal.pause()

    writing = asyncio.create_task(in_child(work, 60))
    await asyncio.sleep(0.05)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert _has_no_child()


async def test_a_child_holds_no_socket_of_the_parent() -> None:
    """A parent that dies while its child writes must be able to be started again on the same port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def work() -> int:
            return len([fd for fd in os.listdir("/proc/self/fd") if int(fd) > 3])

        assert (await in_child(work, 10)).result <= 1, "the listing itself holds one"
        assert port


def test_a_header_that_lacks_something_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "file", a_checkpoint(at=NOW.replace(tzinfo=None)))
    with pytest.raises(Damaged, match="ValueError"):
        read(tmp_path / "file")
