"""Kafka and MongoDB in containers, by testcontainers: what the tests run on with `MAMAPOST_ENGINES=docker`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from docker.errors import APIError
from testcontainers.core.container import DockerContainer

from deploy.local.containers import NETWORK_VARIABLE, Contents, docker_answers, kafka_contents, mongo_contents
from deploy.local.engines import Engines
from deploy.local.errors import EngineStartFailed
from deploy.local.process import Deadline, pick_port
from deploy.local.recipes import kafka_cluster_id, kafka_url, mongo_url, takes_writes

ENGINES_VARIABLE: Final = "MAMAPOST_ENGINES"
"""`docker`: the tests' engines are containers, although the embedded ones would run too."""

START_TIMEOUT_S: Final = 120.0
"""A Java start and a first election, on a machine that is busy; an image is fetched before, in its own time."""

_POLL_S: Final = 0.05


class Container:
    """An engine in a container, which is killed, held up and started again like an embedded one."""

    def __init__(
        self,
        contents: Callable[[int], Contents],
        url: Callable[[int], str],
        answers: Callable[[int], bool],
        *,
        keeps_data: bool,
    ) -> None:
        self._port = pick_port()
        self._contents = contents
        self._answers = answers
        self._keeps_data = keeps_data
        self._container: DockerContainer | None = None
        self.url = url(self._port)

    def start(self, timeout_s: float) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()  # no effect on one that runs
        else:
            self._container = self._made()
            try:
                self._container.start()
            except APIError as error:  # no such image, its port is taken
                self.stop()
                raise EngineStartFailed(f"a container on port {self._port} cannot be started: {error}") from error
        deadline = Deadline(timeout_s)
        while not self._answers(self._port):
            wrapped = self._container.get_wrapped_container()
            wrapped.reload()
            if wrapped.status == "exited" or deadline.passed:
                said = wrapped.logs(tail=15).decode("utf-8", "replace")
                raise EngineStartFailed(f"{self._container.image} on port {self._port} is {wrapped.status}:\n{said}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        if self._container is not None:
            self._container.stop()
            self._container = None

    def kill(self) -> None:
        if self._container is not None and self._keeps_data:
            self._container.get_wrapped_container().kill()
        else:
            self.stop()

    def pause(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().unpause()

    def _made(self) -> DockerContainer:
        contents = self._contents(self._port)
        container = DockerContainer(contents.image).with_envs(**contents.environment)
        if contents.command:
            container.with_command(list(contents.command))
        if network := os.environ.get(NETWORK_VARIABLE):
            return container.with_kwargs(network_mode=network)
        return container.with_bind_ports(self._port, self._port)


def wanted() -> bool:
    """Whether the tests are to run on containers.

    Raises:
        pytest.UsageError: the variable asks for something else.
    """
    asked = os.environ.get(ENGINES_VARIABLE, "")
    if asked not in ("", "docker"):
        raise pytest.UsageError(f"{ENGINES_VARIABLE} is {asked}; expected docker, or nothing")
    return bool(asked)


@contextmanager
def engines() -> Iterator[Engines]:
    """Both, running; the broker comes back empty when it is killed, the store with its data, like the embedded ones.

    Raises:
        pytest.UsageError: no Docker engine answers.
        EngineStartFailed: one ended, or did not answer in time.
    """
    if not docker_answers():
        raise pytest.UsageError(f"{ENGINES_VARIABLE} asks for containers, and no Docker engine answers")
    # Ryuk, which removes what a killed run leaves, is one more image; where it is not wanted, testcontainers' own
    # variable TESTCONTAINERS_RYUK_DISABLED says so.
    broker = Container(kafka_contents, kafka_url, lambda port: bool(kafka_cluster_id(port)), keeps_data=False)
    store = Container(mongo_contents, mongo_url, lambda port: takes_writes(port, None), keeps_data=True)
    both = Engines(broker, store, START_TIMEOUT_S)
    try:
        for engine in (broker, store):
            engine.start(START_TIMEOUT_S)
        yield both
    finally:
        both.stop()
