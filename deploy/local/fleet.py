"""The four services as separate processes on this machine."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx

from deploy.local.engines import EngineUrls
from deploy.local.errors import ServiceStartFailed
from deploy.local.process import LOOPBACK, Child, Deadline, pick_port, port_is_free
from deploy.local.recipes import KAFKA_VARIABLE, MONGO_VARIABLE

SERVICES: Final = ("registry", "matching", "training", "revenue")

REGISTRY_VARIABLE: Final = "MAMAPOST_REGISTRY_URL"
CALLS_REGISTRY: Final = frozenset({"matching"})
"""Services that send commands to the registry."""

_READY_PATH: Final = "/health/ready"
_READY_ANSWER_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05

_log = logging.getLogger(__name__)


def serve_command(service: str, port: int) -> list[str]:
    """The command that serves one service on a port, run by this very interpreter."""
    return [sys.executable, "-m", "mamapost", "serve", service, "--port", str(port)]


class Fleet:
    """Running services. Use `with Fleet.start(...) as fleet:`.

    A service keeps its port, and so its URL, for as long as the fleet lives, across kills and restarts.
    """

    def __init__(
        self,
        services: Sequence[str],
        env: Mapping[str, str],
        log_dir: Path,
        port_dir: Path | None,
        command: Callable[[str, int], list[str]],
        start_timeout_s: float,
        stop_timeout_s: float,
    ) -> None:
        """Internal; use `start`."""
        self._env = env
        self._log_dir = log_dir
        self._port_dir = port_dir
        self._command = command
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._ports = {service: self._pick_port(service) for service in services}
        self._children: dict[str, Child] = {}

    @classmethod
    def start(
        cls,
        urls: EngineUrls,
        *,
        log_dir: Path,
        env: Mapping[str, str] | None = None,
        port_dir: Path | None = None,
        services: Sequence[str] = SERVICES,
        command: Callable[[str, int], list[str]] = serve_command,
        start_timeout_s: float = 90.0,
        stop_timeout_s: float = 20.0,
    ) -> Fleet:
        """Start the services side by side and return when all of them are ready.

        Args:
            urls: where the engines answer.
            log_dir: `<service>.log` is appended there.
            env: variables in addition to those of this process (tokens, master key, database prefix).
            port_dir: remembers the ports across runs; None = new ones each time.
            services: which ones.
            command: service and port to its command line.
            start_timeout_s: one deadline for all.
            stop_timeout_s: how long `stop` waits before it kills; one deadline for all.

        Raises:
            ServiceStartFailed: one ended or was not ready in time; all of them are stopped again.
        """
        whole_env = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",  # a killed service's last lines are in its log
            **(env or {}),
            KAFKA_VARIABLE: urls.kafka,
            MONGO_VARIABLE: urls.mongo,
        }
        if port_dir is not None:
            port_dir.mkdir(parents=True, exist_ok=True)
        fleet = cls(services, whole_env, log_dir, port_dir, command, start_timeout_s, stop_timeout_s)
        deadline = Deadline(start_timeout_s)
        try:
            for service in services:
                fleet._spawn(service)
            for service in services:
                fleet._await_ready(service, deadline, may_move=True)
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            for child in fleet._children.values():
                child.kill()
            raise
        return fleet

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._ports)

    def url(self, service: str) -> str:
        """The base URL, without a slash at the end; the same for the fleet's whole life."""
        return f"http://{LOOPBACK}:{self._ports[service]}"

    def alive(self, service: str) -> bool:
        """Whether the process runs, ready or not."""
        return service in self._children and self._children[service].alive

    def log_path(self, service: str) -> Path:
        return self._log_dir / f"{service}.log"

    def kill(self, service: str) -> None:
        """SIGKILL the service and return when it is gone. No-op when it is."""
        self._children[service].kill()

    def pause(self, service: str) -> None:
        """Hold the service up with SIGSTOP, as a machine that hangs; `resume` lets it go on."""
        self._children[service].pause()

    def resume(self, service: str) -> None:
        """Let a paused service go on."""
        self._children[service].resume()

    def stop_one(self, service: str) -> bool:
        """Stop one service in order, killing it after `stop_timeout_s`. Returns whether it ended by itself."""
        return self._children[service].stop(self._stop_timeout_s)

    def restart(self, service: str, *, wait_ready: bool = True) -> None:
        """Start the service again on its port, after an orderly stop if it still runs.

        Args:
            service: which one.
            wait_ready: False returns as soon as the process exists; see `wait_ready`.

        Raises:
            ServiceStartFailed: it ended or was not ready in time.
        """
        self._children[service].stop(self._stop_timeout_s)
        self._spawn(service)
        if wait_ready:
            self.wait_ready(service)

    def wait_ready(self, service: str, timeout_s: float | None = None) -> None:
        """Return when the service is ready.

        Args:
            service: which one.
            timeout_s: None = the fleet's `start_timeout_s`.

        Raises:
            ServiceStartFailed: it ended or was not ready in time.
        """
        deadline = Deadline(self._start_timeout_s if timeout_s is None else timeout_s)
        self._await_ready(service, deadline, may_move=False)

    def stop(self) -> tuple[str, ...]:
        """Ask all services to stop, together, and kill those that have not within `stop_timeout_s`.

        Can be called again.

        Returns:
            The services that had to be killed; each is also logged as a warning.
        """
        deadline = Deadline(self._stop_timeout_s)
        for child in self._children.values():
            child.request_stop()
        killed = tuple(name for name, child in self._children.items() if not child.wait_stopped(deadline.left_s))
        for service in killed:
            _log.warning("%s did not stop within %.0f s and was killed", service, self._stop_timeout_s)
        return killed

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _pick_port(self, service: str) -> int:
        return pick_port(None if self._port_dir is None else self._port_dir / f"{service}.port")

    def _spawn(self, service: str) -> None:
        command = self._command(service, self._ports[service])
        try:
            self._children[service] = Child(service, command, self.log_path(service), self._env_now())
        except OSError as error:
            raise ServiceStartFailed(f"{service} cannot be started ({command[0]}): {error}") from error

    def _env_now(self) -> dict[str, str]:
        """Variables of a service that starts now: it may have to call the registry, wherever that listens."""
        where = {REGISTRY_VARIABLE: self.url("registry")} if "registry" in self._ports else {}
        return {**self._env, **where}

    def _await_ready(self, service: str, deadline: Deadline, *, may_move: bool) -> None:
        """Wait for the ready answer of the service's own process.

        Args:
            service: which one.
            deadline: for the wait.
            may_move: the URL was not handed out yet, so a port lost to another process may be replaced by a new one.
        """
        # trust_env: a proxy configured for the outside must not be asked for loopback.
        with httpx.Client(base_url=self.url(service), timeout=_READY_ANSWER_TIMEOUT_S, trust_env=False) as client:
            while True:
                status = _status(client)
                # Order matters: an answer counts only if our process is there to have given it.
                if not self.alive(service):
                    break
                if status == httpx.codes.OK:
                    return
                if deadline.passed:
                    raise ServiceStartFailed(self._failure(service, f"was not ready in time (last answer: {status})"))
                time.sleep(_POLL_S)
        if may_move and not deadline.passed and not port_is_free(self._ports[service]):
            self._ports[service] = self._pick_port(service)
            self._spawn(service)
            self._await_ready(service, deadline, may_move=True)
            if service == "registry":
                self._tell_callers(deadline)
            return
        raise ServiceStartFailed(self._failure(service, f"ended with exit code {self._children[service].exit_code}"))

    def _tell_callers(self, deadline: Deadline) -> None:
        """Start those again that were told where the registry would listen, since it had to move."""
        for service in CALLS_REGISTRY & self._children.keys():
            self._children[service].stop(self._stop_timeout_s)
            self._spawn(service)
            self._await_ready(service, deadline, may_move=True)

    def _failure(self, service: str, what: str) -> str:
        tail = self._children[service].log_tail()
        return f"{service} on port {self._ports[service]} {what}. The end of {self.log_path(service)}:\n{tail}"


def _status(client: httpx.Client) -> int | None:
    try:
        return client.get(_READY_PATH).status_code
    except httpx.TransportError:
        return None
