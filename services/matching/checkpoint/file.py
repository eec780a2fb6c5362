"""The file of a checkpoint: preamble, arrays, header.

    0      magic (8 bytes), format (u32), crc32 of the header (u32), offset and length of the header (u64 each)
    4096   the arrays, each from the start of a page, as they lie in memory (little endian)
    end    the header, JSON: whose state it is, the offsets it stands for, and of each array its name, type, shape,
           place and crc32

The header goes last, since the checksums are known only then, and the preamble after it: a file that was cut off has
none. Reading verifies every byte that is used.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"MAMACKPT"
FORMAT = 1
PAGE = 4096
PREAMBLE = struct.Struct("<8sIIQQ")

HEADER_MAX_BYTES = 64 * 1024 * 1024
"""Longest header that is read: a thousand cities of a hundred arrays each take 10 MB."""

CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes of one read with its checksum: stays in the processor's cache, and keeps both cores busy."""

READERS = 2
"""Threads that read and verify side by side; checksums run without the interpreter's lock."""

Array = npt.NDArray[Any]


class Damaged(Exception):
    """A file is no whole checkpoint of this format; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one partition.

    Attributes:
        store_id: identity of the database that it goes with; a dropped database makes its checkpoints void.
        cluster_id: the broker that the offsets are of.
        layout: version of the engine's arrays.
        offsets: next offset by topic.
        at: instant that the engine stands at.
        newest: latest `ce_time` taken in, by city.
        cities: the engine's arrays, by city and name.
        lost: positions at brokers that were lost, whose events it is made of too.
    """

    store_id: str
    cluster_id: str
    partition: int
    layout: str
    offsets: Mapping[str, int]
    at: datetime
    newest: Mapping[str, datetime]
    cities: Mapping[str, Mapping[str, Array]]
    lost: tuple[str, ...] = ()


