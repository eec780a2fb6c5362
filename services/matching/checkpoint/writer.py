"""Work on a snapshot of this process: a forked child sees its memory as it was at the fork, while the parent goes on.

The parent is held up for the fork alone (the page tables are copied, a few milliseconds a gigabyte); the child does the
work and ends. Nothing of the parent may be touched by it: its sockets are closed, so that a parent that dies meanwhile
does not leave its port taken, and signals are not passed on to the parent's event loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

_PIPE_FD = 3
_DESCRIPTORS_MAX = 1_048_576
_MESSAGE_MAX_BYTES = 4096
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildFailed(Exception):
    """The child did not do its work: it raised, died, or was killed after the time given to it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a child did.

    Attributes:
        result: what its work returned.
        fork_s: how long the fork held the parent up.
    """

    result: int
    fork_s: float


async def in_child(work: Callable[[], int], timeout_s: float) -> Done:
    """Run `work` in a forked child on a snapshot of this process, taken before the first `await`.

    Args:
        work: must not use threads, the event loop, or anything else that did not survive the fork.

    Raises:
        ChildFailed: it raised (the class of the error is told), died, or took too long.
        OSError: no more processes can be made.
    """
    reader, writer = os.pipe()
    started = time.perf_counter()
    pid = _fork()
    if pid == 0:
        _child(work, writer)
    fork_s = time.perf_counter() - started
    os.close(writer)
    loop = asyncio.get_running_loop()
    waiting = loop.run_in_executor(None, os.waitpid, pid, 0)
    try:
        async with asyncio.timeout(timeout_s):
            _, status = await asyncio.shield(waiting)
        told = os.read(reader, _MESSAGE_MAX_BYTES).decode()
    except BaseException as error:
        os.kill(pid, signal.SIGKILL)
        await asyncio.shield(waiting)
        if isinstance(error, TimeoutError):
            raise ChildFailed(f"not done within {timeout_s:g} s") from None
        raise
    finally:
        os.close(reader)
    if os.waitstatus_to_exitcode(status) != 0:
        raise ChildFailed(told or f"it ended with exit code {os.waitstatus_to_exitcode(status)}")
    return Done(int(told), fork_s)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads. The child runs plain file operations, and then `_exit`.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _child(work: Callable[[], int], writer: int) -> None:
    """Never returns."""
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if writer != _PIPE_FD:
            os.dup2(writer, _PIPE_FD)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        os.closerange(_PIPE_FD + 1, min(limit, _DESCRIPTORS_MAX))
        try:
            told, code = str(work()), 0
        except Exception as error:  # noqa: BLE001  # the parent tells of it
            told, code = f"{type(error).__name__}: {error}", 1
        os.write(_PIPE_FD, told.encode()[:_MESSAGE_MAX_BYTES])
        os._exit(code)
    finally:
        os._exit(2)
