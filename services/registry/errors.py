"""Everything the registry may refuse, as one tree. An error names fields and expectations, never a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from shared.kernel.errors import Fault, Kind, ServiceError


class RegistryError(ServiceError):
    """Base of the tree; each class is one code and one sentence.

    Attributes:
        summary: what happened, for a person; the faults say where.
    """

    summary: ClassVar[str]

    def __init__(self, *faults: Fault) -> None:
        super().__init__(self.summary, *faults)


def refuse_if(*findings: tuple[type[RegistryError], Sequence[Fault]]) -> None:
    """Raise the first error that has faults, naming the faults of all: a person mends a form once, not rule by rule."""
    found = [error for error, faults in findings if faults]
    if found:
        raise found[0](*(fault for _, faults in findings for fault in faults))


class Unknown(RegistryError):
    """A reference leads nowhere."""

    kind: ClassVar[Kind] = "unknown"


class CommunityUnknown(Unknown):
    code: ClassVar[str] = "community-unknown"
    summary: ClassVar[str] = "there is no such community"


class StationUnknown(Unknown):
    code: ClassVar[str] = "station-unknown"
    summary: ClassVar[str] = "there is no such station"


class ShuttleUnknown(Unknown):
    code: ClassVar[str] = "shuttle-unknown"
    summary: ClassVar[str] = "there is no such shuttle"


class EmployerUnknown(Unknown):
    code: ClassVar[str] = "employer-unknown"
    summary: ClassVar[str] = "there is no such employer"


class SeekerUnknown(Unknown):
    code: ClassVar[str] = "seeker-unknown"
    summary: ClassVar[str] = "there is no such seeker"


class PostUnknown(Unknown):
    code: ClassVar[str] = "post-unknown"
    summary: ClassVar[str] = "there is no such post"


class PlacementUnknown(Unknown):
    code: ClassVar[str] = "placement-unknown"
    summary: ClassVar[str] = "there is no such placement"


class ShiftUnknown(Unknown):
    code: ClassVar[str] = "shift-unknown"
    summary: ClassVar[str] = "there is no such shift"


class PersonErased(Unknown):
    """Her key was destroyed; the pseudonym remains in records that say nothing of her."""

    code: ClassVar[str] = "person-erased"
    summary: ClassVar[str] = "the personal data of this seeker was erased"


class Invalid(RegistryError):
    """An input breaks a rule by itself; the same input will always be refused on this day."""

    kind: ClassVar[Kind] = "invalid"


class RowInvalid(Invalid):
    """A row of a bulk upload does not have the form of its command."""

    code: ClassVar[str] = "invalid"
    summary: ClassVar[str] = "the row does not have the expected form"


class AreaOutsideCity(Invalid):
    code: ClassVar[str] = "area-outside-city"
    summary: ClassVar[str] = "the area does not lie in the city"


class HoursInvalid(Invalid):
    code: ClassVar[str] = "hours-invalid"
    summary: ClassVar[str] = "the weekly hours are not usable"


class NotOfWorkingAge(Invalid):
    code: ClassVar[str] = "not-of-working-age"
    summary: ClassVar[str] = "a seeker is of statutory working age when she registers"


class BirthDateInvalid(Invalid):
    code: ClassVar[str] = "birth-date-invalid"
    summary: ClassVar[str] = "a birth date is not possible"


class ChildTooOld(Invalid):
    code: ClassVar[str] = "child-too-old"
    summary: ClassVar[str] = "a mama post is for women whose youngest child is under 12"


class RegisteredOnInvalid(Invalid):
    code: ClassVar[str] = "registered-on-invalid"
    summary: ClassVar[str] = "the date of the paper ledger is not usable"


class PostIncomplete(Invalid):
    """What a kind of post needs is missing, or its parts contradict each other."""

    code: ClassVar[str] = "post-incomplete"
    summary: ClassVar[str] = "the post does not have what its kind needs"


class PayInvalid(Invalid):
    code: ClassVar[str] = "pay-invalid"
    summary: ClassVar[str] = "the pay is not complete"


class AmountTooLarge(Invalid):
    code: ClassVar[str] = "amount-too-large"
    summary: ClassVar[str] = "the amount is larger than any that the programme pays"


class StationElsewhere(Invalid):
    code: ClassVar[str] = "station-elsewhere"
    summary: ClassVar[str] = "the station lies in another city than the employer"


class ChangeEmpty(Invalid):
    code: ClassVar[str] = "change-empty"
    summary: ClassVar[str] = "a change names at least one field"


class DateOutOfRange(Invalid):
    code: ClassVar[str] = "date-out-of-range"
    summary: ClassVar[str] = "the date is too far from today"


class ElsewhereThanPost(Invalid):
    code: ClassVar[str] = "seeker-elsewhere"
    summary: ClassVar[str] = "the seeker is registered in another city than the post"


class HoursOutsidePost(Invalid):
    code: ClassVar[str] = "hours-outside-post"
    summary: ClassVar[str] = "the hours of a placement lie within those of its post"


class ChildCareElsewhere(Invalid):
    code: ClassVar[str] = "child-care-elsewhere"
    summary: ClassVar[str] = "child care is given at a station of the post's community"


class ShuttleElsewhere(Invalid):
    code: ClassVar[str] = "shuttle-elsewhere"
    summary: ClassVar[str] = "the shuttle goes to another station than the post's"


class ShiftTimesInvalid(Invalid):
    code: ClassVar[str] = "shift-times-invalid"
    summary: ClassVar[str] = "the times of the shift are not possible"


class ShiftBeforePlacement(Invalid):
    code: ClassVar[str] = "shift-before-placement"
    summary: ClassVar[str] = "the shift starts before its placement does"


class ShiftAfterPlacement(Invalid):
    code: ClassVar[str] = "shift-after-placement"
    summary: ClassVar[str] = "the shift starts after its placement ended"


class PiecesInvalid(Invalid):
    code: ClassVar[str] = "pieces-invalid"
    summary: ClassVar[str] = "pieces are reported for piece pay, and only for it"


class NoShowWithOutput(Invalid):
    code: ClassVar[str] = "no-show-with-output"
    summary: ClassVar[str] = "a missed shift has no output"


class ShiftsAfterEnd(Invalid):
    code: ClassVar[str] = "shifts-after-end"
    summary: ClassVar[str] = "shifts were recorded after that day"


class Conflict(RegistryError):
    """The input is fine, but not in the present state."""

    kind: ClassVar[Kind] = "conflict"


class NotEligible(Conflict):
    code: ClassVar[str] = "not-eligible"
    summary: ClassVar[str] = "the seeker is not eligible on that day"


class SeekerGone(Conflict):
    code: ClassVar[str] = "seeker-withdrawn"
    summary: ClassVar[str] = "the seeker has withdrawn"


class EmployerIsSuspended(Conflict):
    code: ClassVar[str] = "employer-suspended"
    summary: ClassVar[str] = "the employer is suspended"


class EmployerNotSuspended(Conflict):
    code: ClassVar[str] = "employer-not-suspended"
    summary: ClassVar[str] = "the employer is not suspended"


class StationNotAccepted(Conflict):
    code: ClassVar[str] = "station-not-accepted"
    summary: ClassVar[str] = "the production zone of the station is not accepted"


class PostIsClosed(Conflict):
    code: ClassVar[str] = "post-closed"
    summary: ClassVar[str] = "the post is closed"


class SeatsTaken(Conflict):
    code: ClassVar[str] = "seats-taken"
    summary: ClassVar[str] = "more seats are taken than would be left"


class NoSeatLeft(Conflict):
    code: ClassVar[str] = "no-seat-left"
    summary: ClassVar[str] = "every seat of the post is taken"


class ChildCareNone(Conflict):
    code: ClassVar[str] = "child-care-none"
    summary: ClassVar[str] = "there is no child care at that station"


class ChildCareFull(Conflict):
    code: ClassVar[str] = "child-care-full"
    summary: ClassVar[str] = "no child-care place is left at these hours"


class ShuttleFull(Conflict):
    code: ClassVar[str] = "shuttle-full"
    summary: ClassVar[str] = "no seat of the shuttle is left at these hours"


class ChildCareTaken(Conflict):
    code: ClassVar[str] = "child-care-taken"
    summary: ClassVar[str] = "more child-care places are taken than would be left"


class AlreadyPlaced(Conflict):
    code: ClassVar[str] = "already-placed"
    summary: ClassVar[str] = "the seeker already holds a seat on this post"


class HoursOverlap(Conflict):
    code: ClassVar[str] = "hours-overlap"
    summary: ClassVar[str] = "the hours overlap with another placement of the seeker"


class PlacementOver(Conflict):
    code: ClassVar[str] = "placement-ended"
    summary: ClassVar[str] = "the placement has ended"


class ShiftOverlap(Conflict):
    code: ClassVar[str] = "shift-overlap"
    summary: ClassVar[str] = "the shift overlaps with another one of the same placement"


class StaleRevision(Conflict):
    code: ClassVar[str] = "stale-revision"
    summary: ClassVar[str] = "the shift was corrected meanwhile"


class LostRace(Conflict):
    """Another command changed the same entity first; nothing was stored."""

    code: ClassVar[str] = "lost-race"
    summary: ClassVar[str] = "the entity changed meanwhile"
    retryable: ClassVar[bool] = True


class BulkTooLarge(RegistryError):
    code: ClassVar[str] = "too-many-rows"
    kind: ClassVar[Kind] = "too-large"
    summary: ClassVar[str] = "the upload has too many rows; nothing was stored"


class BulkUnreadable(Invalid):
    """The upload as a whole cannot be read: encoding, media type, header row."""

    code: ClassVar[str] = "bulk-unreadable"
    summary: ClassVar[str] = "the upload cannot be read; nothing was stored"
