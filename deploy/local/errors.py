"""What can go wrong while engines and services are started on one machine."""

from __future__ import annotations

from typing import ClassVar


class LocalRunError(Exception):
    """Root of this package's errors; the message is written for the person at the terminal.

    Attributes:
        code: stable, for programs and tests.
        retryable: whether the same call can succeed later without a change to the machine or the configuration.
    """

    code: ClassVar[str] = "local-run"
    retryable: ClassVar[bool] = False


class EngineError(LocalRunError):
    """Something about the broker or the store."""

    code = "engine"


class EngineMissing(EngineError):
    """Nothing on this machine can run the engine; the message says what to install."""

    code = "engine-missing"


class EngineStartFailed(EngineError):
    """The engine was started but ended or did not answer in time; the message holds the end of its log."""

    code = "engine-start-failed"
    retryable = True


class EngineNotOurs(EngineError):
    """A given engine (MAMAPOST_KAFKA, MAMAPOST_MONGO) is never started or stopped from here."""

    code = "engine-not-ours"


class ServiceStartFailed(LocalRunError):
    """A service ended or was not ready in time; the message holds the end of its log."""

    code = "service-start-failed"
    retryable = True
