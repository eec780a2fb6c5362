"""The root of every tree of errors."""

from __future__ import annotations

from typing import ClassVar, get_args

from shared.kernel.errors import Fault, Kind, ServiceError
from shared.runtime.http import STATUS


class SeatTaken(ServiceError):
    code: ClassVar[str] = "seat-taken"
    kind: ClassVar[Kind] = "conflict"


def test_an_error_carries_what_the_caller_needs() -> None:
    error = SeatTaken("no seat is left", Fault("post_id", "a post with seats left"))
    assert str(error) == "no seat is left"
    assert error.faults == (Fault("post_id", "a post with seats left"),)
    assert error.retryable is False


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(get_args(Kind))
    assert all(400 <= status < 600 for status in STATUS.values())
