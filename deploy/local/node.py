"""One broker or one database of a cluster: a child process that can be killed, paused and started again by itself."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.local.errors import EngineStartFailed
from deploy.local.process import LOOPBACK, Child, Deadline

STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.1

_READY_TIMEOUT_S: Final = 120.0  # of one node that comes back, on a machine that is busy


class Node:
    """One broker or one mongod: a process that keeps its port and data across kills."""

    def __init__(
        self, name: str, port: int, front: int, command: Sequence[str], log_path: Path, answers: Callable[[int], bool]
    ) -> None:
        """A node that is not started yet.

        Args:
            port: where it listens.
            front: the port that others are told.
            answers: tells whether the node on this port does its work.
        """
        self.name = name
        self.port = port
        self._front = front
        self._answers = answers
        self._command = list(command)
        self._log_path = log_path
        self._child: Child | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self._front}"

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start the process, and return without waiting for its answer. No-op while it runs.

        Raises:
            EngineStartFailed: the program cannot be executed.
        """
        if self.alive:
            return
        try:
            self._child = Child(self.name, self._command, self._log_path)
        except OSError as error:
            raise EngineStartFailed(f"{self.name} cannot be executed: {error}") from error

    def kill(self) -> None:
        """SIGKILL; what it acknowledged stays on disk."""
        self._running().kill()

    def pause(self) -> None:
        """SIGSTOP, as a machine that hangs."""
        self._running().pause()

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self._running().resume()

    def request_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._child is not None:
            self._child.request_stop()

    def wait_stopped(self, timeout_s: float) -> None:
        """Wait for its end, and kill it after `timeout_s`."""
        if self._child is not None:
            self._child.wait_stopped(timeout_s)

    def stop(self) -> None:
        """SIGTERM and wait: an orderly stop, as in a rolling restart."""
        self.request_stop()
        self.wait_stopped(STOP_TIMEOUT_S)

    def wait_ready(self) -> None:
        """Return when it does its work.

        Raises:
            EngineStartFailed: it ended, or does not in time.
        """
        deadline = Deadline(_READY_TIMEOUT_S)
        while not self._answers(self.port):
            if not self.alive or deadline.passed:
                raise EngineStartFailed(self.failure())
            time.sleep(POLL_S)

    def limit_files(self, size_bytes: int) -> None:
        """Let no file of the running process grow beyond a size, as on a disk that is full; ends with the process.

        Raises:
            OSError: not allowed here.
        """
        pid = self._running().pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))

    def failure(self) -> str:
        """What its log says, for a message."""
        child = self._running()
        state = "runs" if child.alive else f"ended with exit code {child.exit_code}"
        return f"{self.name} on port {self.port} {state}. The end of {self._log_path}:\n{child.log_tail()}"

    def _running(self) -> Child:
        if self._child is None:
            raise EngineStartFailed(f"{self.name} was not started")
        return self._child
