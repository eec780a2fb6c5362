"""Child processes that never outlive this one, their logs, and the ports they listen on."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"

# Below every common ephemeral range (Linux 32768+, macOS 49152+). A port out of that range could be taken as the local
# end of any outgoing connection while its engine is down; a client that redials it can even connect to itself.
_PORTS: Final = range(20_000, 32_000)
_PORT_TRIES: Final = 200
# Parallel runs (test workers) start their walk at different places and so do not race for the same ports.
_PORTS_PER_PROCESS: Final = 64
_port_walk: Final = itertools.count(os.getpid() * _PORTS_PER_PROCESS)

_LOG_TAIL_LINES: Final = 15
_LOG_LINE_CHARS: Final = 300
_LOG_TAIL_BYTES: Final = 64 * 1024

# Time that the kernel may need to end a process after SIGKILL; more means a machine in trouble.
_KILL_TIMEOUT_S: Final = 30.0

_PR_SET_PDEATHSIG: Final = 1
# Loaded here, because a freshly forked child must not load anything.
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the engines do: connections of a killed predecessor in TIME_WAIT are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def pick_port(memory: Path | None = None) -> int:
    """Choose a free port, the one remembered from the last run where it is still free.

    The port is not reserved: the caller starts a process on it, and asks again when another one was faster.

    Args:
        memory: file that remembers the port across runs; written when the port is new.

    Raises:
        OSError: no free port after many tries, or the file cannot be written.
    """
    if memory is not None:
        with contextlib.suppress(OSError, ValueError):
            remembered = int(memory.read_text(encoding="ascii"))
            if remembered in _PORTS and port_is_free(remembered):
                return remembered
    for _ in range(_PORT_TRIES):
        port = _PORTS[next(_port_walk) % len(_PORTS)]
        if port_is_free(port):
            if memory is not None:
                memory.write_text(f"{port}\n", encoding="ascii")
            return port
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop} on {LOOPBACK}")


class _Spawner:
    """Forks every child from one thread that lives as long as this process.

    Linux delivers the parent-death signal when the forking *thread* ends. A child started from a pool thread would be
    killed as soon as the pool is closed.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._jobs = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # not alive: this process is a fork of the first
                self._thread = threading.Thread(target=self._work, name="spawner", daemon=True)
                self._thread.start()
        result: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, result))
        return result.result()

    def _work(self) -> None:
        while True:
            job, result = self._jobs.get()
            try:
                result.set_result(job())
            except Exception as error:  # noqa: BLE001 - handed over to the caller, who raises it
                result.set_exception(error)


_spawner = _Spawner()


def _die_with_parent(parent_pid: int) -> Callable[[], None] | None:
    """Return what the forked child runs first so that it is killed when this process ends; None where unsupported."""
    libc = _LIBC
    if libc is None:
        return None

    def set_death_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent ended before the line above
            os._exit(1)

    return set_death_signal


class Child:
    """One running child process.

    It leads a session of its own, so that Ctrl-C in the terminal reaches only the parent, which then stops its children
    in order. When the parent is killed, Linux kills the child too; elsewhere an orderly interpreter exit does.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path, env: Mapping[str, str] | None = None) -> None:
        """Start the process.

        Args:
            name: what a person calls it, for messages.
            command: program and arguments.
            log_path: its stdout and stderr are appended there.
            env: its whole environment; None = this process's.

        Raises:
            OSError: the program cannot be executed, or the log cannot be written.
        """
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = _spawner.run(
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=None if env is None else dict(env),
                    start_new_session=True,
                    preexec_fn=_die_with_parent(os.getpid()),
                )
            )
        self._owner_pid = os.getpid()
        _children.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL the process and what it started; return when it is gone. No-op when it already ended."""
        if self.alive:
            self._signal_group(signal.SIGKILL)
        self._process.wait(_KILL_TIMEOUT_S)
        _children.discard(self)

    def pause(self) -> None:
        """SIGSTOP: it neither runs nor ends until `resume`, as a machine that hangs. Returns when it stands still."""
        if not self.alive:
            return
        self._signal_group(signal.SIGSTOP)
        if sys.platform != "darwin":  # has no such wait
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self._signal_group(signal.SIGCONT)

    def request_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self.alive:
            self._process.terminate()

    def wait_stopped(self, timeout_s: float) -> bool:
        """Wait for the end; after `timeout_s` kill it.

        Returns:
            Whether it ended by itself.
        """
        try:
            self._process.wait(max(timeout_s, 0.0))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        _children.discard(self)
        return True

    def stop(self, timeout_s: float) -> bool:
        """SIGTERM, wait, and SIGKILL after `timeout_s`; return whether it ended by itself."""
        self.request_stop()
        return self.wait_stopped(timeout_s)

    def log_tail(self) -> str:
        """The end of what this run of the process wrote, errors of structured logs first; for error messages."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError as error:
            return f"(cannot read {self.log_path}: {error})"
        # mongod marks severity in JSON; its cause of death stands well above the last lines.
        severe = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line]
        shown = (severe or lines)[-_LOG_TAIL_LINES:]
        return "\n".join(f"  | {line[:_LOG_LINE_CHARS]}" for line in shown) or "  | (it wrote nothing)"

    def kill_if_owner(self) -> None:
        """Kill, unless this process is a fork of the one that started the child."""
        if self._owner_pid == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.kill()

    def _signal_group(self, number: signal.Signals) -> None:
        # The child leads its group, so whatever it started ends with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


_children: set[Child] = set()


@atexit.register
def _kill_left_children() -> None:
    """Without a parent-death signal (macOS), a caller that forgot to stop must still leave nothing behind."""
    for child in list(_children):
        child.kill_if_owner()


class Deadline:
    """A point in time that several waits share."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        return max(self._at - time.monotonic(), 0.0)

    @property
    def passed(self) -> bool:
        return self.left_s == 0.0
