"""The root of every service's tree of errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Kind = Literal["invalid", "unknown", "conflict", "gone", "forbidden", "too-large", "unavailable"]
"""What went wrong, for the edge to translate: HTTP 422, 404, 409, 410, 403, 413, 503."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where (`free.0.to`), and what was expected there. Never the value itself."""

    field: str
    expected: str


class ServiceError(Exception):
    """Something a caller can be told about.

    Attributes:
        code: stable, kebab-case, documented; clients may branch on it.
        kind: see `Kind`.
        retryable: whether the same request may succeed later without a change.
        faults: the fields at fault, if the input was.
    """

    code: ClassVar[str]
    kind: ClassVar[Kind]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *faults: Fault) -> None:
        super().__init__(message)
        self.faults = faults
