"""Small compiled pieces: bit counts and tables of 128-bit keys."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from services.matching.engine.layout import F32, I32, I64, U64, Int

F = TypeVar("F", bound=Callable[..., Any])


COMPILED = ("bits", "blocks", "bounds", "changes", "layout", "pair", "places", "running", "sweep", "tops", "upkeep")
"""Modules of this package whose code, or whose constants, are compiled; the others only call them."""


def cache_dir() -> Path:
    """Where compiled functions are kept, one folder for each state of the source that is compiled.

    Numba itself looks at the file of each function alone, and stumbles over what was compiled from another state of
    the others.
    """
    digest = hashlib.sha256()
    for module in COMPILED:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    base = Path(sys.prefix) if os.access(sys.prefix, os.W_OK) else Path.home() / ".cache"
    return base / "mamapost-kernel" / digest.hexdigest()[:16]


def kept_in() -> Path:
    """Where compiled functions really are: in `NUMBA_CACHE_DIR` if that is set, else in `cache_dir`."""
    return Path(_config.CACHE_DIR)


def forget_old(kept: int) -> None:
    """Remove what was compiled from other states of the source, but for the newest few: other branches, instances."""
    mine = cache_dir()
    others = sorted((folder for folder in mine.parent.glob("*") if folder != mine), key=lambda one: one.stat().st_mtime)
    for folder in others[: max(len(others) - kept, 0)]:
        shutil.rmtree(folder, ignore_errors=True)  # another process may remove it too


_config: Any = numba.config
if not _config.CACHE_DIR:
    _config.CACHE_DIR = str(cache_dir())


def _with(**options: Any) -> Callable[[F], F]:
    """Numba's decorator, without the counting of references: nothing here allocates, and the counts took most time."""
    return cast(Callable[[F], F], cast(Any, njit)(error_model="numpy", nogil=True, _nrt=False, **options))


def compiled(function: F) -> F:
    """A function compiled for this machine and kept on disk; integer division by zero is the caller's care."""
    return _with(cache=True)(function)


def woven(function: F) -> F:
    """A piece that becomes part of the compiled functions that use it, so that it is not compiled for itself.

    Numba optimises everything that a function calls anew with it; a ladder of functions over the two sweeps would take
    minutes to compile.
    """
    return _with(inline="always")(function)


def compiled_fast(function: F) -> F:
    """As `compiled`, for bounds that need not be exact: the order of float operations is the compiler's choice."""
    return _with(cache=True, fastmath=True)(function)


