"""Everything that matching can tell a caller about."""

from __future__ import annotations

from typing import ClassVar

from shared.kernel.errors import Fault, Kind, ServiceError


class MatchingError(ServiceError):
    """Root of the service's errors."""


class PostUnknown(MatchingError):
    """No event of this post was seen."""

    code: ClassVar[str] = "post-unknown"
    kind: ClassVar[Kind] = "unknown"

    def __init__(self) -> None:
        super().__init__(
            "matching has seen no event of this post; a reader in a hurry can give `after=`",
            Fault("post_id", "id of a post that was opened"),
        )


class SeekerUnknown(MatchingError):
    """No event of this seeker was seen."""

    code: ClassVar[str] = "seeker-unknown"
    kind: ClassVar[Kind] = "unknown"

    def __init__(self) -> None:
        super().__init__(
            "matching has seen no event of this seeker; a reader in a hurry can give `after=`",
            Fault("seeker_id", "id of a seeker who was registered"),
        )


class PositionInvalid(MatchingError):
    """`after` is no position that matching could wait for."""

    code: ClassVar[str] = "position-invalid"
    kind: ClassVar[Kind] = "invalid"

    def __init__(self, expected: str) -> None:
        super().__init__("this position cannot be waited for", Fault("after", expected))


class NotFreshYet(MatchingError):
    """The position was not reached in time."""

    code: ClassVar[str] = "not-fresh-yet"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, timeout_ms: int) -> None:
        super().__init__(f"the event at this position was not applied within {timeout_ms} ms")


class StartingError(MatchingError):
    """The state is still being read from the store."""

    code: ClassVar[str] = "starting"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("matching is reading its state")


class PublishedElsewhereError(MatchingError):
    """Another instance published a ranking in between; what was published has to be read anew."""

    code: ClassVar[str] = "published-elsewhere"
    kind: ClassVar[Kind] = "conflict"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("another instance has published one of these rankings")
