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


class SequenceUnknown(MatchingError):
    """Nothing is known of the ranking that `since` names; the whole has to be read, which is `since=0`."""

    code: ClassVar[str] = "sequence-unknown"
    kind: ClassVar[Kind] = "gone"

    def __init__(self) -> None:
        super().__init__(
            "nothing is known of this post's ranking of that sequence; read the whole with `since=0`",
            Fault("since", "the `sequence` of an earlier answer or event about this post, or 0"),
        )


class StreamsFull(MatchingError):
    """As many streams are open as one instance serves."""

    code: ClassVar[str] = "streams-full"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams are open, which is all that one instance serves")


class StartingError(MatchingError):
    """It is not known yet which cities this instance answers for."""

    code: ClassVar[str] = "starting"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("matching has just been started")


class CatchingUp(MatchingError):
    """The city is about to be answered for: events are being read, or another instance has yet to hand it over."""

    code: ClassVar[str] = "catching-up"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the rankings of this city are being brought up to date")


class CityUnowned(MatchingError):
    """No instance answers for the city, or for one of the cities that what was asked for may be in."""

    code: ClassVar[str] = "city-unowned"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("no instance of matching answers for this city at present")


class OwnerSilent(MatchingError):
    """The instance that answers for the city gave no answer in time."""

    code: ClassVar[str] = "owner-silent"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the instance of matching that answers for this city did not answer")


class PublishedElsewhereError(MatchingError):
    """Another instance published a ranking in between; what was published has to be read anew."""

    code: ClassVar[str] = "published-elsewhere"
    kind: ClassVar[Kind] = "conflict"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("another instance has published one of these rankings")


class PolicyInvalid(MatchingError):
    """The policy cannot be adopted; the fields say why."""

    code: ClassVar[str] = "policy-invalid"
    kind: ClassVar[Kind] = "invalid"

    def __init__(self, *faults: Fault) -> None:
        super().__init__("the policy cannot be adopted", *faults)


class PoliciesFull(MatchingError):
    """The city has adopted as many policies as are kept."""

    code: ClassVar[str] = "policies-full"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self, most: int) -> None:
        super().__init__(f"the city has adopted {most} policies, which is all that are kept")


# --- instant hiring ---------------------------------------------------------------------------------------------------


class OfferUnknown(MatchingError):
    """There is no such offer."""

    code: ClassVar[str] = "offer-unknown"
    kind: ClassVar[Kind] = "unknown"

    def __init__(self) -> None:
        super().__init__("there is no such offer", Fault("offer_id", "id of an offer that was made"))


class HiringUnknown(MatchingError):
    """No instant hiring was ever started for this post."""

    code: ClassVar[str] = "hiring-unknown"
    kind: ClassVar[Kind] = "unknown"

    def __init__(self) -> None:
        super().__init__(
            "no instant hiring was started for this post", Fault("post_id", "a post whose seats are offered")
        )


class PostNotOpen(MatchingError):
    """The post takes nobody: it is closed, or its time has passed."""

    code: ClassVar[str] = "post-not-open"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self) -> None:
        super().__init__("the post is closed", Fault("post_id", "a post that is open"))


class HiringOver(MatchingError):
    """The post's instant hiring has ended already."""

    code: ClassVar[str] = "hiring-over"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self) -> None:
        super().__init__("the hiring has ended", Fault("post_id", "a post whose hiring is open"))


class OfferExpired(MatchingError):
    """The offer's time has passed."""

    code: ClassVar[str] = "offer-expired"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self) -> None:
        super().__init__("the offer has expired", Fault("offer_id", "an offer before its `expires_at`"))


class OfferSettledAlready(MatchingError):
    """The offer has come to its one end; the detail names it."""

    code: ClassVar[str] = "offer-settled-already"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self, outcome: str) -> None:
        super().__init__(f"the offer was settled before: {outcome}", Fault("offer_id", "an offer that is live"))


class OfferBeingAccepted(MatchingError):
    """The registry is being asked for the seat; soon the offer is settled."""

    code: ClassVar[str] = "offer-being-accepted"
    kind: ClassVar[Kind] = "conflict"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the offer is being accepted", Fault("offer_id", "an offer that is live"))


class HoursOutsideOffer(MatchingError):
    """Her hours are not within those offered."""

    code: ClassVar[str] = "hours-outside-offer"
    kind: ClassVar[Kind] = "invalid"

    def __init__(self) -> None:
        super().__init__(
            "the hours do not lie within those offered",
            Fault("hours", "at least one half hour, and only half hours of the offer"),
        )


class HoursInvalid(MatchingError):
    """The weekly hours are not usable."""

    code: ClassVar[str] = "hours-invalid"
    kind: ClassVar[Kind] = "invalid"

    def __init__(self, field: str) -> None:
        super().__init__(
            "the weekly hours are not usable", Fault(field, "a time after `from`; split a night shift at midnight")
        )


class SeatTaken(MatchingError):
    """Somebody else has the seat; the offer is settled."""

    code: ClassVar[str] = "seat-taken"
    kind: ClassVar[Kind] = "conflict"

    def __init__(self) -> None:
        super().__init__("every seat of the post is taken", Fault("offer_id", "an offer whose seat is still free"))


class PlacementRefused(MatchingError):
    """The registry does not place her on this post; the offer is settled, and the detail names the registry's code."""

    code: ClassVar[str] = "placement-refused"
    kind: ClassVar[Kind] = "conflict"


class TermsRefused(MatchingError):
    """The registry refuses these terms; the offer is live again, and the detail names the registry's code."""

    code: ClassVar[str] = "terms-refused"
    kind: ClassVar[Kind] = "conflict"


class RegistryUnavailable(MatchingError):
    """The registry gave no answer that decides. The yes is kept, and the seat is asked for again until it does."""

    code: ClassVar[str] = "registry-unavailable"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, why: str, *, is_reached: bool = True) -> None:
        """`is_reached`: whether it may have carried out what it was asked."""
        super().__init__(f"the registry gave no answer: {why}")
        self.is_reached = is_reached


class LostRaceError(MatchingError):
    """Another step changed the same offer, hiring or seeker first; nothing was stored."""

    code: ClassVar[str] = "lost-race"
    kind: ClassVar[Kind] = "conflict"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the offer changed meanwhile")