def _instruction(kind: Any, ask: Callable[[Any, Any], Any]) -> Any:
    """An instruction of the processor on one word of a kind."""

    @intrinsic
    def instruction(typing_context: Any, word: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return ask(builder, arguments[0])

        return kind(kind), code

    return instruction


_ctpop = _instruction(types.uint64, lambda builder, word: builder.ctpop(word))
_ctpop32 = _instruction(types.uint32, lambda builder, word: builder.ctpop(word))
_cttz = _instruction(types.uint64, lambda builder, word: builder.cttz(word, ir.IntType(1)(1)))


@compiled
def ones(word: Int) -> Int:
    """How many bits of a word are set."""
    return np.int64(_ctpop(np.uint64(word)))


@compiled
def ones32(word: Int) -> Int:
    """How many bits of a word of 32 bits are set; the compiler makes eight at once of it."""
    return np.int32(_ctpop32(np.uint32(word)))


@compiled
def lowest(word: Int) -> Int:
    """Number of the lowest bit of a word that is set; there must be one."""
    return np.int64(_cttz(np.uint64(word)))


def _signs(typing_context: Any, lanes: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        vector = ir.VectorType(ir.FloatType(), 64)
        held = builder.load(builder.bitcast(data, vector.as_pointer()), align=4)
        return builder.bitcast(builder.fcmp_ordered(">=", held, ir.Constant(vector, None)), ir.IntType(64))

    return types.uint64(lanes), code


_not_negative: Any = intrinsic(_signs)

WORD_BITS = 64
EVERY = np.uint64(2**64 - 1)


@compiled
def not_negative(lanes: F32, used: Int) -> Int:
    """Which of the first `used` (1 to 64) of 64 numbers without gaps are not negative, as bits of a word.

    The compiler would ask them one by one; as a vector they are a handful of instructions.
    """
    return _not_negative(lanes) & (EVERY >> np.uint64(WORD_BITS - used))


def _alike(lanes: int) -> Any:
    """A function of an array of 32-bit integers without gaps and a number: which of the first are it, as bits."""

    @intrinsic
    def alike(typing_context: Any, numbers: Any, wanted: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            vector = ir.VectorType(ir.IntType(32), lanes)
            held = builder.load(builder.bitcast(data, vector.as_pointer()), align=4)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[1], ir.IntType(32)(0))
            none = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
            same = builder.icmp_signed("==", held, builder.shuffle_vector(one, one, none))
            bits = builder.bitcast(same, ir.IntType(lanes))
            return bits if lanes == WORD_BITS else builder.zext(bits, ir.IntType(WORD_BITS))

        return types.uint64(numbers, types.int32), code

    return alike


alike_32, alike_64 = _alike(32), _alike(64)

CACHE_LINE = 64


def _prefetch(typing_context: Any, records: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        size = signature.args[0].dtype.size
        first = builder.gep(builder.bitcast(array.data, byte), [builder.mul(arguments[1], ir.IntType(64)(size))])
        for offset in (*range(0, size, CACHE_LINE), size - 1):
            # To read, to be kept near, and data it is.
            builder.call(ask, [builder.gep(first, [ir.IntType(64)(offset)]), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(records, types.int64), code


prefetch: Any = intrinsic(_prefetch)
"""Have the processor fetch a record of an array while it goes on: `prefetch(records, row)`."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


@compiled
def _start(a: Int, b: Int, cells: Int) -> Int:
    mixed = (np.uint64(a) ^ (np.uint64(b) * _MIX)) * _MIX
    return np.int64((mixed >> _SHIFT) & np.uint64(cells - 1))


@compiled
def find(table: I32, keys: U64, a: Int, b: Int) -> Int:
    """Row of a key, or -1. `table` holds row + 1 at the key's place (0: empty); its length is a power of two."""
    cells = table.shape[0]
    place = _start(a, b, cells)
    while True:
        row = table[place] - 1
        if row < 0:
            return -1
        if keys[row, 0] == a and keys[row, 1] == b:
            return row
        place = (place + 1) & (cells - 1)


@compiled
def enter(table: I32, keys: U64, row: Int) -> None:
    """Put a row, whose key is in `keys`, into the table; the key must not be there, and the table not be full."""
    cells = table.shape[0]
    place = _start(keys[row, 0], keys[row, 1], cells)
    while table[place] != 0:
        place = (place + 1) & (cells - 1)
    table[place] = row + 1


@compiled
def row_of(table: I32, keys: U64, a: Int, b: Int, counts: I64, used: Int) -> Int:
    """Row of a key; one that nobody has named before gets the next of the `counts[used]` rows. There must be room."""
    row = find(table, keys, a, b)
    if row < 0:
        row = counts[used]
        counts[used] += 1
        keys[row, 0] = a
        keys[row, 1] = b
        enter(table, keys, row)
    return row


@compiled
def count_new(table: I32, keys: U64, named: U64) -> Int:
    """How many of some keys have no row; one that is there twice counts twice."""
    count = 0
    for n in range(named.shape[0]):
        if find(table, keys, named[n, 0], named[n, 1]) < 0:
            count += 1
    return count


@compiled
def enter_all(table: I32, keys: U64, first: Int, end: Int) -> None:
    """Put rows `first` to `end` into the table."""
    for row in range(first, end):
        enter(table, keys, row)