def write(path: Path, checkpoint: Checkpoint) -> int:
    """Write a checkpoint to a new file and have it on the disk. Returns its size in bytes.

    Raises:
        OSError: no space, no permission, or the file exists.
        ValueError: an array holds objects, or fields of several types.
    """
    described: dict[str, list[dict[str, Any]]] = {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        end = PAGE
        for city, arrays in checkpoint.cities.items():
            described[city] = []
            for name, array in arrays.items():
                data = _flat(name, array)
                start = -(-end // PAGE) * PAGE
                checksum = 0
                for lo in range(0, len(data), CHUNK_BYTES):
                    chunk = data[lo : lo + CHUNK_BYTES]
                    checksum = zlib.crc32(chunk, checksum)
                    _write_at(descriptor, chunk, start + lo)
                end = start + len(data)
                described[city].append(
                    {
                        "name": name,
                        "dtype": _type_of(array),
                        "shape": list(array.shape),
                        "start": start,
                        "crc32": checksum,
                    }
                )
        header = json.dumps(_header(checkpoint, described), separators=(",", ":")).encode()
        _write_at(descriptor, memoryview(header), end)
        # A cut-off file must never look whole: all else is on the disk before the preamble says where it is.
        os.fsync(descriptor)
        _write_at(descriptor, memoryview(PREAMBLE.pack(MAGIC, FORMAT, zlib.crc32(header), end, len(header))), 0)
        os.fsync(descriptor)
        return end + len(header)
    finally:
        os.close(descriptor)


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file, every byte verified; its arrays are new ones that may be written to.

    Raises:
        Damaged: it is not whole.
        OSError: it cannot be read; `FileNotFoundError` if there is none.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        header = _read_header(descriptor, size)
        try:
            cities = {city: _arrays(descriptor, size, items) for city, items in header["cities"].items()}
            return Checkpoint(
                store_id=str(header["store_id"]),
                cluster_id=str(header["cluster_id"]),
                partition=int(header["partition"]),
                layout=str(header["layout"]),
                offsets={str(topic): _natural(offset) for topic, offset in header["offsets"].items()},
                at=_instant(header["at"]),
                newest={str(city): _instant(text) for city, text in header["newest"].items()},
                cities=cities,
                lost=tuple(str(position) for position in header.get("lost", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(f"the header lacks what it should say ({type(error).__name__})") from None
    finally:
        os.close(descriptor)


def _header(checkpoint: Checkpoint, described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "store_id": checkpoint.store_id,
        "cluster_id": checkpoint.cluster_id,
        "partition": checkpoint.partition,
        "layout": checkpoint.layout,
        "offsets": dict(checkpoint.offsets),
        "at": checkpoint.at.isoformat(),
        "newest": {city: instant.isoformat() for city, instant in checkpoint.newest.items()},
        "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "cities": described,
        "lost": list(checkpoint.lost),
    }


def _type_of(array: Array) -> str:
    return array.dtype.newbyteorder("<").str


def _flat(name: str, array: Array) -> memoryview:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise ValueError(f"{name}: expected an array of numbers or of text of a fixed length")
    contiguous = np.ascontiguousarray(array, dtype=np.dtype(_type_of(array)))
    return contiguous.reshape(-1).view(np.uint8).data


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _read_header(descriptor: int, size: int) -> dict[str, Any]:
    preamble = os.pread(descriptor, PREAMBLE.size, 0)
    if len(preamble) < PREAMBLE.size:
        raise Damaged("it is shorter than a preamble")
    magic, form, checksum, start, length = PREAMBLE.unpack(preamble)
    if magic != MAGIC:
        raise Damaged("it does not begin as a checkpoint; it may have been cut off while it was written")
    if form != FORMAT:
        raise Damaged(f"it has format {form}, this release reads {FORMAT}")
    if length > HEADER_MAX_BYTES or start + length != size:
        raise Damaged("its length is not the one that it names")
    raw = os.pread(descriptor, length, start)
    if zlib.crc32(raw) != checksum:
        raise Damaged("the checksum of the header is wrong")
    try:
        header = json.loads(raw)
    except ValueError:
        raise Damaged("the header is not JSON") from None
    if not isinstance(header, dict):
        raise Damaged("the header is no object")
    return header


def _arrays(descriptor: int, size: int, described: list[dict[str, Any]]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    parts: list[tuple[str, memoryview, int]] = []
    for item in described:
        kind = np.dtype(str(item["dtype"]))
        if kind.hasobject or kind.names is not None:
            raise Damaged("an array is of a type that no checkpoint holds")
        shape = tuple(_natural(length) for length in item["shape"])
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if _natural(item["start"]) + count * kind.itemsize > size:
            raise Damaged("an array reaches beyond the end")
        array = np.empty(shape, kind)
        arrays[str(item["name"])] = array
        parts.append((str(item["name"]), array.reshape(-1).view(np.uint8).data, int(item["start"])))
    wanted = {str(item["name"]): int(item["crc32"]) for item in described}
    with ThreadPoolExecutor(READERS) as threads:
        for name, checksum in threads.map(lambda part: (part[0], _read_array(descriptor, part[1], part[2])), parts):
            if checksum != wanted[name]:
                raise Damaged(f"the checksum of the array {name} is wrong")
    return arrays


def _read_array(descriptor: int, into: memoryview, start: int) -> int:
    """Fill an array from the file. Returns the checksum of what was read."""
    checksum = 0
    for chunk in _chunks(into):
        at, left = start, chunk
        while len(left):
            got = os.preadv(descriptor, [left], at)
            if got == 0:
                raise Damaged("it ends within an array")
            at, left = at + got, left[got:]
        checksum = zlib.crc32(chunk, checksum)
        start += len(chunk)
    return checksum


def _chunks(whole: memoryview) -> Iterator[memoryview]:
    for lo in range(0, len(whole), CHUNK_BYTES):
        yield whole[lo : lo + CHUNK_BYTES]


def _natural(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError("expected a whole number from 0")
    return number


def _instant(text: Any) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("expected an offset")
    return instant
